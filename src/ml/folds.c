/*-------------------------------------------------------------------------
 * folds.c
 *		See folds.h.
 *
 * A fold is a number per row, so the lists of both sides need no memory of
 * their own; a side follows from that number alone.
 *-------------------------------------------------------------------------
 */
#include "ml/core_internal.h"
#include "ml/folds.h"

#include <string.h>

/* A row, or a group, and what it is sorted by. */
typedef struct Keyed
{
	int64_t		key;
	int64_t		index;
} Keyed;

typedef struct Maker
{
	const MlFoldSpec *spec;
	int64_t		nrows;
	Keyed	   *items;			/* [nrows] */
	Keyed	   *scratch;		/* [nrows] */
	int32_t    *run;			/* [nrows] number of the row's group or moment */
	int8_t	   *fold;			/* [nrows] */
	MlTicker	ticker;
	MlError    *error;
} Maker;

static void
merge(const Keyed *from, Keyed *to, int64_t begin, int64_t middle, int64_t end)
{
	int64_t		left = begin;
	int64_t		right = middle;

	for (int64_t i = begin; i < end; i++)
		to[i] = right >= end || (left < middle && from[left].key <= from[right].key) ?
			from[left++] : from[right++];
}

/*
 * Stable ascending merge sort of the first n items.
 */
static MlStatus
sort(Maker *maker, int64_t n)
{
	for (int64_t width = 1; width < n; width *= 2)
	{
		Keyed	   *swap = maker->scratch;

		for (int64_t begin = 0; begin < n; begin += 2 * width)
		{
			int64_t		end = n - begin < 2 * width ? n : begin + 2 * width;

			merge(maker->items, swap, begin, n - begin < width ? n : begin + width, end);
			if (pgaml_ml_tick(&maker->ticker, 4 * (end - begin)))
				return pgaml_ml_stopped(maker->error, "folds");
		}
		maker->scratch = maker->items;
		maker->items = swap;
	}
	return ML_OK;
}

static void
shuffle(Keyed *items, int64_t n, uint64_t seed)
{
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed);
	for (int64_t i = n - 1; i > 0; i--)
	{
		int64_t		j = (int64_t) pgaml_ml_rng_below(&rng, (uint64_t) i + 1);
		Keyed		swap = items[i];

		items[i] = items[j];
		items[j] = swap;
	}
}

static MlStatus
make_random(Maker *maker)
{
	if (maker->nrows < maker->spec->nfolds)
		return pgaml_ml_fail(maker->error, ML_E_DATA, "nrows", "%lld rows are too few for %d folds",
							 (long long) maker->nrows, (int) maker->spec->nfolds);
	for (int64_t i = 0; i < maker->nrows; i++)
		maker->items[i].index = i;
	shuffle(maker->items, maker->nrows, maker->spec->seed);
	for (int64_t i = 0; i < maker->nrows; i++)
		maker->fold[maker->items[i].index] = (int8_t) (i % maker->spec->nfolds);
	return ML_OK;
}

/*
 * Number the distinct keys in ascending order: run[row] is the number of the
 * row's key, scratch[number].key how many rows come before the first of it.
 */
static MlStatus
find_runs(Maker *maker, const int64_t *keys, int64_t *nruns)
{
	MlStatus	status;

	for (int64_t i = 0; i < maker->nrows; i++)
		maker->items[i] = (Keyed) {keys != NULL ? keys[i] : i, i};
	status = sort(maker, maker->nrows);
	*nruns = 0;
	for (int64_t i = 0; i < maker->nrows && status == ML_OK; i++)
	{
		if (i == 0 || maker->items[i].key != maker->items[i - 1].key)
			maker->scratch[(*nruns)++].key = i;
		maker->run[maker->items[i].index] = (int32_t) (*nruns - 1);
	}
	return status;
}

/*
 * Largest group first, each into the fold with the fewest rows (Graham 1969,
 * longest processing time); the seed orders groups of one size.
 */
static MlStatus
make_group(Maker *maker)
{
	int32_t		nfolds = maker->spec->nfolds;
	int64_t		rows[ML_MAX_FOLDS] = {0};
	int64_t		ngroups;
	MlStatus	status = find_runs(maker, maker->spec->groups, &ngroups);

	if (status != ML_OK)
		return status;
	if (ngroups < nfolds)
		return pgaml_ml_fail(maker->error, ML_E_DATA, "groups", "%lld groups are too few for %d folds",
							 (long long) ngroups, (int) nfolds);
	for (int64_t g = 0; g < ngroups; g++)
	{
		int64_t		end = g + 1 < ngroups ? maker->scratch[g + 1].key : maker->nrows;

		maker->items[g] = (Keyed) {maker->scratch[g].key - end, g};
	}
	shuffle(maker->items, ngroups, maker->spec->seed);
	status = sort(maker, ngroups);
	for (int64_t i = 0; i < ngroups && status == ML_OK; i++)
	{
		int32_t		lightest = 0;

		for (int32_t k = 1; k < nfolds; k++)
		{
			if (rows[k] < rows[lightest])
				lightest = k;
		}
		rows[lightest] -= maker->items[i].key;
		maker->scratch[maker->items[i].index].index = lightest;
		if (pgaml_ml_tick(&maker->ticker, nfolds))
			status = pgaml_ml_stopped(maker->error, "folds");
	}
	for (int64_t i = 0; i < maker->nrows && status == ML_OK; i++)
		maker->fold[i] = (int8_t) maker->scratch[maker->run[i]].index;
	return status;
}

/*
 * nfolds + 1 blocks of about as many rows each; a border moves up to the next
 * moment, and leaves every later block at least one moment.
 */
static MlStatus
make_time(Maker *maker)
{
	int64_t		nblocks = maker->spec->nfolds + 1;
	int64_t		block = 0;
	int64_t		nmoments;
	MlStatus	status = find_runs(maker, maker->spec->times, &nmoments);

	if (status != ML_OK)
		return status;
	if (nmoments < nblocks)
		return pgaml_ml_fail(maker->error, ML_E_DATA, "times", "%lld moments are too few for %d folds",
							 (long long) nmoments, (int) maker->spec->nfolds);
	for (int64_t m = 0; m < nmoments; m++)
	{
		bool		reached = maker->scratch[m].key >= (block + 1) * maker->nrows / nblocks;
		bool		last_chance = nmoments - m == nblocks - 1 - block;

		if (m > 0 && block < nblocks - 1 && (reached || last_chance))
			block++;
		maker->scratch[m].index = block;
	}
	for (int64_t i = 0; i < maker->nrows; i++)
		maker->fold[i] = (int8_t) (maker->scratch[maker->run[i]].index - 1);
	return ML_OK;
}

static MlStatus
check_spec(const MlFoldSpec *spec, int64_t nrows, MlError *error)
{
	bool		by_time = spec->kind == ML_FOLDS_EXPANDING || spec->kind == ML_FOLDS_BLOCKED;

	if (!by_time && spec->kind != ML_FOLDS_RANDOM && spec->kind != ML_FOLDS_GROUP)
		return pgaml_ml_fail(error, ML_E_ARG, "kind", "unknown kind of folds %d", (int) spec->kind);
	if (spec->nfolds < (by_time ? 1 : 2) || spec->nfolds > ML_MAX_FOLDS)
		return pgaml_ml_fail(error, ML_E_ARG, "nfolds", "number of folds must be between %d and %d",
							 by_time ? 1 : 2, ML_MAX_FOLDS);
	if (spec->kind == ML_FOLDS_GROUP && spec->groups == NULL)
		return pgaml_ml_fail(error, ML_E_ARG, "groups", "folds by group need the group of each row");
	if (nrows < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "nrows", "there are no rows");
	if (nrows > ML_MAX_ROWS)
		return pgaml_ml_fail(error, ML_E_LIMIT, "nrows", "more than %d rows", ML_MAX_ROWS);
	return ML_OK;
}

MlStatus
pgaml_ml_folds_create(const MlFoldSpec *spec, int64_t nrows, const MlAllocator *allocator,
					  const MlStop *stop, MlFolds *out, MlError *error)
{
	Maker		maker = {.spec = spec, .nrows = nrows, .ticker = {.stop = stop}, .error = error};
	MlStatus	status = check_spec(spec, nrows, error);

	memset(out, 0, sizeof(*out));
	if (status != ML_OK)
		return status;
	maker.items = pgaml_ml_alloc(allocator, (size_t) nrows, sizeof(Keyed));
	maker.scratch = pgaml_ml_alloc(allocator, (size_t) nrows, sizeof(Keyed));
	maker.run = pgaml_ml_alloc(allocator, (size_t) nrows, sizeof(int32_t));
	maker.fold = pgaml_ml_alloc(allocator, (size_t) nrows, 1);
	if (maker.items == NULL || maker.scratch == NULL || maker.run == NULL || maker.fold == NULL)
		status = pgaml_ml_nomem(error, "folds");
	else if (spec->kind == ML_FOLDS_RANDOM)
		status = make_random(&maker);
	else if (spec->kind == ML_FOLDS_GROUP)
		status = make_group(&maker);
	else
		status = make_time(&maker);
	pgaml_ml_release(allocator, maker.run);
	pgaml_ml_release(allocator, maker.scratch);
	pgaml_ml_release(allocator, maker.items);
	if (status == ML_OK)
		*out = (MlFolds) {spec->kind, spec->nfolds, nrows, maker.fold};
	else
		pgaml_ml_release(allocator, maker.fold);
	return status;
}

void
pgaml_ml_folds_free(MlFolds *folds, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, folds->fold);
	memset(folds, 0, sizeof(*folds));
}

MlFoldSide
pgaml_ml_folds_side(const MlFolds *folds, int32_t k, int64_t row)
{
	int32_t		fold = folds->fold[row];
	bool		train;

	if (fold == k)
		return ML_FOLD_TEST;
	if (folds->kind == ML_FOLDS_EXPANDING)
		train = fold < k;
	else if (folds->kind == ML_FOLDS_BLOCKED)
		train = fold == k - 1;
	else
		train = true;
	return train ? ML_FOLD_TRAIN : ML_FOLD_NEITHER;
}

int64_t
pgaml_ml_folds_rows(const MlFolds *folds, int32_t k, MlFoldSide side, int64_t *rows)
{
	int64_t		n = 0;

	for (int64_t i = 0; i < folds->nrows; i++)
	{
		if (pgaml_ml_folds_side(folds, k, i) != side)
			continue;
		if (rows != NULL)
			rows[n] = i;
		n++;
	}
	return n;
}
