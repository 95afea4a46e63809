/*-------------------------------------------------------------------------
 * grow.c
 *		Grows one tree, best split first, on binned rows.
 *
 * Each node owns a contiguous piece of the row array.  A large node's
 * histograms come from a pool: the smaller child is built, the larger one is
 * the parent minus it (Ke et al. 2017, LightGBM).  A small node, or one for
 * which only some features are tried, is built directly; small ones visit
 * only the bins that have rows.  Which way a node goes depends on row counts
 * alone, so the same input gives the same tree.
 *-------------------------------------------------------------------------
 */
#include "grow_internal.h"

#include <float.h>
#include <string.h>

#define RECOUNT_SHARE 1e-6		/* of the tree's hessian: below this a node is added up anew */
#define BLOCK_ROWS 32768		/* rows between two questions to the stop callback */

/*
 * Choose the features to try, each set of that size equally likely, in
 * ascending order (Knuth, TAOCP 2, 3.4.2, algorithm S).
 */
static void
choose_features(MlGrower *g, MlRng *rng)
{
	int32_t		want = (int32_t) (g->rules.feature_fraction * g->nuseful + 0.5);

	if (want < 1)
		want = 1;
	g->ntried = 0;
	for (int32_t i = 0; i < g->nuseful && g->ntried < want; i++)
	{
		int32_t		left = g->nuseful - i;

		if (want - g->ntried == left ||
			pgaml_ml_rng_below(rng, (uint64_t) left) < (uint64_t) (want - g->ntried))
			g->tried[g->ntried++] = g->useful[i];
	}
}

/*
 * Best split of a node from complete histograms.
 */
static void
scan_dense(MlGrower *g, MlWork *node, const MlPair *hist)
{
	for (int32_t k = 0; k < g->ntried; k++)
	{
		int32_t		f = g->tried[k];
		int32_t		nbins = g->bins->nbins[f];
		uint64_t	all[4];

		for (int32_t w = 0; w < 4; w++)
		{
			int32_t		bits = nbins - 64 * w;

			all[w] = bits >= 64 ? ~UINT64_C(0) : bits > 0 ? (UINT64_C(1) << bits) - 1 : 0;
		}
		pgaml_ml_split_scan(hist + g->bins->offset[f], nbins, all, node->total,
							&g->rules.split, f, &node->split);
	}
}

/*
 * Best split of a node with few rows: only the bins that have rows are
 * touched, and cleared again.
 */
static void
scan_sparse(MlGrower *g, MlWork *node, const MlPair *grad)
{
	const MlBins *bins = g->bins;
	const int32_t *rows = g->rows + node->begin;

	for (int32_t i = 0; i < node->count; i++)
	{
		const uint8_t *row = bins->bins + (size_t) rows[i] * (size_t) bins->nfeatures;
		MlPair		sum = grad[rows[i]];

		for (int32_t k = 0; k < g->ntried; k++)
		{
			int32_t		f = g->tried[k];
			uint8_t		bin = row[f];

			g->sparse[bins->offset[f] + bin] += sum;
			g->occupied[4 * f + bin / 64] |= UINT64_C(1) << (bin % 64);
		}
	}
	for (int32_t k = 0; k < g->ntried; k++)
	{
		int32_t		f = g->tried[k];
		int32_t		nbins = bins->nbins[f];
		MlPair	   *hist = g->sparse + bins->offset[f];
		uint64_t   *occupied = g->occupied + 4 * f;
		uint64_t	missing = UINT64_C(1) << (nbins % 64);

		occupied[nbins / 64] &= ~missing;
		pgaml_ml_split_scan(hist, nbins, occupied, node->total, &g->rules.split, f, &node->split);
		hist[nbins] = (MlPair) {0.0, 0.0};
		for (int32_t w = 0; w < 4; w++)
		{
			for (; occupied[w] != 0; occupied[w] &= occupied[w] - 1)
				hist[64 * w + __builtin_ctzll(occupied[w])] = (MlPair) {0.0, 0.0};
		}
	}
}

/*
 * Histograms of the features tried into hist; true when stopped.
 */
static bool
build(MlGrower *g, const MlWork *node, const MlPair *grad, MlPair *hist, MlTicker *ticker)
{
	const int32_t *some = g->ntried < g->nuseful ? g->tried : NULL;

	if (some == NULL)
		memset(hist, 0, (size_t) g->hist_size * sizeof(MlPair));
	for (int32_t k = 0; some != NULL && k < g->ntried; k++)
		memset(hist + g->bins->offset[some[k]], 0,
			   (size_t) (g->bins->nbins[some[k]] + 1) * sizeof(MlPair));

	for (int32_t done = 0; done < node->count; done += BLOCK_ROWS)
	{
		int32_t		count = node->count - done < BLOCK_ROWS ? node->count - done : BLOCK_ROWS;

		pgaml_ml_histogram_add(g->bins, some, g->ntried, g->rows + node->begin + done, count,
							   grad, hist);
		if (pgaml_ml_tick(ticker, (int64_t) count * g->ntried))
			return true;
	}
	return false;
}

static bool
can_split(const MlGrower *g, const MlWork *node)
{
	return node->count >= 2 && node->depth < g->rules.max_depth &&
		node->total[1] >= 2.0 * g->rules.split.min_hessian;
}

/*
 * Find a node's best split, from its pooled histogram when it has one, and
 * queue it when there is one; true when stopped.
 */
static bool
evaluate(MlGrower *g, int32_t index, const MlPair *grad, MlRng *rng, MlTicker *ticker)
{
	MlWork	   *node = &g->work[index];

	if (can_split(g, node))
	{
		choose_features(g, rng);
		if (node->slot >= 0)
			scan_dense(g, node, g->pool + (size_t) node->slot * (size_t) g->hist_size);
		else if (node->count < ML_SMALL_ROWS)
			scan_sparse(g, node, grad);
		else
		{
			if (build(g, node, grad, g->dense, ticker))
				return true;
			scan_dense(g, node, g->dense);
		}
		if (pgaml_ml_tick(ticker, (int64_t) g->ntried * (node->count < ML_SMALL_ROWS ? 2 * node->count : 512)))
			return true;
	}
	if (node->split.feature >= 0)
		pgaml_ml_grower_push(g, index);
	else if (node->slot >= 0)
	{
		g->free_slots[g->nfree++] = node->slot;
		node->slot = -1;
	}
	return false;
}

/*
 * Give a node that is to be evaluated a histogram from the pool, if it is
 * large and one is free; true when stopped.
 */
static bool
build_pooled(MlGrower *g, MlWork *node, const MlPair *grad, MlTicker *ticker)
{
	if (node->count < ML_SMALL_ROWS || g->nfree == 0 || !can_split(g, node))
		return false;
	node->slot = g->free_slots[--g->nfree];
	g->ntried = g->nuseful;
	return build(g, node, grad, g->pool + (size_t) node->slot * (size_t) g->hist_size, ticker);
}

static int32_t
add_node(MlGrower *g, int32_t begin, int32_t count, int32_t depth, MlPair total)
{
	MlWork	   *node = &g->work[g->nwork];

	memset(node, 0, sizeof(*node));
	node->split.feature = -1;
	node->total = total;
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
	const uint8_t *column = bins->bins + node->split.feature;
	int32_t    *rows = g->rows + node->begin;
	uint8_t		last = node->split.bin;
	uint8_t		missing = (uint8_t) bins->nbins[node->split.feature];
	int			missing_left = node->split.missing_left;
	int32_t		nleft = 0;
	int32_t		nright = 0;

	for (int32_t done = 0; done < node->count; done += BLOCK_ROWS)
	{
		int32_t		end = node->count - done < BLOCK_ROWS ? node->count : done + BLOCK_ROWS;

		for (int32_t i = done; i < end; i++)
		{
			int32_t		row = rows[i];
			uint8_t		bin = column[(size_t) row * (size_t) bins->nfeatures];
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
 * The children's histograms: the smaller one built, the larger one by
 * subtraction in the parent's slot; true when stopped.
 */
static bool
share_histogram(MlGrower *g, MlWork *node, MlWork *small, MlWork *large, const MlPair *grad,
				MlTicker *ticker)
{
	size_t		size = (size_t) g->hist_size;
	MlPair	   *hist = g->dense;

	if (node->slot < 0)
		return build_pooled(g, small, grad, ticker) || build_pooled(g, large, grad, ticker);

	if (large->count >= ML_SMALL_ROWS && can_split(g, large))
	{
		if (build_pooled(g, small, grad, ticker))
			return true;
		if (small->slot >= 0)
			hist = g->pool + (size_t) small->slot * size;
		else
		{
			g->ntried = g->nuseful;
			if (build(g, small, grad, hist, ticker))
				return true;
		}
		pgaml_ml_histogram_subtract(g->pool + (size_t) node->slot * size, hist, g->hist_size);
		large->slot = node->slot;
	}
	else
		g->free_slots[g->nfree++] = node->slot;
	node->slot = -1;
	return false;
}

/*
 * Sums got by subtraction carry the rounding of sums above them; where that
 * could matter they are added up again.
 */
static void
recount(const MlGrower *g, MlWork *node, const MlPair *grad)
{
	const int32_t *rows = g->rows + node->begin;
	MlPair		total = {0.0, 0.0};

	if (node->count >= ML_SMALL_ROWS && node->total[1] > RECOUNT_SHARE * g->work[0].total[1])
		return;
	for (int32_t i = 0; i < node->count; i++)
		total += grad[rows[i]];
	node->total = total;
}

/*
 * Split a node; its children are queued when they can be split again and the
 * tree has room for that.  True when stopped.
 */
static bool
split_node(MlGrower *g, int32_t index, bool last, const MlPair *grad, MlRng *rng,
		   MlTicker *ticker)
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
		if (node->slot >= 0)
			g->free_slots[g->nfree++] = node->slot;
		node->split.feature = -1;
		return false;
	}
	left = add_node(g, node->begin, nleft, node->depth + 1, node->split.left);
	right = add_node(g, node->begin + nleft, node->count - nleft, node->depth + 1,
					 node->total - node->split.left);
	recount(g, &g->work[left], grad);
	recount(g, &g->work[right], grad);
	node->child[1] = left;
	node->child[0] = right;
	if (last)
		return false;
	if (share_histogram(g, node, &g->work[nleft <= node->count / 2 ? left : right],
						&g->work[nleft <= node->count / 2 ? right : left], grad, ticker))
		return true;
	return evaluate(g, left, grad, rng, ticker) || evaluate(g, right, grad, rng, ticker);
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
		const MlWork *work = &g->work[stack[--top].work];
		int32_t    *link = stack[top].link;
		MlNode	   *node;

		if (link != NULL)
			*link = work->child[0] < 0 ? ~leaf : nnodes;
		if (work->child[0] < 0)
		{
			g->leaf_end[leaf] = work->begin + work->count;
			tree->covers[leaf] = finite_float(scale->weight * work->total[1]);
			tree->leaves[leaf++] = scale->offset +
				scale->leaf * (work->total[0] / (work->total[1] + g->rules.split.l2));
			continue;
		}
		node = &tree->nodes[nnodes];
		node->feature = (uint16_t) work->split.feature;
		node->threshold = pgaml_ml_bins_threshold(g->bins, work->split.feature, work->split.bin);
		node->missing_left = work->split.missing_left;
		tree->gains[nnodes] = finite_float(scale->gain * work->split.gain);
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
	MlPair		total = {0.0, 0.0};
	int32_t		nleaves = 1;
	bool		stopped;

	for (int32_t i = 0; i < count; i++)
		total += grad[rows[i]];
	grower->rows = rows;
	grower->nwork = 0;
	grower->nheap = 0;
	grower->nfree = 0;
	for (int32_t slot = grower->nslots - 1; slot >= 0; slot--)
		grower->free_slots[grower->nfree++] = slot;

	(void) add_node(grower, 0, count, 0, total);
	stopped = build_pooled(grower, &grower->work[0], grad, ticker) ||
		evaluate(grower, 0, grad, rng, ticker);
	while (!stopped && grower->nheap > 0 && nleaves < grower->cap_leaves)
	{
		int32_t		index = pgaml_ml_grower_pop(grower);

		stopped = split_node(grower, index, nleaves + 1 == grower->cap_leaves, grad, rng, ticker);
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
	const uint8_t *binned = bins->bins + (size_t) row * (size_t) bins->nfeatures;
	int32_t		at = tree->nleaves > 1 ? 0 : ~0;

	while (at >= 0)
	{
		const MlNode *node = &tree->nodes[at];
		uint8_t		bin = binned[node->feature];
		int			left = (bin <= grower->node_bin[at]) |
			((bin == bins->nbins[node->feature]) & node->missing_left);

		at = node->child[left];
	}
	return tree->leaves[~at];
}
