/*-------------------------------------------------------------------------
 * xgboost_tree.c
 *		One tree of XGBoost as one of ours.
 *
 * Nodes come in any order, with some that nothing leads to (pruning leaves
 * them behind); a walk from the root finds the others and puts them into
 * pre-order.  A node that is met twice makes the walk end, so cycles do.
 *-------------------------------------------------------------------------
 */
#include "xgboost_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A split as we have it. */
typedef struct Branch
{
	int32_t		left;
	int32_t		right;
	float		threshold;
	uint8_t		missing_left;
} Branch;

/* What a walk still has to do: right children, each with its depth. */
typedef struct Pending
{
	int32_t		at;
	int32_t		parent;			/* node of ours whose right child it is, -1: none */
	int			depth;
} Pending;

/*
 * x < c is x <= the float before c.  Where there is none, no finite value
 * goes left: then the largest float sends all of them to the right one.
 */
static Branch
branch_of(const MlXgboostTree *raw, int32_t at)
{
	float		threshold = nextafterf(raw->condition.values[at], -INFINITY);
	bool		missing_left = raw->default_left.n > 0 && raw->default_left.values[at] != 0;

	if (isinf(threshold))
		return (Branch) {raw->right.values[at], raw->left.values[at], FLT_MAX, !missing_left};
	return (Branch) {raw->left.values[at], raw->right.values[at], threshold, missing_left};
}

static MlStatus
check_counts(const MlXgboostTree *raw, MlError *error)
{
	int32_t		n = raw->left.n;

	if (n < 1)
		return pgaml_ml_fail(error, ML_E_FORMAT, "left_children", "a tree has no nodes");
	if (raw->right.n != n || raw->feature.n != n || raw->condition.n != n ||
		(raw->default_left.n != 0 && raw->default_left.n != n) ||
		(raw->hessian.n != 0 && raw->hessian.n != n) || (raw->gain.n != 0 && raw->gain.n != n))
		return pgaml_ml_fail(error, ML_E_FORMAT, "trees", "the arrays of a tree differ in length");
	return ML_OK;
}

static MlStatus
check_node(const MlXgboostTree *raw, int32_t at, int depth, MlError *error)
{
	bool		leaf;

	if (at < 0 || at >= raw->left.n)
		return pgaml_ml_fail(error, ML_E_FORMAT, "left_children", "node %d is not in the tree", (int) at);
	if (raw->visited.values[at] != 0)
		return pgaml_ml_fail(error, ML_E_FORMAT, "left_children", "node %d has more than one parent", (int) at);
	raw->visited.values[at] = 1;
	leaf = raw->left.values[at] == -1 && raw->right.values[at] == -1;
	if (leaf && !isfinite(raw->condition.values[at]))
		return pgaml_ml_fail(error, ML_E_FORMAT, "split_conditions", "the value of leaf %d is not finite", (int) at);
	if (!leaf && isnan(raw->condition.values[at]))
		return pgaml_ml_fail(error, ML_E_FORMAT, "split_conditions", "the threshold of node %d is NaN", (int) at);
	if (!leaf && (raw->feature.values[at] < 0 || raw->feature.values[at] >= ML_MAX_FEATURES))
		return pgaml_ml_fail(error, ML_E_FORMAT, "split_indices", "feature %d at node %d",
							 (int) raw->feature.values[at], (int) at);
	if (!leaf && depth >= ML_MAX_DEPTH)
		return pgaml_ml_fail(error, ML_E_LIMIT, "trees", "a tree is deeper than %d", ML_MAX_DEPTH);
	return ML_OK;
}

/* Check all that the root leads to; how many leaves are there? */
static MlStatus
count_leaves(const MlXgboostTree *raw, int32_t *leaves, MlError *error)
{
	Pending		stack[ML_MAX_DEPTH + 1];
	int			top = 0;
	Pending		now = {0};

	*leaves = 0;
	for (;;)
	{
		MlStatus	status = check_node(raw, now.at, now.depth, error);

		if (status != ML_OK)
			return status;
		if (raw->left.values[now.at] != -1 || raw->right.values[now.at] != -1)
		{
			Branch		branch = branch_of(raw, now.at);

			stack[top++] = (Pending) {.at = branch.right, .depth = now.depth + 1};
			now = (Pending) {.at = branch.left, .depth = now.depth + 1};
			continue;
		}
		if (++*leaves > ML_MAX_LEAVES)
			return pgaml_ml_fail(error, ML_E_LIMIT, "trees", "a tree has more than %d leaves", ML_MAX_LEAVES);
		if (top == 0)
			return ML_OK;
		now = stack[--top];
	}
}

/* A weight or gain for explanations: what is no such number counts as none. */
static float
amount(const MlXgboostFloats *array, int32_t at)
{
	float		value = array->n > 0 ? array->values[at] : 0.0f;

	return value > 0.0f ? fminf(value, FLT_MAX) : 0.0f;
}

/* The same walk over a tree that was checked. */
static void
fill(const MlXgboostTree *raw, MlTree *tree)
{
	Pending		stack[ML_MAX_DEPTH + 1];
	int			top = 0;
	int32_t		nodes = 0;
	int32_t		leaves = 0;
	Pending		now = {.parent = -1};

	for (;;)
	{
		bool		leaf = raw->left.values[now.at] == -1 && raw->right.values[now.at] == -1;

		if (now.parent >= 0)
			tree->nodes[now.parent].child[0] = leaf ? ~leaves : nodes;
		if (!leaf)
		{
			Branch		branch = branch_of(raw, now.at);
			bool		left_leaf = raw->left.values[branch.left] == -1 && raw->right.values[branch.left] == -1;

			tree->nodes[nodes] = (MlNode) {
				.threshold = branch.threshold, .feature = (uint16_t) raw->feature.values[now.at],
				.missing_left = branch.missing_left, .child = {0, left_leaf ? ~leaves : nodes + 1}
			};
			tree->gains[nodes] = amount(&raw->gain, now.at);
			stack[top++] = (Pending) {.at = branch.right, .parent = nodes++};
			now = (Pending) {.at = branch.left, .parent = -1};
			continue;
		}
		tree->leaves[leaves] = raw->condition.values[now.at];
		tree->covers[leaves++] = amount(&raw->hessian, now.at);
		if (top == 0)
			return;
		now = stack[--top];
	}
}

bool
pgaml_ml_xgboost_ints(MlXgboostInts *array, int32_t n, const MlAllocator *allocator)
{
	if (n <= array->capacity)
		return true;
	pgaml_ml_release(allocator, array->values);
	array->values = pgaml_ml_alloc(allocator, (size_t) n, sizeof(int32_t));
	array->capacity = array->values != NULL ? n : 0;
	return array->values != NULL;
}

MlStatus
pgaml_ml_xgboost_tree(MlXgboostTree *raw, const MlAllocator *allocator, MlTree *tree, MlError *error)
{
	int32_t		leaves;
	MlStatus	status = check_counts(raw, error);

	if (status != ML_OK)
		return status;
	if (!pgaml_ml_xgboost_ints(&raw->visited, raw->left.n, allocator))
		return pgaml_ml_nomem(error, "xgboost");
	memset(raw->visited.values, 0, sizeof(int32_t) * (size_t) raw->left.n);
	status = count_leaves(raw, &leaves, error);
	if (status != ML_OK)
		return status;
	if (!pgaml_ml_tree_alloc(tree, leaves, allocator))
		return pgaml_ml_nomem(error, "xgboost");
	fill(raw, tree);
	return ML_OK;
}
