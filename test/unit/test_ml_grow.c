/*-------------------------------------------------------------------------
 * test_ml_grow.c
 *		The engine below the models: packed histograms beside doubles, leaves
 *		beside the walk to them.
 *-------------------------------------------------------------------------
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "helper_ml.h"

#include "ml/tree_internal.h"

#define ROWS 3000

/* Binned rows with gradients, and room to pack them. */
typedef struct Case
{
	Table		table;
	MlBins		bins;
	int32_t		rows[ROWS];
	MlPair		grad[ROWS];
	int64_t		packed[ROWS];
	MlPacking	packing;
	MlPair		total;
} Case;

/*
 * nfeatures columns, of which each third has missing values and each fourth
 * few distinct ones; hessians 0.25 times 1..multiples.
 */
static Case *
case_new(int32_t nfeatures, int multiples, uint64_t seed)
{
	Case	   *c = malloc(sizeof(Case));
	MlTicker	ticker = {0};
	MlRng		rng;

	c->table = table_random(ROWS, nfeatures, seed);
	pgaml_ml_rng_seed(&rng, seed);
	for (int32_t i = 0; i < ROWS; i++)
	{
		double		h = 0.25 * (double) (1 + pgaml_ml_rng_below(&rng, (uint64_t) multiples));

		for (int32_t f = 0; f < nfeatures; f++)
		{
			float	   *x = &table_column(&c->table, f)[i];

			if (f % 4 == 1)
				*x = (float) pgaml_ml_rng_below(&rng, 5);
			if (f % 3 == 2 && pgaml_ml_rng_uniform(&rng) < 0.2)
				*x = NAN;
		}
		c->rows[i] = i;
		c->grad[i] = (MlPair) {h * c->table.target[i], h};
	}
	assert_int_equal(pgaml_ml_bins_build(&c->bins, &c->table.data, c->rows, ROWS, 255, &plain_heap,
										 &ticker, NULL), ML_OK);
	assert_int_equal(c->bins.nfeatures, nfeatures);
	c->total = pgaml_ml_pack(&c->packing, c->packed, c->grad, c->rows, ROWS);
	return c;
}

static void
case_free(Case *c)
{
	pgaml_ml_bins_free(&c->bins, &plain_heap);
	table_free(&c->table);
	free(c);
}

static MlPair
unpack(const MlPacking *packing, int64_t sum)
{
	int64_t		mask = (INT64_C(1) << packing->count_bits) - 1;

	return (MlPair) {(double) (sum >> packing->count_bits) / packing->scale,
	(double) (sum & mask) * packing->unit};
}

static void
packed_sums_are_those_of_doubles(void **state)
{
	(void) state;
	for (int multiples = 1; multiples <= 7; multiples += 3)
	{
		Case	   *c = case_new(2, multiples, 1);
		int64_t		sum = 0;
		double		step = 1.0 / c->packing.scale;

		assert_true(c->packing.usable);
		assert_true(c->packing.unit == 0.25);
		for (int32_t i = 0; i < ROWS; i++)
		{
			MlPair		back = unpack(&c->packing, c->packed[i]);

			assert_true(fabs(back[0] - c->grad[i][0]) <= 0.5 * step);
			assert_true(back[1] == c->grad[i][1]);
			sum += c->packed[i];
		}
		assert_true(fabs(unpack(&c->packing, sum)[0] - c->total[0]) <= 0.5 * step * ROWS);
		assert_true(unpack(&c->packing, sum)[1] == c->total[1]);
		/* 3000 rows leave at least 30 bits for a gradient of mean size */
		assert_true(step * 0x1p30 < 1.0);
		case_free(c);
	}
}

/* Packing is refused where it would be wrong: hessians of all kinds, a spread too wide. */
static void
what_cannot_be_packed_is_not(void **state)
{
	static const double low[] = {1.0, 1.0, 0.3, 1e-300, 1.0};
	static const double high[] = {1.5, 1025.0, 0.6000001, 1.0, 1024.0};
	static const bool usable[] = {false, false, false, false, true};

	(void) state;
	for (int i = 0; i < 5; i++)
	{
		const MlPair grad[2] = {{1.0, low[i]}, {-3.0, high[i]}};
		const int32_t rows[2] = {0, 1};
		int64_t		packed[2];
		MlPacking	packing;
		MlPair		total = pgaml_ml_pack(&packing, packed, grad, rows, 2);

		assert_int_equal(packing.usable, usable[i]);
		assert_true(total[0] == -2.0 && total[1] == low[i] + high[i]);
	}
}

/* Every number of features leaves another rest to the unrolled loop. */
static void
histograms_of_both_kinds_agree(void **state)
{
	(void) state;
	for (int32_t nfeatures = 1; nfeatures <= 19; nfeatures++)
	{
		Case	   *c = case_new(nfeatures, 3, (uint64_t) nfeatures);
		size_t		size = (size_t) nfeatures * ML_HIST_STRIDE;
		int32_t		features[19];
		int64_t    *all = calloc(size, sizeof(int64_t));
		int64_t    *some = calloc(size, sizeof(int64_t));
		MlPair	   *pairs = calloc(size, sizeof(MlPair));
		MlPair	   *some_pairs = calloc(size, sizeof(MlPair));

		for (int32_t f = 0; f < nfeatures; f++)
			features[f] = f;
		pgaml_ml_histogram_add_packed(&c->bins, NULL, nfeatures, c->rows, ROWS, c->packed, all);
		pgaml_ml_histogram_add_packed(&c->bins, features, nfeatures, c->rows, ROWS, c->packed, some);
		pgaml_ml_histogram_add(&c->bins, NULL, nfeatures, c->rows, ROWS, c->grad, pairs);
		pgaml_ml_histogram_add(&c->bins, features, nfeatures, c->rows, ROWS, c->grad, some_pairs);
		assert_memory_equal(all, some, size * sizeof(int64_t));
		assert_memory_equal(pairs, some_pairs, size * sizeof(MlPair));
		for (size_t b = 0; b < size; b++)
		{
			assert_true(fabs(unpack(&c->packing, all[b])[0] - pairs[b][0]) < 1e-8);
			assert_true(unpack(&c->packing, all[b])[1] == pairs[b][1]);
		}
		pgaml_ml_histogram_subtract_packed(&c->bins, features, nfeatures, all, some);
		for (size_t b = 0; b < size; b++)
			assert_true(all[b] == 0);
		free(all);
		free(some);
		free(pairs);
		free(some_pairs);
		case_free(c);
	}
}

/* The same split, from integers and from doubles, whatever the rules. */
static void
splits_of_both_kinds_agree(void **state)
{
	static const MlSplitRules rules[] = {{0.0, 0.0, 0.0}, {100.0, 0.0, 1.0}, {3.1, 20.0, 50.0}, {0.0, 1e9, 0.0}};

	(void) state;
	for (uint64_t seed = 1; seed <= 20; seed++)
	{
		Case	   *c = case_new(6, 1 + (int) seed % 4, seed);
		int64_t    *packed = calloc(6 * ML_HIST_STRIDE, sizeof(int64_t));
		MlPair	   *pairs = calloc(6 * ML_HIST_STRIDE, sizeof(MlPair));
		const uint64_t all[4] = {~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0), ~UINT64_C(0) >> 1};

		pgaml_ml_histogram_add_packed(&c->bins, NULL, 6, c->rows, ROWS, c->packed, packed);
		pgaml_ml_histogram_add(&c->bins, NULL, 6, c->rows, ROWS, c->grad, pairs);
		for (int r = 0; r < 4; r++)
		{
			MlSplit		a = {.feature = -1};
			MlSplit		b = {.feature = -1};
			int64_t		total = 0;

			for (int32_t bin = 0; bin <= c->bins.nbins[0]; bin++)
				total += packed[bin];
			for (int32_t f = 0; f < 6; f++)
			{
				int32_t		nbins = c->bins.nbins[f];
				uint64_t	occupied[4];

				for (int w = 0; w < 4; w++)
					occupied[w] = nbins >= 64 * (w + 1) ? all[w] : nbins > 64 * w ? (UINT64_C(1) << (nbins - 64 * w)) - 1 : 0;
				pgaml_ml_split_scan_packed(packed + f * ML_HIST_STRIDE, nbins, &c->packing, total, &rules[r], f, &a);
				pgaml_ml_split_scan(pairs + f * ML_HIST_STRIDE, nbins, occupied, c->total, &rules[r], f, &b);
			}
			assert_int_equal(a.feature, b.feature);
			assert_int_equal(a.feature >= 0, r < 3);
			if (r == 3)
				continue;
			assert_int_equal(a.bin, b.bin);
			assert_int_equal(a.missing_left, b.missing_left);
			assert_true(fabs(a.gain - b.gain) <= 1e-9 * b.gain);
			assert_true(fabs(a.threshold - b.threshold) <= 1e-9 * b.threshold);
			assert_true(fabs(a.left[0] - b.left[0]) < 1e-7 && fabs(a.left[1] - b.left[1]) < 1e-9);
		}
		free(packed);
		free(pairs);
		case_free(c);
	}
}

/* Two equal columns, or one and its mirror image: the first one is taken. */
static void
ties_go_to_the_first_feature(void **state)
{
	(void) state;
	for (int mirror = 0; mirror < 2; mirror++)
	{
		Case	   *c = case_new(1, 1, 7);
		int64_t    *hist = calloc(2 * ML_HIST_STRIDE, sizeof(int64_t));
		const MlSplitRules rules = {0.0, 0.0, 1.0};
		int32_t		nbins = c->bins.nbins[0];
		MlSplit		one = {.feature = -1};
		MlSplit		both;
		int64_t		total = 0;

		pgaml_ml_histogram_add_packed(&c->bins, NULL, 1, c->rows, ROWS, c->packed, hist);
		for (int32_t b = 0; b < nbins; b++)
		{
			hist[ML_HIST_STRIDE + b] = hist[mirror ? nbins - 1 - b : b];
			total += hist[b];
		}
		pgaml_ml_split_scan_packed(hist, nbins, &c->packing, total, &rules, 0, &one);
		both = one;
		pgaml_ml_split_scan_packed(hist + ML_HIST_STRIDE, nbins, &c->packing, total, &rules, 1, &both);
		assert_int_equal(both.feature, 0);
		assert_int_equal(both.bin, one.bin);
		free(hist);
		case_free(c);
	}
}

/* Rows of a leaf are those that walk to it, and its value is exactly their mean. */
static void
leaves_hold_the_rows_that_walk_to_them(void **state)
{
	Case	   *c = case_new(5, 1, 3);
	MlGrowRules rules = {.split = {5.0 * 0.25, 0.0, 0.0}, .max_leaves = 40, .max_depth = 32, .feature_fraction = 1.0};
	const MlGrowScale scale = {.offset = 0.0, .leaf = 1.0, .weight = 1.0, .gain = 1.0};
	MlTicker	ticker = {0};
	MlGrower   *grower;
	MlTree		tree;
	MlRng		rng;
	const int32_t *ends;
	int32_t		at = 0;

	(void) state;
	pgaml_ml_rng_seed(&rng, 1);
	assert_int_equal(pgaml_ml_grower_create(&c->bins, &rules, &plain_heap, &grower, NULL), ML_OK);
	assert_int_equal(pgaml_ml_grow(grower, c->grad, c->rows, ROWS / 2, &scale, &rng, &ticker, &tree, NULL), ML_OK);
	assert_int_equal(tree.nleaves, 40);
	ends = pgaml_ml_grower_leaf_ends(grower);
	for (int32_t leaf = 0; leaf < tree.nleaves; leaf++)
	{
		double		sum = 0.0;
		int32_t		count = ends[leaf] - at;

		assert_true(count >= 5);
		for (; at < ends[leaf]; at++)
		{
			assert_true(at + 1 == ends[leaf] || c->rows[at] < c->rows[at + 1]);
			assert_true(pgaml_ml_grower_value(grower, &tree, c->rows[at]) == tree.leaves[leaf]);
			sum += c->table.target[c->rows[at]];
		}
		assert_true(fabs(tree.leaves[leaf] - sum / count) < 1e-12);
		assert_true(tree.covers[leaf] == 0.25f * (float) count);
	}
	assert_int_equal(at, ROWS / 2);
	plain_heap.free(plain_heap.state, tree.leaves);
	pgaml_ml_grower_free(grower);
	case_free(c);
}

/* Weights that are nearly 1 cannot be packed: the same models by way of doubles. */
static void
models_of_both_kinds_agree(void **state)
{
	static const MlModelType types[] = {ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING};
	Table		table = table_random(6000, 9, 11);

	(void) state;
	for (int64_t i = 0; i < 6000; i++)
	{
		/* as few values as bins, for weights move the quantiles */
		for (int32_t f = 0; f < 9; f++)
			table_column(&table, f)[i] = rintf(16.0f * table_column(&table, f)[i]) / 16.0f;
		if (i % 7 == 0)
			table_column(&table, 2)[i] = NAN;
	}
	for (int t = 0; t < 3; t++)
	{
		/* not Huber's loss: its medians jump from one residual to the next */
		bool		boosting = types[t] == ML_GRADIENT_BOOSTING;
		MlModel    *packed = boosting ? train(&table, types[t], "loss", 0.0, NULL) : train(&table, types[t], "min_samples_leaf", 10.0, NULL);
		MlModel    *pairs;
		int			differ = 0;

		table_set_weights(&table);
		for (int64_t i = 0; i < 6000; i++)
			table.weight[i] = i % 2 ? 1.0f : 1.0f + 0x1p-20f;
		pairs = boosting ? train(&table, types[t], "loss", 0.0, NULL) : train(&table, types[t], "min_samples_leaf", 10.0, NULL);
		for (int64_t i = 0; i < 6000; i++)
			differ += fabs(predict_row(packed, &table, i) - predict_row(pairs, &table, i)) > 1e-3;
		assert_true(fabs(r2_of(packed, &table) - r2_of(pairs, &table)) < 0.001);
		/* the tiny nodes of a forest have near ties */
		assert_in_range(differ, 0, types[t] == ML_RANDOM_FOREST ? 1000 : 0);
		pgaml_ml_model_free(packed);
		pgaml_ml_model_free(pairs);
		free(table.weight);
		table.weight = NULL;
		table.data.weight = NULL;
	}
	table_free(&table);
}

/* More rows than the sample that quantiles are read from: bins are searched, not sorted. */
static void
bins_beyond_the_sample_agree_with_their_thresholds(void **state)
{
	int32_t		n = 300001;
	Table		table = table_new(n, 2);
	int32_t    *rows = malloc((size_t) n * sizeof(int32_t));
	MlTicker	ticker = {0};
	MlBins		bins;
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 5);
	for (int32_t i = 0; i < n; i++)
	{
		rows[i] = i;
		table_column(&table, 0)[i] = i % 11 == 0 ? NAN : (float) pgaml_ml_rng_normal(&rng);
		table_column(&table, 1)[i] = (float) (i % 3);
	}
	assert_int_equal(pgaml_ml_bins_build(&bins, &table.data, rows, n, 255, &plain_heap, &ticker, NULL), ML_OK);
	assert_int_equal(bins.nbins[1], 3);
	for (int32_t i = 0; i < n; i++)
	{
		float		x = table.columns[0][i];
		int32_t		bin = bins.by_column[i];

		assert_int_equal(bins.by_row[2 * i], bin);
		assert_int_equal(bins.by_row[2 * i + 1], i % 3);
		assert_int_equal(bin == bins.nbins[0], isnan(x));
		if (isnan(x))
			continue;
		assert_true(x <= pgaml_ml_bins_threshold(&bins, 0, bin));
		assert_true(bin == 0 || x > pgaml_ml_bins_threshold(&bins, 0, bin - 1));
	}
	pgaml_ml_bins_free(&bins, &plain_heap);
	free(rows);
	table_free(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_sums_are_those_of_doubles),
		cmocka_unit_test(what_cannot_be_packed_is_not),
		cmocka_unit_test(histograms_of_both_kinds_agree),
		cmocka_unit_test(splits_of_both_kinds_agree),
		cmocka_unit_test(ties_go_to_the_first_feature),
		cmocka_unit_test(leaves_hold_the_rows_that_walk_to_them),
		cmocka_unit_test(models_of_both_kinds_agree),
		cmocka_unit_test(bins_beyond_the_sample_agree_with_their_thresholds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
