/*-------------------------------------------------------------------------
 * boost.c
 *		Fits gradient boosted trees (Friedman 2001) to one of the losses of
 *		loss.c.
 *
 * Each tree is grown on what pulls at the rows after the trees before it; its
 * leaves are shrunk by the learning rate.  With sample_fraction below 1 a tree is grown
 * on a random part of the rows, without replacement (Friedman 2002); with
 * feature_fraction below 1 it may use a random part of the features.
 *
 * Validation rows are binned with the others but never grown on.  When the loss on them
 * has not fallen for early_stopping_rounds trees, the fit ends, and the trees
 * after the best round are dropped.
 *-------------------------------------------------------------------------
 */
#include "model_internal.h"

#include <math.h>
#include <string.h>

#include "loss_internal.h"

/* What a fit holds besides the model. */
typedef struct Fit
{
	const MlPrepared *prepared;
	const MlParams *params;
	const int8_t *monotone;		/* or NULL */
	MlLoss		loss;
	MlBins		bins;
	MlGrower   *grower;
	MlPair	   *grad;			/* [nrows] of the rows of the present tree */
	int32_t    *rows;			/* [nrows] those of the present tree, then those it leaves out, then validation */
	uint8_t    *held;			/* [nrows] 1: for validation */
	int32_t		nfit;			/* rows that are not */
	double	   *fitted;			/* [nrows] start and trees so far, in the prepared scale */
	MlPair	   *scratch;		/* [nrows], if the loss refits leaves */
	MlOrderWork *order;			/* if it does and there are constraints */
	MlTicker   *ticker;
} Fit;

static MlLossRows
loss_rows(const Fit *fit, int32_t begin, int32_t count)
{
	return (MlLossRows) {
		.rows = fit->rows + begin, .count = count, .target = fit->prepared->target,
			.weight = fit->prepared->weight, .fitted = fit->fitted, .scratch = fit->scratch,
			.ticker = fit->ticker
	};
}

/*
 * Set validation rows aside: those of the dataset, or a random share when the
 * fit may stop early.
 */
static MlStatus
hold_rows(Fit *fit, const MlDataset *data, MlRng *rng, MlError *error)
{
	const MlPrepared *p = fit->prepared;
	bool		draw = data->validation == NULL && fit->params->early_stopping_rounds > 0;
	int32_t		back = p->nrows;

	fit->nfit = 0;
	for (int32_t i = 0; i < p->nrows; i++)
	{
		if (data->validation != NULL)
			fit->held[i] = data->validation[p->rows[i]] != 0;
		else
			fit->held[i] = draw && pgaml_ml_rng_uniform(rng) < fit->params->validation_fraction;
		fit->nfit += 1 - fit->held[i];
	}
	if (fit->nfit == 0 && draw)
		fit->held[fit->nfit++] = 0;
	if (fit->nfit == 0)
		return pgaml_ml_fail(error, ML_E_DATA, "validation", "every row is for validation, none is left to fit");
	for (int32_t i = p->nrows - 1; i >= 0; i--)
	{
		if (fit->held[i])
			fit->rows[--back] = i;
	}
	return ML_OK;
}

/*
 * The rows of the next tree, in front and ascending, then those it leaves out.
 */
static int32_t
take_rows(Fit *fit, MlRng *rng)
{
	bool		all = fit->params->sample_fraction >= 1.0;
	int32_t		count = 0;
	int32_t		left_out = fit->nfit;

	for (int32_t i = 0; i < fit->prepared->nrows; i++)
	{
		if (fit->held[i])
			continue;
		if (all || pgaml_ml_rng_uniform(rng) < fit->params->sample_fraction)
			fit->rows[count++] = i;
		else
			fit->rows[--left_out] = i;
	}
	if (count == 0)
	{
		int32_t		only = (int32_t) pgaml_ml_rng_below(rng, (uint64_t) fit->nfit);
		int32_t		row = fit->rows[only];

		fit->rows[only] = fit->rows[0];
		fit->rows[count++] = row;
	}
	return count;
}

/*
 * Where the model starts: 0 is the mean of all rows.
 */
static MlStatus
start(Fit *fit, MlRng *rng, MlModel *model, MlError *error)
{
	const MlPrepared *p = fit->prepared;
	double		first = 0.0;

	if (fit->loss.kind != ML_LOSS_SQUARED || fit->nfit < p->nrows)
	{
		MlLossRows	in;

		(void) take_rows(fit, rng);
		in = loss_rows(fit, 0, fit->nfit);
		if (pgaml_ml_loss_start(&fit->loss, &in, &first))
			return pgaml_ml_stopped(error, "boosting");
	}
	for (int32_t i = 0; i < p->nrows; i++)
		fit->fitted[i] = first;
	model->base = (p->mean + first) * p->target_scale;
	return ML_OK;
}

/*
 * Give the leaves of a new tree the values that the loss asks for; true when
 * stopped.
 */
static bool
refit(Fit *fit, MlTree *tree)
{
	const int32_t *ends = pgaml_ml_grower_leaf_ends(fit->grower);
	double		scale = fit->params->learning_rate * fit->prepared->target_scale;
	int32_t		begin = 0;

	for (int32_t leaf = 0; leaf < tree->nleaves; leaf++)
	{
		MlLossRows	in = loss_rows(fit, begin, ends[leaf] - begin);
		double		value;

		if (pgaml_ml_loss_leaf(&fit->loss, &in, &value))
			return true;
		tree->leaves[leaf] = scale * value;
		begin = ends[leaf];
	}
	if (fit->monotone != NULL)
		pgaml_ml_tree_order(tree, fit->monotone, fit->order);
	return false;
}

/*
 * Add a new tree to what the model fits: by its leaves where they hold the
 * row, by a walk for the others.
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

/*
 * One more tree.
 */
static MlStatus
grow_next(MlModel *model, Fit *fit, MlRng *rng, MlError *error)
{
	const MlPrepared *p = fit->prepared;
	MlGrowScale scale = pgaml_ml_prepared_scale(p, 0.0, fit->params->learning_rate);
	MlTree	   *tree = &model->trees[model->ntrees];
	int32_t		count = take_rows(fit, rng);
	MlLossRows	in = loss_rows(fit, 0, count);
	MlStatus	status;

	if (pgaml_ml_loss_is_scale_free(fit->loss.kind))
		scale.gain = p->weight_scale;
	pgaml_ml_grower_restrict(fit->grower, fit->params->feature_fraction, rng);
	if (pgaml_ml_loss_gradients(&fit->loss, &in, fit->grad))
		return pgaml_ml_stopped(error, "boosting");
	status = pgaml_ml_grow(fit->grower, fit->grad, fit->rows, count, &scale, rng, fit->ticker, tree, error);
	if (status != ML_OK)
		return status;
	model->ntrees++;
	if (pgaml_ml_loss_refits(fit->loss.kind) && refit(fit, tree))
		return pgaml_ml_stopped(error, "boosting");
	add_tree(fit, tree, count);
	fit->ticker->progress = (double) model->ntrees / fit->params->n_trees;
	if (pgaml_ml_tick(fit->ticker, 16 * (int64_t) p->nrows))
		return pgaml_ml_stopped(error, "boosting");
	return ML_OK;
}

/*
 * Tree after tree, until there are all or the validation rows have had
 * enough; then only the trees up to the best round are kept, at least one.
 */
static MlStatus
grow_all(MlModel *model, Fit *fit, MlRng *rng, MlError *error)
{
	int32_t		patience = fit->params->early_stopping_rounds;
	MlLossRows	validation = loss_rows(fit, fit->nfit, fit->prepared->nrows - fit->nfit);
	bool		watched = patience > 0 && validation.count > 0;
	double		best_loss = INFINITY;
	int32_t		best = 0;

	while (model->ntrees < fit->params->n_trees && (!watched || model->ntrees - best < patience))
	{
		MlStatus	status = grow_next(model, fit, rng, error);
		double		loss;

		if (status != ML_OK)
			return status;
		loss = watched ? pgaml_ml_loss_mean(&fit->loss, &validation) : 0.0;
		if (!watched || best == 0 || loss < best_loss)
		{
			best_loss = loss;
			best = model->ntrees;
		}
	}
	while (model->ntrees > best)
		pgaml_ml_release(&model->allocator, model->trees[--model->ntrees].leaves);
	return ML_OK;
}

/*
 * Bytes beside bins and grower, and beside what every tree fit has per row.
 */
size_t
pgaml_ml_fit_boosting_memory(const MlParams *params, int64_t nrows, int64_t leaves)
{
	size_t		per_row = sizeof(double) + sizeof(uint8_t);
	size_t		order = 0;

	if (pgaml_ml_loss_refits(params->loss))
	{
		per_row += sizeof(MlPair);
		order = params->monotone ? pgaml_ml_order_memory(leaves) : 0;
	}
	return pgaml_ml_size_add(pgaml_ml_size_mul((size_t) nrows, per_row), order);
}

/*
 * Everything per row and leaf; what is NULL after a failure is freed with the
 * rest.
 */
static MlStatus
allocate(Fit *fit, const MlGrowRules *rules, const MlAllocator *allocator, MlError *error)
{
	size_t		n = (size_t) fit->prepared->nrows;
	int64_t		leaves = rules->max_leaves < fit->prepared->nrows ? rules->max_leaves : fit->prepared->nrows;
	bool		refits = pgaml_ml_loss_refits(fit->loss.kind);
	bool		orders = refits && fit->monotone != NULL;

	fit->grad = pgaml_ml_alloc(allocator, n, sizeof(MlPair));
	fit->rows = pgaml_ml_alloc(allocator, n, sizeof(int32_t));
	fit->held = pgaml_ml_alloc(allocator, n, sizeof(uint8_t));
	fit->fitted = pgaml_ml_alloc_zero(allocator, n, sizeof(double));
	fit->scratch = refits ? pgaml_ml_alloc(allocator, n, sizeof(MlPair)) : NULL;
	fit->order = orders ? pgaml_ml_alloc(allocator, 1, pgaml_ml_order_memory(leaves)) : NULL;
	if (fit->grad == NULL || fit->rows == NULL || fit->held == NULL || fit->fitted == NULL ||
		(refits && fit->scratch == NULL) || (orders && fit->order == NULL))
		return pgaml_ml_nomem(error, "boosting");
	return ML_OK;
}

static void
release(Fit *fit, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, fit->order);
	pgaml_ml_release(allocator, fit->scratch);
	pgaml_ml_release(allocator, fit->fitted);
	pgaml_ml_release(allocator, fit->held);
	pgaml_ml_release(allocator, fit->rows);
	pgaml_ml_release(allocator, fit->grad);
	pgaml_ml_grower_free(fit->grower);
	pgaml_ml_bins_free(&fit->bins, allocator);
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
	Fit			fit = {.prepared = prepared, .params = params, .ticker = ticker};
	MlRng		rng;
	MlStatus	status;

	fit.monotone = rules.monotone = params->monotone ? data->monotone : NULL;
	fit.loss.kind = params->loss;
	fit.loss.level = params->loss == ML_LOSS_HUBER ? params->huber_delta : params->quantile;
	fit.loss.l2 = rules.split.l2;
	if (pgaml_ml_loss_is_scale_free(params->loss))
		rules.split.min_gain = params->min_gain / prepared->weight_scale;
	pgaml_ml_rng_seed(&rng, params->seed);

	status = pgaml_ml_bins_build(&fit.bins, data, prepared->rows, prepared->nrows,
								 params->max_bins, allocator, ticker, error);
	if (status != ML_OK)
		return status;
	status = pgaml_ml_grower_create(&fit.bins, &rules, allocator, &fit.grower, error);
	if (status == ML_OK)
		status = allocate(&fit, &rules, allocator, error);
	if (status == ML_OK)
		status = hold_rows(&fit, data, &rng, error);
	if (status == ML_OK)
		status = start(&fit, &rng, model, error);
	if (status == ML_OK)
		status = grow_all(model, &fit, &rng, error);
	release(&fit, allocator);
	return status;
}
