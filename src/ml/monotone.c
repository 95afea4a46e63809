/*-------------------------------------------------------------------------
 * monotone.c
 *		Brings the leaves of a grown tree into the order that constraints ask
 *		for.
 *
 * While it grows, a tree keeps its own values in order (grow.c); values that a
 * loss puts in their place need not be.  From the root down, the mean values
 * of the two sides of a constrained node divide what the leaves below them
 * may be: the middle of both, or where they are in the wrong order their
 * common mean.  Leaves are clamped.  Two rows that differ in one constrained
 * feature part at a node of that feature, so they end on the right sides of
 * its division.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#include <float.h>

/* What is known of a node. */
struct MlOrderWork
{
	double		mean;			/* of the leaves below, by their covers */
	double		weight;			/* sum of the covers */
	MlBounds	bounds;
};

size_t
pgaml_ml_order_memory(int64_t nleaves)
{
	return (size_t) (nleaves > 1 ? nleaves - 1 : 1) * sizeof(MlOrderWork);
}

static double
clamped(double value, const MlBounds *bounds)
{
	return value < bounds->low ? bounds->low : value > bounds->high ? bounds->high : value;
}

/*
 * Mean and weight of a child.
 */
static MlPair
side(const MlTree *tree, const MlOrderWork *work, int32_t child)
{
	if (child < 0)
		return (MlPair) {tree->leaves[~child], tree->covers[~child]};
	return (MlPair) {work[child].mean, work[child].weight};
}

static double
mean_of(MlPair left, MlPair right)
{
	double		weight = left[1] + right[1];

	/* halves first: values may be close to the largest double */
	if (!(weight > 0.0))
		return left[0] / 2.0 + right[0] / 2.0;
	return left[0] * (left[1] / weight) + right[0] * (right[1] / weight);
}

/*
 * What divides the two sides of a node.
 */
static double
division(const MlTree *tree, const MlOrderWork *work, int32_t at, int sign)
{
	const MlBounds *bounds = &work[at].bounds;
	MlPair		left = side(tree, work, tree->nodes[at].child[1]);
	MlPair		right = side(tree, work, tree->nodes[at].child[0]);

	left[0] = clamped(left[0], bounds);
	right[0] = clamped(right[0], bounds);
	if (sign > 0 ? left[0] > right[0] : left[0] < right[0])
		return clamped(mean_of(left, right), bounds);
	return left[0] / 2.0 + right[0] / 2.0;
}

void
pgaml_ml_tree_order(MlTree *tree, const int8_t *monotone, MlOrderWork *work)
{
	int32_t		nnodes = tree->nleaves - 1;

	/* children come after their parent */
	for (int32_t i = nnodes - 1; i >= 0; i--)
	{
		MlPair		left = side(tree, work, tree->nodes[i].child[1]);
		MlPair		right = side(tree, work, tree->nodes[i].child[0]);

		work[i].mean = mean_of(left, right);
		work[i].weight = left[1] + right[1];
	}
	if (nnodes > 0)
		work[0].bounds = (MlBounds) {-DBL_MAX, DBL_MAX};
	for (int32_t i = 0; i < nnodes; i++)
	{
		const MlNode *node = &tree->nodes[i];
		int			sign = node->threshold < FLT_MAX ? monotone[node->feature] : 0;
		MlBounds	bounds[2] = {work[i].bounds, work[i].bounds};

		/* with the threshold FLT_MAX only missing values go right */
		if (sign > 0)
			bounds[1].high = bounds[0].low = division(tree, work, i, sign);
		else if (sign < 0)
			bounds[1].low = bounds[0].high = division(tree, work, i, sign);
		for (int k = 0; k < 2; k++)
		{
			int32_t		child = node->child[k];

			if (child < 0)
				tree->leaves[~child] = clamped(tree->leaves[~child], &bounds[k]);
			else
				work[child].bounds = bounds[k];
		}
	}
}
