/*-------------------------------------------------------------------------
 * state_core.c
 *		What the recent past says of one statement, as of any moment.
 *-------------------------------------------------------------------------
 */
#include "features/state_core.h"

#include <math.h>
#include <string.h>

#define NORMAL_P10_TO_P90	2.5631031	/* standard deviations between the 10 % and 90 % quantiles */
#define DEPARTURE_MIN_RUNS	3	/* runs with a known plan that a departure needs */
#define NEAR_RUNS			5	/* runs that count as most similar */
#define LINE_SLOPE_MAX		3.0 /* log ms per log cost */
#define LINE_REACH			2.0 /* log; how far beyond the costs seen the line is believed */
#define LINE_PRIOR			0.05	/* log cost squared, times runs; no line through costs that hardly differ */
#define LINE_TRIM			2.0 /* mean absolute residuals beyond which a run weighs less */

/* Where the i-th newest run stands. */
static int
place_of(const PgamlRuns *runs, int i)
{
	return (runs->next + 2 * PGAML_RECENT_RUNS - 1 - i) % PGAML_RECENT_RUNS;
}

void
pgaml_runs_push(PgamlRuns *runs, const PgamlRun *run)
{
	int			i = runs->next;

	runs->log_ms[i] = run->log_ms;
	runs->sigma[i] = run->sigma;
	runs->plan[i] = run->plan;
	runs->rows[i] = run->rows;
	runs->hit_ratio[i] = run->hit_ratio;
	runs->active[i] = run->active;
	runs->cost[i] = run->cost;
	runs->plan_rows[i] = run->plan_rows;
	runs->at[i] = run->at;
	runs->next = (i + 1) % PGAML_RECENT_RUNS;
	if (runs->n < PGAML_RECENT_RUNS)
		runs->n++;
}

void
pgaml_runs_forget(PgamlRuns *runs, double before)
{
	while (runs->n > 0 && runs->at[place_of(runs, runs->n - 1)] < before)
		runs->n--;
}

double
pgaml_runs_newest_at(const PgamlRuns *runs)
{
	return runs->n > 0 ? runs->at[place_of(runs, 0)] : NAN;
}

int64_t
pgaml_runs_newest_plan(const PgamlRuns *runs)
{
	return runs->n > 0 ? runs->plan[place_of(runs, 0)] : 0;
}

static void
sort_floats(float *values, int n)
{
	for (int i = 1; i < n; i++)
	{
		float		v = values[i];
		int			j = i;

		for (; j > 0 && values[j - 1] > v; j--)
			values[j] = values[j - 1];
		values[j] = v;
	}
}

/* Linear interpolation between order statistics. */
static float
quantile(const float *sorted, int n, double q)
{
	double		at = q * (n - 1);
	int			low = (int) at;

	return low + 1 < n ? (float) (sorted[low] + (at - low) * (sorted[low + 1] - sorted[low])) : sorted[n - 1];
}

/* Mean of what is known of the runs; values is one of their arrays. */
static float
mean_known(const PgamlRuns *runs, const float *values)
{
	double		sum = 0.0;
	int			known = 0;

	for (int i = 0; i < runs->n; i++)
	{
		float		value = values[place_of(runs, i)];

		if (isnan(value))
			continue;
		sum += value;
		known++;
	}
	return known > 0 ? (float) (sum / known) : NAN;
}

/*
 * How many of the newest runs count.  After a change of plan only those of
 * the present plan do, once they are enough; a statement whose plans
 * alternate is what all its runs say, for nobody knows which comes next.
 */
static int
relevant_runs(const PgamlRuns *runs, int64_t plan)
{
	int			since = 0;

	while (since < runs->n && plan != 0 && runs->plan[place_of(runs, since)] == plan)
		since++;
	if (since < PGAML_SAME_PLAN_RUNS)
		return runs->n;
	for (int i = since; i < runs->n; i++)
		if (runs->plan[place_of(runs, i)] == plan)
			return runs->n;
	return since;
}

/* Spread between the runs and within them, as of one execution; NaN when neither is known. */
static float
total_spread(const float *sorted, int n, double within)
{
	double		between = n >= 3 ? (quantile(sorted, n, 0.9) - quantile(sorted, n, 0.1)) / NORMAL_P10_TO_P90 : 0.0;

	return n >= 3 || within > 0.0 ? (float) sqrt(between * between + within) : NAN;
}

void
pgaml_runs_summary(const PgamlRuns *runs, int64_t plan, PgamlRunsSummary *out)
{
	float		values[PGAML_RECENT_RUNS] = {0};
	double		within = 0.0;
	double		sum = 0.0;

	out->runs = relevant_runs(runs, plan);
	out->center = out->spread = out->mean_ratio = NAN;
	out->rows = mean_known(runs, runs->rows);
	out->hit_ratio = mean_known(runs, runs->hit_ratio);
	out->active = mean_known(runs, runs->active);
	if (out->runs == 0)
		return;
	for (int i = 0; i < out->runs; i++)
	{
		int			at = place_of(runs, i);

		values[i] = runs->log_ms[at];
		within += (double) runs->sigma[at] * runs->sigma[at] / out->runs;
	}
	sort_floats(values, out->runs);
	out->center = quantile(values, out->runs, 0.5);
	out->spread = total_spread(values, out->runs, within);
	/* the mean of a log-normal run is exp(its median + sigma^2 / 2) */
	for (int i = 0; i < out->runs; i++)
	{
		int			at = place_of(runs, i);

		sum += exp(runs->log_ms[at] + runs->sigma[at] * runs->sigma[at] / 2.0 - out->center);
	}
	out->mean_ratio = (float) (sum / out->runs);
}

/* The runs that a departure is measured against. */
typedef struct Known
{
	int			n;
	float		log_ms[PGAML_RECENT_RUNS];
	float		cost[PGAML_RECENT_RUNS];
	float		rows[PGAML_RECENT_RUNS];	/* NaN */
} Known;

static float
median_of(const float *values, int n)
{
	float		sorted[PGAML_RECENT_RUNS];
	int			known = 0;

	for (int i = 0; i < n; i++)
		if (!isnan(values[i]))
			sorted[known++] = values[i];
	if (known == 0)
		return NAN;
	sort_floats(sorted, known);
	return quantile(sorted, known, 0.5);
}

/* Median time of the runs whose plans are nearest in cost and rows. */
static float
nearest_time(const Known *known, float cost, float plan_rows)
{
	float		distance[PGAML_RECENT_RUNS];
	float		near[NEAR_RUNS];
	int			n = known->n < NEAR_RUNS ? known->n : NEAR_RUNS;

	for (int i = 0; i < known->n; i++)
	{
		float		rows = fabsf(known->rows[i] - plan_rows);

		distance[i] = fabsf(known->cost[i] - cost) + (isnan(rows) ? 0.0f : rows);
	}
	for (int k = 0; k < n; k++)
	{
		int			best = 0;

		for (int i = 1; i < known->n; i++)
			if (distance[i] < distance[best])
				best = i;		/* of equals the newest, which comes first */
		near[k] = known->log_ms[best];
		distance[best] = INFINITY;
	}
	return median_of(near, n);
}

/*
 * Time at this cost on a line through the runs: least squares, twice, the
 * second time with less weight on what the first line missed.  Costs that
 * hardly differ give no slope.
 */
static float
line_time(const Known *known, float cost)
{
	double		weight[PGAML_RECENT_RUNS];
	double		x_mean = 0.0;
	double		y_mean = 0.0;
	double		slope = 0.0;
	float		low = known->cost[0];
	float		high = known->cost[0];

	for (int i = 0; i < known->n; i++)
	{
		weight[i] = 1.0;
		low = fminf(low, known->cost[i]);
		high = fmaxf(high, known->cost[i]);
	}
	for (int pass = 0; pass < 2; pass++)
	{
		double		w = 0.0;
		double		xy = 0.0;
		double		xx = LINE_PRIOR * known->n;
		double		missed = 0.0;

		x_mean = y_mean = 0.0;
		for (int i = 0; i < known->n; i++)
		{
			w += weight[i];
			x_mean += weight[i] * known->cost[i];
			y_mean += weight[i] * known->log_ms[i];
		}
		x_mean /= w;
		y_mean /= w;
		for (int i = 0; i < known->n; i++)
		{
			double		x = known->cost[i] - x_mean;

			xx += weight[i] * x * x;
			xy += weight[i] * x * (known->log_ms[i] - y_mean);
		}
		slope = fmin(fmax(xy / xx, 0.0), LINE_SLOPE_MAX);
		for (int i = 0; i < known->n; i++)
			missed += fabs(known->log_ms[i] - y_mean - slope * (known->cost[i] - x_mean)) / known->n;
		for (int i = 0; i < known->n; i++)
		{
			double		residual = fabs(known->log_ms[i] - y_mean - slope * (known->cost[i] - x_mean));

			weight[i] = residual > LINE_TRIM * missed ? LINE_TRIM * missed / residual : 1.0;
		}
	}
	cost = fminf(fmaxf(cost, low - (float) LINE_REACH), high + (float) LINE_REACH);
	return (float) (y_mean + slope * (cost - x_mean));
}

void
pgaml_runs_departure(const PgamlRuns *runs, const PgamlRunsSummary *summary, float cost, float plan_rows,
					 PgamlDeparture *out)
{
	Known		known = {0};

	for (int i = 0; i < summary->runs; i++)
	{
		int			at = place_of(runs, i);

		if (isnan(runs->cost[at]))
			continue;
		known.log_ms[known.n] = runs->log_ms[at];
		known.cost[known.n] = runs->cost[at];
		known.rows[known.n++] = runs->plan_rows[at];
	}
	out->cost = out->rows = out->near = out->line = NAN;
	if (isnan(cost) || known.n < DEPARTURE_MIN_RUNS)
		return;
	out->cost = cost - median_of(known.cost, known.n);
	out->rows = plan_rows - median_of(known.rows, known.n);
	out->near = nearest_time(&known, cost, plan_rows) - summary->center;
	out->line = line_time(&known, cost) - summary->center;
}

int
pgaml_runs_recent(const PgamlRuns *runs, const PgamlRunsSummary *summary, float *log_ms)
{
	int			n = 0;

	for (int i = summary->runs - 1; i >= 0; i--)
	{
		int			at = place_of(runs, i);

		if (runs->sigma[at] == 0.0f)
			log_ms[n++] = runs->log_ms[at];
	}
	return n;
}

void
pgaml_calls_since(PgamlCalls *calls, int64_t bucket)
{
	if (!calls->dated || bucket < calls->first)
		calls->first = bucket;
	calls->dated = true;
}

void
pgaml_calls_push(PgamlCalls *calls, int64_t bucket, double ncalls)
{
	int			newest = (calls->next + PGAML_RECENT_BUCKETS - 1) % PGAML_RECENT_BUCKETS;

	if (calls->n > 0 && calls->bucket[newest] >= bucket)
	{
		if (calls->bucket[newest] == bucket)
			calls->calls[newest] += ncalls;
		return;
	}
	pgaml_calls_since(calls, bucket);
	calls->bucket[calls->next] = bucket;
	calls->calls[calls->next] = ncalls;
	calls->next = (calls->next + 1) % PGAML_RECENT_BUCKETS;
	if (calls->n < PGAML_RECENT_BUCKETS)
		calls->n++;
}

void
pgaml_calls_restart(PgamlCalls *calls, int64_t bucket)
{
	memset(calls, 0, sizeof(*calls));
	pgaml_calls_since(calls, bucket);
}

void
pgaml_calls_summary(const PgamlCalls *calls, int64_t as_of, double per_hour, PgamlCallsSummary *out)
{
	int64_t		from = as_of - PGAML_RECENT_BUCKETS;
	double		sum = 0.0;
	double		squares = 0.0;
	double		peak = 0.0;

	out->mean = out->std_dev = out->peak = NAN;
	if (calls->first > from)
		from = calls->first;
	out->buckets = calls->dated && as_of > from ? (int) (as_of - from) : 0;
	if (out->buckets == 0)
		return;
	for (int i = 0; i < calls->n; i++)
	{
		double		x = calls->calls[i] * per_hour;

		if (calls->bucket[i] < from || calls->bucket[i] >= as_of)
			continue;
		sum += x;
		squares += x * x;
		peak = x > peak ? x : peak;
	}
	out->mean = sum / out->buckets;
	out->std_dev = sqrt(fmax(0.0, squares / out->buckets - out->mean * out->mean));
	out->peak = peak;
}

/* For a log-normal variable ln(mean) = mu + sigma^2 / 2 and cv^2 = exp(sigma^2) - 1. */
double
pgaml_log_median(double mean, double cv)
{
	return log(mean) - log1p(cv * cv) / 2.0;
}

double
pgaml_log_sigma(double cv)
{
	return sqrt(log1p(cv * cv));
}
