/*-------------------------------------------------------------------------
 * drift_signals.c
 *		Measures live executions against what was usual in training.
 *
 *		features	the distribution of a feature that the learner uses has
 *					moved: population stability index of the feature that
 *					exceeds its own threshold most
 *		levels		statements have become slower or faster than they ever
 *					were in training: share of executions that are theirs.
 *					Their history adapts within 32 runs, so errors tell of
 *					it for a short while only
 *		conformal_scores	errors in units of the interval are distributed
 *					otherwise than on held-out rows: Kolmogorov and Smirnov's
 *					distance
 *		error_trend	the mean absolute log error over that on held-out rows
 *		coverage	share of executions within their 90 % interval
 *		novelty		share of executions of statements or plans that training
 *					had not seen
 *
 * A threshold is the larger of a floor, below which nobody would mind, and of
 * FACTOR times what the most different block of the training data came to;
 * for the features, of which the worst counts, of WORST_FACTOR times that.
 * Where that is not known, the floor counts twice; and data of less than a
 * week do not know what the days of a week do to it: then both count twice.
 * Live rows are those of the newest block length, or more when these are few.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/spi_run.h"
#include "watch/drift_signals.h"

#define FACTOR			1.5		/* on what was usual */
#define WORST_FACTOR	2.0		/* likewise, where the worst of many counts */
#define ROWS_LEAST		200		/* live rows to judge by */
#define PSI_FLOOR		0.40	/* 0.25 is customary for a major change of one feature; this is the worst of many */
#define LEVELS_FLOOR	0.15	/* share of executions */
#define MANY_FLOOR		0.05	/* likewise, when many statements moved at once */
#define MANY_STATEMENTS 5		/* that one does by chance, not so many */
#define MANY_SHARE		0.05	/* of the statements */
#define LEVEL_LEAST		0.405	/* ln 1.5: of a statement */
#define LEVEL_ERRORS	3.0		/* standard errors of a median */
#define MEDIAN_ERROR	1.2533	/* of a median, in standard errors of a mean */
#define KS_FLOOR		0.12
#define ERROR_FLOOR		1.3		/* ratio */
#define ERROR_Z			4.0
#define QUARTERS_LEAST	4
#define COVERAGE_FLOOR	0.06	/* below nominal */
#define COVERAGE_ERRORS 3.0
#define NOVELTY_FLOOR	0.10	/* share of executions */
#define NAMED			3		/* features or statements named in detail */
#define HOUR_S			3600.0
#define WEEK_H			167.0	/* but for the last bit */

const char *const pgaml_signal_names[PGAML_SIGNAL_COUNT] = {
	"features", "levels", "conformal_scores", "error_trend", "coverage", "novelty"
};

typedef struct Measure
{
	const PgamlLive *live;
	const PgamlLiveModel *model;
	const PgamlDriftReference *reference;
	double		until;			/* s since the PostgreSQL epoch */
	double		from;			/* rows since then are looked at */
	double		new_from;		/* likewise of rows that are new to the model */
	int64		nrows;
	int64		njudged;		/* of rows new to the model, those with an error */
} Measure;

static int
compare_float(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

static int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static void
unknown(PgamlSignalValue *out, const char *why)
{
	StringInfoData detail;

	out->value = out->threshold = NAN;
	out->crossed = false;
	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"why\": \"%s\"}", why);
	out->detail = detail.data;
}

void
pgaml_drift_unknown(const char *why, PgamlSignalValue out[PGAML_SIGNAL_COUNT])
{
	for (int i = 0; i < PGAML_SIGNAL_COUNT; i++)
		unknown(&out[i], why);
}

/* How often the limits count. */
static double
caution(const PgamlDriftReference *reference)
{
	return reference->hours < WEEK_H ? 2.0 : 1.0;
}

/* Larger than a floor and than what was usual; the floor twice where that is not known. */
static double
limit(const PgamlDriftReference *reference, double floor, double factor, double usual)
{
	return isnan(usual) ? 2.0 * floor : caution(reference) * Max(floor, factor * usual);
}

/* The newest rows are looked at: a block's length, or as far back as it takes to have enough of them. */
static double
span_start(const Measure *measure, bool judged, int64 *n)
{
	const PgamlDataset *rows = measure->live->rows;
	double		longest = measure->until - (double) measure->live->from / USECS_PER_SEC;
	double		span = measure->reference->block_s;

	for (;; span *= 2.0)
	{
		*n = 0;
		for (int64 i = 0; i < rows->data.nrows; i++)
			*n += rows->at[i] >= measure->until - span && (!judged || !isnan(measure->model->error[i]));
		if (*n >= ROWS_LEAST || span >= longest)
			return measure->until - span;
	}
}

/* ---------------------------------------------------------------------------
 * What ran
 * ---------------------------------------------------------------------------
 */

static double
feature_psi(const Measure *measure, const PgamlDriftFeature *feature)
{
	const PgamlDataset *rows = measure->live->rows;
	const float *column = rows->columns[feature->feature];
	double		now[PGAML_BINS + 1] = {0};

	for (int64 i = 0; i < rows->data.nrows; i++)
		if (rows->at[i] >= measure->from)
			now[pgaml_series_bin(&feature->bins, column[i])]++;
	return pgaml_series_psi(feature->counts, now, feature->bins.n + 1);
}

static void
measure_features(const Measure *measure, PgamlSignalValue *out)
{
	const PgamlDriftReference *reference = measure->reference;
	double	   *psi = palloc(sizeof(double) * (reference->nfeatures + 1));
	double	   *over = palloc(sizeof(double) * (reference->nfeatures + 1));
	StringInfoData detail;

	if (reference->nfeatures == 0)
	{
		unknown(out, "the learner uses no feature that could drift");
		return;
	}
	for (int i = 0; i < reference->nfeatures; i++)
	{
		psi[i] = feature_psi(measure, &reference->features[i]);
		over[i] = psi[i] / limit(reference, PSI_FLOOR, WORST_FACTOR, reference->features[i].usual);
	}
	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"executions\": " INT64_FORMAT ", \"features\": [", measure->nrows);
	for (int named = 0; named < Min(NAMED, reference->nfeatures); named++)
	{
		int			worst = 0;
		double		threshold;

		for (int i = 1; i < reference->nfeatures; i++)
			if (over[i] > over[worst])
				worst = i;
		threshold = limit(reference, PSI_FLOOR, WORST_FACTOR, reference->features[worst].usual);
		appendStringInfo(&detail, "%s{\"feature\": \"%s\", \"psi\": %.4g, \"threshold\": %.4g}", named > 0 ? ", " : "",
						 pgaml_feature_name(reference->features[worst].feature).name, psi[worst], threshold);
		if (named == 0)
		{
			out->value = psi[worst];
			out->threshold = threshold;
			out->crossed = over[worst] > 1.0;
		}
		over[worst] = -1.0;
	}
	appendStringInfoString(&detail, "]}");
	out->detail = detail.data;
}

static const PgamlDriftStatement *
find_statement(const PgamlDriftReference *reference, int64 queryid)
{
	for (int i = 0; i < reference->nstatements; i++)
		if (reference->statements[i].queryid == queryid)
			return &reference->statements[i];
	return NULL;
}

/* A statement that moved. */
typedef struct Moved
{
	int64		queryid;
	double		factor;
	int64		rows;
} Moved;

/* Keep the NAMED with the most executions, most first. */
static void
keep_moved(Moved *kept, int *n, const Moved *moved)
{
	int			i = *n < NAMED ? (*n)++ : NAMED;

	for (; i > 0 && kept[i - 1].rows < moved->rows; i--)
		if (i < NAMED)
			kept[i] = kept[i - 1];
	if (i < NAMED)
		kept[i] = *moved;
}

/* Has a statement left the level that it had in training?  Rows of a group from..to - 1. */
static bool
has_moved(const Measure *measure, int64 from, int64 to, double *values, Moved *out, bool *judged)
{
	const PgamlDataset *rows = measure->live->rows;
	const PgamlDriftStatement *level = find_statement(measure->reference, rows->group_key[rows->group[from]]);
	double		shift;

	out->rows = 0;
	*judged = false;
	for (int64 i = from; i < to; i++)
		if (rows->at[i] >= measure->from)
			values[out->rows++] = rows->target[i];
	if (level == NULL || out->rows < PGAML_DRIFT_MEDIAN_ROWS)
		return false;
	*judged = true;
	shift = pgaml_drift_median(values, out->rows) - level->center;
	out->queryid = level->queryid;
	out->factor = exp(shift);
	return fabs(shift) > Max(caution(measure->reference) * Max(LEVEL_LEAST, FACTOR * level->usual),
							 LEVEL_ERRORS * MEDIAN_ERROR * level->spread / sqrt((double) out->rows));
}

static void
measure_levels(const Measure *measure, PgamlSignalValue *out)
{
	const PgamlDataset *rows = measure->live->rows;
	int64		nrows = rows->data.nrows;
	double	   *values = palloc(sizeof(double) * nrows);
	Moved		kept[NAMED];
	int			nkept = 0;
	int			nmoved = 0;
	int			nstatements = 0;
	int64		moved_rows = 0;
	int64		judged_rows = 0;
	StringInfoData detail;

	for (int64 from = 0, to; from < nrows; from = to)
	{
		Moved		moved;
		bool		judged;

		for (to = from; to < nrows && rows->group[to] == rows->group[from]; to++)
			;
		if (has_moved(measure, from, to, values, &moved, &judged))
		{
			keep_moved(kept, &nkept, &moved);
			moved_rows += moved.rows;
			nmoved++;
		}
		nstatements += judged;
		judged_rows += judged ? moved.rows : 0;
	}
	pfree(values);
	if (judged_rows < ROWS_LEAST)
	{
		unknown(out, "too few executions of statements whose level in training is known");
		return;
	}
	initStringInfo(&detail);
	appendStringInfo(&detail, "{\"executions\": " INT64_FORMAT ", \"statements\": %d, \"moved\": %d, \"most\": [",
					 judged_rows, nstatements, nmoved);
	for (int i = 0; i < nkept; i++)
		appendStringInfo(&detail, "%s{\"queryid\": " INT64_FORMAT ", \"factor\": %.3g}", i > 0 ? ", " : "",
						 kept[i].queryid, kept[i].factor);
	appendStringInfoString(&detail, "]}");
	out->detail = detail.data;
	out->value = (double) moved_rows / judged_rows;
	out->threshold = nmoved >= Max(MANY_STATEMENTS, MANY_SHARE * nstatements) ? MANY_FLOOR : LEVELS_FLOOR;
	out->crossed = out->value > out->threshold;
}

/* Query identifiers of statements first seen after the data of the model, ascending. */
static int64 *
new_statements(const Measure *measure, int64 *n)
{
	static const char sql[] =
		"SELECT s.queryid FROM pganalytics.statements s, pganalytics.installation i "
		" WHERE s.origin = i.origin AND s.first_seen > $1 ORDER BY 1";
	Oid			types[] = {TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(measure->model->fitted_until)};
	int64	   *ids;

	*n = (int64) pgaml_spi_exec(sql, 1, types, values, NULL, true);
	ids = palloc(sizeof(int64) * (*n + 1));
	for (int64 i = 0; i < *n; i++)
		ids[i] = pgaml_row_int8(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, 0);
	return ids;
}

static void
measure_novelty(const Measure *measure, PgamlSignalValue *out)
{
	const PgamlDataset *rows = measure->live->rows;
	int64		nnew;
	int64	   *ids = new_statements(measure, &nnew);
	int64		novel_statements = 0;
	int64		novel = 0;

	for (int64 i = 0; i < rows->data.nrows; i++)
	{
		bool		new_statement;

		if (rows->at[i] < measure->new_from || isnan(measure->model->error[i]))
			continue;
		new_statement = bsearch(&rows->group_key[rows->group[i]], ids, nnew, sizeof(int64), compare_int64) != NULL;
		novel_statements += new_statement;
		novel += new_statement || measure->model->novel[i];
	}
	out->value = (double) novel / measure->njudged;
	out->threshold = limit(measure->reference, NOVELTY_FLOOR, FACTOR, measure->reference->usual_novelty);
	out->crossed = out->value > out->threshold;
	out->detail = psprintf("{\"executions\": " INT64_FORMAT ", \"of_new_statements\": " INT64_FORMAT
						   ", \"of_new_plans\": " INT64_FORMAT "}",
						   measure->njudged, novel_statements, novel - novel_statements);
}

/* ---------------------------------------------------------------------------
 * How right the model was
 * ---------------------------------------------------------------------------
 */

static bool
is_judged(const Measure *measure, int64 i)
{
	return measure->live->rows->at[i] >= measure->new_from && !isnan(measure->model->error[i]);
}

static void
measure_scores(const Measure *measure, PgamlSignalValue *out)
{
	const PgamlDriftReference *reference = measure->reference;
	float	   *scores = palloc(sizeof(float) * (measure->njudged + 1));
	int64		n = 0;

	for (int64 i = 0; i < measure->live->rows->data.nrows; i++)
		if (is_judged(measure, i) && !isnan(measure->model->score[i]))
			scores[n++] = measure->model->score[i];
	if (n < ROWS_LEAST || reference->nscores < PGAML_DRIFT_BLOCK_ROWS)
	{
		unknown(out, reference->nscores < PGAML_DRIFT_BLOCK_ROWS ? "the model's intervals were not calibrated" :
				"too few executions with a calibrated interval");
		return;
	}
	qsort(scores, n, sizeof(float), compare_float);
	out->value = pgaml_series_ks(reference->scores, reference->nscores, scores, n);
	out->threshold = limit(reference, KS_FLOOR, FACTOR, reference->usual_ks);
	out->crossed = out->value > out->threshold;
	out->detail = psprintf("{\"executions\": " INT64_FORMAT ", \"median\": %.4g, \"median_held_out\": %.4g, "
						   "\"p_if_independent\": %.3g}", n, scores[n / 2],
						   reference->scores[reference->nscores / 2],
						   pgaml_series_ks_p(out->value, reference->nscores, n));
}

/* Mean live errors by quarter of a day, in time order; those of few rows are left out. */
static int
live_quarters(const Measure *measure, double *means, int most)
{
	const PgamlDataset *rows = measure->live->rows;
	double	   *sums = palloc0(sizeof(double) * most);
	int64	   *counts = palloc0(sizeof(int64) * most);
	int			n = 0;

	for (int64 i = 0; i < rows->data.nrows; i++)
	{
		int			quarter = (int) ((rows->at[i] - measure->new_from) / PGAML_DRIFT_QUARTER_S);

		if (!is_judged(measure, i) || quarter >= most)
			continue;
		sums[quarter] += measure->model->error[i];
		counts[quarter]++;
	}
	for (int q = 0; q < most; q++)
		if (counts[q] >= PGAML_DRIFT_QUARTER_ROWS)
			means[n++] = sums[q] / counts[q];
	return n;
}

static void
measure_error(const Measure *measure, PgamlSignalValue *out)
{
	const PgamlDriftReference *reference = measure->reference;
	double		quarters[64];
	int			nquarters = live_quarters(measure, quarters, lengthof(quarters));
	double		sum = 0.0;
	double		z = NAN;

	if (!(reference->error > 0.0))
	{
		unknown(out, "the model was not measured on held-out rows");
		return;
	}
	for (int64 i = 0; i < measure->live->rows->data.nrows; i++)
		if (is_judged(measure, i))
			sum += measure->model->error[i];
	if (reference->nquarters >= QUARTERS_LEAST)
		z = pgaml_series_level_z(reference->quarters, reference->nquarters, quarters, nquarters);
	out->value = sum / measure->njudged / reference->error;
	out->threshold = isnan(reference->usual_error) ? 1.0 + 2.0 * (ERROR_FLOOR - 1.0) :
		1.0 + caution(reference) * Max(ERROR_FLOOR - 1.0, FACTOR * (reference->usual_error - 1.0));
	/* where the series tells nothing of its own scatter, the ratio alone decides */
	out->crossed = out->value > out->threshold && !(z <= ERROR_Z);
	out->detail = psprintf("{\"executions\": " INT64_FORMAT ", \"mean_log_error\": %.4g, \"held_out\": %.4g, "
						   "\"standard_errors\": %s}", measure->njudged, sum / measure->njudged, reference->error,
						   isfinite(z) ? psprintf("%.3g", z) : "null");
}

static void
measure_coverage(const Measure *measure, PgamlSignalValue *out)
{
	const PgamlDataset *rows = measure->live->rows;
	double	   *hits = palloc0(sizeof(double) * rows->data.ngroups);
	double	   *judged = palloc0(sizeof(double) * rows->data.ngroups);
	double		usual = measure->reference->usual_coverage;
	double		covered = 0.0;
	double		n = 0.0;
	double		error;
	int			nclusters = 0;

	for (int64 i = 0; i < rows->data.nrows; i++)
	{
		if (!is_judged(measure, i) || measure->model->covered[i] == PGAML_NOT_JUDGED)
			continue;
		judged[rows->group[i]]++;
		hits[rows->group[i]] += measure->model->covered[i] == PGAML_COVERED;
		covered += measure->model->covered[i] == PGAML_COVERED;
		n++;
	}
	if (n < ROWS_LEAST)
	{
		unknown(out, "too few executions with a calibrated interval");
		return;
	}
	for (int g = 0; g < rows->data.ngroups; g++)
		if (judged[g] > 0.0)
		{
			judged[nclusters] = judged[g];
			hits[nclusters++] = hits[g];
		}
	error = pgaml_series_cluster_error(hits, judged, nclusters);
	out->value = covered / n;
	out->threshold = PGAML_LIVE_COVERAGE - limit(measure->reference, COVERAGE_FLOOR, FACTOR, PGAML_LIVE_COVERAGE - usual);
	if (!isnan(error))
		out->threshold = Min(out->threshold, PGAML_LIVE_COVERAGE - COVERAGE_ERRORS * error);
	out->crossed = out->value < out->threshold;
	out->detail = psprintf("{\"executions\": %.0f, \"nominal\": %.2f, \"standard_error\": %s, \"statements\": %d}", n,
						   PGAML_LIVE_COVERAGE, isfinite(error) ? psprintf("%.3g", error) : "null", nclusters);
}

/* Signals about rows that are new to the model need a block of time of them, and enough. */
static const char *
too_new(const Measure *measure)
{
	double		hours = (measure->until - (double) measure->model->fitted_until / USECS_PER_SEC) / HOUR_S;

	if (hours * HOUR_S < measure->reference->block_s)
		return psprintf("the data of the model end only %.1f hours ago, %.0f are needed", hours,
						measure->reference->block_s / HOUR_S);
	if (measure->njudged < ROWS_LEAST)
		return psprintf("only " INT64_FORMAT " executions are new to the model, %d are needed", measure->njudged,
						ROWS_LEAST);
	return NULL;
}

static void
measure_new(Measure *measure, PgamlSignalValue out[PGAML_SIGNAL_COUNT])
{
	const char *why;

	measure->new_from = span_start(measure, true, &measure->njudged);
	why = too_new(measure);
	if (why != NULL)
	{
		for (int i = PGAML_SIGNAL_SCORES; i < PGAML_SIGNAL_COUNT; i++)
			unknown(&out[i], why);
		return;
	}
	measure_scores(measure, &out[PGAML_SIGNAL_SCORES]);
	measure_error(measure, &out[PGAML_SIGNAL_ERROR]);
	measure_coverage(measure, &out[PGAML_SIGNAL_COVERAGE]);
	measure_novelty(measure, &out[PGAML_SIGNAL_NOVELTY]);
}

void
pgaml_drift_measure(const PgamlLive *live, const PgamlDriftReference *reference,
					PgamlSignalValue out[PGAML_SIGNAL_COUNT])
{
	Measure		measure = {
		.live = live, .model = pgaml_live_model(live, PGAML_LIVE_PRODUCTION), .reference = reference,
		.until = (double) live->until / USECS_PER_SEC
	};
	double		hours = (double) (live->until - live->from) / USECS_PER_HOUR;

	if (!(reference->block_s > 0.0))
	{
		pgaml_drift_unknown(psprintf("the data of the model cover only %.1f hours, 18 are needed", reference->hours), out);
		return;
	}
	if (hours * HOUR_S < reference->block_s)
	{
		pgaml_drift_unknown(psprintf("so many executions are captured that only %.1f hours of them are read", hours), out);
		return;
	}
	measure.from = span_start(&measure, false, &measure.nrows);
	if (measure.nrows < ROWS_LEAST)
	{
		pgaml_drift_unknown(psprintf("only " INT64_FORMAT " executions in the last 7 days, %d are needed", measure.nrows,
									 ROWS_LEAST), out);
		return;
	}
	measure_features(&measure, &out[PGAML_SIGNAL_FEATURES]);
	measure_levels(&measure, &out[PGAML_SIGNAL_LEVELS]);
	measure_new(&measure, out);
}
