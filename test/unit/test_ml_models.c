/*-------------------------------------------------------------------------
 * test_ml_models.c
 *		Properties that fitted models must have, and data at the edges.
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

static const MlModelType all_types[] = {ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING};

static void
same_seed_same_bytes(void **state)
{
	Table		table = table_random(3000, 6, 1);

	(void) state;
	table_column(&table, 3)[5] = NAN;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *a = train(&table, all_types[t], NULL);
		MlModel    *b = train(&table, all_types[t], NULL);

		assert_same_bytes(a, b);
		pgaml_ml_model_free(a);
		pgaml_ml_model_free(b);
	}
	table_free(&table);
}

static void
another_seed_another_forest(void **state)
{
	Table		table = table_random(500, 4, 1);
	MlModel    *a = train(&table, ML_RANDOM_FOREST, "n_trees", 5.0, "seed", 1.0, NULL);
	MlModel    *b = train(&table, ML_RANDOM_FOREST, "n_trees", 5.0, "seed", 2.0, NULL);
	int			differ = 0;

	(void) state;
	for (int64_t i = 0; i < 500; i++)
		differ += predict_row(a, &table, i) != predict_row(b, &table, i);
	assert_true(differ > 400);
	pgaml_ml_model_free(a);
	pgaml_ml_model_free(b);
	table_free(&table);
}

static void
a_constant_added_to_the_target_shifts_predictions(void **state)
{
	Table		table = table_random(2000, 5, 2);

	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *before = train(&table, all_types[t], NULL);
		MlModel    *after;

		for (int64_t i = 0; i < 2000; i++)
			table.target[i] += 1024.0;
		after = train(&table, all_types[t], NULL);
		for (int64_t i = 0; i < 2000; i++)
		{
			assert_true(fabs(predict_row(after, &table, i) - predict_row(before, &table, i) - 1024.0) < 1e-8);
			table.target[i] -= 1024.0;
		}
		pgaml_ml_model_free(before);
		pgaml_ml_model_free(after);
	}
	table_free(&table);
}

static void
the_order_of_columns_does_not_matter(void **state)
{
	static const int order[] = {3, 0, 4, 2, 1};
	Table		table = table_random(2000, 5, 3);
	Table		moved = table_new(2000, 5);
	MlModel    *a;
	MlModel    *b;

	(void) state;
	for (int32_t f = 0; f < 5; f++)
		memcpy(table_column(&moved, f), table_column(&table, order[f]), 2000 * sizeof(float));
	memcpy(moved.target, table.target, 2000 * sizeof(double));
	a = train(&table, ML_DECISION_TREE, NULL);
	b = train(&moved, ML_DECISION_TREE, NULL);
	for (int64_t i = 0; i < 2000; i++)
		assert_true(predict_row(a, &table, i) == predict_row(b, &moved, i));
	pgaml_ml_model_free(a);
	pgaml_ml_model_free(b);
	table_free(&table);
	table_free(&moved);
}

/* n rows of weight 2, or each row twice; more rows than bins and fewer. */
static void
weight_two_is_a_row_twice(void **state)
{
	static const int64_t rows[] = {150, 1500};

	(void) state;
	for (int t = 0; t < 2; t++)
	{
		for (int r = 0; r < 2; r++)
		{
			int64_t		n = rows[r];
			Table		once = table_random(n, 4, 4);
			Table		twice = table_new(2 * n, 4);
			MlModel    *a;
			MlModel    *b;

			table_set_weights(&once);
			for (int64_t i = 0; i < n; i++)
			{
				once.weight[i] = 2.0f;
				for (int32_t f = 0; f < 4; f++)
					table_column(&twice, f)[2 * i] = table_column(&twice, f)[2 * i + 1] = table_column(&once, f)[i];
				twice.target[2 * i] = twice.target[2 * i + 1] = once.target[i];
			}
			if (all_types[t] == ML_DECISION_TREE)
			{
				a = train(&once, all_types[t], "min_samples_leaf", 6.0, "max_leaves", 25.0, NULL);
				b = train(&twice, all_types[t], "min_samples_leaf", 6.0, "max_leaves", 25.0, NULL);
			}
			else
			{
				a = train(&once, all_types[t], NULL);
				b = train(&twice, all_types[t], NULL);
			}
			for (int64_t i = 0; i < n; i++)
				assert_true(fabs(predict_row(a, &once, i) - predict_row(b, &once, i)) < 1e-9);
			pgaml_ml_model_free(a);
			pgaml_ml_model_free(b);
			table_free(&once);
			table_free(&twice);
		}
	}
}

static void
rows_of_weight_zero_do_not_exist(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		Table		all = table_random(600, 4, 5);
		Table		half = table_new(300, 4);
		MlModel    *a;
		MlModel    *b;

		table_set_weights(&all);
		for (int64_t i = 0; i < 300; i++)
		{
			all.weight[2 * i + 1] = 0.0f;
			all.target[2 * i + 1] = 1e9;
			for (int32_t f = 0; f < 4; f++)
			{
				table_column(&half, f)[i] = table_column(&all, f)[2 * i];
				table_column(&all, f)[2 * i + 1] += 100.0f;
			}
			half.target[i] = all.target[2 * i];
		}
		a = train(&all, all_types[t], NULL);
		b = train(&half, all_types[t], NULL);
		assert_same_bytes(a, b);
		pgaml_ml_model_free(a);
		pgaml_ml_model_free(b);
		table_free(&all);
		table_free(&half);
	}
}

/* A common factor of the weights changes nothing once the penalty and the leaf size follow it. */
static void
huge_weights_are_only_a_scale(void **state)
{
	Table		table = table_random(800, 4, 6);

	(void) state;
	table_set_weights(&table);
	for (int t = 0; t < 2; t++)
	{
		const char *name = t == 0 ? "l2" : "min_samples_leaf";
		MlModel    *a = train(&table, all_types[t], name, 8.0, NULL);
		MlModel    *b;

		for (int64_t i = 0; i < 800; i++)
			table.weight[i] = 0x1p40f;
		b = train(&table, all_types[t], name, 8.0 * 0x1p40, NULL);
		/* the cap on leaves counts rows, so the tree may differ in nothing but that */
		for (int64_t i = 0; t == 0 && i < 800; i++)
			assert_true(fabs(predict_row(a, &table, i) - predict_row(b, &table, i)) < 1e-12);
		pgaml_ml_model_free(a);
		pgaml_ml_model_free(b);
		for (int64_t i = 0; i < 800; i++)
			table.weight[i] = i % 2 ? 3e38f : 1e-38f;
		b = train(&table, all_types[t], NULL);
		assert_true(isfinite(predict_row(b, &table, 3)));
		pgaml_ml_model_free(b);
		for (int64_t i = 0; i < 800; i++)
			table.weight[i] = 1.0f;
	}
	table_free(&table);
}

static void
huge_and_tiny_targets_are_only_a_scale(void **state)
{
	static const double scales[] = {0x1p-900, 0x1p990};
	Table		table = table_random(400, 4, 7);
	double		kept[400];

	(void) state;
	memcpy(kept, table.target, sizeof(kept));
	for (int t = 0; t < 4; t++)
	{
		MlModel    *a = train(&table, all_types[t], NULL);

		for (int s = 0; s < 2; s++)
		{
			MlModel    *b;

			for (int64_t i = 0; i < 400; i++)
				table.target[i] = kept[i] * scales[s];
			b = train(&table, all_types[t], NULL);
			for (int64_t i = 0; i < 400; i++)
				assert_true(fabs(predict_row(a, &table, i) - predict_row(b, &table, i) / scales[s]) < 1e-9);
			if (all_types[t] == ML_RANDOM_FOREST)
				assert_true(fabs(pgaml_ml_model_oob_rmse(a) - pgaml_ml_model_oob_rmse(b) / scales[s]) < 1e-9);
			pgaml_ml_model_free(b);
		}
		memcpy(table.target, kept, sizeof(kept));
		pgaml_ml_model_free(a);
	}
	table_free(&table);
}

static void
one_row_and_equal_targets_give_that_target(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		for (int64_t n = 1; n <= 501; n += 250)
		{
			Table		table = table_random(n, 3, 8);
			MlModel    *model;

			for (int64_t i = 0; i < n; i++)
				table.target[i] = 0.1;
			model = train(&table, all_types[t], NULL);
			for (int64_t i = 0; i < n; i++)
				assert_true(fabs(predict_row(model, &table, i) - 0.1) < 1e-15);
			pgaml_ml_model_free(model);
			table_free(&table);
		}
	}
}

static void
useless_columns_change_nothing(void **state)
{
	Table		plain = table_random(500, 3, 9);
	Table		padded = table_new(500, 6);

	(void) state;
	for (int32_t f = 0; f < 3; f++)
		memcpy(table_column(&padded, f), table_column(&plain, f), 500 * sizeof(float));
	memcpy(padded.target, plain.target, 500 * sizeof(double));
	for (int64_t i = 0; i < 500; i++)
	{
		table_column(&padded, 3)[i] = 7.0f;
		table_column(&padded, 4)[i] = NAN;
		table_column(&padded, 5)[i] = 1e30f;
	}
	for (int t = 0; t < 4; t++)
	{
		MlModel    *a = train(&plain, all_types[t], NULL);
		MlModel    *b = train(&padded, all_types[t], NULL);
		float		row[6] = {0.1f, 0.2f, 0.3f, 9.0f, 5.0f, -1e30f};

		for (int64_t i = 0; i < 500; i++)
			assert_true(predict_row(a, &plain, i) == predict_row(b, &padded, i));
		assert_true(pgaml_ml_predict(a, row) == pgaml_ml_predict(b, row));
		pgaml_ml_model_free(a);
		pgaml_ml_model_free(b);
	}
	table_free(&plain);
	table_free(&padded);
}

/* With the copy of a column the line is the same, with any penalty and with none. */
static void
collinear_columns_are_handled(void **state)
{
	Table		plain = table_random(300, 2, 10);
	Table		copied = table_new(300, 4);
	MlModel    *a = train(&plain, ML_LINEAR_REGRESSION, "l2", 0.0, NULL);
	MlModel    *b;

	(void) state;
	for (int64_t i = 0; i < 300; i++)
	{
		table_column(&copied, 0)[i] = table_column(&plain, 0)[i];
		table_column(&copied, 1)[i] = 1024.0f * table_column(&plain, 0)[i];
		table_column(&copied, 2)[i] = table_column(&plain, 1)[i];
		table_column(&copied, 3)[i] = -table_column(&plain, 1)[i];
	}
	memcpy(copied.target, plain.target, 300 * sizeof(double));
	b = train(&copied, ML_LINEAR_REGRESSION, "l2", 0.0, NULL);
	for (int64_t i = 0; i < 300; i++)
		assert_true(fabs(predict_row(a, &plain, i) - predict_row(b, &copied, i)) < 1e-9);
	pgaml_ml_model_free(a);
	pgaml_ml_model_free(b);
	table_free(&plain);
	table_free(&copied);
}

static void
a_line_does_not_run_away(void **state)
{
	Table		table = table_random(300, 2, 11);
	MlModel    *model = train(&table, ML_LINEAR_REGRESSION, NULL);
	float		row[2] = {0.0f, 0.0f};
	double		at_border;

	(void) state;
	row[0] = -INFINITY;
	for (int64_t i = 0; i < 300; i++)
		row[0] = table.columns[0][i] > row[0] ? table.columns[0][i] : row[0];
	at_border = pgaml_ml_predict(model, row);
	row[0] *= 1000.0f;
	assert_true(pgaml_ml_predict(model, row) == at_border);
	row[0] = INFINITY;
	assert_true(pgaml_ml_predict(model, row) == at_border);
	pgaml_ml_model_free(model);
	table_free(&table);
}

/* The target depends on whether a value is there, and on the value. */
static void
missing_values_carry_information(void **state)
{
	Table		table = table_random(4000, 3, 12);
	float		with[3] = {0.0f, 0.5f, 0.0f};
	float		without[3] = {NAN, 0.5f, 0.0f};

	(void) state;
	for (int64_t i = 0; i < 4000; i++)
	{
		bool		gone = i % 3 == 0;

		table.target[i] = gone ? 5.0 : table_column(&table, 0)[i];
		if (gone)
			table_column(&table, 0)[i] = NAN;
	}
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = train(&table, all_types[t], NULL);

		if (r2_of(model, &table) < 0.97)
			fail_msg("%s: R2 %.4f", pgaml_ml_type_name(all_types[t]), r2_of(model, &table));
		assert_true(fabs(pgaml_ml_predict(model, without) - 5.0) < 0.3);
		assert_true(fabs(pgaml_ml_predict(model, with)) < 0.3);
		pgaml_ml_model_free(model);
	}
	table_free(&table);
}

/* NaN where training had none goes with the majority, and never fails. */
static void
unexpected_missing_values_are_answered(void **state)
{
	Table		table = table_random(1000, 3, 13);
	const float nothing[3] = {NAN, NAN, NAN};
	const float infinite[3] = {INFINITY, -INFINITY, INFINITY};

	(void) state;
	for (int64_t i = 0; i < 1000; i++)
		table.target[i] = table_column(&table, 0)[i] > -1.0f ? 1.0 : 0.0;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = train(&table, all_types[t], NULL);
		double		answer = pgaml_ml_predict(model, nothing);

		assert_true(answer > 0.5 && answer < 1.1);
		assert_true(isfinite(pgaml_ml_predict(model, infinite)));
		pgaml_ml_model_free(model);
	}
	table_free(&table);
}

static void
limits_of_growth_are_kept(void **state)
{
	Table		table = table_random(5000, 4, 14);
	MlModel    *tree = train(&table, ML_DECISION_TREE, "max_leaves", 7.0, NULL);
	MlModel    *forest;
	double		seen[8];
	int			distinct = 0;

	(void) state;
	for (int64_t i = 0; i < 5000; i++)
	{
		double		p = predict_row(tree, &table, i);
		int			k = 0;

		while (k < distinct && seen[k] != p)
			k++;
		if (k == distinct)
		{
			assert_in_range(distinct, 0, 6);
			seen[distinct++] = p;
		}
	}
	assert_int_equal(distinct, 7);
	pgaml_ml_model_free(tree);

	/* a gain that nothing reaches, a leaf that is larger than half */
	tree = train(&table, ML_DECISION_TREE, "min_gain", 1e12, NULL);
	assert_true(predict_row(tree, &table, 0) == predict_row(tree, &table, 1));
	pgaml_ml_model_free(tree);
	tree = train(&table, ML_DECISION_TREE, "min_samples_leaf", 2501.0, NULL);
	assert_true(predict_row(tree, &table, 0) == predict_row(tree, &table, 1));
	pgaml_ml_model_free(tree);
	forest = train(&table, ML_RANDOM_FOREST, "n_trees", 13.0, "max_depth", 1.0, "feature_fraction", 0.0,
				   "sample_fraction", 0.5, NULL);
	assert_int_equal(pgaml_ml_model_trees(forest), 13);
	assert_true(r2_of(forest, &table) > 0.1 && r2_of(forest, &table) < 0.7);
	pgaml_ml_model_free(forest);
	table_free(&table);
}

/* Ties go to the lowest feature, then the lowest threshold. */
static void
ties_are_broken_by_place(void **state)
{
	Table		table = table_new(40, 3);
	MlModel    *model;
	float		row[3];

	(void) state;
	for (int64_t i = 0; i < 40; i++)
	{
		table_column(&table, 0)[i] = 1.0f;
		table_column(&table, 1)[i] = (float) (i / 10);
		table_column(&table, 2)[i] = (float) (i / 10);
		/* 0 1 1 0: cuts after the first and the third block gain the same */
		table.target[i] = i / 10 == 1 || i / 10 == 2;
	}
	model = train(&table, ML_DECISION_TREE, "max_depth", 1.0, NULL);
	row[0] = row[1] = row[2] = 0.5f;
	assert_true(pgaml_ml_predict(model, row) == 0.0);
	row[1] = 0.51f;
	assert_true(fabs(pgaml_ml_predict(model, row) - 2.0 / 3.0) < 1e-12);
	row[1] = 0.5f;
	row[2] = 3.0f;
	assert_true(pgaml_ml_predict(model, row) == 0.0);
	pgaml_ml_model_free(model);
	table_free(&table);
}

static void
the_out_of_bag_error_is_honest(void **state)
{
	Table		table = table_random(3000, 5, 15);
	Table		fresh = table_random(3000, 5, 16);
	MlModel    *forest = train(&table, ML_RANDOM_FOREST, NULL);
	MlModel    *tree = train(&table, ML_DECISION_TREE, NULL);
	double	   *p = malloc(3000 * sizeof(double));
	MlMetrics	metrics;

	(void) state;
	pgaml_ml_predict_columns(forest, fresh.columns, 3000, p);
	assert_int_equal(pgaml_ml_metrics(fresh.target, p, NULL, 3000, &plain_heap, &metrics, NULL), ML_OK);
	assert_true(fabs(pgaml_ml_model_oob_rmse(forest) / metrics.rmse - 1.0) < 0.1);
	assert_true(isnan(pgaml_ml_model_oob_rmse(tree)));
	assert_true(metrics.r2 > 0.9);
	pgaml_ml_model_free(forest);
	pgaml_ml_model_free(tree);
	free(p);
	table_free(&table);
	table_free(&fresh);
}

static void
columns_and_rows_predict_the_same(void **state)
{
	Table		table = table_random(200, 9, 17);

	(void) state;
	table_column(&table, 1)[7] = NAN;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = train(&table, all_types[t], NULL);
		double		p[200];

		pgaml_ml_predict_columns(model, table.columns, 200, p);
		for (int64_t i = 0; i < 200; i++)
			assert_true(p[i] == predict_row(model, &table, i));
		pgaml_ml_model_free(model);
	}
	table_free(&table);
}

/* Thresholds lie between neighbours, bins agree with them, and weights fill them evenly. */
static void
bins_agree_with_their_thresholds(void **state)
{
	Table		table = table_random(20000, 2, 18);
	int32_t    *rows = malloc(20000 * sizeof(int32_t));
	MlTicker	ticker = {0};
	MlBins		bins;
	int32_t		filled[256] = {0};

	(void) state;
	for (int32_t i = 0; i < 20000; i++)
	{
		rows[i] = i;
		table_column(&table, 1)[i] = i % 4 == 0 ? NAN : i % 4 == 1 ? -0.0f : i % 4 == 2 ? 0.0f : 1e-45f;
	}
	assert_int_equal(pgaml_ml_bins_build(&bins, &table.data, rows, 20000, 255, &plain_heap, &ticker, NULL), ML_OK);
	assert_int_equal(bins.nbins[0], 255);
	/* -0 and 0 are one value, and the smallest number above is another */
	assert_int_equal(bins.nbins[1], 2);
	assert_true(pgaml_ml_bins_threshold(&bins, 1, 0) == 0.0f);
	for (int32_t i = 0; i < 20000; i++)
	{
		float		x = table.columns[0][i];
		int32_t		bin = bins.by_row[2 * i];

		assert_int_equal(bins.by_column[i], bin);
		filled[bin]++;
		assert_true(x <= pgaml_ml_bins_threshold(&bins, 0, bin));
		assert_true(bin == 0 || x > pgaml_ml_bins_threshold(&bins, 0, bin - 1));
		assert_int_equal(bins.by_row[2 * i + 1], i % 4 == 0 ? 2 : i % 4 == 3 ? 1 : 0);
	}
	for (int b = 0; b < 255; b++)
		assert_in_range(filled[b], 70, 87);
	pgaml_ml_bins_free(&bins, &plain_heap);
	free(rows);
	table_free(&table);
}

/* 0.1 * 3 grows in a histogram by 0.1 + 0.1 + 0.1; the rest is 0 all the same. */
static void
a_histogram_minus_its_child_is_the_sibling(void **state)
{
	Table		table = table_random(1000, 3, 19);
	int32_t		rows[1000];
	MlPair		grad[1000];
	MlPair		whole[3 * ML_HIST_STRIDE] = {{0}};
	MlPair		part[3 * ML_HIST_STRIDE] = {{0}};
	MlPair		rest[3 * ML_HIST_STRIDE] = {{0}};
	MlTicker	ticker = {0};
	MlBins		bins;

	(void) state;
	for (int32_t i = 0; i < 1000; i++)
	{
		rows[i] = i;
		grad[i] = (MlPair) {table.target[i], 0.1};
	}
	assert_int_equal(pgaml_ml_bins_build(&bins, &table.data, rows, 1000, 32, &plain_heap, &ticker, NULL), ML_OK);
	pgaml_ml_histogram_add(&bins, NULL, 3, rows, 1000, grad, whole);
	pgaml_ml_histogram_add(&bins, NULL, 3, rows, 300, grad, part);
	pgaml_ml_histogram_add(&bins, (const int32_t[]) {0, 1, 2}, 3, rows + 300, 700, grad, rest);
	pgaml_ml_histogram_subtract(&bins, (const int32_t[]) {0, 1, 2}, 3, whole, part);
	for (int32_t i = 0; i < 3 * ML_HIST_STRIDE; i++)
	{
		assert_true(fabs(whole[i][0] - rest[i][0]) < 1e-12);
		assert_true(fabs(whole[i][1] - rest[i][1]) < 1e-12);
	}
	pgaml_ml_bins_free(&bins, &plain_heap);
	table_free(&table);
}

/*
 * Below the root the known values of a feature are 1 and 2 and differ from the
 * missing ones; 9 stands elsewhere only, and is known.
 */
static void
an_unseen_value_is_not_a_missing_one(void **state)
{
	static const MlModelType types[] = {ML_DECISION_TREE, ML_GRADIENT_BOOSTING};

	(void) state;
	for (int t = 0; t < 4; t++)
	{
		Table		table = table_new(400, 2);
		MlModel    *model;
		float		row[2] = {0.0f, 9.0f};
		double		known;

		table_set_weights(&table);
		for (int i = 0; i < 400; i++)
		{
			bool		elsewhere = i % 2 == 0;
			bool		missing = !elsewhere && i % 4 == 1;

			table_column(&table, 0)[i] = elsewhere;
			table_column(&table, 1)[i] = elsewhere ? 9.0f : missing ? NAN : 1.0f + (float) (i % 8 == 3);
			table.target[i] = elsewhere ? 100.0 : missing ? 20.0 : 0.0;
			/* weights that no integer holds want the histograms of doubles */
			table.weight[i] = t < 2 ? 1.0f : 1.0f + 0.001f * (float) (i % 7) * 0.7f;
		}
		model = train(&table, types[t % 2], NULL);
		known = pgaml_ml_predict(model, row);
		row[1] = 1.0f;
		assert_float_equal(known, pgaml_ml_predict(model, row), 1e-9);
		row[1] = NAN;
		assert_true(pgaml_ml_predict(model, row) > known + 10.0);
		pgaml_ml_model_free(model);
		table_free(&table);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_seed_same_bytes),
		cmocka_unit_test(another_seed_another_forest),
		cmocka_unit_test(a_constant_added_to_the_target_shifts_predictions),
		cmocka_unit_test(the_order_of_columns_does_not_matter),
		cmocka_unit_test(weight_two_is_a_row_twice),
		cmocka_unit_test(rows_of_weight_zero_do_not_exist),
		cmocka_unit_test(huge_weights_are_only_a_scale),
		cmocka_unit_test(huge_and_tiny_targets_are_only_a_scale),
		cmocka_unit_test(one_row_and_equal_targets_give_that_target),
		cmocka_unit_test(useless_columns_change_nothing),
		cmocka_unit_test(collinear_columns_are_handled),
		cmocka_unit_test(a_line_does_not_run_away),
		cmocka_unit_test(missing_values_carry_information),
		cmocka_unit_test(unexpected_missing_values_are_answered),
		cmocka_unit_test(limits_of_growth_are_kept),
		cmocka_unit_test(ties_are_broken_by_place),
		cmocka_unit_test(the_out_of_bag_error_is_honest),
		cmocka_unit_test(columns_and_rows_predict_the_same),
		cmocka_unit_test(bins_agree_with_their_thresholds),
		cmocka_unit_test(a_histogram_minus_its_child_is_the_sibling),
		cmocka_unit_test(an_unseen_value_is_not_a_missing_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
