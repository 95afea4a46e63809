/*-------------------------------------------------------------------------
 * metric.c
 *		How good predictions are, on the scale of the target and as ratios.
 *
 * Targets and predictions are logarithms; ratios are of their exponentials,
 * taken from the difference, and sums of exponentials are of shares of the
 * largest, so that nothing overflows on the way.
 *-------------------------------------------------------------------------
 */
#include "core_internal.h"

#include <math.h>

/* Weighted sums over all pairs. */
typedef struct Sums
{
	double		weight;
	double		target;
	double		absolute;		/* of |p - y| */
	double		squared;		/* of (p - y)^2 */
	double		ratio;			/* of |exp(p) / exp(y) - 1| */
	double		top_target;		/* largest y */
	double		top;			/* largest y or p */
	bool		constant;		/* all targets are equal */
} Sums;

static MlStatus
add_up(const double *y, const double *p, const float *weight, int64_t n, MlPair *errors,
	   int64_t *used, Sums *sums, MlError *error)
{
	double		first = NAN;

	*sums = (Sums) {.constant = true, .top_target = -INFINITY, .top = -INFINITY};
	*used = 0;
	for (int64_t i = 0; i < n; i++)
	{
		double		w = weight != NULL ? weight[i] : 1.0;
		double		d = p[i] - y[i];

		if (!(w >= 0.0) || isinf(w))
			return pgaml_ml_fail(error, ML_E_DATA, "weight",
								 "weight of row %lld is negative or not finite", (long long) i);
		if (!isfinite(y[i]) || !isfinite(p[i]))
			return pgaml_ml_fail(error, ML_E_DATA, "y",
								 "target or prediction of row %lld is not finite", (long long) i);
		if (w == 0.0)
			continue;
		if (*used == 0)
			first = y[i];
		sums->constant &= y[i] == first;
		sums->weight += w;
		sums->target += w * y[i];
		sums->absolute += w * fabs(d);
		sums->squared += w * d * d;
		sums->ratio += w * fabs(expm1(d));
		sums->top_target = fmax(sums->top_target, y[i]);
		sums->top = fmax(sums->top, fmax(y[i], p[i]));
		errors[(*used)++] = (MlPair) {fabs(d), w};
	}
	if (*used == 0)
		return pgaml_ml_fail(error, ML_E_DATA, "n", "no row has a weight above 0");
	return ML_OK;
}

/*
 * R2, RMSE and MAE of exp(p) against exp(y).  Errors are summed as shares of
 * the largest value, the variation as shares of the largest target: one wild
 * prediction must not make the targets vanish.
 */
static void
on_ms(const double *y, const double *p, const float *weight, int64_t n, const Sums *sums, MlMetrics *out)
{
	double		absolute = 0.0;
	double		squared = 0.0;
	double		mean = 0.0;
	double		variation = 0.0;

	for (int64_t i = 0; i < n; i++)
	{
		double		w = (weight != NULL ? weight[i] : 1.0) / sums->weight;
		double		d;

		if (w == 0.0)
			continue;
		d = exp(p[i] - sums->top) - exp(y[i] - sums->top);
		absolute += w * fabs(d);
		squared += w * d * d;
		mean += w * exp(y[i] - sums->top_target);
	}
	for (int64_t i = 0; i < n; i++)
	{
		double		w = (weight != NULL ? weight[i] : 1.0) / sums->weight;
		double		d;

		if (w == 0.0)
			continue;
		d = exp(y[i] - sums->top_target) - mean;
		variation += w * d * d;
	}
	out->r2_ms = sums->constant || variation == 0.0 ? NAN :
		1.0 - squared / variation * exp(2.0 * (sums->top - sums->top_target));
	out->rmse_ms = squared > 0.0 ? exp(sums->top + 0.5 * log(squared)) : 0.0;
	out->mae_ms = absolute > 0.0 ? exp(sums->top + log(absolute)) : 0.0;
}

/*
 * Weighted metrics; see MlMetrics.  Quantiles are lower weighted ones.
 * ML_E_DATA: nothing to measure, or a value that is not finite.
 */
MlStatus
pgaml_ml_metrics(const double *y, const double *p, const float *weight, int64_t n,
				 const MlAllocator *allocator, MlMetrics *out, MlError *error)
{
	MlPair	   *errors;
	int64_t		used;
	double		mean;
	double		variation = 0.0;
	Sums		sums;
	MlStatus	status;

	if (n < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "n", "nothing to measure");
	errors = pgaml_ml_alloc(allocator, pgaml_ml_size_mul((size_t) n, 2), sizeof(MlPair));
	if (errors == NULL)
		return pgaml_ml_nomem(error, "metrics");
	status = add_up(y, p, weight, n, errors, &used, &sums, error);
	if (status == ML_OK)
	{
		mean = sums.target / sums.weight;
		for (int64_t i = 0; i < n; i++)
		{
			double		w = weight != NULL ? weight[i] : 1.0;

			variation += w > 0.0 ? w * (y[i] - mean) * (y[i] - mean) : 0.0;
		}
		out->r2 = sums.constant ? NAN : 1.0 - sums.squared / variation;
		out->rmse = sqrt(sums.squared / sums.weight);
		out->mae = sums.absolute / sums.weight;
		out->mape = sums.ratio / sums.weight;
		on_ms(y, p, weight, n, &sums, out);

		pgaml_ml_sort_pairs(errors, errors + n, used);
		out->q50 = exp(pgaml_ml_sorted_quantile(errors, used, 0.50));
		out->q90 = exp(pgaml_ml_sorted_quantile(errors, used, 0.90));
		out->q95 = exp(pgaml_ml_sorted_quantile(errors, used, 0.95));
		out->qmax = exp(errors[used - 1][0]);
	}
	pgaml_ml_release(allocator, errors);
	return status;
}
