/*-------------------------------------------------------------------------
 * slowdown_fit_core.c
 *		Fits what an execution's time is made of (slowdown_fit_core.h).
 *
 * The most probable coefficients under independent normal priors: ridge
 * regression (Hoerl and Kennard 1970) that shrinks towards what is physically
 * usual instead of towards zero, by Gauss-Newton steps; outliers weigh less
 * (Huber 1964).  So executions decide where they can tell causes apart, and
 * what is usual where all causes changed at the same moment.
 *-------------------------------------------------------------------------
 */
#include "observe/slowdown_fit_core.h"

#include <math.h>
#include <string.h>

#define STEPS			30
#define LONGEST_STEP	1.0		/* of any coefficient */
#define CLOSE_ENOUGH	1e-7
#define HUBER			2.0		/* spreads from which on an error counts linearly */
#define LEAST_SPREAD	0.03	/* log */
#define SMALLEST_TIME	1e-9	/* ms */

typedef struct Prior
{
	double		mean;
	double		spread;
	double		least;
	double		most;
} Prior;

/* Of every term but those of the plans, whose spread comes with them. */
static Prior
prior_of(int term)
{
	static const Prior base = {0.0, 20.0, -40.0, 40.0};
	static const Prior plan = {0.0, 1.0, -12.0, 12.0};
	static const Prior volume = {0.3, 0.4, 0.0, 1.5};
	static const Prior active = {0.2, 0.4, 0.0, 1.5};
	static const Prior window = {0.0, 0.15, -12.0, 12.0};
	static const Prior read = {-3.0, 1.5, -9.2, 3.0};	/* 50 us; from 0.1 us to 20 ms */
	static const Prior temp = {-4.6, 1.2, -9.2, 1.0};	/* 10 us; to 3 ms */

	switch (term)
	{
		case SLOW_BASE:
			return base;
		case SLOW_VOLUME:
		case SLOW_VOLUME + 1:
		case SLOW_VOLUME + 2:
			return volume;
		case SLOW_ACTIVE:
			return active;
		case SLOW_WINDOW:
			return window;
		case SLOW_READ:
			return read;
		case SLOW_TEMP:
			return temp;
		default:
			return plan;
	}
}

double
pgaml_slow_bounded(int term, double value)
{
	Prior		prior = prior_of(term);

	return fmin(fmax(value, prior.least), prior.most);
}

static double
prior_spread(int term, const double *plan_spread, int32_t nplans)
{
	if (term >= SLOW_PLAN && term < SLOW_PLAN + nplans)
		return plan_spread[term - SLOW_PLAN];
	return prior_of(term).spread;
}

/* Log of the time that the terms give this row, and how it moves with each of them. */
static double
predicted(const SlowRow *row, const double *term, double *slope)
{
	double		compute = term[SLOW_BASE] + term[SLOW_PLAN + row->plan] + row->expected +
		term[SLOW_ACTIVE] * row->log_active + (row->after ? term[SLOW_WINDOW] : 0.0);
	double		read = isnan(row->io_ms) ? row->reads * exp(term[SLOW_READ]) : row->io_ms;
	double		temp = row->temp * exp(term[SLOW_TEMP]);
	double		all;

	for (int v = 0; v < SLOW_VOLUMES; v++)
		compute += term[SLOW_VOLUME + v] * row->volume[v];
	compute = exp(fmin(compute, 40.0));
	all = compute + read + temp + SMALLEST_TIME;
	if (slope != NULL)
	{
		double		share = compute / all;

		memset(slope, 0, SLOW_TERMS * sizeof(double));
		slope[SLOW_BASE] = slope[SLOW_PLAN + row->plan] = share;
		for (int v = 0; v < SLOW_VOLUMES; v++)
			slope[SLOW_VOLUME + v] = share * row->volume[v];
		slope[SLOW_ACTIVE] = share * row->log_active;
		slope[SLOW_WINDOW] = row->after ? share : 0.0;
		slope[SLOW_READ] = isnan(row->io_ms) ? read / all : 0.0;
		slope[SLOW_TEMP] = temp / all;
	}
	return log(all);
}

static double
huber(double error)
{
	double		size = fabs(error);

	return size <= HUBER ? size * size : 2.0 * HUBER * size - HUBER * HUBER;
}

/* Minus twice the log of the probability, up to a constant. */
static double
badness(const SlowRow *rows, int64_t n, const double *plan_spread, int32_t nplans, const double *term, double spread)
{
	double		sum = 0.0;

	for (int64_t i = 0; i < n; i++)
		sum += rows[i].weight * huber((rows[i].log_ms - predicted(&rows[i], term, NULL)) / spread);
	for (int t = 0; t < SLOW_TERMS; t++)
	{
		double		off = (term[t] - prior_of(t).mean) / prior_spread(t, plan_spread, nplans);

		sum += off * off;
	}
	return sum;
}

/* Normal equations at these terms; *size receives the mean absolute error. */
static void
equations(const SlowRow *rows, int64_t n, const double *plan_spread, int32_t nplans, const double *term, double spread,
		  double matrix[SLOW_TERMS][SLOW_TERMS], double *side, double *size)
{
	double		slope[SLOW_TERMS];
	double		errors = 0.0;
	double		weights = 0.0;

	memset(matrix, 0, sizeof(double) * SLOW_TERMS * SLOW_TERMS);
	for (int t = 0; t < SLOW_TERMS; t++)
	{
		double		precision = 1.0 / pow(prior_spread(t, plan_spread, nplans), 2.0);

		matrix[t][t] = precision;
		side[t] = (prior_of(t).mean - term[t]) * precision;
	}
	for (int64_t i = 0; i < n; i++)
	{
		double		error = (rows[i].log_ms - predicted(&rows[i], term, slope)) / spread;
		double		weight = rows[i].weight * (fabs(error) > HUBER ? HUBER / fabs(error) : 1.0) / spread;

		errors += rows[i].weight * fabs(error) * spread;
		weights += rows[i].weight;
		for (int a = 0; a < SLOW_TERMS; a++)
		{
			if (slope[a] == 0.0)
				continue;
			side[a] += weight * error * slope[a];
			for (int b = 0; b <= a; b++)
				matrix[a][b] += weight / spread * slope[a] * slope[b];
		}
	}
	*size = errors / weights;
}

/* The lower triangle's Cholesky factor, in place.  The priors make it positive definite. */
static void
factor(double matrix[SLOW_TERMS][SLOW_TERMS])
{
	for (int i = 0; i < SLOW_TERMS; i++)
	{
		for (int j = 0; j <= i; j++)
		{
			double		sum = matrix[i][j];

			for (int k = 0; k < j; k++)
				sum -= matrix[i][k] * matrix[j][k];
			matrix[i][j] = i == j ? sqrt(fmax(sum, 1e-12)) : sum / matrix[j][j];
		}
		for (int j = i + 1; j < SLOW_TERMS; j++)
			matrix[i][j] = 0.0;
	}
}

static void
solve(double root[SLOW_TERMS][SLOW_TERMS], const double *side, double *out)
{
	for (int i = 0; i < SLOW_TERMS; i++)
	{
		out[i] = side[i];
		for (int k = 0; k < i; k++)
			out[i] -= root[i][k] * out[k];
		out[i] /= root[i][i];
	}
	for (int i = SLOW_TERMS - 1; i >= 0; i--)
	{
		for (int k = i + 1; k < SLOW_TERMS; k++)
			out[i] -= root[k][i] * out[k];
		out[i] /= root[i][i];
	}
}

/*
 * The step, with coefficients that are at a bound and pushed beyond it held
 * where they are: found in turn, at most once each.
 */
static void
bounded_step(double matrix[SLOW_TERMS][SLOW_TERMS], const double *side, const double *term, double *step)
{
	bool		held[SLOW_TERMS] = {false};
	bool		again = true;

	while (again)
	{
		double		root[SLOW_TERMS][SLOW_TERMS];
		double		rest[SLOW_TERMS];

		memcpy(root, matrix, sizeof(root));
		memcpy(rest, side, sizeof(rest));
		for (int t = 0; t < SLOW_TERMS; t++)
		{
			if (!held[t])
				continue;
			for (int k = 0; k < SLOW_TERMS; k++)
				*(k <= t ? &root[t][k] : &root[k][t]) = k == t ? 1.0 : 0.0;
			rest[t] = 0.0;
		}
		factor(root);
		solve(root, rest, step);
		again = false;
		for (int t = 0; t < SLOW_TERMS; t++)
		{
			if (!held[t] && term[t] == pgaml_slow_bounded(t, term[t] + (step[t] > 0.0 ? CLOSE_ENOUGH : -CLOSE_ENOUGH)))
				held[t] = again = true;
		}
	}
}

/* One step that does not make it worse; how far it went. */
static double
improve(const SlowRow *rows, int64_t n, const double *plan_spread, int32_t nplans, double spread, const double *step, double *term)
{
	double		now = badness(rows, n, plan_spread, nplans, term, spread);
	double		longest = 0.0;
	double		length = 1.0;

	for (int t = 0; t < SLOW_TERMS; t++)
		longest = fmax(longest, fabs(step[t]));
	if (longest > LONGEST_STEP)
		length = LONGEST_STEP / longest;
	for (int halvings = 0; halvings < 8; halvings++, length /= 2.0)
	{
		double		tried[SLOW_TERMS];

		for (int t = 0; t < SLOW_TERMS; t++)
			tried[t] = pgaml_slow_bounded(t, term[t] + length * step[t]);
		if (badness(rows, n, plan_spread, nplans, tried, spread) <= now)
		{
			memcpy(term, tried, sizeof(tried));
			return length * longest;
		}
	}
	return 0.0;
}

void
pgaml_slow_fit(const SlowRow *rows, int64_t n, const double *plan_spread, int32_t nplans, SlowFit *out)
{
	double		side[SLOW_TERMS];
	double		step[SLOW_TERMS];
	double		size;
	double		sum = 0.0;
	double		weights = 0.0;

	for (int t = 0; t < SLOW_TERMS; t++)
		out->term[t] = prior_of(t).mean;
	for (int64_t i = 0; i < n; i++)
	{
		sum += rows[i].weight * (rows[i].log_ms - predicted(&rows[i], out->term, NULL));
		weights += rows[i].weight;
	}
	out->term[SLOW_BASE] = pgaml_slow_bounded(SLOW_BASE, out->term[SLOW_BASE] + sum / weights);
	out->spread = 0.3;
	for (int turn = 0; turn < STEPS; turn++)
	{
		double		moved;

		equations(rows, n, plan_spread, nplans, out->term, out->spread, out->root, side, &size);
		bounded_step(out->root, side, out->term, step);
		moved = improve(rows, n, plan_spread, nplans, out->spread, step, out->term);
		/* the mean absolute value of a normal variable is sqrt(2 / pi) standard deviations */
		out->spread = fmax(1.2533 * size, LEAST_SPREAD);
		if (moved < CLOSE_ENOUGH && turn > 3)
			break;
	}
	equations(rows, n, plan_spread, nplans, out->term, out->spread, out->root, side, &size);
	factor(out->root);
}
