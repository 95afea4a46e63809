/*-------------------------------------------------------------------------
 * grow_internal.h
 *		The workspace of a growing tree, for grower.c, node.c and grow.c only.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_GROW_INTERNAL_H
#define PGAML_ML_GROW_INTERNAL_H

#include "tree_internal.h"

#define ML_SMALL_ROWS 128		/* below this a node visits only the bins it has */
#define ML_BLOCK_ROWS 32768		/* rows between two questions to the stop callback */

/* A node while the tree grows. */
typedef struct MlWork
{
	MlSplit		split;			/* best one; feature -1: a leaf for good */
	MlPair		total;			/* (G, H) */
	MlBounds	bounds;			/* of its value and of those below it */
	int32_t		begin;			/* first of its rows in MlGrower.rows */
	int32_t		count;			/* of its rows */
	int32_t		depth;			/* edges from the root */
	int32_t		slot;			/* its histogram in the pool, or -1 */
	int32_t		child[2];		/* right, left in MlGrower.work; -1 in a leaf */
} MlWork;

/* Histograms of all features of one node: of integers when the tree is packed, else of pairs. */
typedef union MlHist
{
	int64_t    *packed;
	MlPair	   *pairs;
} MlHist;

struct MlGrower
{
	MlAllocator allocator;
	const MlBins *bins;
	MlGrowRules rules;
	int32_t		cap_leaves;		/* of one tree */
	size_t		hist_size;		/* entries in the histograms of all features */

	int32_t    *useful;			/* features that the present tree may use, ascending */
	int32_t		nuseful;
	int32_t    *tried;			/* features tried at the present node, ascending */
	int32_t		ntried;

	MlWork	   *work;			/* [2 * cap_leaves - 1] */
	int32_t		nwork;
	int32_t    *heap;			/* [cap_leaves] nodes that can be split, best first */
	int32_t		nheap;
	const MlPair *grad;			/* of the tree being grown; the caller's */
	int32_t    *rows;			/* of the tree being grown; the caller's */
	MlPacking	packing;
	int64_t    *packed;			/* [nrows] */
	int32_t    *right_rows;		/* [nrows] scratch of the partition */

	/* of the last tree, per node or leaf */
	int32_t    *node_feature;	/* [cap_leaves] as bins count them */
	uint8_t    *node_bin;		/* [cap_leaves] last bin to the left */
	int32_t    *leaf_end;		/* [cap_leaves] end of its rows */

	MlHist		dense;			/* [hist_size] one node's histograms */
	MlPair	   *sparse;			/* [hist_size] all zero between two uses */
	uint64_t   *occupied;		/* [nfeatures][4] bins that sparse uses */
	MlPair	   *pool;			/* [nslots][hist_size] */
	int32_t    *free_slots;		/* [nslots] */
	int32_t		nslots;
	int32_t		nfree;
};

/* Nodes that can be split, largest gain first, then the older node. */
extern void pgaml_ml_grower_push(MlGrower *g, int32_t node);
extern int32_t pgaml_ml_grower_pop(MlGrower *g);

/* Histograms and best splits of nodes; these return true when stopped. */
extern bool pgaml_ml_node_build(MlGrower *g, MlWork *node, MlTicker *ticker);
extern bool pgaml_ml_node_share(MlGrower *g, MlWork *node, MlWork *small, MlWork *large,
								MlTicker *ticker);
extern bool pgaml_ml_node_evaluate(MlGrower *g, int32_t index, MlRng *rng, MlTicker *ticker);

/* The histogram of a node that stays a leaf goes back to the pool. */
extern void pgaml_ml_node_release(MlGrower *g, MlWork *node);

#endif							/* PGAML_ML_GROW_INTERNAL_H */
