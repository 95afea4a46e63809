/*-------------------------------------------------------------------------
 * xgboost_write.c
 *		A model of trees as the JSON that XGBoost 1.7 reads.
 *
 * CAUTION: XGBoost's prediction takes the node after the left child for the
 * right one, whatever right_children says; so nodes are numbered level by
 * level, siblings side by side.
 *-------------------------------------------------------------------------
 */
#include "ml/xgboost.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json_internal.h"
#include "model_internal.h"

#define NO_PARENT INT32_MAX		/* XGBoost's mark of the root */

/* One node as XGBoost numbers them. */
typedef struct Placed
{
	int32_t		child;			/* node >= 0, ~leaf < 0 */
	int32_t		parent;			/* number, or NO_PARENT */
	int32_t		left;			/* number, or -1 in a leaf; the right one follows it */
	double		cover;			/* weight of the training rows below */
	double		value;			/* their mean prediction of this tree */
} Placed;

typedef struct Output
{
	MlJsonWriter json;
	const MlModel *model;
	double		factor;			/* on leaves: a forest's mean becomes a sum */
	Placed	   *placed;			/* [2 * leaves - 1] of the largest tree */
	MlTicker	ticker;
} Output;

/* Numbers level by level; then covers and values from the leaves up. */
static void
place(Output *out, const MlTree *tree)
{
	Placed	   *placed = out->placed;
	int32_t		n = 1;

	placed[0] = (Placed) {.child = tree->nleaves > 1 ? 0 : ~0, .parent = NO_PARENT};
	for (int32_t i = 0; i < n; i++)
	{
		placed[i].left = -1;
		if (placed[i].child < 0)
			continue;
		placed[i].left = n;
		placed[n++] = (Placed) {.child = tree->nodes[placed[i].child].child[1], .parent = i};
		placed[n++] = (Placed) {.child = tree->nodes[placed[i].child].child[0], .parent = i};
	}
	for (int32_t i = n - 1; i >= 0; i--)
	{
		const Placed *left = &placed[placed[i].left < 0 ? 0 : placed[i].left];
		const Placed *right = left + 1;

		if (placed[i].left < 0)
		{
			placed[i].cover = tree->covers[~placed[i].child];
			placed[i].value = tree->leaves[~placed[i].child] * out->factor;
			continue;
		}
		placed[i].cover = left->cover + right->cover;
		placed[i].value = placed[i].cover > 0.0 ?
			left->value * (left->cover / placed[i].cover) + right->value * (right->cover / placed[i].cover) :
			left->value / 2.0 + right->value / 2.0;
	}
}

static void
write_ints(Output *out, const char *key, const MlTree *tree, int32_t (*of) (const Placed *, const MlTree *))
{
	pgaml_ml_json_key(&out->json, key);
	pgaml_ml_json_open(&out->json, '[');
	for (int32_t i = 0; i < 2 * tree->nleaves - 1; i++)
		pgaml_ml_json_int(&out->json, of(&out->placed[i], tree));
	pgaml_ml_json_close(&out->json, ']');
}

static void
write_floats(Output *out, const char *key, const MlTree *tree, double (*of) (const Placed *, const MlTree *))
{
	pgaml_ml_json_key(&out->json, key);
	pgaml_ml_json_open(&out->json, '[');
	for (int32_t i = 0; i < 2 * tree->nleaves - 1; i++)
		pgaml_ml_json_float(&out->json, (float) of(&out->placed[i], tree));
	pgaml_ml_json_close(&out->json, ']');
}

static double
weight_of(const Placed *at, const MlTree *tree)
{
	(void) tree;
	return at->value;
}

static double
cover_of(const Placed *at, const MlTree *tree)
{
	(void) tree;
	return fmin(at->cover, FLT_MAX);
}

static double
gain_of(const Placed *at, const MlTree *tree)
{
	return at->child < 0 ? 0.0 : tree->gains[at->child];
}

/* x <= t is x < the float after t; that after the largest one is infinity. */
static double
condition_of(const Placed *at, const MlTree *tree)
{
	if (at->child < 0)
		return at->value;
	/* the zero after the largest negative float is -0, which some readers do not know */
	return nextafterf(tree->nodes[at->child].threshold, INFINITY) + 0.0f;
}

static int32_t
default_left_of(const Placed *at, const MlTree *tree)
{
	return at->child < 0 ? 0 : tree->nodes[at->child].missing_left;
}

static int32_t
feature_of(const Placed *at, const MlTree *tree)
{
	return at->child < 0 ? 0 : tree->nodes[at->child].feature;
}

static int32_t
left_of(const Placed *at, const MlTree *tree)
{
	(void) tree;
	return at->left;
}

static int32_t
right_of(const Placed *at, const MlTree *tree)
{
	(void) tree;
	return at->left < 0 ? -1 : at->left + 1;
}

static int32_t
parent_of(const Placed *at, const MlTree *tree)
{
	(void) tree;
	return at->parent;
}

static int32_t
zero_of(const Placed *at, const MlTree *tree)
{
	(void) at;
	(void) tree;
	return 0;
}

static void
write_empty(MlJsonWriter *json, const char *key)
{
	pgaml_ml_json_key(json, key);
	pgaml_ml_json_open(json, '[');
	pgaml_ml_json_close(json, ']');
}

/* XGBoost keeps its parameters as text. */
static void
write_parameter(MlJsonWriter *json, const char *key, int64_t value)
{
	char		text[24];

	snprintf(text, sizeof(text), "%lld", (long long) value);
	pgaml_ml_json_key(json, key);
	pgaml_ml_json_string(json, text);
}

static void
write_tree(Output *out, int32_t t)
{
	const MlTree *tree = &out->model->trees[t];
	MlJsonWriter *json = &out->json;

	place(out, tree);
	pgaml_ml_json_open(json, '{');
	write_floats(out, "base_weights", tree, weight_of);
	write_empty(json, "categories");
	write_empty(json, "categories_nodes");
	write_empty(json, "categories_segments");
	write_empty(json, "categories_sizes");
	write_ints(out, "default_left", tree, default_left_of);
	pgaml_ml_json_key(json, "id");
	pgaml_ml_json_int(json, t);
	write_ints(out, "left_children", tree, left_of);
	write_floats(out, "loss_changes", tree, gain_of);
	write_ints(out, "parents", tree, parent_of);
	write_ints(out, "right_children", tree, right_of);
	write_floats(out, "split_conditions", tree, condition_of);
	write_ints(out, "split_indices", tree, feature_of);
	write_ints(out, "split_type", tree, zero_of);
	write_floats(out, "sum_hessian", tree, cover_of);
	pgaml_ml_json_key(json, "tree_param");
	pgaml_ml_json_open(json, '{');
	write_parameter(json, "num_deleted", 0);
	write_parameter(json, "num_feature", out->model->nfeatures);
	write_parameter(json, "num_nodes", 2 * (int64_t) tree->nleaves - 1);
	write_parameter(json, "size_leaf_vector", 0);
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_close(json, '}');
}

static MlStatus
write_trees(Output *out, MlError *error)
{
	MlJsonWriter *json = &out->json;
	int32_t		ntrees = out->model->ntrees;

	pgaml_ml_json_key(json, "gbtree_model_param");
	pgaml_ml_json_open(json, '{');
	write_parameter(json, "num_parallel_tree", 1);
	write_parameter(json, "num_trees", ntrees);
	write_parameter(json, "size_leaf_vector", 0);
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_key(json, "tree_info");
	pgaml_ml_json_open(json, '[');
	for (int32_t t = 0; t < ntrees; t++)
		pgaml_ml_json_int(json, 0);
	pgaml_ml_json_close(json, ']');
	pgaml_ml_json_key(json, "trees");
	pgaml_ml_json_open(json, '[');
	for (int32_t t = 0; t < ntrees && !json->failed; t++)
	{
		write_tree(out, t);
		out->ticker.progress = (double) (t + 1) / ntrees;
		if (pgaml_ml_tick(&out->ticker, 200 * (int64_t) out->model->trees[t].nleaves))
			return pgaml_ml_stopped(error, "xgboost");
	}
	pgaml_ml_json_close(json, ']');
	return ML_OK;
}

static void
write_labels(MlJsonWriter *json, const MlModel *model, const char *const *names,
			 const MlXgboostAttribute *attributes, int32_t nattributes)
{
	pgaml_ml_json_key(json, "attributes");
	pgaml_ml_json_open(json, '{');
	for (int32_t i = 0; i < nattributes; i++)
	{
		pgaml_ml_json_key(json, attributes[i].name);
		pgaml_ml_json_string(json, attributes[i].value);
	}
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_key(json, "feature_names");
	pgaml_ml_json_open(json, '[');
	for (int32_t f = 0; f < model->nfeatures && names != NULL; f++)
		pgaml_ml_json_string(json, names[f]);
	pgaml_ml_json_close(json, ']');
	write_empty(json, "feature_types");
}

/* What stands behind the trees. */
static void
write_tail(MlJsonWriter *json, const MlModel *model)
{
	char		base[ML_FLOAT_TEXT];

	(void) pgaml_ml_float_print((float) model->base, base);
	pgaml_ml_json_key(json, "learner_model_param");
	pgaml_ml_json_open(json, '{');
	pgaml_ml_json_key(json, "base_score");
	pgaml_ml_json_string(json, base);
	write_parameter(json, "boost_from_average", 0);
	write_parameter(json, "num_class", 0);
	write_parameter(json, "num_feature", model->nfeatures);
	write_parameter(json, "num_target", 1);
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_key(json, "objective");
	pgaml_ml_json_open(json, '{');
	pgaml_ml_json_key(json, "name");
	pgaml_ml_json_string(json, "reg:squarederror");
	pgaml_ml_json_key(json, "reg_loss_param");
	pgaml_ml_json_open(json, '{');
	write_parameter(json, "scale_pos_weight", 1);
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_key(json, "version");
	pgaml_ml_json_open(json, '[');
	pgaml_ml_json_int(json, 1);
	pgaml_ml_json_int(json, 7);
	pgaml_ml_json_int(json, 4);
	pgaml_ml_json_close(json, ']');
	pgaml_ml_json_close(json, '}');
}

/* Are all numbers within what a float can hold?  *largest receives the leaves of the largest tree. */
static MlStatus
check_floats(const Output *out, int32_t *largest, MlError *error)
{
	const MlModel *model = out->model;

	*largest = 1;
	if (!(fabs(model->base) <= FLT_MAX))
		return pgaml_ml_fail(error, ML_E_LIMIT, "base", "too large for the floats of XGBoost");
	for (int32_t t = 0; t < model->ntrees; t++)
	{
		const MlTree *tree = &model->trees[t];

		if (tree->nleaves > *largest)
			*largest = tree->nleaves;
		for (int32_t i = 0; i < tree->nleaves; i++)
			if (!(fabs(tree->leaves[i] * out->factor) <= FLT_MAX))
				return pgaml_ml_fail(error, ML_E_LIMIT, "leaf", "too large for the floats of XGBoost");
	}
	return ML_OK;
}

MlStatus
pgaml_ml_xgboost_write(const MlModel *model, const char *const *names,
					   const MlXgboostAttribute *attributes, int32_t nattributes,
					   const MlAllocator *allocator, const MlStop *stop,
					   uint8_t **bytes, size_t *length, MlError *error)
{
	Output		out = {.json = {.allocator = allocator}, .model = model, .ticker = {.stop = stop}};
	MlJsonWriter *json = &out.json;
	int32_t		largest;
	MlStatus	status;

	*bytes = NULL;
	*length = 0;
	if (model->type == ML_LINEAR_REGRESSION)
		return pgaml_ml_fail(error, ML_E_ARG, "xgboost", "a linear model has no trees that XGBoost could read");
	out.factor = model->type == ML_GRADIENT_BOOSTING ? 1.0 : 1.0 / model->ntrees;
	status = check_floats(&out, &largest, error);
	if (status != ML_OK)
		return status;
	out.placed = pgaml_ml_alloc(allocator, 2 * (size_t) largest - 1, sizeof(Placed));
	if (out.placed == NULL)
		return pgaml_ml_nomem(error, "xgboost");

	pgaml_ml_json_open(json, '{');
	pgaml_ml_json_key(json, "learner");
	pgaml_ml_json_open(json, '{');
	write_labels(json, model, names, attributes, nattributes);
	pgaml_ml_json_key(json, "gradient_booster");
	pgaml_ml_json_open(json, '{');
	pgaml_ml_json_key(json, "model");
	pgaml_ml_json_open(json, '{');
	status = write_trees(&out, error);
	pgaml_ml_json_close(json, '}');
	pgaml_ml_json_key(json, "name");
	pgaml_ml_json_string(json, "gbtree");
	pgaml_ml_json_close(json, '}');
	write_tail(json, model);

	pgaml_ml_release(allocator, out.placed);
	if (status == ML_OK && json->failed)
		status = pgaml_ml_nomem(error, "xgboost");
	if (status != ML_OK)
	{
		pgaml_ml_release(allocator, json->buffer);
		return status;
	}
	*bytes = (uint8_t *) json->buffer;
	*length = json->length;
	return ML_OK;
}
