/*-------------------------------------------------------------------------
 * scores.c
 *		Calibration scores of the groups that intervals come from.
 *
 * Where executions of one statement come in dozens and statements are what
 * is new, the statement is what counts: each gives the same number of scores
 * and the promise asks for enough statements (Lee, Barber and Willett 2023,
 * Distribution-free inference with hierarchical data).
 *-------------------------------------------------------------------------
 */
#include "ml/scores_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

float
pgaml_ml_score_of(double error, double unit)
{
	return nextafterf((float) (fabs(error) / unit), FLT_MAX);
}

/*
 * As pgaml_ml_conformal_quantile, with the mass of one more statement beyond
 * the largest score.
 */
bool
pgaml_ml_scores_quantile(const MlScores *scores, double p, double *out)
{
	double		k;

	if (scores->n < 1 || !(p > 0.0 && p < 1.0))
		return false;
	k = ceil(((double) scores->n + scores->each) * p - 1e-9);
	if (k > (double) scores->n)
		return false;
	*out = scores->values[k < 1.0 ? 0 : (int32_t) k - 1];
	return true;
}

double
pgaml_ml_scores_largest(const MlScores *scores)
{
	return scores->n > 0 ? scores->values[scores->n - 1] : 0.0;
}

MlScores
pgaml_ml_own_scores(const MlOwnScores *own, int64_t key)
{
	int32_t		low = 0;
	int32_t		high = own->n;

	while (low < high)
	{
		int32_t		mid = low + (high - low) / 2;

		if (own->key[mid] == key)
			return (MlScores) {own->start[mid + 1] - own->start[mid], 1, own->values + own->start[mid]};
		if (own->key[mid] < key)
			low = mid + 1;
		else
			high = mid;
	}
	return (MlScores) {0};
}

static int
compare_float(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

void
pgaml_ml_sort_floats(float *values, int64_t n)
{
	if (n > 1)
		qsort(values, (size_t) n, sizeof(float), compare_float);
}

MlStatus
pgaml_ml_scores_keep(MlScores *out, float *values, int64_t n, const MlAllocator *allocator, MlError *error)
{
	int64_t		kept = n < ML_SCORES_MAX ? n : ML_SCORES_MAX;

	pgaml_ml_sort_floats(values, n);
	out->values = pgaml_ml_alloc(allocator, (size_t) kept, sizeof(float));
	if (out->values == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_scores_keep");

	/* the i-th of the kept stands for ceil(i (n + 1) / (kept + 1)) of all */
	for (int64_t i = 1; i <= kept; i++)
		out->values[i - 1] = values[(i * (n + 1) + kept) / (kept + 1) - 1];
	out->n = (int32_t) kept;
	out->each = 1;
	return ML_OK;
}

static bool
ascending(const float *values, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		if (!isfinite(values[i]) || values[i] < 0.0f || (i > 0 && values[i] < values[i - 1]))
			return false;
	return true;
}

bool
pgaml_ml_scores_valid(const MlScores *scores)
{
	return scores->each >= (scores->n > 0) && scores->each <= ML_SCORES_MAX && ascending(scores->values, scores->n);
}

bool
pgaml_ml_own_scores_valid(const MlOwnScores *own)
{
	for (int32_t i = 0; i < own->n; i++)
		if ((i > 0 && own->key[i] <= own->key[i - 1]) || own->start[i + 1] < own->start[i] ||
			!ascending(own->values + own->start[i], own->start[i + 1] - own->start[i]))
			return false;
	return true;
}

void
pgaml_ml_own_scores_free(MlOwnScores *own, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, own->values);
	pgaml_ml_release(allocator, own->start);
	pgaml_ml_release(allocator, own->key);
	memset(own, 0, sizeof(*own));
}
