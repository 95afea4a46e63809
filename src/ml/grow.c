/*-------------------------------------------------------------------------
 * grow.c
 *		Grows one tree, best split first, on binned rows.
 *
 * Each node owns a contiguous piece of the row array, its rows ascending.  The
 * node with the largest gain is parted, its children are evaluated (node.c)
 * and queued, until the tree has its leaves.  Whatever histograms held, a
 * leaf's value is that of its rows' sums in double.
 *-------------------------------------------------------------------------
 */
#include "grow_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define RECOUNT_SHARE 1e-6		/* of the tree's hessian: below this a node is added up anew */

static int32_t
add_node(MlGrower *g, int32_t begin, int32_t count, int32_t depth, MlPair total)
{
	MlWork	   *node = &g->work[g->nwork];

	memset(node, 0, sizeof(*node));
	node->split.feature = -1;
	node->total = total;
	node->bounds = (MlBounds) {-INFINITY, INFINITY};
	node->begin = begin;
	node->count = count;
	node->depth = depth;
	node->slot = -1;
	node->child[0] = node->child[1] = -1;
	return g->nwork++;
}

/*
 * Stable partition of a node's rows, without a branch on data; returns how
 * many went left, or -1 when stopped.
 */
static int32_t
partition(MlGrower *g, const MlWork *node, MlTicker *ticker)
{
	const MlBins *bins = g->bins;
	const uint8_t *column = bins->by_column + (size_t) node->split.feature * (size_t) bins->nrows;
	int32_t    *rows = g->rows + node->begin;
	uint8_t		last = node->split.bin;
	uint8_t		missing = (uint8_t) bins->nbins[node->split.feature];
	int			missing_left = node->split.missing_left;
	int32_t		nleft = 0;
	int32_t		nright = 0;

	for (int32_t done = 0; done < node->count; done += ML_BLOCK_ROWS)
	{
		int32_t		end = node->count - done < ML_BLOCK_ROWS ? node->count : done + ML_BLOCK_ROWS;

		for (int32_t i = done; i < end; i++)
		{
			int32_t		row = rows[i];
			uint8_t		bin = column[row];
			int			left = (bin <= last) | ((bin == missing) & missing_left);

			rows[nleft] = row;
			g->right_rows[nright] = row;
			nleft += left;
			nright += 1 - left;
		}
		if (pgaml_ml_tick(ticker, 2 * (int64_t) (end - done)))
			return -1;
	}
	memcpy(rows + nleft, g->right_rows, (size_t) nright * sizeof(int32_t));
	return nleft;
}

/*
 * Sums got by subtraction carry the rounding of sums above them; where that
 * could matter they are added up again.
 */
static void
recount(const MlGrower *g, MlWork *node)
{
	if (node->count < ML_SMALL_ROWS || node->total[1] <= RECOUNT_SHARE * g->work[0].total[1])
		node->total = pgaml_ml_sum_rows(g->grad, g->rows + node->begin, node->count);
}

/*
 * The children's bounds: their own values divide what each may become, so
 * whatever is split below them stays in order (XGBoost's constraint; LightGBM
 * calls it basic).  A right side of missing values only is free.
 */
static void
bound(const MlGrower *g, const MlWork *node, MlWork *left, MlWork *right)
{
	int32_t		f = node->split.feature;
	int			sign = g->rules.monotone[g->bins->feature[f]];
	double		l2 = g->rules.split.l2;
	double		middle;

	left->bounds = right->bounds = node->bounds;
	if (sign == 0 || node->split.bin + 1 >= g->bins->nbins[f])
		return;
	middle = (pgaml_ml_bounded_value(left->total, l2, &node->bounds) +
			  pgaml_ml_bounded_value(right->total, l2, &node->bounds)) / 2.0;
	if (sign > 0)
		left->bounds.high = right->bounds.low = middle;
	else
		left->bounds.low = right->bounds.high = middle;
}

/*
 * Split a node; its children are queued when they can be split again and the
 * tree has room for that.  True when stopped.
 */
static bool
split_node(MlGrower *g, int32_t index, bool last, MlRng *rng, MlTicker *ticker)
{
	MlWork	   *node = &g->work[index];
	int32_t		nleft = partition(g, node, ticker);
	int32_t		left;
	int32_t		right;

	if (nleft < 0)
		return true;
	if (nleft == 0 || nleft == node->count)
	{
		/* rounding noise looked like rows: the node stays a leaf */
		pgaml_ml_node_release(g, node);
		node->split.feature = -1;
		return false;
	}
	left = add_node(g, node->begin, nleft, node->depth + 1, node->split.left);
	right = add_node(g, node->begin + nleft, node->count - nleft, node->depth + 1,
					 node->total - node->split.left);
	recount(g, &g->work[left]);
	recount(g, &g->work[right]);
	node->child[1] = left;
	node->child[0] = right;
	if (g->rules.monotone != NULL)
		bound(g, node, &g->work[left], &g->work[right]);
	if (last)
		return false;
	if (pgaml_ml_node_share(g, node, &g->work[nleft <= node->count / 2 ? left : right],
							&g->work[nleft <= node->count / 2 ? right : left], ticker))
		return true;
	return pgaml_ml_node_evaluate(g, left, rng, ticker) || pgaml_ml_node_evaluate(g, right, rng, ticker);
}

static float
finite_float(double x)
{
	return x > FLT_MAX ? FLT_MAX : (float) x;
}

/*
 * Copy the grown nodes into a tree of exactly their size, in pre-order.
 */
static bool
finish(MlGrower *g, int32_t nleaves, const MlGrowScale *scale, MlTree *tree)
{
	struct
	{
		int32_t		work;
		int32_t    *link;		/* where the parent points at it, or NULL */
	}			stack[ML_MAX_DEPTH + 2];
	int			top = 0;
	int32_t		nnodes = 0;
	int32_t		leaf = 0;

	if (!pgaml_ml_tree_alloc(tree, nleaves, &g->allocator))
		return false;
	stack[top].work = 0;
	stack[top++].link = NULL;
	while (top > 0)
	{
		MlWork	   *work = &g->work[stack[--top].work];
		int32_t    *link = stack[top].link;
		MlNode	   *node;

		if (link != NULL)
			*link = work->child[0] < 0 ? ~leaf : nnodes;
		if (work->child[0] < 0)
		{
			if (work->count >= ML_SMALL_ROWS)
				work->total = pgaml_ml_sum_rows(g->grad, g->rows + work->begin, work->count);
			g->leaf_end[leaf] = work->begin + work->count;
			tree->covers[leaf] = finite_float(scale->weight * work->total[1]);
			tree->leaves[leaf++] = scale->offset +
				scale->leaf * pgaml_ml_bounded_value(work->total, g->rules.split.l2, &work->bounds);
			continue;
		}
		node = &tree->nodes[nnodes];
		node->feature = (uint16_t) g->bins->feature[work->split.feature];
		node->threshold = pgaml_ml_bins_threshold(g->bins, work->split.feature, work->split.bin);
		node->missing_left = work->split.missing_left;
		tree->gains[nnodes] = finite_float(scale->gain * work->split.gain);
		g->node_feature[nnodes] = work->split.feature;
		g->node_bin[nnodes++] = work->split.bin;
		for (int side = 0; side < 2; side++)
		{
			stack[top].work = work->child[side];
			stack[top++].link = &node->child[side];
		}
	}
	return true;
}

/*
 * See tree_internal.h.  On failure there is no tree, and the grower can be
 * used again.
 */
MlStatus
pgaml_ml_grow(MlGrower *grower, const MlPair *grad, int32_t *rows, int32_t count,
			  const MlGrowScale *scale, MlRng *rng, MlTicker *ticker,
			  MlTree *tree, MlError *error)
{
	MlPair		total = pgaml_ml_pack(&grower->packing, grower->packed, grad, rows, count);
	int32_t		nleaves = 1;
	bool		stopped = pgaml_ml_tick(ticker, 4 * (int64_t) count);

	grower->grad = grad;
	grower->rows = rows;
	grower->nwork = 0;
	grower->nheap = 0;
	grower->nfree = 0;
	for (int32_t slot = grower->nslots - 1; slot >= 0; slot--)
		grower->free_slots[grower->nfree++] = slot;

	(void) add_node(grower, 0, count, 0, total);
	stopped = stopped || pgaml_ml_node_build(grower, &grower->work[0], ticker) ||
		pgaml_ml_node_evaluate(grower, 0, rng, ticker);
	while (!stopped && grower->nheap > 0 && nleaves < grower->cap_leaves)
	{
		int32_t		index = pgaml_ml_grower_pop(grower);

		stopped = split_node(grower, index, nleaves + 1 == grower->cap_leaves, rng, ticker);
		nleaves += grower->work[index].child[0] >= 0;
	}
	if (stopped)
		return pgaml_ml_stopped(error, "grow");
	if (!finish(grower, nleaves, scale, tree))
		return pgaml_ml_nomem(error, "tree");
	return ML_OK;
}

const int32_t *
pgaml_ml_grower_leaf_ends(const MlGrower *grower)
{
	return grower->leaf_end;
}

double
pgaml_ml_grower_value(const MlGrower *grower, const MlTree *tree, int32_t row)
{
	const MlBins *bins = grower->bins;
	const uint8_t *binned = bins->by_row + (size_t) row * (size_t) bins->nfeatures;
	int32_t		at = tree->nleaves > 1 ? 0 : ~0;

	while (at >= 0)
	{
		int32_t		feature = grower->node_feature[at];
		uint8_t		bin = binned[feature];
		int			left = (bin <= grower->node_bin[at]) |
		((bin == bins->nbins[feature]) & tree->nodes[at].missing_left);

		at = tree->nodes[at].child[left];
	}
	return tree->leaves[~at];
}
