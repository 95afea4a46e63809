/*-------------------------------------------------------------------------
 * tree.c
 *		A finished tree: its memory and its walk.
 *
 * A walk is a chain of dependent loads, so the time of one is latency; several
 * trees are walked side by side to fill it.  Steps have no branch on data.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#define LANES 8					/* trees walked at a time */

size_t
pgaml_ml_tree_memory(int64_t nleaves)
{
	int64_t		nnodes = nleaves > 1 ? nleaves - 1 : 1;

	return (size_t) nleaves * sizeof(double) + (size_t) nnodes * sizeof(MlNode);
}

bool
pgaml_ml_tree_alloc(MlTree *tree, int32_t nleaves, const MlAllocator *allocator)
{
	char	   *block = pgaml_ml_alloc_zero(allocator, 1, pgaml_ml_tree_memory(nleaves));

	if (block == NULL)
		return false;
	tree->nleaves = nleaves;
	tree->leaves = (double *) block;
	tree->nodes = (MlNode *) (block + (size_t) nleaves * sizeof(double));
	return true;
}

/*
 * Where a row goes from a node; a leaf stays where it is.
 */
static inline int32_t
step(const MlNode *nodes, int32_t at, const float *row)
{
	const MlNode *node = &nodes[at & ~(at >> 31)];
	float		x = row[node->feature];
	int			left = (x <= node->threshold) | ((x != x) & node->missing_left);
	int32_t		next = node->child[left];

	return at < 0 ? at : next;
}

static inline int32_t
root(const MlTree *tree)
{
	return tree->nleaves > 1 ? 0 : ~0;
}

double
pgaml_ml_tree_predict(const MlTree *tree, const float *row)
{
	int32_t		at = root(tree);

	while (at >= 0)
		at = step(tree->nodes, at, row);
	return tree->leaves[~at];
}

/*
 * LANES trees at once; adds to *sum in the order of the trees.
 */
static void
walk_lanes(const MlTree *trees, const float *row, double *sum)
{
	int32_t		at[LANES];
	int32_t		all;

	for (int i = 0; i < LANES; i++)
		at[i] = root(&trees[i]);
	do
	{
		all = -1;
		for (int i = 0; i < LANES; i++)
		{
			at[i] = step(trees[i].nodes, at[i], row);
			all &= at[i];
		}
	}
	while (all >= 0);			/* the sign says that every lane is in a leaf */
	for (int i = 0; i < LANES; i++)
		*sum += trees[i].leaves[~at[i]];
}

double
pgaml_ml_trees_sum(const MlTree *trees, int32_t ntrees, const float *row)
{
	double		sum = 0.0;
	int32_t		i = 0;

	for (; i + LANES <= ntrees; i += LANES)
		walk_lanes(trees + i, row, &sum);
	for (; i < ntrees; i++)
		sum += pgaml_ml_tree_predict(&trees[i], row);
	return sum;
}
