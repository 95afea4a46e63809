/*-------------------------------------------------------------------------
 * validate.c
 *		Decides whether a model may be used; training and decoding both end
 *		here, so what was stored can be loaded and nothing else.
 *
 * A tree must be in pre-order: a walk from the root meets node 0, 1, 2, ...
 * and leaf 0, 1, 2, ... in that order.  That one rule gives every node one
 * parent, excludes cycles and stray nodes, and needs no memory.
 *-------------------------------------------------------------------------
 */
#include "model_internal.h"

#include <math.h>

static MlStatus
check_node(const MlNode *node, int32_t nfeatures, MlError *error)
{
	if (node->feature >= nfeatures)
		return pgaml_ml_fail(error, ML_E_FORMAT, "node", "feature %d of %d",
							 (int) node->feature, (int) nfeatures);
	if (!isfinite(node->threshold))
		return pgaml_ml_fail(error, ML_E_FORMAT, "node", "threshold is not finite");
	if (node->missing_left > 1 || node->reserved != 0)
		return pgaml_ml_fail(error, ML_E_FORMAT, "node", "unknown flags");
	return ML_OK;
}

/*
 * Walk the tree with an explicit stack, whose height is the depth.
 */
static MlStatus
check_shape(const MlTree *tree, int32_t nfeatures, MlError *error)
{
	int32_t		stack[ML_MAX_DEPTH + 1];	/* right children still to come */
	int8_t		depths[ML_MAX_DEPTH + 1];	/* their depth */
	int			top = 0;
	int			depth = 0;
	int32_t		at = tree->nleaves > 1 ? 0 : ~0;
	int32_t		next_node = 0;
	int32_t		next_leaf = 0;

	for (;;)
	{
		if (at >= 0)
		{
			MlStatus	status;

			if (at != next_node || at >= tree->nleaves - 1)
				return pgaml_ml_fail(error, ML_E_FORMAT, "node", "node %d is out of order", (int) at);
			if (depth >= ML_MAX_DEPTH)
				return pgaml_ml_fail(error, ML_E_FORMAT, "node", "tree is deeper than %d", ML_MAX_DEPTH);
			status = check_node(&tree->nodes[at], nfeatures, error);
			if (status != ML_OK)
				return status;
			next_node++;
			depth++;
			stack[top] = tree->nodes[at].child[0];
			depths[top++] = (int8_t) depth;
			at = tree->nodes[at].child[1];
			continue;
		}
		if (~at != next_leaf || ~at >= tree->nleaves)
			return pgaml_ml_fail(error, ML_E_FORMAT, "leaf", "leaf %d is out of order", (int) ~at);
		next_leaf++;
		if (top == 0)
			break;
		at = stack[--top];
		depth = depths[top];
	}
	if (next_leaf != tree->nleaves)
		return pgaml_ml_fail(error, ML_E_FORMAT, "tree", "%d of %d leaves can be reached",
							 (int) next_leaf, (int) tree->nleaves);
	return ML_OK;
}

static MlStatus
check_tree(const MlTree *tree, int32_t nfeatures, MlError *error)
{
	if (tree->nleaves < 1 || tree->nleaves > ML_MAX_LEAVES)
		return pgaml_ml_fail(error, ML_E_FORMAT, "tree", "%d leaves", (int) tree->nleaves);
	for (int32_t i = 0; i < tree->nleaves; i++)
	{
		if (!(fabs(tree->leaves[i]) <= 2.0 * ML_MAX_TARGET))
			return pgaml_ml_fail(error, ML_E_FORMAT, "leaf", "value of leaf %d is not finite or too large", (int) i);
		if (!(tree->covers[i] >= 0.0f) || isinf(tree->covers[i]))
			return pgaml_ml_fail(error, ML_E_FORMAT, "leaf", "weight of leaf %d is not a weight", (int) i);
	}
	for (int32_t i = 0; i + 1 < tree->nleaves; i++)
	{
		if (!(tree->gains[i] >= 0.0f) || isinf(tree->gains[i]))
			return pgaml_ml_fail(error, ML_E_FORMAT, "node", "gain of node %d is not a gain", (int) i);
	}
	return check_shape(tree, nfeatures, error);
}

static MlStatus
check_term(const MlLinearTerm *term, int32_t feature, MlError *error)
{
	bool		good = isfinite(term->mean) && isfinite(term->low) && isfinite(term->high) &&
		term->low <= term->high && fabs(term->missing) <= ML_MAX_TARGET &&
		fabs(term->slope * (term->low - term->mean)) <= ML_MAX_TARGET &&
		fabs(term->slope * (term->high - term->mean)) <= ML_MAX_TARGET &&
		isfinite(term->slope) && (isnan(term->error) || (term->error >= 0.0 && isfinite(term->error)));

	if (!good)
		return pgaml_ml_fail(error, ML_E_FORMAT, "term",
							 "a number of feature %d is not finite or out of range", (int) feature);
	return ML_OK;
}

MlStatus
pgaml_ml_model_validate(const MlModel *model, MlError *error)
{
	MlStatus	status = ML_OK;

	if (model->nfeatures < 1 || model->nfeatures > ML_MAX_FEATURES)
		return pgaml_ml_fail(error, ML_E_FORMAT, "nfeatures", "%d features", (int) model->nfeatures);
	if (model->type == ML_LINEAR_REGRESSION)
	{
		if (!(fabs(model->intercept) <= ML_MAX_TARGET * ML_MAX_FEATURES))
			return pgaml_ml_fail(error, ML_E_FORMAT, "intercept", "not finite or too large");
		for (int32_t f = 0; f < model->nfeatures && status == ML_OK; f++)
			status = check_term(&model->terms[f], f, error);
		return status;
	}

	if (model->ntrees < 1 || model->ntrees > ML_MAX_TREES ||
		(model->type == ML_DECISION_TREE && model->ntrees != 1))
		return pgaml_ml_fail(error, ML_E_FORMAT, "ntrees", "%d trees", (int) model->ntrees);
	if (!isnan(model->oob_rmse) && !(model->oob_rmse >= 0.0 && isfinite(model->oob_rmse)))
		return pgaml_ml_fail(error, ML_E_FORMAT, "oob_rmse", "not an error");
	if (!(fabs(model->base) <= ML_MAX_TARGET))
		return pgaml_ml_fail(error, ML_E_FORMAT, "base", "not finite or too large");
	for (int32_t t = 0; t < model->ntrees && status == ML_OK; t++)
		status = check_tree(&model->trees[t], model->nfeatures, error);
	return status;
}
