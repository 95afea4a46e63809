/*-------------------------------------------------------------------------
 * feature_stats.c
 *		What a column of training data looks like.
 *-------------------------------------------------------------------------
 */
#include "ml/explain.h"

#include <math.h>

#include "core_internal.h"

#define MAD_TO_DEVIATION	1.4826	/* both make a normal distribution's deviation */
#define MEAN_TO_DEVIATION	1.253314

/* Interpolated between the two nearest; sorted values, n >= 1. */
static double
quantile(const MlPair *sorted, int64_t n, double q)
{
	double		at = q * (double) (n - 1);
	int64_t		low = (int64_t) floor(at);
	int64_t		high = low + 1 < n ? low + 1 : low;

	return sorted[low][0] + (at - (double) low) * (sorted[high][0] - sorted[low][0]);
}

static void
describe(const MlPair *sorted, int64_t n, MlFeatureStats *out)
{
	double		sum = 0.0;

	out->minimum = sorted[0][0];
	out->p05 = quantile(sorted, n, 0.05);
	out->median = quantile(sorted, n, 0.5);
	out->p95 = quantile(sorted, n, 0.95);
	out->maximum = sorted[n - 1][0];
	for (int64_t i = 0; i < n; i++)
	{
		sum += sorted[i][0];
		out->distinct += i == 0 || sorted[i][0] != sorted[i - 1][0];
	}
	out->mean = sum / (double) n;
}

/* Turns the values into distances from their median; pairs are sorted on return. */
static void
count_outliers(MlPair *pairs, MlPair *scratch, int64_t n, MlFeatureStats *out)
{
	double		sum = 0.0;

	for (int64_t i = 0; i < n; i++)
	{
		pairs[i] = (MlPair) {fabs(pairs[i][0] - out->median), 1.0};
		sum += pairs[i][0];
	}
	pgaml_ml_sort_pairs(pairs, scratch, n);
	out->deviation = MAD_TO_DEVIATION * quantile(pairs, n, 0.5);
	if (out->deviation == 0.0)
		out->deviation = MEAN_TO_DEVIATION * sum / (double) n;
	for (int64_t i = n - 1; i >= 0 && pairs[i][0] > ML_OUTLIER_DEVIATIONS * out->deviation; i--)
		out->outliers++;
}

MlStatus
pgaml_ml_feature_stats(const float *column, const int64_t *rows, int64_t n,
					   const MlAllocator *allocator, MlFeatureStats *out, MlError *error)
{
	MlPair	   *pairs;
	MlPair	   *scratch;
	int64_t		there = 0;
	MlStatus	status = ML_OK;

	*out = (MlFeatureStats) {
		.nrows = n, .minimum = NAN, .p05 = NAN, .median = NAN, .p95 = NAN, .maximum = NAN, .mean = NAN,
		.deviation = NAN
	};
	if (n < 0 || n > ML_MAX_ROWS)
		return pgaml_ml_fail(error, ML_E_ARG, "feature_stats", "%lld rows", (long long) n);
	pairs = pgaml_ml_alloc(allocator, (size_t) n, sizeof(MlPair));
	scratch = pgaml_ml_alloc(allocator, (size_t) n, sizeof(MlPair));
	if (pairs == NULL || scratch == NULL)
		status = pgaml_ml_nomem(error, "feature_stats");
	for (int64_t i = 0; i < n && status == ML_OK; i++)
	{
		float		x = column[rows != NULL ? rows[i] : i];

		if (isinf(x))
			status = pgaml_ml_fail(error, ML_E_DATA, "feature_stats", "value %lld is infinite", (long long) i);
		if (!isnan(x))
			pairs[there++] = (MlPair) {(double) x, 1.0};
	}
	out->missing = n - there;
	if (there > 0 && status == ML_OK)
	{
		pgaml_ml_sort_pairs(pairs, scratch, there);
		describe(pairs, there, out);
		count_outliers(pairs, scratch, there, out);
	}
	pgaml_ml_release(allocator, scratch);
	pgaml_ml_release(allocator, pairs);
	return status;
}
