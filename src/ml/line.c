/*-------------------------------------------------------------------------
 * line.c
 *		A line through noisy points that a few wild ones cannot turn.
 *-------------------------------------------------------------------------
 */
#include "core_internal.h"

#include <math.h>

#define HUBER_K 1.345			/* 95 % efficient where the errors are normal */
#define MAX_TURNS 100
#define CONVERGED 1e-12			/* relative change of the residual scale's units */
#define MAD_TO_SIGMA 1.4826

/* The points that count, and scratch to sort them. */
typedef struct Points
{
	int64_t		n;
	double	   *x;
	double	   *y;
	double	   *w;
	MlPair	   *pairs;			/* [n] scratch */
	MlTicker   *ticker;
	bool		stopped;		/* then nothing that follows means anything */
} Points;

/*
 * Weighted median of the residuals, or of their distance from centre.
 */
static double
median_residual(Points *p, double intercept, double slope, bool absolute)
{
	double		median = 0.0;

	for (int64_t i = 0; i < p->n; i++)
	{
		double		r = p->y[i] - intercept - slope * p->x[i];

		p->pairs[i] = (MlPair) {absolute ? fabs(r) : r, p->w[i]};
	}
	p->stopped = p->stopped || pgaml_ml_select_quantile(p->pairs, p->n, 0.5, p->ticker, &median);
	return median;
}

/*
 * Median absolute deviation of the residuals as a standard deviation.
 */
static double
residual_scale(Points *p, double intercept, double slope)
{
	double		centre = median_residual(p, intercept, slope, false);

	return MAD_TO_SIGMA * median_residual(p, intercept + centre, slope, true);
}

/*
 * One weighted least-squares step; with_slope false keeps the slope at 0.
 * Residuals beyond limit count less (Huber 1964).
 */
static void
least_squares(const Points *p, double limit, bool with_slope, double *intercept, double *slope)
{
	double		sum = 0.0;
	double		mean_x = 0.0;
	double		mean_y = 0.0;
	double		xx = 0.0;
	double		xy = 0.0;

	for (int64_t i = 0; i < p->n; i++)
	{
		double		r = fabs(p->y[i] - *intercept - *slope * p->x[i]);
		double		w = p->w[i] * (r > limit ? limit / r : 1.0);
		double		step;

		sum += w;
		step = w / sum;
		xx += w * (1.0 - step) * (p->x[i] - mean_x) * (p->x[i] - mean_x);
		xy += w * (1.0 - step) * (p->x[i] - mean_x) * (p->y[i] - mean_y);
		mean_x += step * (p->x[i] - mean_x);
		mean_y += step * (p->y[i] - mean_y);
	}
	*slope = with_slope && xx > 0.0 ? xy / xx : 0.0;
	*intercept = mean_y - *slope * mean_x;
}

/*
 * Iteratively reweighted least squares from the ordinary fit.
 */
static void
iterate(Points *p, bool with_slope, MlLine *line)
{
	double		spread = line->x_max - line->x_min;

	least_squares(p, INFINITY, with_slope, &line->intercept, &line->slope);
	for (int turn = 0; turn < MAX_TURNS; turn++)
	{
		double		intercept = line->intercept;
		double		slope = line->slope;
		double		scale = residual_scale(p, intercept, slope);

		/* more than half of the points lie on the line: nothing left to gain */
		if (p->stopped || !(scale > 0.0))
			break;
		least_squares(p, HUBER_K * scale, with_slope, &line->intercept, &line->slope);
		if (fabs(line->slope - slope) * spread <= CONVERGED * scale &&
			fabs(line->intercept + line->slope * line->x_min - intercept - slope * line->x_min) <=
			CONVERGED * scale)
			break;
	}
}

static MlStatus
collect(const float *x, const double *y, const float *weight, int64_t n, Points *p,
		MlLine *line, MlError *error)
{
	for (int64_t i = 0; i < n; i++)
	{
		double		w = weight != NULL ? weight[i] : 1.0;

		if (!(w >= 0.0) || isinf(w))
			return pgaml_ml_fail(error, ML_E_DATA, "weight",
								 "weight of row %lld is negative or not finite", (long long) i);
		if (isinf(x[i]) || isinf(y[i]))
			return pgaml_ml_fail(error, ML_E_DATA, "x", "row %lld is infinite", (long long) i);
		if (w == 0.0 || isnan(x[i]) || isnan(y[i]))
			continue;
		p->x[p->n] = x[i];
		p->y[p->n] = y[i];
		p->w[p->n] = w;
		if (p->n == 0 || x[i] < line->x_min)
			line->x_min = x[i];
		if (p->n == 0 || x[i] > line->x_max)
			line->x_max = x[i];
		p->n++;
	}
	return ML_OK;
}

static void
fit(Points *p, MlLine *line)
{
	if (p->n == 0)
		return;
	if (p->n < 3 || line->x_min == line->x_max)
		line->intercept = median_residual(p, 0.0, 0.0, false);
	else
	{
		iterate(p, true, line);
		if (line->slope < 0.0)
			iterate(p, false, line);
	}
	line->scale = residual_scale(p, line->intercept, line->slope);
}

/*
 * See ml.h.  Without a usable pair everything but the slope is NaN.
 * ML_E_DATA: an infinite value, or a weight that is negative or not finite.
 */
MlStatus
pgaml_ml_robust_line(const float *x, const double *y, const float *weight, int64_t n,
					 const MlAllocator *allocator, MlLine *out, MlError *error)
{
	MlTicker	ticker = {0};

	return pgaml_ml_fit_line(x, y, weight, n, allocator, &ticker, out, error);
}

MlStatus
pgaml_ml_fit_line(const float *x, const double *y, const float *weight, int64_t n,
				  const MlAllocator *allocator, MlTicker *ticker, MlLine *out, MlError *error)
{
	size_t		count = n > 0 ? (size_t) n : 0;
	double	   *values;
	MlPair	   *pairs;
	MlStatus	status;

	*out = (MlLine) {NAN, 0.0, NAN, NAN, NAN};
	values = pgaml_ml_alloc(allocator, pgaml_ml_size_mul(count, 3), sizeof(double));
	pairs = pgaml_ml_alloc(allocator, count, sizeof(MlPair));
	if (values == NULL || pairs == NULL)
		status = pgaml_ml_nomem(error, "robust_line");
	else
	{
		Points		points = {0, values, values + count, values + 2 * count, pairs, ticker, false};

		status = collect(x, y, weight, n, &points, out, error);
		if (status == ML_OK)
			fit(&points, out);
		if (points.stopped)
			status = pgaml_ml_stopped(error, "robust_line");
	}
	pgaml_ml_release(allocator, values);
	pgaml_ml_release(allocator, pairs);
	return status;
}
