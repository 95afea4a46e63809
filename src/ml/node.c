/*-------------------------------------------------------------------------
 * node.c
 *		What a growing node knows: its histograms and its best split.
 *
 * A large node's histograms come from a pool: the smaller child is built, the
 * larger one is the parent minus it (Ke et al. 2017, LightGBM).  A small node,
 * or one for which only some features are tried, is built directly; small
 * ones visit only the bins that have rows.  Which way a node goes depends on
 * row counts alone, so the same input gives the same tree.
 *-------------------------------------------------------------------------
 */
#include "grow_internal.h"

#include <string.h>

static MlHist
pooled(const MlGrower *g, int32_t slot)
{
	return (MlHist) {.pairs = g->pool + (size_t) slot * g->hist_size};
}

void
pgaml_ml_node_release(MlGrower *g, MlWork *node)
{
	if (node->slot >= 0)
		g->free_slots[g->nfree++] = node->slot;
	node->slot = -1;
}

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

static int
sign_of(const MlGrower *g, int32_t f)
{
	return g->rules.monotone[g->bins->feature[f]];
}

/*
 * Constrained trees are looked at in doubles, whatever their histograms hold.
 */
static void
scan_packed_bounded(MlGrower *g, MlWork *node, int32_t f, const int64_t *hist, int64_t total)
{
	const MlPacking *packing = &g->packing;
	int64_t		mask = (INT64_C(1) << packing->count_bits) - 1;
	int32_t		nbins = g->bins->nbins[f];
	MlPair		pairs[ML_MAX_BINS + 2];
	uint64_t	occupied[4] = {0};

	for (int32_t b = 0; b <= nbins + 1; b++)
	{
		int64_t		entry = b <= nbins ? hist[b] : total;

		pairs[b] = (MlPair) {
			(double) (entry >> packing->count_bits) / packing->scale,
			(double) (entry & mask) * packing->unit
		};
		if (b < nbins && entry != 0)
			occupied[b / 64] |= UINT64_C(1) << (b % 64);
	}
	pgaml_ml_split_scan_bounded(pairs, nbins, occupied, pairs[nbins + 1], &g->rules.split, f,
								sign_of(g, f), &node->bounds, &node->split);
}

/*
 * Improve a node's split by one feature.
 */
static void
scan_pairs(const MlGrower *g, MlWork *node, int32_t f, const MlPair *hist, const uint64_t occupied[4])
{
	int32_t		nbins = g->bins->nbins[f];

	if (g->rules.monotone == NULL)
		pgaml_ml_split_scan(hist, nbins, occupied, node->total, &g->rules.split, f, &node->split);
	else
		pgaml_ml_split_scan_bounded(hist, nbins, occupied, node->total, &g->rules.split, f,
									sign_of(g, f), &node->bounds, &node->split);
}

static void
scan_packed(MlGrower *g, MlWork *node, const int64_t *hists)
{
	const MlBins *bins = g->bins;
	int64_t		total = 0;

	for (int32_t b = 0; b <= bins->nbins[g->tried[0]]; b++)
		total += hists[(size_t) g->tried[0] * ML_HIST_STRIDE + (size_t) b];
	for (int32_t k = 0; k < g->ntried; k++)
	{
		int32_t		f = g->tried[k];
		const int64_t *hist = hists + (size_t) f * ML_HIST_STRIDE;

		if (g->rules.monotone == NULL)
			pgaml_ml_split_scan_packed(hist, bins->nbins[f], &g->packing, total, &g->rules.split,
									   f, &node->split);
		else
			scan_packed_bounded(g, node, f, hist, total);
	}
}

/*
 * Best split of a node from complete histograms.
 */
static void
scan_dense(MlGrower *g, MlWork *node, MlHist hists)
{
	if (g->packing.usable)
	{
		scan_packed(g, node, hists.packed);
		return;
	}
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
		scan_pairs(g, node, f, hists.pairs + (size_t) f * ML_HIST_STRIDE, all);
	}
}

/*
 * Best split of a node with few rows: only the bins that have rows are
 * touched, and cleared again.  To sort the rows of tiny nodes instead (ranks by
 * comparing all pairs, eight at a time) gave the same forests 3 % slower.
 */
static void
scan_sparse(MlGrower *g, MlWork *node)
{
	const MlBins *bins = g->bins;
	const int32_t *rows = g->rows + node->begin;

	for (int32_t i = 0; i < node->count; i++)
	{
		const uint8_t *row = bins->by_row + (size_t) rows[i] * (size_t) bins->nfeatures;
		MlPair		sum = g->grad[rows[i]];

		for (int32_t k = 0; k < g->ntried; k++)
		{
			int32_t		f = g->tried[k];
			uint8_t		bin = row[f];

			g->sparse[f * ML_HIST_STRIDE + bin] += sum;
			g->occupied[4 * f + bin / 64] |= UINT64_C(1) << (bin % 64);
		}
	}
	for (int32_t k = 0; k < g->ntried; k++)
	{
		int32_t		f = g->tried[k];
		int32_t		nbins = bins->nbins[f];
		MlPair	   *hist = g->sparse + (size_t) f * ML_HIST_STRIDE;
		uint64_t   *occupied = g->occupied + 4 * f;
		uint64_t	missing = UINT64_C(1) << (nbins % 64);

		occupied[nbins / 64] &= ~missing;
		scan_pairs(g, node, f, hist, occupied);
		hist[nbins] = (MlPair) {0.0, 0.0};
		for (int32_t w = 0; w < 4; w++)
		{
			for (; occupied[w] != 0; occupied[w] &= occupied[w] - 1)
				hist[64 * w + __builtin_ctzll(occupied[w])] = (MlPair) {0.0, 0.0};
		}
	}
}

/*
 * Histograms of the features tried; true when stopped.
 */
static bool
build(MlGrower *g, const MlWork *node, MlHist hists, MlTicker *ticker)
{
	const MlBins *bins = g->bins;
	const int32_t *some = g->ntried == bins->nfeatures ? NULL : g->ntried == g->nuseful ? g->useful : g->tried;
	size_t		entry = g->packing.usable ? sizeof(int64_t) : sizeof(MlPair);

	for (int32_t k = 0; k < g->ntried; k++)
	{
		int32_t		f = some != NULL ? some[k] : k;

		memset((char *) hists.packed + (size_t) f * ML_HIST_STRIDE * entry, 0,
			   (size_t) (bins->nbins[f] + 1) * entry);
	}
	for (int32_t done = 0; done < node->count; done += ML_BLOCK_ROWS)
	{
		int32_t		count = node->count - done < ML_BLOCK_ROWS ? node->count - done : ML_BLOCK_ROWS;
		const int32_t *rows = g->rows + node->begin + done;

		if (g->packing.usable)
			pgaml_ml_histogram_add_packed(bins, some, g->ntried, rows, count, g->packed, hists.packed);
		else
			pgaml_ml_histogram_add(bins, some, g->ntried, rows, count, g->grad, hists.pairs);
		if (pgaml_ml_tick(ticker, (int64_t) count * g->ntried))
			return true;
	}
	return false;
}

static bool
can_split(const MlGrower *g, const MlWork *node)
{
	return node->count >= 2 && node->depth < g->rules.max_depth && g->bins->nfeatures > 0 &&
		node->total[1] >= 2.0 * g->rules.split.min_hessian;
}

/*
 * Find a node's best split, from its pooled histogram when it has one, and
 * queue it when there is one; true when stopped.
 */
bool
pgaml_ml_node_evaluate(MlGrower *g, int32_t index, MlRng *rng, MlTicker *ticker)
{
	MlWork	   *node = &g->work[index];

	if (can_split(g, node))
	{
		choose_features(g, rng);
		if (node->slot >= 0)
			scan_dense(g, node, pooled(g, node->slot));
		else if (node->count < ML_SMALL_ROWS)
			scan_sparse(g, node);
		else
		{
			if (build(g, node, g->dense, ticker))
				return true;
			scan_dense(g, node, g->dense);
		}
		if (pgaml_ml_tick(ticker, (int64_t) g->ntried * (node->count < ML_SMALL_ROWS ? 2 * node->count : 512)))
			return true;
	}
	if (node->split.feature >= 0)
		pgaml_ml_grower_push(g, index);
	else
		pgaml_ml_node_release(g, node);
	return false;
}

/*
 * Give a node that is to be evaluated histograms from the pool, if it is
 * large and some are free.
 */
bool
pgaml_ml_node_build(MlGrower *g, MlWork *node, MlTicker *ticker)
{
	if (node->count < ML_SMALL_ROWS || g->nfree == 0 || !can_split(g, node))
		return false;
	node->slot = g->free_slots[--g->nfree];
	g->ntried = g->nuseful;
	return build(g, node, pooled(g, node->slot), ticker);
}

/*
 * The children's histograms: the smaller one built, the larger one by
 * subtraction in the parent's slot.
 */
bool
pgaml_ml_node_share(MlGrower *g, MlWork *node, MlWork *small, MlWork *large, MlTicker *ticker)
{
	MlHist		whole = pooled(g, node->slot);
	MlHist		part = g->dense;

	if (node->slot < 0)
		return pgaml_ml_node_build(g, small, ticker) || pgaml_ml_node_build(g, large, ticker);

	if (large->count < ML_SMALL_ROWS || !can_split(g, large))
	{
		pgaml_ml_node_release(g, node);
		return false;
	}
	if (pgaml_ml_node_build(g, small, ticker))
		return true;
	if (small->slot >= 0)
		part = pooled(g, small->slot);
	else
	{
		g->ntried = g->nuseful;
		if (build(g, small, part, ticker))
			return true;
	}
	if (g->packing.usable)
		pgaml_ml_histogram_subtract_packed(g->bins, g->useful, g->nuseful, whole.packed, part.packed);
	else
		pgaml_ml_histogram_subtract(g->bins, g->useful, g->nuseful, whole.pairs, part.pairs);
	large->slot = node->slot;
	node->slot = -1;
	return false;
}
