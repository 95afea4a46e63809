/*-------------------------------------------------------------------------
 * test_ml_folds.c
 *		What folds promise, over many seeds and shapes.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"
#include "ml/folds.h"

#define MAX_ROWS 500

static MlFolds
make(const MlFoldSpec *spec, int64_t nrows)
{
	MlFolds		folds;
	MlError		error = {0};

	if (pgaml_ml_folds_create(spec, nrows, &plain_heap, NULL, &folds, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	assert_int_equal(folds.nrows, nrows);
	assert_int_equal(folds.nfolds, spec->nfolds);
	return folds;
}

/* Every row is tested in one fold and trains in all others; lists say the same. */
static void
assert_partition(const MlFolds *folds)
{
	int64_t		rows[MAX_ROWS];
	int64_t		tested = 0;

	for (int32_t k = 0; k < folds->nfolds; k++)
	{
		int64_t		ntest = pgaml_ml_folds_rows(folds, k, ML_FOLD_TEST, rows);

		assert_true(ntest > 0);
		for (int64_t i = 0; i < ntest; i++)
		{
			assert_int_equal(folds->fold[rows[i]], k);
			assert_true(i == 0 || rows[i] > rows[i - 1]);
		}
		tested += ntest;
		assert_int_equal(pgaml_ml_folds_rows(folds, k, ML_FOLD_TRAIN, NULL), folds->nrows - ntest);
		assert_int_equal(pgaml_ml_folds_rows(folds, k, ML_FOLD_NEITHER, NULL), 0);
	}
	assert_int_equal(tested, folds->nrows);
}

static void
random_folds_test_every_row_once(void **state)
{
	(void) state;
	for (uint64_t seed = 0; seed < 40; seed++)
	{
		MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = 2 + (int32_t) (seed % 9), .seed = seed};
		int64_t		nrows = spec.nfolds + (int64_t) (seed * 11);
		MlFolds		folds = make(&spec, nrows);
		MlFolds		again = make(&spec, nrows);

		assert_partition(&folds);
		for (int32_t k = 0; k < spec.nfolds; k++)
		{
			int64_t		ntest = pgaml_ml_folds_rows(&folds, k, ML_FOLD_TEST, NULL);

			assert_true(ntest == nrows / spec.nfolds || ntest == nrows / spec.nfolds + 1);
		}
		assert_memory_equal(folds.fold, again.fold, (size_t) nrows);
		pgaml_ml_folds_free(&again, &plain_heap);
		spec.seed = seed + 1000;
		again = make(&spec, nrows);
		assert_true(nrows < 30 || memcmp(folds.fold, again.fold, (size_t) nrows) != 0);
		pgaml_ml_folds_free(&again, &plain_heap);
		pgaml_ml_folds_free(&folds, &plain_heap);
	}
}

static void
a_group_is_on_one_side_and_folds_are_even(void **state)
{
	int64_t		groups[MAX_ROWS];
	MlRng		rng;

	(void) state;
	for (uint64_t seed = 0; seed < 40; seed++)
	{
		MlFoldSpec	spec = {.kind = ML_FOLDS_GROUP, .nfolds = 2 + (int32_t) (seed % 5), .seed = seed, .groups = groups};
		int64_t		size_of[64] = {0};
		int64_t		rows[8] = {0};
		int64_t		smallest[8];
		int			fold_of[64];
		MlFolds		folds;

		pgaml_ml_rng_seed(&rng, seed);
		for (int64_t i = 0; i < MAX_ROWS; i++)
		{
			/* few large groups, many small ones; keys of both signs and any size */
			int64_t		g = i < 64 ? i : (int64_t) (64.0 * pow(pgaml_ml_rng_uniform(&rng), 2.0));

			groups[i] = (g - 32) * INT64_C(288230376151711743);
			size_of[g]++;
		}
		folds = make(&spec, MAX_ROWS);
		assert_partition(&folds);
		memset(fold_of, -1, sizeof(fold_of));
		for (int64_t i = 0; i < MAX_ROWS; i++)
		{
			int			g = (int) (groups[i] / INT64_C(288230376151711743) + 32);

			assert_true(fold_of[g] < 0 || fold_of[g] == folds.fold[i]);
			fold_of[g] = folds.fold[i];
		}
		for (int32_t k = 0; k < spec.nfolds; k++)
			smallest[k] = MAX_ROWS;
		for (int g = 0; g < 64; g++)
		{
			rows[fold_of[g]] += size_of[g];
			smallest[fold_of[g]] = size_of[g] < smallest[fold_of[g]] ? size_of[g] : smallest[fold_of[g]];
		}

		/* a fold was the lightest when its last and smallest group came */
		for (int32_t k = 0; k < spec.nfolds; k++)
			for (int32_t other = 0; other < spec.nfolds; other++)
				assert_true(rows[k] - rows[other] <= smallest[k]);
		pgaml_ml_folds_free(&folds, &plain_heap);
	}
}

static void
equal_groups_are_drawn_by_the_seed(void **state)
{
	int64_t		groups[40];
	MlFoldSpec	spec = {.kind = ML_FOLDS_GROUP, .nfolds = 4, .seed = 1, .groups = groups};
	MlFolds		a;
	MlFolds		b;

	(void) state;
	for (int i = 0; i < 40; i++)
		groups[i] = i / 2;
	a = make(&spec, 40);
	b = make(&spec, 40);
	assert_memory_equal(a.fold, b.fold, 40);
	pgaml_ml_folds_free(&b, &plain_heap);
	spec.seed = 2;
	b = make(&spec, 40);
	assert_true(memcmp(a.fold, b.fold, 40) != 0);
	for (int32_t k = 0; k < 4; k++)
		assert_int_equal(pgaml_ml_folds_rows(&b, k, ML_FOLD_TEST, NULL), 10);
	pgaml_ml_folds_free(&a, &plain_heap);
	pgaml_ml_folds_free(&b, &plain_heap);
}

/* By time: everything that trains is strictly older than everything tested. */
static void
assert_past_trains(const MlFolds *folds, const int64_t *times)
{
	int64_t		rows[MAX_ROWS];

	for (int32_t k = 0; k < folds->nfolds; k++)
	{
		int64_t		ntrain = pgaml_ml_folds_rows(folds, k, ML_FOLD_TRAIN, rows);
		int64_t		newest = INT64_MIN;
		int64_t		ntest;

		assert_true(ntrain > 0);
		for (int64_t i = 0; i < ntrain; i++)
			newest = times[rows[i]] > newest ? times[rows[i]] : newest;
		ntest = pgaml_ml_folds_rows(folds, k, ML_FOLD_TEST, rows);
		assert_true(ntest > 0);
		for (int64_t i = 0; i < ntest; i++)
			assert_true(times[rows[i]] > newest);
	}
}

static void
time_folds_never_look_ahead(void **state)
{
	int64_t		times[MAX_ROWS];
	MlRng		rng;

	(void) state;
	for (uint64_t seed = 0; seed < 60; seed++)
	{
		int64_t		nmoments = 2 + (int64_t) (seed * 7 % 90);
		MlFoldSpec	spec = {.kind = seed % 2 ? ML_FOLDS_EXPANDING : ML_FOLDS_BLOCKED, .times = times};
		int64_t		before = 0;
		MlFolds		folds;

		/* many rows share a moment, some moments are crowded */
		pgaml_ml_rng_seed(&rng, seed);
		for (int64_t i = 0; i < MAX_ROWS; i++)
			times[i] = i < nmoments ? i : (int64_t) ((double) nmoments * pow(pgaml_ml_rng_uniform(&rng), 3.0));
		spec.nfolds = 1 + (int32_t) (seed % (uint64_t) (nmoments - 1 < 8 ? nmoments - 1 : 8));
		folds = make(&spec, MAX_ROWS);
		assert_past_trains(&folds, times);
		for (int32_t k = 0; k < folds.nfolds; k++)
		{
			int64_t		ntrain = pgaml_ml_folds_rows(&folds, k, ML_FOLD_TRAIN, NULL);
			int64_t		ntest = pgaml_ml_folds_rows(&folds, k, ML_FOLD_TEST, NULL);

			/* what trains is all the past, or the block tested just before */
			if (k > 0)
				assert_int_equal(ntrain, before);
			before = spec.kind == ML_FOLDS_EXPANDING ? ntrain + ntest : ntest;
		}
		pgaml_ml_folds_free(&folds, &plain_heap);
	}
}

static void
rows_in_order_need_no_times(void **state)
{
	MlFoldSpec	spec = {.kind = ML_FOLDS_EXPANDING, .nfolds = 3};
	int64_t		times[MAX_ROWS];
	MlFolds		folds = make(&spec, 400);

	(void) state;
	for (int64_t i = 0; i < 400; i++)
	{
		times[i] = i;
		assert_int_equal(folds.fold[i], (int) (i / 100) - 1);
	}
	assert_past_trains(&folds, times);
	pgaml_ml_folds_free(&folds, &plain_heap);

	/* as many moments as blocks: one each */
	folds = make(&spec, 4);
	for (int64_t i = 0; i < 4; i++)
		assert_int_equal(folds.fold[i], (int) i - 1);
	pgaml_ml_folds_free(&folds, &plain_heap);
}

static void
what_cannot_be_folded_is_refused(void **state)
{
	static const int64_t same[20] = {0};
	static const struct
	{
		MlFoldSpec	spec;
		int64_t		nrows;
		MlStatus	status;
		const char *where;
	}			cases[] = {
		{{.kind = ML_FOLDS_RANDOM, .nfolds = 5}, 4, ML_E_DATA, "nrows"},
		{{.kind = ML_FOLDS_RANDOM, .nfolds = 2}, 0, ML_E_DATA, "nrows"},
		{{.kind = ML_FOLDS_RANDOM, .nfolds = 2}, 1, ML_E_DATA, "nrows"},
		{{.kind = ML_FOLDS_RANDOM, .nfolds = 2}, INT64_MAX, ML_E_LIMIT, "nrows"},
		{{.kind = ML_FOLDS_RANDOM, .nfolds = 1}, 20, ML_E_ARG, "nfolds"},
		{{.kind = ML_FOLDS_RANDOM, .nfolds = 101}, 20, ML_E_ARG, "nfolds"},
		{{.kind = ML_FOLDS_EXPANDING, .nfolds = 0}, 20, ML_E_ARG, "nfolds"},
		{{.kind = ML_FOLDS_EXPANDING, .nfolds = 1, .times = same}, 20, ML_E_DATA, "times"},
		{{.kind = ML_FOLDS_GROUP, .nfolds = 2}, 20, ML_E_ARG, "groups"},
		{{.kind = ML_FOLDS_GROUP, .nfolds = 2, .groups = same}, 20, ML_E_DATA, "groups"},
		{{.kind = (MlFoldKind) 9, .nfolds = 2}, 20, ML_E_ARG, "kind"},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		MlFolds		folds;
		MlError		error;

		assert_int_equal(pgaml_ml_folds_create(&cases[i].spec, cases[i].nrows, &plain_heap, NULL, &folds, &error),
						 cases[i].status);
		assert_string_equal(error.where, cases[i].where);
		assert_null(folds.fold);
	}
}

static bool
always_stop(void *state, double progress)
{
	(void) state;
	(void) progress;
	return true;
}

static void
failures_and_stops_leave_nothing(void **state)
{
	static const MlFoldKind kinds[] = {ML_FOLDS_RANDOM, ML_FOLDS_GROUP, ML_FOLDS_EXPANDING, ML_FOLDS_BLOCKED};
	int64_t    *groups = malloc(200000 * sizeof(int64_t));
	MlStop		stop = {always_stop, NULL};
	MlFolds		folds;

	(void) state;
	for (int64_t i = 0; i < 200000; i++)
		groups[i] = i * 7919 % 200000;
	for (int k = 0; k < 4; k++)
	{
		MlFoldSpec	spec = {.kind = kinds[k], .nfolds = 3, .groups = groups, .times = groups};

		for (int64_t fail_at = 1; fail_at <= 4; fail_at++)
		{
			Counter		counter = {.fail_at = fail_at};
			MlAllocator allocator = counting(&counter);

			assert_int_equal(pgaml_ml_folds_create(&spec, 100, &allocator, NULL, &folds, NULL), ML_E_NOMEM);
			assert_int_equal(counter.held, 0);
		}
		if (kinds[k] != ML_FOLDS_RANDOM)
		{
			Counter		counter = {0};
			MlAllocator allocator = counting(&counter);

			assert_int_equal(pgaml_ml_folds_create(&spec, 200000, &allocator, &stop, &folds, NULL), ML_E_STOPPED);
			assert_int_equal(counter.held, 0);
			assert_int_equal(counter.calls, 4);
		}
	}
	free(groups);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_folds_test_every_row_once),
		cmocka_unit_test(a_group_is_on_one_side_and_folds_are_even),
		cmocka_unit_test(equal_groups_are_drawn_by_the_seed),
		cmocka_unit_test(time_folds_never_look_ahead),
		cmocka_unit_test(rows_in_order_need_no_times),
		cmocka_unit_test(what_cannot_be_folded_is_refused),
		cmocka_unit_test(failures_and_stops_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
