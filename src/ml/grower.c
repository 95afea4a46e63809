/*-------------------------------------------------------------------------
 * grower.c
 *		Memory of a growing tree, and the queue of nodes that can be split.
 *
 * One grower serves all trees of a fit.  How trees grow is grow.c's.
 *-------------------------------------------------------------------------
 */
#include "grow_internal.h"

#define POOL_BYTES (64 * 1024 * 1024)	/* histograms kept for subtraction */

static int32_t
leaf_cap(const MlGrowRules *rules, int64_t nrows)
{
	int64_t		cap = rules->max_leaves < nrows ? rules->max_leaves : nrows;

	return cap > 1 ? (int32_t) cap : 1;
}

/*
 * Histograms worth keeping: one per node of ML_SMALL_ROWS rows that can wait at
 * a time, none when features are sampled (a node's histogram would miss some).
 */
static int32_t
slot_count(const MlGrowRules *rules, int64_t nrows, size_t hist_size)
{
	int64_t		slots = nrows / ML_SMALL_ROWS + 1;
	int64_t		fit = hist_size > 0 ? (int64_t) (POOL_BYTES / (hist_size * sizeof(MlPair))) : 1;

	if (rules->feature_fraction < 1.0)
		return 0;
	if (slots > leaf_cap(rules, nrows))
		slots = leaf_cap(rules, nrows);
	if (slots > fit)
		slots = fit;
	return slots > 1 ? (int32_t) slots : 1;
}

/*
 * Bytes of a grower when every feature varies.
 */
size_t
pgaml_ml_grower_memory(int64_t nrows, int32_t nfeatures, const MlGrowRules *rules)
{
	size_t		leaves = (size_t) leaf_cap(rules, nrows);
	size_t		hist_size = ML_HIST_STRIDE * (size_t) nfeatures;
	size_t		slots = (size_t) slot_count(rules, nrows, hist_size);
	size_t		size = sizeof(MlGrower);

	size = pgaml_ml_size_add(size, (size_t) nfeatures * (2 * sizeof(int32_t) + 4 * sizeof(uint64_t)));
	size = pgaml_ml_size_add(size, leaves * (2 * sizeof(MlWork) + 3 * sizeof(int32_t) + 1));
	size = pgaml_ml_size_add(size, (size_t) nrows * (sizeof(int32_t) + sizeof(int64_t)));
	size = pgaml_ml_size_add(size, slots * sizeof(int32_t));
	return pgaml_ml_size_add(size, pgaml_ml_size_mul((slots + 2) * hist_size, sizeof(MlPair)));
}

/*
 * A workspace for trees on these bins, which must outlive it.
 */
MlStatus
pgaml_ml_grower_create(const MlBins *bins, const MlGrowRules *rules,
					   const MlAllocator *allocator, MlGrower **grower, MlError *error)
{
	MlGrower   *g = pgaml_ml_alloc_zero(allocator, 1, sizeof(MlGrower));
	size_t		nfeatures = (size_t) bins->nfeatures;
	size_t		nrows = (size_t) bins->nrows;
	size_t		cap;

	if (g == NULL)
		return pgaml_ml_nomem(error, "grower");
	g->allocator = *allocator;
	g->bins = bins;
	g->rules = *rules;
	g->cap_leaves = leaf_cap(rules, bins->nrows);
	g->hist_size = ML_HIST_STRIDE * nfeatures;
	g->nslots = slot_count(rules, bins->nrows, g->hist_size);
	cap = (size_t) g->cap_leaves;

	g->useful = pgaml_ml_alloc(allocator, nfeatures, sizeof(int32_t));
	g->tried = pgaml_ml_alloc(allocator, nfeatures, sizeof(int32_t));
	g->work = pgaml_ml_alloc(allocator, 2 * cap, sizeof(MlWork));
	g->heap = pgaml_ml_alloc(allocator, cap, sizeof(int32_t));
	g->packed = pgaml_ml_alloc(allocator, nrows, sizeof(int64_t));
	g->right_rows = pgaml_ml_alloc(allocator, nrows, sizeof(int32_t));
	g->node_feature = pgaml_ml_alloc(allocator, cap, sizeof(int32_t));
	g->node_bin = pgaml_ml_alloc(allocator, cap, 1);
	g->leaf_end = pgaml_ml_alloc(allocator, cap, sizeof(int32_t));
	g->dense.pairs = pgaml_ml_alloc(allocator, g->hist_size, sizeof(MlPair));
	g->sparse = pgaml_ml_alloc_zero(allocator, g->hist_size, sizeof(MlPair));
	g->occupied = pgaml_ml_alloc_zero(allocator, nfeatures * 4, sizeof(uint64_t));
	g->pool = pgaml_ml_alloc(allocator, (size_t) g->nslots * g->hist_size, sizeof(MlPair));
	g->free_slots = pgaml_ml_alloc(allocator, (size_t) g->nslots, sizeof(int32_t));
	if (g->useful == NULL || g->tried == NULL || g->work == NULL || g->heap == NULL || g->packed == NULL ||
		g->right_rows == NULL || g->node_feature == NULL || g->node_bin == NULL ||
		g->leaf_end == NULL || g->dense.pairs == NULL || g->sparse == NULL ||
		g->occupied == NULL || g->pool == NULL || g->free_slots == NULL)
	{
		pgaml_ml_grower_free(g);
		return pgaml_ml_nomem(error, "grower");
	}
	for (int32_t f = 0; f < bins->nfeatures; f++)
		g->useful[g->nuseful++] = f;
	*grower = g;
	return ML_OK;
}

void
pgaml_ml_grower_free(MlGrower *grower)
{
	MlAllocator allocator;

	if (grower == NULL)
		return;
	allocator = grower->allocator;
	pgaml_ml_release(&allocator, grower->useful);
	pgaml_ml_release(&allocator, grower->tried);
	pgaml_ml_release(&allocator, grower->work);
	pgaml_ml_release(&allocator, grower->heap);
	pgaml_ml_release(&allocator, grower->packed);
	pgaml_ml_release(&allocator, grower->right_rows);
	pgaml_ml_release(&allocator, grower->node_feature);
	pgaml_ml_release(&allocator, grower->node_bin);
	pgaml_ml_release(&allocator, grower->leaf_end);
	pgaml_ml_release(&allocator, grower->dense.pairs);
	pgaml_ml_release(&allocator, grower->sparse);
	pgaml_ml_release(&allocator, grower->occupied);
	pgaml_ml_release(&allocator, grower->pool);
	pgaml_ml_release(&allocator, grower->free_slots);
	pgaml_ml_release(&allocator, grower);
}

/*
 * Each set of that size is equally likely (Knuth, TAOCP 2, 3.4.2, algorithm S).
 */
void
pgaml_ml_grower_restrict(MlGrower *grower, double share, MlRng *rng)
{
	int32_t		all = grower->bins->nfeatures;
	int32_t		want = (int32_t) (share * all + 0.5);

	grower->nuseful = 0;
	for (int32_t f = 0; f < all; f++)
	{
		int32_t		left = all - f;
		int32_t		missing = (want > 1 ? want : 1) - grower->nuseful;

		if (missing >= left || pgaml_ml_rng_below(rng, (uint64_t) left) < (uint64_t) missing)
			grower->useful[grower->nuseful++] = f;
	}
}

/*
 * Heap order: larger gain first, then the older node.
 */
static inline bool
before(const MlGrower *g, int32_t a, int32_t b)
{
	double		gain_a = g->work[a].split.gain;
	double		gain_b = g->work[b].split.gain;

	return gain_a > gain_b || (gain_a == gain_b && a < b);
}

void
pgaml_ml_grower_push(MlGrower *g, int32_t node)
{
	int32_t		at = g->nheap++;

	while (at > 0 && before(g, node, g->heap[(at - 1) / 2]))
	{
		g->heap[at] = g->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	g->heap[at] = node;
}

int32_t
pgaml_ml_grower_pop(MlGrower *g)
{
	int32_t		top = g->heap[0];
	int32_t		last = g->heap[--g->nheap];
	int32_t		at = 0;

	for (;;)
	{
		int32_t		next = 2 * at + 1;

		if (next >= g->nheap)
			break;
		if (next + 1 < g->nheap && before(g, g->heap[next + 1], g->heap[next]))
			next++;
		if (!before(g, g->heap[next], last))
			break;
		g->heap[at] = g->heap[next];
		at = next;
	}
	g->heap[at] = last;
	return top;
}
