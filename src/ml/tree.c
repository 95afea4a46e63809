/*-------------------------------------------------------------------------
 * tree.c
 *		A finished tree: its memory and its walk.
 *
 * A walk is a chain of dependent loads, so the time of one is latency; several
 * trees are walked side by side to fill it.  Steps have no branch on data, and
 * rows without missing values, the usual ones, do not pay for the others.
 *-------------------------------------------------------------------------
 */
#include "tree_internal.h"

#define LANES 5					/* trees walked at a time */

size_t
pgaml_ml_tree_memory(int64_t nleaves)
{
	int64_t		nnodes = nleaves > 1 ? nleaves - 1 : 1;

	return (size_t) nleaves * (sizeof(double) + sizeof(float)) +
		(size_t) nnodes * (sizeof(MlNode) + sizeof(float));
}

bool
pgaml_ml_tree_alloc(MlTree *tree, int32_t nleaves, const MlAllocator *allocator)
{
	char	   *block = pgaml_ml_alloc_zero(allocator, 1, pgaml_ml_tree_memory(nleaves));

	if (block == NULL)
		return false;
	tree->nleaves = nleaves;
	tree->leaves = (double *) block;
	tree->nodes = (MlNode *) (tree->leaves + nleaves);
	tree->covers = (float *) (tree->nodes + (nleaves > 1 ? nleaves - 1 : 1));
	tree->gains = tree->covers + nleaves;
	return true;
}

/*
 * Where a row goes from a node; a leaf stays where it is.
 */
static inline __attribute__((always_inline)) int32_t
step(const MlNode *nodes, int32_t at, const float *row, bool missing)
{
	const MlNode *node = &nodes[at < 0 ? 0 : at];
	float		x = row[node->feature];
	int			left = x <= node->threshold;
	int32_t		next;

	if (missing)
		left |= (x != x) & node->missing_left;
	next = node->child[left];
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
		at = step(tree->nodes, at, row, true);
	return tree->leaves[~at];
}

/*
 * LANES trees at once.  The lanes are variables, not an array, so that they
 * stay in registers.
 */
static inline __attribute__((always_inline)) double
walk_lanes(const MlTree *trees, const float *row, bool missing)
{
	int32_t		a = root(&trees[0]);
	int32_t		b = root(&trees[1]);
	int32_t		c = root(&trees[2]);
	int32_t		d = root(&trees[3]);
	int32_t		e = root(&trees[4]);

	do
	{
		a = step(trees[0].nodes, a, row, missing);
		b = step(trees[1].nodes, b, row, missing);
		c = step(trees[2].nodes, c, row, missing);
		d = step(trees[3].nodes, d, row, missing);
		e = step(trees[4].nodes, e, row, missing);
	}
	while ((a & b & c & d & e) >= 0);	/* negative when every lane is in a leaf */
	return trees[0].leaves[~a] + trees[1].leaves[~b] + trees[2].leaves[~c] +
		trees[3].leaves[~d] + trees[4].leaves[~e];
}

double
pgaml_ml_trees_sum(const MlTree *trees, int32_t ntrees, const float *row, int32_t nfeatures)
{
	double		sum = 0.0;
	bool		missing = false;
	int32_t		i = 0;

	for (int32_t f = 0; f < nfeatures; f++)
		missing |= row[f] != row[f];
	if (missing)
	{
		for (; i + LANES <= ntrees; i += LANES)
			sum += walk_lanes(trees + i, row, true);
	}
	else
	{
		for (; i + LANES <= ntrees; i += LANES)
			sum += walk_lanes(trees + i, row, false);
	}
	for (; i < ntrees; i++)
		sum += pgaml_ml_tree_predict(&trees[i], row);
	return sum;
}
