/*-------------------------------------------------------------------------
 * test_ml_importance.c
 *		Importances on data whose truth is known, and statistics of columns
 *		against numbers by hand.
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
#include "ml/explain.h"

static const MlModelType all_types[] = {
	ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING
};

enum
{
	ROWS = 800, FEATURES = 5
};

/* y = 4 x0 + 2 x1 + x2 + noise; x3 is noise, x4 constant. */
static Table
known_truth(void)
{
	Table		table = table_random(ROWS, FEATURES, 21);
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, 22);
	for (int64_t i = 0; i < ROWS; i++)
	{
		table_column(&table, 4)[i] = 7.0f;
		table.target[i] = 4.0 * table.columns[0][i] + 2.0 * table.columns[1][i] + table.columns[2][i] +
			0.1 * pgaml_ml_rng_normal(&rng);
	}
	return table;
}

static float *
row_major(const Table *table)
{
	int32_t		n = table->data.nfeatures;
	float	   *rows = malloc((size_t) (table->data.nrows * n) * sizeof(float));

	for (int64_t i = 0; i < table->data.nrows; i++)
		for (int32_t f = 0; f < n; f++)
			rows[i * n + f] = table->columns[f][i];
	return rows;
}

static void
assert_order(const char *what, const double *importance)
{
	if (!(importance[0] > importance[1] && importance[1] > importance[2] &&
		  importance[2] > fabs(importance[3]) && importance[4] == 0.0))
		fail_msg("%s: %g %g %g %g %g", what, importance[0], importance[1], importance[2], importance[3], importance[4]);
}

static void
every_method_finds_the_truth(void **state)
{
	Table		table = known_truth();
	float	   *rows = row_major(&table);

	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlModel    *model = train(&table, all_types[t], NULL);
		double		out[FEATURES];
		double		sum = 0.0;

		pgaml_ml_importance_gain(model, out);
		assert_order("gain", out);
		for (int f = 0; f < FEATURES; f++)
			sum += out[f];
		assert_float_equal(sum, 1.0, 1e-12);
		assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, ROWS, 3, 1, &plain_heap, NULL,
														 out, NULL), ML_OK);
		assert_order("permutation", out);
		assert_int_equal(pgaml_ml_importance_shap(model, rows, ROWS, &plain_heap, NULL, out, NULL), ML_OK);
		assert_order("shap", out);
		pgaml_ml_model_free(model);
	}
	free(rows);
	table_free(&table);
}

/*
 * y = 4 x0 + ..., so of two standard normal rows x0 differs by 2 / sqrt(pi) on
 * average and |4 x0| is 4 sqrt(2 / pi): what a good model must come near.
 */
static void
importances_are_in_the_unit_of_the_target(void **state)
{
	Table		table = known_truth();
	float	   *rows = row_major(&table);
	MlModel    *model = train(&table, ML_LINEAR_REGRESSION, NULL);
	double		out[FEATURES];

	(void) state;
	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, ROWS, 20, 1, &plain_heap, NULL,
													 out, NULL), ML_OK);
	assert_float_equal(out[0], 4.0 * 2.0 / sqrt(M_PI), 0.3);
	assert_int_equal(pgaml_ml_importance_shap(model, rows, ROWS, &plain_heap, NULL, out, NULL), ML_OK);
	assert_float_equal(out[0], 4.0 * sqrt(2.0 / M_PI), 0.2);
	pgaml_ml_model_free(model);
	free(rows);
	table_free(&table);
}

static void
gains_add_up_by_hand(void **state)
{
	Table		table = table_new(4, 2);
	double		out[2];
	MlModel    *model;

	/* y = 0 0 4 6: the first split takes 25 of 27 of the squared error, the second 2 */
	(void) state;
	memcpy(table_column(&table, 0), ((float[]) {1, 1, 2, 2}), 4 * sizeof(float));
	memcpy(table_column(&table, 1), ((float[]) {1, 1, 1, 2}), 4 * sizeof(float));
	memcpy(table.target, ((double[]) {0, 0, 4, 6}), 4 * sizeof(double));
	model = train(&table, ML_DECISION_TREE, "min_samples_leaf", 1.0, NULL);
	pgaml_ml_importance_gain(model, out);
	assert_float_equal(out[0], 25.0 / 27.0, 1e-6);
	assert_float_equal(out[1], 2.0 / 27.0, 1e-6);
	pgaml_ml_model_free(model);
	table_free(&table);
}

static void
the_order_of_columns_does_not_matter(void **state)
{
	Table		table = known_truth();
	float	   *rows = row_major(&table);
	float	   *moved_rows;
	double		out[FEATURES];
	double		moved_out[FEATURES];
	double		again[FEATURES];
	MlModel    *model = train(&table, ML_LINEAR_REGRESSION, NULL);
	MlModel    *moved;

	(void) state;
	for (int f = 0; f < FEATURES; f++)
		table.columns[f] = table.values + (FEATURES - 1 - f) * ROWS;
	moved_rows = row_major(&table);
	moved = train(&table, ML_LINEAR_REGRESSION, NULL);
	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, ROWS, 2, 9, &plain_heap, NULL,
													 out, NULL), ML_OK);
	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, ROWS, 2, 9, &plain_heap, NULL,
													 again, NULL), ML_OK);
	assert_memory_equal(out, again, sizeof(out));
	assert_int_equal(pgaml_ml_importance_permutation(moved, moved_rows, table.target, ROWS, 2, 9, &plain_heap, NULL,
													 moved_out, NULL), ML_OK);
	for (int f = 0; f < FEATURES; f++)
		assert_float_equal(out[f], moved_out[FEATURES - 1 - f], 1e-9);
	pgaml_ml_model_free(model);
	pgaml_ml_model_free(moved);
	free(rows);
	free(moved_rows);
	table_free(&table);
}

static void
a_model_of_one_leaf_looks_at_nothing(void **state)
{
	Table		table = table_random(20, 2, 3);
	float	   *rows = row_major(&table);
	double		out[2] = {9, 9};
	MlModel    *model;

	(void) state;
	for (int i = 0; i < 20; i++)
		table.target[i] = 1.0;
	model = train(&table, ML_DECISION_TREE, NULL);
	pgaml_ml_importance_gain(model, out);
	assert_true(out[0] == 0.0 && out[1] == 0.0);
	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, 20, 2, 9, &plain_heap, NULL,
													 out, NULL), ML_OK);
	assert_true(out[0] == 0.0 && out[1] == 0.0);
	out[0] = out[1] = 9.0;
	assert_int_equal(pgaml_ml_importance_shap(model, rows, 0, &plain_heap, NULL, out, NULL), ML_OK);
	assert_true(out[0] == 0.0 && out[1] == 0.0);

	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, 0, 2, 9, &plain_heap, NULL,
													 out, NULL), ML_E_ARG);
	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, 20, 0, 9, &plain_heap, NULL,
													 out, NULL), ML_E_ARG);
	table.target[3] = NAN;
	assert_int_equal(pgaml_ml_importance_permutation(model, rows, table.target, 20, 1, 9, &plain_heap, NULL,
													 out, NULL), ML_E_DATA);
	pgaml_ml_model_free(model);
	free(rows);
	table_free(&table);
}

static MlFeatureStats
stats_of(const float *values, int64_t n)
{
	MlFeatureStats stats;

	assert_int_equal(pgaml_ml_feature_stats(values, NULL, n, &plain_heap, &stats, NULL), ML_OK);
	return stats;
}

static void
statistics_by_hand(void **state)
{
	static const float values[] = {5, 1, NAN, 3, 2, 2, 4, 100, NAN, 3};
	static const float wild[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 10};
	static const float constant[] = {4, 4, 4};
	static const float unknown[] = {NAN, NAN};
	static const int64_t chosen[] = {0, 1, 3, 4, 6};
	MlFeatureStats stats = stats_of(values, 10);

	(void) state;
	/* 1 2 2 3 3 4 5 100: distances from 3 are 0 0 1 1 1 2 2 97 */
	assert_int_equal(stats.nrows, 10);
	assert_int_equal(stats.missing, 2);
	assert_int_equal(stats.distinct, 6);
	assert_int_equal(stats.outliers, 1);
	assert_float_equal(stats.minimum, 1.0, 0.0);
	assert_float_equal(stats.maximum, 100.0, 0.0);
	assert_float_equal(stats.median, 3.0, 0.0);
	assert_float_equal(stats.mean, 15.0, 0.0);
	assert_float_equal(stats.p05, 1.35, 1e-12);
	assert_float_equal(stats.p95, 5.0 + 0.65 * 95.0, 1e-12);
	assert_float_equal(stats.deviation, 1.4826, 1e-12);

	/* most values equal: the mean distance speaks, 1.2533 x 1 */
	stats = stats_of(wild, 10);
	assert_float_equal(stats.deviation, 1.253314, 1e-12);
	assert_int_equal(stats.outliers, 1);

	stats = stats_of(constant, 3);
	assert_int_equal(stats.distinct, 1);
	assert_int_equal(stats.outliers, 0);
	assert_float_equal(stats.deviation, 0.0, 0.0);
	assert_float_equal(stats.p95, 4.0, 0.0);

	stats = stats_of(unknown, 2);
	assert_int_equal(stats.missing, 2);
	assert_int_equal(stats.distinct, 0);
	assert_true(isnan(stats.minimum) && isnan(stats.mean) && isnan(stats.deviation));
	stats = stats_of(unknown, 0);
	assert_true(stats.nrows == 0 && isnan(stats.median));

	assert_int_equal(pgaml_ml_feature_stats(values, chosen, 5, &plain_heap, &stats, NULL), ML_OK);
	assert_float_equal(stats.median, 3.0, 0.0);
	assert_float_equal(stats.maximum, 5.0, 0.0);
	assert_int_equal(stats.missing, 0);
}

static void
statistics_refuse_what_is_no_number(void **state)
{
	static const float values[] = {1, INFINITY};
	MlFeatureStats stats;

	(void) state;
	assert_int_equal(pgaml_ml_feature_stats(values, NULL, 2, &plain_heap, &stats, NULL), ML_E_DATA);
	assert_int_equal(pgaml_ml_feature_stats(values, NULL, -1, &plain_heap, &stats, NULL), ML_E_ARG);
}

typedef struct Operation
{
	const MlModel *model;
	const float *rows;
	const double *target;
	const MlStop *stop;
} Operation;

static MlStatus
run_operation(int which, const Operation *op, const MlAllocator *allocator)
{
	double		out[FEATURES];
	MlFeatureStats stats;

	if (which == 0)
		return pgaml_ml_importance_permutation(op->model, op->rows, op->target, ROWS, 2, 1, allocator, op->stop,
											   out, NULL);
	if (which == 1)
		return pgaml_ml_importance_shap(op->model, op->rows, ROWS, allocator, op->stop, out, NULL);
	return pgaml_ml_feature_stats(op->rows, NULL, ROWS, allocator, &stats, NULL);
}

static bool
ask(void *state, double progress)
{
	(void) state;
	assert_true(progress >= 0.0 && progress <= 1.0);
	return true;
}

static void
failures_leave_nothing_behind(void **state)
{
	Table		table = known_truth();
	float	   *rows = row_major(&table);
	MlModel    *model = train(&table, ML_RANDOM_FOREST, NULL);
	MlStop		stop = {ask, NULL};

	(void) state;
	for (int which = 0; which < 3; which++)
	{
		Operation	op = {model, rows, table.target, NULL};
		Counter		counter = {0};
		MlAllocator allocator = counting(&counter);

		for (int64_t n = 1; n < 4; n++)
		{
			Counter		failing = {.fail_at = n};
			MlStatus	status;

			allocator = counting(&failing);
			status = run_operation(which, &op, &allocator);
			assert_int_equal(status, failing.calls < n ? ML_OK : ML_E_NOMEM);
			assert_int_equal(failing.held, 0);
		}
		if (which == 2)
			continue;
		op.stop = &stop;
		allocator = counting(&counter);
		assert_int_equal(run_operation(which, &op, &allocator), ML_E_STOPPED);
		assert_int_equal(counter.held, 0);
	}
	pgaml_ml_model_free(model);
	free(rows);
	table_free(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_finds_the_truth),
		cmocka_unit_test(importances_are_in_the_unit_of_the_target),
		cmocka_unit_test(gains_add_up_by_hand),
		cmocka_unit_test(the_order_of_columns_does_not_matter),
		cmocka_unit_test(a_model_of_one_leaf_looks_at_nothing),
		cmocka_unit_test(statistics_by_hand),
		cmocka_unit_test(statistics_refuse_what_is_no_number),
		cmocka_unit_test(failures_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
