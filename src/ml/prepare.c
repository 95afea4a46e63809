/*-------------------------------------------------------------------------
 * prepare.c
 *		Checks a dataset and brings targets and weights to harmless scales.
 *
 * Rows of weight 0 are left out.  Targets and weights are divided by powers
 * of two, which is exact, so squares neither overflow nor vanish whatever the
 * caller's units; targets are centred, so sums keep their precision.
 *-------------------------------------------------------------------------
 */
#include "model_internal.h"

#include <math.h>
#include <string.h>

#define BLOCK_ROWS 65536		/* rows between two questions to the stop callback */

/*
 * ML_E_DATA for the first infinite feature.
 */
static MlStatus
check_columns(const MlDataset *data, MlTicker *ticker, MlError *error)
{
	for (int32_t f = 0; f < data->nfeatures; f++)
	{
		const float *column = data->columns[f];

		for (int64_t begin = 0; begin < data->nrows; begin += BLOCK_ROWS)
		{
			int64_t		end = data->nrows - begin < BLOCK_ROWS ? data->nrows : begin + BLOCK_ROWS;
			unsigned	infinite = 0;

			for (int64_t i = begin; i < end; i++)
			{
				uint32_t	bits;

				memcpy(&bits, &column[i], sizeof(bits));
				infinite |= (bits & 0x7fffffffu) == 0x7f800000u;
			}
			if (infinite)
				return pgaml_ml_fail(error, ML_E_DATA, "columns",
									 "feature %d has an infinite value", (int) f);
			if (pgaml_ml_tick(ticker, (end - begin) / 2))
				return pgaml_ml_stopped(error, "prepare");
		}
	}
	return ML_OK;
}

/*
 * Rows that count, and the largest target and weight among them.
 */
static MlStatus
check_rows(MlPrepared *p, const MlDataset *data, double *max_target, double *max_weight,
		   MlError *error)
{
	*max_target = 0.0;
	*max_weight = 0.0;
	for (int64_t i = 0; i < data->nrows; i++)
	{
		double		w = data->weight != NULL ? data->weight[i] : 1.0;
		double		y = data->target[i];

		if (!(w >= 0.0) || isinf(w))
			return pgaml_ml_fail(error, ML_E_DATA, "weight",
								 "weight of row %lld is negative or not finite", (long long) i);
		if (!(fabs(y) <= ML_MAX_TARGET))
			return pgaml_ml_fail(error, ML_E_DATA, "target",
								 "target of row %lld is not finite or too large", (long long) i);
		if (w == 0.0)
			continue;
		p->rows[p->nrows++] = (int32_t) i;
		if (fabs(y) > *max_target)
			*max_target = fabs(y);
		if (w > *max_weight)
			*max_weight = w;
	}
	if (p->nrows == 0)
		return pgaml_ml_fail(error, ML_E_DATA, "weight", "no row has a weight above 0");
	return ML_OK;
}

/*
 * Centre the targets on their weighted mean; equal targets become exactly 0.
 */
static void
centre(MlPrepared *p)
{
	double		total = 0.0;
	bool		equal = true;

	p->mean = p->target[0];
	for (int32_t i = 0; i < p->nrows; i++)
	{
		total += p->weight[i];
		equal &= p->target[i] == p->mean;
	}
	/* the second turn takes out what rounding left of the first mean */
	for (int turn = 0; turn < 2 && !equal; turn++)
	{
		double		sum = 0.0;

		if (turn == 0)
			p->mean = 0.0;
		for (int32_t i = 0; i < p->nrows; i++)
			sum += p->weight[i] * (p->target[i] - p->mean);
		p->mean += sum / total;
	}
	for (int32_t i = 0; i < p->nrows; i++)
		p->target[i] -= p->mean;
}

/*
 * Weights are scaled by a power of four, so that their roots are scaled
 * exactly too.
 */
static double
power_of_four(double max)
{
	double		power = pgaml_ml_power_of_two(max);
	int			exponent;

	(void) frexp(power, &exponent);
	return exponent % 2 == 0 ? 2.0 * power : power;
}

size_t
pgaml_ml_prepared_memory(int64_t nrows)
{
	return pgaml_ml_size_mul((size_t) nrows, sizeof(int32_t) + 2 * sizeof(double));
}

static MlStatus
fill(MlPrepared *p, const MlDataset *data, MlTicker *ticker, MlError *error)
{
	double		max_target;
	double		max_weight;
	MlStatus	status = check_columns(data, ticker, error);

	if (status == ML_OK)
		status = check_rows(p, data, &max_target, &max_weight, error);
	if (status != ML_OK)
		return status;

	p->target_scale = pgaml_ml_power_of_two(max_target);
	p->weight_scale = data->weight != NULL ? power_of_four(max_weight) : 1.0;
	for (int32_t i = 0; i < p->nrows; i++)
	{
		int32_t		row = p->rows[i];

		p->target[i] = data->target[row] / p->target_scale;
		p->weight[i] = data->weight != NULL ? data->weight[row] / p->weight_scale : 1.0;
	}
	centre(p);
	if (pgaml_ml_tick(ticker, 8 * (int64_t) p->nrows))
		return pgaml_ml_stopped(error, "prepare");
	return ML_OK;
}

/*
 * On success the caller frees prepared; on failure nothing is left.
 */
MlStatus
pgaml_ml_prepare(MlPrepared *prepared, const MlDataset *data,
				 const MlAllocator *allocator, MlTicker *ticker, MlError *error)
{
	size_t		n;
	MlStatus	status;

	memset(prepared, 0, sizeof(*prepared));
	if (data->nrows < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "nrows", "there are no rows");
	if (data->nrows > ML_MAX_ROWS)
		return pgaml_ml_fail(error, ML_E_LIMIT, "nrows", "more than %d rows", ML_MAX_ROWS);
	if (data->nfeatures < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "nfeatures", "there are no features");
	if (data->nfeatures > ML_MAX_FEATURES)
		return pgaml_ml_fail(error, ML_E_LIMIT, "nfeatures", "more than %d features", ML_MAX_FEATURES);

	n = (size_t) data->nrows;
	prepared->rows = pgaml_ml_alloc(allocator, n, sizeof(int32_t));
	prepared->target = pgaml_ml_alloc(allocator, n, sizeof(double));
	prepared->weight = pgaml_ml_alloc(allocator, n, sizeof(double));
	if (prepared->rows == NULL || prepared->target == NULL || prepared->weight == NULL)
		status = pgaml_ml_nomem(error, "prepare");
	else
		status = fill(prepared, data, ticker, error);
	if (status != ML_OK)
		pgaml_ml_prepared_free(prepared, allocator);
	return status;
}

void
pgaml_ml_prepared_free(MlPrepared *prepared, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, prepared->rows);
	pgaml_ml_release(allocator, prepared->target);
	pgaml_ml_release(allocator, prepared->weight);
	memset(prepared, 0, sizeof(*prepared));
}

MlGrowScale
pgaml_ml_prepared_scale(const MlPrepared *prepared, double offset, double learning_rate)
{
	return (MlGrowScale) {
		.offset = offset,
		.leaf = learning_rate * prepared->target_scale,
		.weight = prepared->weight_scale,
		.gain = prepared->weight_scale * prepared->target_scale * prepared->target_scale
	};
}

/*
 * Growth rules in the prepared scales.  Beside max_leaves a tree has at most
 * nrows / min_samples_leaf leaves, which bounds its memory whatever the
 * weights are.
 */
MlGrowRules
pgaml_ml_grow_rules(const MlParams *params, int64_t nrows, double target_scale, double weight_scale)
{
	double		per_leaf = params->min_samples_leaf > 1.0 ? params->min_samples_leaf : 1.0;
	double		cap = floor((double) nrows / per_leaf);
	MlGrowRules rules = {.monotone = NULL};

	rules.split.min_hessian = params->min_samples_leaf / weight_scale;
	rules.split.min_gain = params->min_gain / target_scale / target_scale / weight_scale;
	rules.max_leaves = cap < params->max_leaves ? (int32_t) cap : params->max_leaves;
	rules.split.l2 = params->type == ML_GRADIENT_BOOSTING ? params->l2 / weight_scale : 0.0;
	rules.max_depth = params->max_depth;
	rules.feature_fraction = params->feature_fraction;
	if (params->type != ML_RANDOM_FOREST)
		rules.feature_fraction = 1.0;
	else if (params->feature_fraction == 0.0)
		rules.feature_fraction = 1.0 / 3.0;
	return rules;
}
