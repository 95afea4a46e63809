/*-------------------------------------------------------------------------
 * drift_reference.c
 *		Learns from the training data itself how much of a difference is usual.
 *
 * Executions of a server are anything but independent draws: hours of the
 * day, weekdays, jobs that come and go, tables that grow.  Textbook limits of
 * a stability index or of Kolmogorov and Smirnov's test are exceeded by any
 * day.  So every day of the training data is compared with the other days,
 * and what the most different one came to is stored with the model.  The
 * oldest block is left out where there are enough: what went before it is not
 * known, so its lags are not.
 *
 * Features that take part: those that the learner uses (a hundredth of the
 * gain at least).  Left out are what training knows only as of today (size,
 * rows, indexes and width of tables: any growth would be a difference from
 * every day of it), what depends on how far back was read (age and number of
 * the recent runs), and the statement's own centre: one statement that runs
 * often moves much of its distribution over a border by moving a little, so
 * levels are looked at statement by statement.
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"

#include "ml/explain.h"
#include "train/drift_reference.h"

#define ROWS_MAX		20000	/* looked at for features, and likewise of the held-out ones */
#define SECONDS_PER_DAY 86400.0
#define DAYS_FOR_DAYS	4		/* of data that make days the blocks */
#define QUARTERS_LEAST	3		/* quarters of a day that there must be */
#define BLOCKS_MAX		366
#define SKIP_FROM		5		/* blocks from which on the oldest is left out */
#define GAIN_LEAST		0.01
#define SCORES_KEPT		400
#define STATEMENTS_KEPT 200
#define STATEMENT_ROWS	20		/* that a statement must have */
#define STATEMENT_BLOCKS 3
#define P10_TO_P90		2.5631031
#define COVERAGE		0.90

typedef struct Builder
{
	const MlStages *stages;
	const PgamlDataset *dataset;
	const MlStop *stop;
	double		end;			/* s since the PostgreSQL epoch */
	double		block_s;
	int			nblocks;		/* counted from the newest */
	StringInfoData out;
} Builder;

/* A held-out row. */
typedef struct Held
{
	double		at;
	int			block;
	double		error;			/* |log error| */
	float		score;			/* NaN when not judged */
	bool		covered;
	bool		novel;
} Held;

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static int
compare_float(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

/* Linear between the two nearest; sorted values, n >= 1. */
static double
quantile(const double *sorted, int64 n, double q)
{
	double		at = q * (n - 1);
	int64		low = (int64) at;

	return low + 1 < n ? sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]) : sorted[n - 1];
}

double
pgaml_drift_median(double *values, int64 n)
{
	qsort(values, n, sizeof(double), compare_double);
	return n > 0 ? quantile(values, n, 0.5) : NAN;
}

/* Of a moment; -1 for those that are left out. */
static int
block_of(const Builder *builder, double at)
{
	double		block = floor((builder->end - at) / builder->block_s);

	return block < builder->nblocks ? (int) Max(block, 0.0) : -1;
}

static bool
stopped(const Builder *builder)
{
	return builder->stop->should_stop(builder->stop->state, 1.0);
}

/* JSON has no NaN. */
static void
put_number(StringInfo out, const char *before, double value)
{
	if (isfinite(value))
		appendStringInfo(out, "%s%.9g", before, value);
	else
		appendStringInfo(out, "%snull", before);
}

static void
choose_blocks(Builder *builder, double span_s)
{
	builder->block_s = span_s >= DAYS_FOR_DAYS * SECONDS_PER_DAY ? SECONDS_PER_DAY :
		span_s >= QUARTERS_LEAST * PGAML_DRIFT_QUARTER_S ? PGAML_DRIFT_QUARTER_S : 0.0;
	builder->nblocks = builder->block_s > 0.0 ? (int) Min(span_s / builder->block_s, BLOCKS_MAX) : 0;
	if (builder->nblocks >= SKIP_FROM)
		builder->nblocks--;
}

/* ---------------------------------------------------------------------------
 * Features
 * ---------------------------------------------------------------------------
 */

static bool
takes_part(int feature, const double *gain, double total)
{
	switch (feature)
	{
		case PGAML_F_TABLE_SIZE_MB:
		case PGAML_F_INDEX_COUNT:
		case PGAML_F_TABLE_ROWS:
		case PGAML_F_ROW_WIDTH:
		case PGAML_F_LAG_RUNS:
		case PGAML_F_LAG_AGE:
		case PGAML_F_LAG_CENTER:
			return false;
		default:
			return gain[feature] >= GAIN_LEAST * total;
	}
}

static int64
stride_of(int64 nrows)
{
	return Max((nrows + ROWS_MAX - 1) / ROWS_MAX, 1);
}

/* The most that a block's index came to against the other blocks; NaN below two blocks. */
static double
usual_psi(const double *counts, int nblocks, int nbins)
{
	double		usual = NAN;
	int			compared = 0;

	for (int b = 0; b < nblocks; b++)
	{
		const double *own = counts + (Size) b * (PGAML_BINS + 1);
		double		others[PGAML_BINS + 1] = {0};
		double		n = 0.0;
		double		nothers = 0.0;

		for (int i = 0; i < nbins; i++)
		{
			n += own[i];
			for (int other = 0; other < nblocks; other++)
				if (other != b)
					others[i] += counts[(Size) other * (PGAML_BINS + 1) + i];
			nothers += others[i];
		}
		if (n < PGAML_DRIFT_BLOCK_ROWS || nothers < PGAML_DRIFT_BLOCK_ROWS)
			continue;
		usual = fmax(usual, pgaml_series_psi(others, own, nbins));
		compared++;
	}
	return compared >= 2 ? usual : NAN;
}

/* One feature: borders, counts, and what single blocks came to. */
static void
put_feature(Builder *builder, int feature, float *values, double *counts)
{
	const float *column = builder->dataset->columns[feature];
	int64		nrows = builder->dataset->data.nrows;
	int64		stride = stride_of(nrows);
	StringInfo	out = &builder->out;
	PgamlBins	bins;
	int64		known = 0;

	for (int64 i = 0; i < nrows; i += stride)
		if (block_of(builder, builder->dataset->at[i]) >= 0 && !isnan(column[i]))
			values[known++] = column[i];
	pgaml_series_bins(values, known, &bins);
	memset(counts, 0, sizeof(double) * (PGAML_BINS + 1) * builder->nblocks);
	for (int64 i = 0; i < nrows; i += stride)
	{
		int			block = block_of(builder, builder->dataset->at[i]);

		if (block >= 0)
			counts[block * (PGAML_BINS + 1) + pgaml_series_bin(&bins, column[i])]++;
	}
	appendStringInfo(out, "{\"feature\": \"%s\", \"borders\": [", pgaml_feature_name(feature).name);
	for (int i = 0; i < bins.n - 1; i++)
		put_number(out, i > 0 ? ", " : "", bins.border[i]);
	appendStringInfoString(out, "], \"counts\": [");
	for (int i = 0; i <= bins.n; i++)
	{
		double		sum = 0.0;

		for (int b = 0; b < builder->nblocks; b++)
			sum += counts[b * (PGAML_BINS + 1) + i];
		put_number(out, i > 0 ? ", " : "", sum);
	}
	put_number(out, "], \"usual\": ", usual_psi(counts, builder->nblocks, bins.n + 1));
	appendStringInfoString(out, "}");
}

static bool
put_features(Builder *builder)
{
	double		gain[PGAML_F_COUNT];
	double		total = 0.0;
	float	   *values = palloc(sizeof(float) * (ROWS_MAX + 1));
	double	   *counts = palloc(sizeof(double) * (PGAML_BINS + 1) * Max(builder->nblocks, 1));
	bool		first = true;

	pgaml_ml_importance_gain(pgaml_ml_stages_model(builder->stages), gain);
	for (int i = 0; i < PGAML_F_COUNT; i++)
		total += gain[i];
	appendStringInfoString(&builder->out, ", \"features\": [");
	for (int i = 0; i < PGAML_F_COUNT && builder->nblocks > 0; i++)
	{
		if (!takes_part(i, gain, total))
			continue;
		if (stopped(builder))
			return false;
		appendStringInfoString(&builder->out, first ? "" : ", ");
		put_feature(builder, i, values, counts);
		first = false;
	}
	appendStringInfoString(&builder->out, "]");
	pfree(counts);
	pfree(values);
	return true;
}

/* ---------------------------------------------------------------------------
 * Statements
 * ---------------------------------------------------------------------------
 */

/* Level of one statement, rows from..to - 1; false when there is too little of it. */
static bool
statement_level(const Builder *builder, int64 from, int64 to, double *values, PgamlDriftStatement *level)
{
	const PgamlDataset *dataset = builder->dataset;
	int64		n = 0;
	int			blocks = 0;

	level->queryid = dataset->group_key[dataset->group[from]];
	level->usual = 0.0;
	for (int64 i = from; i < to; i++)
		if (block_of(builder, dataset->at[i]) >= 0)
			values[n++] = dataset->target[i];
	if (n < STATEMENT_ROWS)
		return false;
	level->center = pgaml_drift_median(values, n);
	level->spread = (quantile(values, n, 0.9) - quantile(values, n, 0.1)) / P10_TO_P90;
	for (int64 i = from, next; i < to; i = next)
	{
		int			block = block_of(builder, dataset->at[i]);

		n = 0;
		for (next = i; next < to && block_of(builder, dataset->at[next]) == block; next++)
			values[n++] = dataset->target[next];
		if (block < 0 || n < PGAML_DRIFT_MEDIAN_ROWS)
			continue;
		level->usual = Max(level->usual, fabs(pgaml_drift_median(values, n) - level->center));
		blocks++;
	}
	return blocks >= STATEMENT_BLOCKS;
}

/* Statements in the order of their rows, those with fewer than the limit that keeps STATEMENTS_KEPT left out. */
static int64
least_rows(const PgamlDataset *dataset)
{
	double	   *rows = palloc0(sizeof(double) * Max(dataset->data.ngroups, 1));
	int64		least = STATEMENT_ROWS;

	for (int64 i = 0; i < dataset->data.nrows; i++)
		rows[dataset->group[i]]++;
	qsort(rows, dataset->data.ngroups, sizeof(double), compare_double);
	if (dataset->data.ngroups > STATEMENTS_KEPT)
		least = Max(least, (int64) rows[dataset->data.ngroups - STATEMENTS_KEPT]);
	pfree(rows);
	return least;
}

static bool
put_statements(Builder *builder)
{
	const PgamlDataset *dataset = builder->dataset;
	int64		nrows = dataset->data.nrows;
	double	   *values = palloc_extended(sizeof(double) * Max(nrows, 1), MCXT_ALLOC_HUGE);
	int64		least = least_rows(dataset);
	int			kept = 0;

	appendStringInfoString(&builder->out, ", \"statements\": [");
	for (int64 from = 0, to; from < nrows && builder->nblocks > 0 && kept < STATEMENTS_KEPT; from = to)
	{
		PgamlDriftStatement level;

		for (to = from; to < nrows && dataset->group[to] == dataset->group[from]; to++)
			;
		if (to - from < least)
			continue;
		if (stopped(builder))
			return false;
		if (!statement_level(builder, from, to, values, &level))
			continue;
		appendStringInfo(&builder->out, "%s{\"queryid\": " INT64_FORMAT, kept++ > 0 ? ", " : "", level.queryid);
		put_number(&builder->out, ", \"center\": ", level.center);
		put_number(&builder->out, ", \"spread\": ", level.spread);
		put_number(&builder->out, ", \"usual\": ", level.usual);
		appendStringInfoString(&builder->out, "}");
	}
	appendStringInfoString(&builder->out, "]");
	pfree(values);
	return true;
}

/* ---------------------------------------------------------------------------
 * Held-out rows
 * ---------------------------------------------------------------------------
 */

/* The newest row that was fitted on: a statement that began later is new to the model. */
static double
end_of_training(const PgamlDataset *dataset)
{
	double		end = -INFINITY;

	for (int64 i = 0; i < dataset->data.nrows; i++)
		if (dataset->part[i] == ML_PART_TRAIN)
			end = Max(end, dataset->at[i]);
	return end;
}

/* Rows that were not fitted on, thinned evenly; NULL when stopped. */
static Held *
ask_held_out(const Builder *builder, int64 *n)
{
	const PgamlDataset *dataset = builder->dataset;
	int64		nrows = dataset->data.nrows;
	int64		there = 0;
	int64		stride;
	int64		seen = 0;
	double		trained = end_of_training(dataset);
	double		first_at = 0.0;
	float		scratch[2 * PGAML_F_COUNT];
	Held	   *held;

	for (int64 i = 0; i < nrows; i++)
		there += dataset->part[i] != ML_PART_TRAIN;
	stride = stride_of(there);
	held = palloc(sizeof(Held) * (there / stride + 1));
	*n = 0;
	for (int64 i = 0; i < nrows; i++)
	{
		MlStageTruth truth;

		if (i == 0 || dataset->group[i] != dataset->group[i - 1])
			first_at = dataset->at[i];
		if (dataset->part[i] == ML_PART_TRAIN || seen++ % stride != 0)
			continue;
		if (*n % 256 == 0 && stopped(builder))
			return NULL;
		pgaml_ml_stages_truth(builder->stages, &dataset->data, i, NULL, 0, COVERAGE, scratch, &truth);
		if (isnan(truth.error))
			continue;
		held[(*n)++] = (Held) {
			.at = dataset->at[i], .block = block_of(builder, dataset->at[i]), .error = fabs(truth.error),
			.score = truth.score, .covered = truth.covered, .novel = truth.novel || first_at > trained
		};
	}
	return held;
}

/* Scores of one block, or (other) of all but it, ascending; how many. */
static int64
scores_of(const Held *held, int64 n, int block, bool others, float *out)
{
	int64		count = 0;

	for (int64 i = 0; i < n; i++)
		if (!isnan(held[i].score) && (held[i].block == block) != others)
			out[count++] = held[i].score;
	qsort(out, count, sizeof(float), compare_float);
	return count;
}

static void
put_scores(Builder *builder, const Held *held, int64 n)
{
	float	   *own = palloc(sizeof(float) * (n + 1));
	float	   *others = palloc(sizeof(float) * (n + 1));
	double		usual = NAN;
	int64		all;
	int64		kept;

	for (int b = 0; b < builder->nblocks; b++)
	{
		int64		nown = scores_of(held, n, b, false, own);
		int64		nothers;

		if (nown < PGAML_DRIFT_BLOCK_ROWS)
			continue;
		nothers = scores_of(held, n, b, true, others);
		if (nothers >= PGAML_DRIFT_BLOCK_ROWS)
			usual = fmax(usual, pgaml_series_ks(own, nown, others, nothers));
	}
	all = scores_of(held, n, -2, true, others);
	kept = Min(all, SCORES_KEPT);
	appendStringInfoString(&builder->out, ", \"scores\": [");
	for (int64 i = 0; i < kept; i++)
		put_number(&builder->out, i > 0 ? ", " : "", others[(int64) ((i + 0.5) * all / kept)]);
	put_number(&builder->out, "], \"usual_ks\": ", usual);
	pfree(others);
	pfree(own);
}

/* Means over the blocks of held-out rows. */
static void
put_blocks(Builder *builder, const Held *held, int64 n, double mean)
{
	double		usual_error = NAN;
	double		usual_coverage = NAN;
	double		usual_novelty = NAN;

	for (int b = 0; b < builder->nblocks; b++)
	{
		double		errors = 0.0;
		int64		rows = 0;
		int64		judged = 0;
		int64		covered = 0;
		int64		novel = 0;

		for (int64 i = 0; i < n; i++)
		{
			if (held[i].block != b)
				continue;
			rows++;
			errors += held[i].error;
			novel += held[i].novel;
			judged += !isnan(held[i].score);
			covered += held[i].covered;
		}
		if (judged >= PGAML_DRIFT_BLOCK_ROWS)
			usual_coverage = fmin(usual_coverage, (double) covered / judged);
		if (rows < PGAML_DRIFT_BLOCK_ROWS)
			continue;
		usual_novelty = fmax(usual_novelty, (double) novel / rows);
		if (n - rows >= PGAML_DRIFT_BLOCK_ROWS)
			usual_error = fmax(usual_error, errors / rows / ((mean * n - errors) / (n - rows)));
	}
	put_number(&builder->out, ", \"error\": ", mean);
	put_number(&builder->out, ", \"usual_error\": ", usual_error);
	put_number(&builder->out, ", \"usual_coverage\": ", usual_coverage);
	put_number(&builder->out, ", \"usual_novelty\": ", usual_novelty);
}

/* Mean error by quarter of a day, in time order. */
static void
put_quarters(Builder *builder, const Held *held, int64 n)
{
	int			nquarters = 0;
	double	   *sums;
	int64	   *rows;
	bool		first = true;

	for (int64 i = 0; i < n; i++)
		if (held[i].block >= 0)
			nquarters = Max(nquarters, (int) ((builder->end - held[i].at) / PGAML_DRIFT_QUARTER_S) + 1);
	sums = palloc0(sizeof(double) * (nquarters + 1));
	rows = palloc0(sizeof(int64) * (nquarters + 1));
	for (int64 i = 0; i < n; i++)
	{
		int			quarter = (int) ((builder->end - held[i].at) / PGAML_DRIFT_QUARTER_S);

		if (held[i].block < 0)
			continue;
		sums[quarter] += held[i].error;
		rows[quarter]++;
	}
	appendStringInfoString(&builder->out, ", \"quarters\": [");
	for (int i = nquarters - 1; i >= 0; i--)
	{
		if (rows[i] < PGAML_DRIFT_QUARTER_ROWS)
			continue;
		put_number(&builder->out, first ? "" : ", ", sums[i] / rows[i]);
		first = false;
	}
	appendStringInfoString(&builder->out, "]");
	pfree(rows);
	pfree(sums);
}

static bool
put_held_out(Builder *builder)
{
	int64		n;
	double		sum = 0.0;
	Held	   *held = ask_held_out(builder, &n);

	if (held == NULL)
		return false;
	for (int64 i = 0; i < n; i++)
		sum += held[i].error;
	put_scores(builder, held, n);
	put_blocks(builder, held, n, n > 0 ? sum / n : NAN);
	put_quarters(builder, held, n);
	pfree(held);
	return true;
}

char *
pgaml_drift_reference_json(const MlStages *stages, const PgamlDataset *dataset, const MlStop *stop)
{
	Builder		builder = {
		.stages = stages, .dataset = dataset, .stop = stop,
		.end = (double) dataset->window_end / USECS_PER_SEC
	};
	double		span_s = (double) (dataset->window_end - dataset->window_start) / USECS_PER_SEC;

	choose_blocks(&builder, span_s);
	initStringInfo(&builder.out);
	appendStringInfo(&builder.out, "{\"hours\": %.4g, \"block_s\": %.0f, \"blocks\": %d", span_s / 3600.0,
					 builder.block_s, builder.nblocks);
	if (!put_features(&builder) || !put_statements(&builder) || !put_held_out(&builder))
		return NULL;
	appendStringInfoString(&builder.out, "}");
	return builder.out.data;
}
