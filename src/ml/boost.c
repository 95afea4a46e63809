/*-------------------------------------------------------------------------
 * boost.c
 *		Fits gradient boosted trees (Friedman 2001) on squared error.
 *
 * Each tree is grown on what the trees before it left over; its leaves are
 * shrunk by the learning rate.  With sample_fraction below 1 a tree is grown
 * on a random part of the rows, without replacement (Friedman 2002).
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
	MlPair	   *grad;			/* [nrows] (weight * residual, weight) */
	int32_t    *rows;			/* [nrows] rows of the present tree */
	double	   *fitted;			/* [nrows] sum of the trees so far, in the prepared scale */
} Fit;

/*
 * Gradients, and the rows of the next tree in front of those it leaves out.
 */
static int32_t
take_rows(Fit *fit, MlRng *rng)
{
	const MlPrepared *p = fit->prepared;
	bool		all = fit->params->sample_fraction >= 1.0;
	int32_t		count = 0;
	int32_t		left_out = p->nrows;

	for (int32_t i = 0; i < p->nrows; i++)
		fit->grad[i] = (MlPair) {p->weight[i] * (p->target[i] - fit->fitted[i]), p->weight[i]};
	for (int32_t i = 0; i < p->nrows; i++)
	{
		if (all || pgaml_ml_rng_uniform(rng) < fit->params->sample_fraction)
			fit->rows[count++] = i;
		else
			fit->rows[--left_out] = i;
	}
	if (count == 0)
	{
		int32_t		only = (int32_t) pgaml_ml_rng_below(rng, (uint64_t) p->nrows);
		int32_t		row = fit->rows[only];

		fit->rows[only] = fit->rows[0];
		fit->rows[count++] = row;
	}
	return count;
}

/*
 * Add a new tree to what the model fits: by its leaves where they hold the
 * row, by a walk for the rows it left out.
 */
static void
add_tree(Fit *fit, const MlTree *tree, int32_t count)
{
	const int32_t *ends = pgaml_ml_grower_leaf_ends(fit->grower);
	double		scale = fit->prepared->target_scale;
	int32_t		i = 0;

	for (int32_t leaf = 0; leaf < tree->nleaves; leaf++)
	{
		double		value = tree->leaves[leaf] / scale;

		for (; i < ends[leaf]; i++)
			fit->fitted[fit->rows[i]] += value;
	}
	for (i = count; i < fit->prepared->nrows; i++)
		fit->fitted[fit->rows[i]] += pgaml_ml_grower_value(fit->grower, tree, fit->rows[i]) / scale;
}

static MlStatus
grow_all(MlModel *model, Fit *fit, MlTicker *ticker, MlError *error)
{
	const MlPrepared *p = fit->prepared;
	int32_t		ntrees = fit->params->n_trees;
	MlGrowScale scale = pgaml_ml_prepared_scale(p, 0.0, fit->params->learning_rate);
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, fit->params->seed);
	model->base = p->mean * p->target_scale;
	for (int32_t t = 0; t < ntrees; t++)
	{
		int32_t		count = take_rows(fit, &rng);
		MlStatus	status;

		pgaml_ml_grower_restrict(fit->grower, fit->params->feature_fraction, &rng);
		status = pgaml_ml_grow(fit->grower, fit->grad, fit->rows, count, &scale,
							   &rng, ticker, &model->trees[t], error);
		if (status != ML_OK)
			return status;
		model->ntrees++;
		add_tree(fit, &model->trees[t], count);
		ticker->progress = (double) (t + 1) / ntrees;
		if (pgaml_ml_tick(ticker, 16 * (int64_t) p->nrows))
			return pgaml_ml_stopped(error, "boosting");
	}
	return ML_OK;
}

/*
 * Fill an empty boosting model; what was grown before a failure is the
 * model's and freed with it.
 */
MlStatus
pgaml_ml_fit_boosting(MlModel *model, const MlDataset *data, const MlPrepared *prepared,
					  const MlParams *params, MlTicker *ticker, MlError *error)
{
	const MlAllocator *allocator = &model->allocator;
	MlGrowRules rules = pgaml_ml_grow_rules(params, prepared->nrows, prepared->target_scale,
											prepared->weight_scale);
	size_t		n = (size_t) prepared->nrows;
	Fit			fit = {.prepared = prepared, .params = params};
	MlStatus	status;

	if (params->monotone)
		rules.monotone = data->monotone;
	status = pgaml_ml_bins_build(&fit.bins, data, prepared->rows, prepared->nrows,
								 params->max_bins, allocator, ticker, error);
	if (status != ML_OK)
		return status;
	status = pgaml_ml_grower_create(&fit.bins, &rules, allocator, &fit.grower, error);
	if (status == ML_OK)
	{
		fit.grad = pgaml_ml_alloc(allocator, n, sizeof(MlPair));
		fit.rows = pgaml_ml_alloc(allocator, n, sizeof(int32_t));
		fit.fitted = pgaml_ml_alloc_zero(allocator, n, sizeof(double));
		if (fit.grad == NULL || fit.rows == NULL || fit.fitted == NULL)
			status = pgaml_ml_nomem(error, "boosting");
		else
			status = grow_all(model, &fit, ticker, error);
	}
	pgaml_ml_release(allocator, fit.fitted);
	pgaml_ml_release(allocator, fit.rows);
	pgaml_ml_release(allocator, fit.grad);
	pgaml_ml_grower_free(fit.grower);
	pgaml_ml_bins_free(&fit.bins, allocator);
	return status;
}
