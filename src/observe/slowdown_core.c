/*-------------------------------------------------------------------------
 * slowdown_core.c
 *		Splits the change of a statement's mean time into its causes.
 *
 * What an execution's time is made of is fitted first (slowdown_fit_core.c).
 * Then the mean time of either window is taken apart, and each cause is set
 * from what it was before to what it is since, the others being what they
 * were or what they are: for all 64 combinations.  A cause's share is its
 * Shapley value (Shapley 1953; for decompositions of a difference Shorrocks
 * 2013): its mean effect over all orders, so no order is preferred, and the
 * shares add up.  "Unexplained" is a cause like the others, with the effect
 * that makes the sum right.
 *
 * Intervals: 400 times the terms are drawn from their posterior (normal
 * around the fit) and spans of executions are reweighted (Bayesian bootstrap,
 * Rubin 1981, by 20 spans of each window, as neighbours in time are alike).
 *-------------------------------------------------------------------------
 */
#include "observe/slowdown_core.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ml/stages.h"
#include "observe/slowdown_fit_core.h"

#define BLOCKS			20		/* spans of a window */
#define DRAWS			400
#define NEIGHBOURS		11		/* executions around one, itself included; odd, and no more than a window has */
#define TAIL			0.025
#define SURE_TAIL		0.005	/* of the test whether there is a change at all */
#define LEAST_COMPUTE	0.02	/* share of the mean time that is not reading and spilling */
#define WIDEST			1e6		/* a factor beyond this is no factor */
#define COALITIONS		(1 << PGAML_CAUSE_COUNT)

/* A window's mean time, taken apart: ms but for the last four. */
typedef struct Parts
{
	double		compute;
	double		read;
	double		spill;
	double		factor[PGAML_CAUSE_COUNT];	/* mean of what plan, rows and concurrency multiply computing with */
	double		blocks_of_rows; /* mean of what rows multiply the blocks touched with */
	double		blocks;
} Parts;

typedef struct Work
{
	SlowRow    *rows;
	int64_t		n;
	SlowFit		fit;
	double		effects[DRAWS + 1][PGAML_CAUSE_COUNT + 1];	/* the last is the total; draw 0 is the answer */
} Work;

const char *
pgaml_slow_cause_name(PgamlCause cause)
{
	static const char *const names[PGAML_CAUSE_COUNT] = {
		"plan change", "rows", "cache misses", "spill", "concurrency", "unexplained"
	};

	return names[cause];
}

static MlStatus
fail(MlError *error, MlStatus code, const char *message)
{
	if (error != NULL)
	{
		error->code = code;
		snprintf(error->where, sizeof(error->where), "pgaml_slowdown");
		snprintf(error->message, sizeof(error->message), "%s", message);
	}
	return code;
}

/* ---- the rows of the fit ---- */

static double
log1(double x)
{
	return isnan(x) ? 0.0 : log1p(fmax(x, 0.0));
}

static MlStatus
check_runs(const PgamlSlowRun *runs, int64_t n, int32_t nplans, MlError *error)
{
	int64_t		count[2] = {0, 0};

	if (nplans < 1 || nplans > PGAML_SLOW_PLANS)
		return fail(error, ML_E_ARG, "too many or too few plans");
	for (int64_t i = 0; i < n; i++)
	{
		if (!(runs[i].ms > 0.0) || !isfinite(runs[i].ms) || !(runs[i].weight > 0.0) || !isfinite(runs[i].weight) ||
			runs[i].plan < 0 || runs[i].plan >= nplans)
			return fail(error, ML_E_DATA, "a time, weight or plan is out of range");
		count[runs[i].after]++;
	}
	if (count[0] < PGAML_SLOW_LEAST || count[1] < PGAML_SLOW_LEAST)
		return fail(error, ML_E_DATA, "too few executions");
	return ML_OK;
}

/* Blocks and rows of different plans do not compare: what counts is the difference from the plan's mean. */
static void
center_by_plan(SlowRow *rows, int64_t n, int volume)
{
	double		sum[PGAML_SLOW_PLANS] = {0};
	double		weight[PGAML_SLOW_PLANS] = {0};

	for (int64_t i = 0; i < n; i++)
	{
		sum[rows[i].plan] += rows[i].weight * rows[i].volume[volume];
		weight[rows[i].plan] += rows[i].weight;
	}
	for (int64_t i = 0; i < n; i++)
		rows[i].volume[volume] -= sum[rows[i].plan] / weight[rows[i].plan];
}

/*
 * Within a plan, blocks and rows go with the rows returned: what they say
 * beyond these is all that counts for them, else nobody could tell which of
 * them to follow to another plan.
 */
static void
beyond_rows(SlowRow *rows, int64_t n, int volume)
{
	double		sum[PGAML_SLOW_PLANS] = {0};
	double		weight[PGAML_SLOW_PLANS] = {0};
	double		together = 0.0;
	double		alone = 0.0;

	for (int64_t i = 0; i < n; i++)
	{
		sum[rows[i].plan] += rows[i].weight * rows[i].volume[0];
		weight[rows[i].plan] += rows[i].weight;
	}
	for (int64_t i = 0; i < n; i++)
	{
		double		own = rows[i].volume[0] - sum[rows[i].plan] / weight[rows[i].plan];

		together += rows[i].weight * own * rows[i].volume[volume];
		alone += rows[i].weight * own * own;
	}
	for (int64_t i = 0; i < n && alone > 1e-6 * n; i++)
		rows[i].volume[volume] -= together / alone * (rows[i].volume[0] - sum[rows[i].plan] / weight[rows[i].plan]);
}

/*
 * How many statements ran when one started is a glimpse of the load that it
 * met: the mean over its neighbours in time is the better measure.  A noisy
 * one would be believed too little (attenuation), and the rest be unexplained.
 */
static void
smooth_active(const PgamlSlowRun *runs, int64_t n, SlowRow *rows)
{
	for (int window = 0; window < 2; window++)
	{
		double		ring[NEIGHBOURS];
		int64_t		at[NEIGHBOURS];
		double		sum = 0.0;
		int64_t		seen = 0;

		/* each gets the mean of those around it: it is set when the last of these is seen */
		for (int64_t i = 0; i < n; i++)
		{
			double		active = fmax(isnan(runs[i].active) ? 1.0 : runs[i].active, 1.0);

			if (runs[i].after != (window == 1))
				continue;
			if (seen >= NEIGHBOURS)
				sum -= ring[seen % NEIGHBOURS];
			ring[seen % NEIGHBOURS] = active;
			at[seen % NEIGHBOURS] = i;
			sum += active;
			seen++;
			if (seen < NEIGHBOURS)
				continue;
			rows[at[(seen + NEIGHBOURS / 2) % NEIGHBOURS]].log_active = log(sum / NEIGHBOURS);
			for (int64_t k = 0; k < NEIGHBOURS / 2; k++)
			{
				/* the first ones know those after them only, the last ones those before */
				if (seen == NEIGHBOURS)
					rows[at[k]].log_active = log(sum / NEIGHBOURS);
				rows[at[(seen - 1 - k) % NEIGHBOURS]].log_active = log(sum / NEIGHBOURS);
			}
		}
	}
}

/* What is expected of plans, about their mean; 0 where one of them is not known. */
static void
set_expected(SlowRow *rows, int64_t n, const PgamlSlowPlan *plans, int32_t nplans)
{
	double		mean = 0.0;

	for (int32_t p = 0; p < nplans; p++)
		mean += plans[p].expected / nplans;
	for (int64_t i = 0; i < n; i++)
		rows[i].expected = isfinite(mean) ? plans[rows[i].plan].expected - mean : 0.0;
}

static void
make_rows(const PgamlSlowRun *runs, int64_t n, const PgamlSlowPlan *plans, int32_t nplans, SlowRow *rows)
{
	double		weights = 0.0;
	int64_t		count[2] = {0, 0};
	int64_t		seen[2] = {0, 0};
	bool		measured = true;

	for (int64_t i = 0; i < n; i++)
	{
		weights += runs[i].weight;
		count[runs[i].after]++;
		measured &= isfinite(runs[i].io_ms);
	}
	for (int64_t i = 0; i < n; i++)
	{
		const PgamlSlowRun *run = &runs[i];
		SlowRow    *row = &rows[i];

		memset(row, 0, sizeof(*row));
		row->ms = run->ms;
		row->log_ms = log(run->ms);
		row->weight = run->weight * n / weights;
		row->volume[0] = log1(run->rows);
		row->volume[1] = log1(run->blocks);
		row->volume[2] = log1(run->work);
		row->reads = isnan(run->reads) ? 0.0 : fmax(run->reads, 0.0);
		row->io_ms = measured ? fmin(fmax(run->io_ms, 0.0), run->ms) : NAN;
		row->temp = isnan(run->temp) ? 0.0 : fmax(run->temp, 0.0);
		row->plan = run->plan;
		row->after = run->after;
		row->block = (int32_t) (seen[run->after]++ * BLOCKS / count[run->after]) + (run->after ? BLOCKS : 0);
	}
	smooth_active(runs, n, rows);
	set_expected(rows, n, plans, nplans);
	center_by_plan(rows, n, 1);
	center_by_plan(rows, n, 2);
	for (int64_t i = 0; i < n; i++)
		rows[i].log_blocks = rows[i].volume[1];
	beyond_rows(rows, n, 1);
	beyond_rows(rows, n, 2);
}

/* ---- one window taken apart ---- */

static void
take_apart(const SlowRow *rows, int64_t n, const double *term, const double *block_weight, bool after, Parts *out)
{
	double		weights = 0.0;
	double		ms = 0.0;
	double		most;
	double		scale = 1.0;

	memset(out, 0, sizeof(*out));
	for (int64_t i = 0; i < n; i++)
	{
		const SlowRow *row = &rows[i];
		double		weight = row->weight * (block_weight == NULL ? 1.0 : block_weight[row->block]);
		double		volume = 0.0;

		if (row->after != after)
			continue;
		for (int v = 0; v < SLOW_VOLUMES; v++)
			volume += term[SLOW_VOLUME + v] * row->volume[v];
		weights += weight;
		ms += weight * row->ms;
		out->read += weight * (isnan(row->io_ms) ? row->reads * exp(term[SLOW_READ]) : row->io_ms);
		out->spill += weight * row->temp * exp(term[SLOW_TEMP]);
		out->factor[PGAML_CAUSE_PLAN] += weight * exp(term[SLOW_PLAN + row->plan] + row->expected);
		out->factor[PGAML_CAUSE_ROWS] += weight * exp(volume);
		out->factor[PGAML_CAUSE_CONCURRENCY] += weight * exp(term[SLOW_ACTIVE] * row->log_active);
		out->blocks_of_rows += weight * exp(row->log_blocks);
	}
	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
		out->factor[c] /= weights;
	out->blocks_of_rows /= weights;
	ms /= weights;
	most = (1.0 - LEAST_COMPUTE) * ms;
	if ((out->read + out->spill) / weights > most)
		scale = most * weights / (out->read + out->spill);
	out->read *= scale / weights;
	out->spill *= scale / weights;
	out->compute = ms - out->read - out->spill;
}

static double
ratio(double after, double before)
{
	double		r = after / before;

	return isnan(r) ? 1.0 : fmin(fmax(r, 1.0 / WIDEST), WIDEST);
}

/*
 * Time of a component that follows the amount of work, and a cause of its
 * own: what it was times what has changed, or what it is over what has not.
 */
static double
component(double before, double after, bool own, double volume_in, double volume_out)
{
	return own ? after / volume_out : before * volume_in;
}

/* Mean time with the causes in the set as they are since, the others as they were. */
static double
counterfactual(const Parts *before, const Parts *after, const double *factor, double blocks_of_plan, double blocks_of_rows, int set)
{
	double		compute = before->compute;
	double		in = 1.0;		/* what the causes in the set multiply blocks with, and those outside */
	double		out = 1.0;

	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
		if (set & (1 << c))
			compute *= factor[c];
	*(set & (1 << PGAML_CAUSE_ROWS) ? &in : &out) *= blocks_of_rows;
	*(set & (1 << PGAML_CAUSE_PLAN) ? &in : &out) *= blocks_of_plan;
	return compute +
		component(before->read, after->read, set & (1 << PGAML_CAUSE_CACHE), in, out) +
		component(before->spill, after->spill, set & (1 << PGAML_CAUSE_SPILL),
				  set & (1 << PGAML_CAUSE_ROWS) ? blocks_of_rows : 1.0,
				  set & (1 << PGAML_CAUSE_ROWS) ? 1.0 : blocks_of_rows);
}

/* Share of all orders in which exactly this many causes come before one. */
static double
shapley_weight(int before)
{
	static const double factorial[] = {1, 1, 2, 6, 24, 120, 720};

	return factorial[before] * factorial[PGAML_CAUSE_COUNT - 1 - before] / factorial[PGAML_CAUSE_COUNT];
}

static int
members(int set)
{
	int			count = 0;

	for (; set != 0; set &= set - 1)
		count++;
	return count;
}

/* Effects of the causes on the mean time, and of all. */
static void
shapley(const Parts *before, const Parts *after, double blocks_of_plan, double blocks_of_rows, double *effects)
{
	double		factor[PGAML_CAUSE_COUNT];
	double		value[COALITIONS];
	double		known = 1.0;

	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
	{
		factor[c] = 1.0;
		if (c == PGAML_CAUSE_PLAN || c == PGAML_CAUSE_ROWS || c == PGAML_CAUSE_CONCURRENCY)
			factor[c] = ratio(after->factor[c], before->factor[c]);
		known *= factor[c];
	}
	factor[PGAML_CAUSE_UNEXPLAINED] = after->compute / before->compute / known;
	for (int set = 0; set < COALITIONS; set++)
		value[set] = counterfactual(before, after, factor, blocks_of_plan, blocks_of_rows, set);
	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
	{
		effects[c] = 0.0;
		for (int set = 0; set < COALITIONS; set++)
			if (!(set & (1 << c)))
				effects[c] += shapley_weight(members(set)) * (value[set | (1 << c)] - value[set]);
	}
	effects[PGAML_CAUSE_COUNT] = value[COALITIONS - 1] - value[0];
}

static void
split(const Work *work, const PgamlSlowMeans *window, const double *term, const double *block_weight, double *effects)
{
	Parts		parts[2];
	double		blocks_of_rows;
	double		blocks_of_plan;

	for (int w = 0; w < 2; w++)
		take_apart(work->rows, work->n, term, block_weight, w == 1, &parts[w]);
	blocks_of_rows = ratio(parts[1].blocks_of_rows, parts[0].blocks_of_rows);
	blocks_of_plan = ratio(ratio(window[1].blocks + 1.0, window[0].blocks + 1.0), blocks_of_rows);
	/* one plan in either window: whatever blocks there are, it is the amount of work */
	for (int p = 0; p < PGAML_SLOW_PLANS; p++)
	{
		if (window[0].share[p] > 0.999 && window[1].share[p] > 0.999)
		{
			blocks_of_rows = ratio(blocks_of_rows * blocks_of_plan, 1.0);
			blocks_of_plan = 1.0;
		}
	}
	shapley(&parts[0], &parts[1], blocks_of_plan, blocks_of_rows, effects);
}

/* ---- intervals ---- */

/* Terms from their posterior; weights of spans that are 1 on average. */
static void
draw(const SlowFit *fit, MlRng *rng, double *term, double *block_weight)
{
	double		normal[SLOW_TERMS];

	for (int t = 0; t < SLOW_TERMS; t++)
		normal[t] = pgaml_ml_rng_normal(rng);
	for (int i = SLOW_TERMS - 1; i >= 0; i--)
	{
		for (int k = i + 1; k < SLOW_TERMS; k++)
			normal[i] -= fit->root[k][i] * normal[k];
		normal[i] /= fit->root[i][i];
	}
	for (int t = 0; t < SLOW_TERMS; t++)
		term[t] = pgaml_slow_bounded(t, fit->term[t] + normal[t]);
	for (int b = 0; b < 2 * BLOCKS; b++)
		block_weight[b] = -log(1.0 - pgaml_ml_rng_uniform(rng));
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The drawn effects of one cause (or the total), as an interval that holds the answer. */
static void
interval(const Work *work, int which, PgamlSlowPart *out)
{
	double		drawn[DRAWS];

	for (int d = 0; d < DRAWS; d++)
		drawn[d] = work->effects[d + 1][which];
	qsort(drawn, DRAWS, sizeof(double), compare_doubles);
	out->change_ms = work->effects[0][which];
	out->lower_ms = fmin(drawn[(int) (TAIL * DRAWS)], out->change_ms);
	out->upper_ms = fmax(drawn[(int) ((1.0 - TAIL) * DRAWS) - 1], out->change_ms);
}

/* ---- the answer ---- */

static void
describe(const PgamlSlowRun *runs, int64_t n, bool after, PgamlSlowMeans *out)
{
	double		weights = 0.0;

	memset(out, 0, sizeof(*out));
	for (int64_t i = 0; i < n; i++)
	{
		const PgamlSlowRun *run = &runs[i];

		if (run->after != after)
			continue;
		out->n++;
		weights += run->weight;
		out->ms += run->weight * run->ms;
		out->rows += run->weight * run->rows;
		out->blocks += run->weight * (isnan(run->blocks) ? 0.0 : run->blocks);
		out->reads += run->weight * (isnan(run->reads) ? 0.0 : run->reads);
		out->io_ms += run->weight * run->io_ms;
		out->temp += run->weight * (isnan(run->temp) ? 0.0 : run->temp);
		out->active += run->weight * (isnan(run->active) ? 1.0 : run->active);
		out->share[run->plan] += run->weight;
	}
	out->ms /= weights;
	out->rows /= weights;
	out->blocks /= weights;
	out->reads /= weights;
	out->io_ms /= weights;
	out->temp /= weights;
	out->active /= weights;
	for (int p = 0; p < PGAML_SLOW_PLANS; p++)
		out->share[p] /= weights;
}

static void
answer(Work *work, PgamlSlowdown *out)
{
	MlRng		rng;
	double		term[SLOW_TERMS];
	double		block_weight[2 * BLOCKS];
	double		error;

	split(work, out->window, work->fit.term, NULL, work->effects[0]);
	pgaml_ml_rng_seed(&rng, 1);
	for (int d = 1; d <= DRAWS; d++)
	{
		draw(&work->fit, &rng, term, block_weight);
		split(work, out->window, term, block_weight, work->effects[d]);
	}
	for (int c = 0; c < PGAML_CAUSE_COUNT; c++)
		interval(work, c, &out->part[c]);
	interval(work, PGAML_CAUSE_COUNT, &out->total);
	error = (out->total.upper_ms - out->total.lower_ms) / (2.0 * pgaml_ml_normal_quantile(1.0 - TAIL));
	out->changed = fabs(out->total.change_ms) > pgaml_ml_normal_quantile(1.0 - SURE_TAIL) * error &&
		fabs(out->total.change_ms) >= PGAML_SLOW_SMALLEST * out->window[0].ms;
	out->read_ms = isnan(out->window[0].io_ms) || isnan(out->window[1].io_ms) ? exp(work->fit.term[SLOW_READ]) : NAN;
	out->temp_ms = exp(work->fit.term[SLOW_TEMP]);
}

MlStatus
pgaml_slowdown(const PgamlSlowRun *runs, int64_t n, const PgamlSlowPlan *plans, int32_t nplans,
			   const MlAllocator *allocator, PgamlSlowdown *out, MlError *error)
{
	MlStatus	status = check_runs(runs, n, nplans, error);
	double		plan_spread[PGAML_SLOW_PLANS];
	Work	   *work;

	if (status != ML_OK)
		return status;
	if ((uint64_t) n > SIZE_MAX / sizeof(SlowRow))
		return fail(error, ML_E_LIMIT, "too many executions");
	work = allocator->alloc(allocator->state, sizeof(Work));
	if (work == NULL)
		return fail(error, ML_E_NOMEM, "out of memory");
	work->rows = allocator->alloc(allocator->state, (size_t) n * sizeof(SlowRow));
	if (work->rows == NULL)
	{
		allocator->free(allocator->state, work);
		return fail(error, ML_E_NOMEM, "out of memory");
	}
	work->n = n;
	make_rows(runs, n, plans, nplans, work->rows);
	for (int32_t p = 0; p < nplans; p++)
		plan_spread[p] = isfinite(plans[p].spread) ? plans[p].spread : 1.0;
	pgaml_slow_fit(work->rows, n, plan_spread, nplans, &work->fit);
	describe(runs, n, false, &out->window[0]);
	describe(runs, n, true, &out->window[1]);
	answer(work, out);
	allocator->free(allocator->state, work->rows);
	allocator->free(allocator->state, work);
	return ML_OK;
}
