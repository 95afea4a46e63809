/*-------------------------------------------------------------------------
 * forest.c
 *		Fits a decision tree, or a random forest (Breiman 2001).
 *
 * A forest's tree sees rows drawn with replacement, as multiples of their
 * weight, and tries a random share of the features at each split.  The rows
 * a tree did not draw give the out-of-bag error.
 *-------------------------------------------------------------------------
 */
#include "model_internal.h"

#include <math.h>
#include <string.h>

/* What a fit holds besides the model. */
typedef struct Fit
{
	const MlPrepared *prepared;
	const MlParams *params;
	MlBins		bins;
	MlGrower   *grower;
	MlPair	   *grad;			/* [nrows] (g, h) of the present tree; h = 0: not drawn */
	int32_t    *rows;			/* [nrows] rows of the present tree */
	double	   *oob_sum;		/* [nrows] sum of out-of-bag predictions, scaled */
	int32_t    *oob_count;		/* [nrows] their number */
} Fit;

size_t
pgaml_ml_fit_trees_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	bool		forest = params->type == ML_RANDOM_FOREST;
	MlGrowRules rules = pgaml_ml_grow_rules(params, nrows, 1.0, 1.0);
	size_t		ntrees = params->type == ML_DECISION_TREE ? 1 : (size_t) params->n_trees;
	int64_t		leaves = rules.max_leaves < nrows ? rules.max_leaves : nrows;
	size_t		per_row = sizeof(MlPair) + sizeof(int32_t) +
		(forest ? sizeof(double) + sizeof(int32_t) : 0);
	size_t		tree = pgaml_ml_tree_memory(leaves > 1 ? leaves : 1);
	size_t		size = pgaml_ml_size_mul(ntrees, tree + sizeof(MlTree));

	size = pgaml_ml_size_add(size, pgaml_ml_size_mul((size_t) nrows, per_row));
	if (params->type == ML_GRADIENT_BOOSTING)
		size = pgaml_ml_size_add(size, pgaml_ml_fit_boosting_memory(params, nrows, leaves));
	size = pgaml_ml_size_add(size, pgaml_ml_bins_memory(nrows, nfeatures, params->max_bins));
	return pgaml_ml_size_add(size, pgaml_ml_grower_memory(nrows, nfeatures, &rules));
}

/*
 * (g, h) and row list of a tree that sees every row once.
 */
static int32_t
take_all(Fit *fit)
{
	const MlPrepared *p = fit->prepared;

	for (int32_t i = 0; i < p->nrows; i++)
	{
		fit->grad[i] = (MlPair) {p->weight[i] * p->target[i], p->weight[i]};
		fit->rows[i] = i;
	}
	return p->nrows;
}

/*
 * (g, h) and row list of a bootstrap sample.
 */
static int32_t
take_bootstrap(Fit *fit, MlRng *rng)
{
	const MlPrepared *p = fit->prepared;
	int64_t		draws = (int64_t) (fit->params->sample_fraction * p->nrows + 0.5);
	int32_t		count = 0;

	memset(fit->grad, 0, (size_t) p->nrows * sizeof(MlPair));
	for (int64_t i = 0; i < draws || i == 0; i++)
		fit->grad[pgaml_ml_rng_below(rng, (uint64_t) p->nrows)][1] += 1.0;
	for (int32_t i = 0; i < p->nrows; i++)
	{
		double		h = fit->grad[i][1] * p->weight[i];

		fit->grad[i] = (MlPair) {h * p->target[i], h};
		fit->rows[count] = i;
		count += h > 0.0;
	}
	return count;
}

/*
 * Add a tree's predictions for the rows it did not see.
 */
static void
add_out_of_bag(Fit *fit, const MlTree *tree)
{
	for (int32_t i = 0; i < fit->prepared->nrows; i++)
	{
		if (fit->grad[i][1] > 0.0)
			continue;
		fit->oob_sum[i] += pgaml_ml_grower_value(fit->grower, tree, i) / fit->prepared->target_scale;
		fit->oob_count[i]++;
	}
}

/*
 * Weighted root mean squared out-of-bag error; NaN when every row was in
 * every tree.
 */
static double
out_of_bag_rmse(const Fit *fit)
{
	const MlPrepared *p = fit->prepared;
	double		sum = 0.0;
	double		total = 0.0;

	for (int32_t i = 0; i < p->nrows; i++)
	{
		double		error;

		if (fit->oob_count[i] == 0)
			continue;
		error = fit->oob_sum[i] / fit->oob_count[i] - p->mean - p->target[i];
		sum += p->weight[i] * error * error;
		total += p->weight[i];
	}
	return total > 0.0 ? sqrt(sum / total) * p->target_scale : NAN;
}

static MlStatus
grow_all(MlModel *model, Fit *fit, MlTicker *ticker, MlError *error)
{
	const MlPrepared *p = fit->prepared;
	bool		forest = model->type == ML_RANDOM_FOREST;
	int32_t		ntrees = forest ? fit->params->n_trees : 1;
	MlGrowScale scale = pgaml_ml_prepared_scale(p, p->mean * p->target_scale, 1.0);
	MlRng		seeds;

	pgaml_ml_rng_seed(&seeds, fit->params->seed);
	for (int32_t t = 0; t < ntrees; t++)
	{
		int32_t		count;
		MlRng		rng;
		MlStatus	status;

		pgaml_ml_rng_seed(&rng, pgaml_ml_rng_next(&seeds));
		count = forest ? take_bootstrap(fit, &rng) : take_all(fit);
		status = pgaml_ml_grow(fit->grower, fit->grad, fit->rows, count,
							   &scale, &rng, ticker, &model->trees[t], error);
		if (status != ML_OK)
			return status;
		model->ntrees++;
		ticker->progress = (double) (t + 1) / ntrees;
		if (forest)
			add_out_of_bag(fit, &model->trees[t]);
		if (pgaml_ml_tick(ticker, 16 * (int64_t) p->nrows))
			return pgaml_ml_stopped(error, "forest");
	}
	if (forest)
		model->oob_rmse = out_of_bag_rmse(fit);
	return ML_OK;
}

/*
 * Fill an empty tree model; what was grown before a failure is the model's
 * and freed with it.
 */
MlStatus
pgaml_ml_fit_trees(MlModel *model, const MlDataset *data, const MlPrepared *prepared,
				   const MlParams *params, MlTicker *ticker, MlError *error)
{
	const MlAllocator *allocator = &model->allocator;
	MlGrowRules rules = pgaml_ml_grow_rules(params, prepared->nrows, prepared->target_scale,
											prepared->weight_scale);
	size_t		n = (size_t) prepared->nrows;
	bool		forest = model->type == ML_RANDOM_FOREST;
	Fit			fit = {.prepared = prepared, .params = params};
	MlStatus	status;

	status = pgaml_ml_bins_build(&fit.bins, data, prepared->rows, prepared->nrows,
								 params->max_bins, allocator, ticker, error);
	if (status != ML_OK)
		return status;
	status = pgaml_ml_grower_create(&fit.bins, &rules, allocator, &fit.grower, error);
	if (status == ML_OK)
	{
		fit.grad = pgaml_ml_alloc(allocator, n, sizeof(MlPair));
		fit.rows = pgaml_ml_alloc(allocator, n, sizeof(int32_t));
		if (forest)
		{
			fit.oob_sum = pgaml_ml_alloc_zero(allocator, n, sizeof(double));
			fit.oob_count = pgaml_ml_alloc_zero(allocator, n, sizeof(int32_t));
		}
		if (fit.grad == NULL || fit.rows == NULL ||
			(forest && (fit.oob_sum == NULL || fit.oob_count == NULL)))
			status = pgaml_ml_nomem(error, "forest");
		else
			status = grow_all(model, &fit, ticker, error);
	}
	pgaml_ml_release(allocator, fit.oob_count);
	pgaml_ml_release(allocator, fit.oob_sum);
	pgaml_ml_release(allocator, fit.rows);
	pgaml_ml_release(allocator, fit.grad);
	pgaml_ml_grower_free(fit.grower);
	pgaml_ml_bins_free(&fit.bins, allocator);
	return status;
}
