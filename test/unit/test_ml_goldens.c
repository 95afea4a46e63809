/*-------------------------------------------------------------------------
 * test_ml_goldens.c
 *		The library against scikit-learn and XGBoost: goldens.txt, made by goldens.py.
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

#define GOLDENS "test/unit/goldens.txt"

static FILE *goldens;

/* The named case comes next; its sizes. */
static void
open_case(const char *name, int nsizes, double *sizes)
{
	char		found[64];

	if (goldens == NULL)
		goldens = fopen(GOLDENS, "r");
	assert_non_null(goldens);
	assert_int_equal(fscanf(goldens, "%63s", found), 1);
	assert_string_equal(found, name);
	for (int i = 0; i < nsizes; i++)
		assert_int_equal(fscanf(goldens, "%lf", &sizes[i]), 1);
}

static void
read_doubles(double *out, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		assert_int_equal(fscanf(goldens, "%lf", &out[i]), 1);
}

static void
read_floats(float *out, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		assert_int_equal(fscanf(goldens, "%f", &out[i]), 1);
}

static void
assert_close(double got, double want, double relative)
{
	if (!(fabs(got - want) <= relative * (fabs(want) > 1e-300 ? fabs(want) : 1.0)))
		fail_msg("got %.17g, want %.17g", got, want);
}

/*
 * Coefficients are read from differences of predictions inside the range.
 */
static void
ridge_case(const char *name)
{
	double		sizes[3];
	Table		table;
	MlModel    *model;
	double	   *coef;
	double	   *errors;
	double	   *predictions;
	int64_t		n;
	int32_t		nfeatures;

	open_case(name, 3, sizes);
	n = (int64_t) sizes[0];
	nfeatures = (int32_t) sizes[1];
	table = table_new(n, nfeatures);
	table_set_weights(&table);
	coef = malloc((size_t) nfeatures * sizeof(double));
	errors = malloc((size_t) nfeatures * sizeof(double));
	predictions = malloc((size_t) n * sizeof(double));
	for (int32_t f = 0; f < nfeatures; f++)
		read_floats(table_column(&table, f), n);
	read_doubles(table.target, n);
	read_floats(table.weight, n);
	read_doubles(coef, nfeatures);
	read_doubles(errors, nfeatures);
	read_doubles(predictions, n);

	model = train(&table, ML_LINEAR_REGRESSION, "l2", sizes[2], NULL);
	for (int64_t i = 0; i < n; i++)
		assert_close(predict_row(model, &table, i), predictions[i], 1e-6);
	for (int32_t f = 0; f < nfeatures; f++)
	{
		float		row[8];
		float		low = table.columns[f][0];
		float		high = table.columns[f][0];
		double		at_low;
		double		slope;
		double		error;

		for (int64_t i = 0; i < n; i++)
		{
			low = table.columns[f][i] < low ? table.columns[f][i] : low;
			high = table.columns[f][i] > high ? table.columns[f][i] : high;
		}
		for (int32_t k = 0; k < nfeatures; k++)
			row[k] = table.columns[k][0];
		row[f] = low;
		at_low = pgaml_ml_predict(model, row);
		row[f] = high;
		assert_close((pgaml_ml_predict(model, row) - at_low) / ((double) high - (double) low), coef[f], 1e-6);
		assert_true(pgaml_ml_linear_coefficient(model, f, &slope, &error));
		assert_close(slope, coef[f], 1e-8);
		assert_close(error, errors[f], 1e-8);
	}
	pgaml_ml_model_free(model);
	free(coef);
	free(errors);
	free(predictions);
	table_free(&table);
}

static void
ridge_equals_scikit_learn(void **state)
{
	(void) state;
	ridge_case("ridge_plain");
	ridge_case("ridge_weighted");
	ridge_case("ridge_huge_scales");
}

static void
metrics_case(const char *name, bool weighted)
{
	double		size;
	int64_t		n;
	double	   *y;
	double	   *p;
	float	   *w;
	double		want[11];
	MlMetrics	got;

	open_case(name, 1, &size);
	n = (int64_t) size;
	y = malloc((size_t) n * sizeof(double));
	p = malloc((size_t) n * sizeof(double));
	w = malloc((size_t) n * sizeof(float));
	read_doubles(y, n);
	read_doubles(p, n);
	read_floats(w, n);
	read_doubles(want, 11);
	assert_int_equal(pgaml_ml_metrics(y, p, weighted ? w : NULL, n, &plain_heap, &got, NULL), ML_OK);
	assert_close(got.r2, want[0], 1e-9);
	assert_close(got.rmse, want[1], 1e-9);
	assert_close(got.mae, want[2], 1e-9);
	assert_close(got.mape, want[3], 1e-9);
	assert_close(got.q50, want[4], 1e-9);
	assert_close(got.q90, want[5], 1e-9);
	assert_close(got.q95, want[6], 1e-9);
	assert_close(got.qmax, want[7], 1e-9);
	assert_close(got.r2_ms, want[8], 1e-9);
	assert_close(got.rmse_ms, want[9], 1e-9);
	assert_close(got.mae_ms, want[10], 1e-9);
	free(y);
	free(p);
	free(w);
}

static void
metrics_equal_scikit_learn(void **state)
{
	(void) state;
	metrics_case("metrics_plain", false);
	metrics_case("metrics_weighted", true);
}

/* scikit-learn estimates its scale jointly with the line: near, not equal. */
static void
the_robust_line_is_near_scikit_learn(void **state)
{
	double		size;
	int64_t		n;
	float	   *x;
	double	   *y;
	double		want[2];
	MlLine		line;

	(void) state;
	open_case("huber", 1, &size);
	n = (int64_t) size;
	x = malloc((size_t) n * sizeof(float));
	y = malloc((size_t) n * sizeof(double));
	read_floats(x, n);
	read_doubles(y, n);
	read_doubles(want, 2);
	assert_int_equal(pgaml_ml_robust_line(x, y, NULL, n, &plain_heap, &line, NULL), ML_OK);
	assert_true(fabs(line.intercept - want[0]) < 0.02);
	assert_true(fabs(line.slope - want[1]) < 0.02);
	free(x);
	free(y);
}

static void
a_stump_equals_scikit_learn(void **state)
{
	double		size;
	int64_t		n;
	Table		table;
	MlModel    *model;
	double		want[4];
	float		row[2];

	(void) state;
	open_case("stump", 1, &size);
	n = (int64_t) size;
	table = table_new(n, 2);
	read_floats(table_column(&table, 0), n);
	read_floats(table_column(&table, 1), n);
	read_doubles(table.target, n);
	read_doubles(want, 4);
	model = train(&table, ML_DECISION_TREE, "max_depth", 1.0, NULL);
	row[1 - (int) want[0]] = NAN;
	row[(int) want[0]] = (float) want[1];
	assert_close(pgaml_ml_predict(model, row), want[2], 1e-12);
	row[(int) want[0]] = nextafterf((float) want[1], INFINITY);
	assert_close(pgaml_ml_predict(model, row), want[3], 1e-12);
	pgaml_ml_model_free(model);
	table_free(&table);
}

static void
trees_are_as_good_as_scikit_learn(void **state)
{
	double		sizes[3];
	Table		data;
	Table		test;
	MlModel    *tree;
	MlModel    *forest;
	double		want[2];

	(void) state;
	open_case("quality", 3, sizes);
	data = table_new((int64_t) sizes[0], (int32_t) sizes[2]);
	test = table_new((int64_t) sizes[1], (int32_t) sizes[2]);
	read_floats(data.values, data.data.nrows * data.data.nfeatures);
	read_floats(test.values, test.data.nrows * test.data.nfeatures);
	read_doubles(data.target, data.data.nrows);
	read_doubles(test.target, test.data.nrows);
	read_doubles(want, 2);
	tree = train(&data, ML_DECISION_TREE, NULL);
	forest = train(&data, ML_RANDOM_FOREST, NULL);
	if (r2_of(tree, &test) < want[0] - 0.02)
		fail_msg("tree: R2 %.4f, scikit-learn's %.4f", r2_of(tree, &test), want[0]);
	if (r2_of(forest, &test) < want[1] - 0.01)
		fail_msg("forest: R2 %.4f, scikit-learn's %.4f", r2_of(forest, &test), want[1]);
	pgaml_ml_model_free(tree);
	pgaml_ml_model_free(forest);
	table_free(&data);
	table_free(&test);
}

static int
close_goldens(void **state)
{
	(void) state;
	return goldens != NULL ? fclose(goldens) : 0;
}

/*
 * The same algorithm on the same numbers: XGBoost's gradients are floats, so
 * equal to 1e-5 of the spread of the target.
 */
static void
boosting_case(const char *name, const int8_t *monotone)
{
	double		sizes[6];
	Table		table;
	MlParams	params;
	MlModel    *model;
	double	   *want;
	int64_t		n;

	open_case(name, 6, sizes);
	n = (int64_t) sizes[0];
	table = table_new(n, 5);
	table_set_weights(&table);
	want = malloc((size_t) n * sizeof(double));
	for (int32_t f = 0; f < 5; f++)
		read_floats(table_column(&table, f), n);
	read_doubles(table.target, n);
	read_floats(table.weight, n);
	read_doubles(want, n);
	table.data.monotone = monotone;

	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	params.loss = ML_LOSS_SQUARED;
	params.learning_rate = sizes[1];
	params.l2 = sizes[2];
	params.max_leaves = (int32_t) sizes[3];
	params.min_samples_leaf = sizes[4];
	params.n_trees = (int32_t) sizes[5];
	params.max_depth = 64;
	params.monotone = monotone != NULL;
	assert_int_equal(pgaml_ml_train(&table.data, &params, &plain_heap, NULL, &model, NULL), ML_OK);
	for (int64_t i = 0; i < n; i++)
	{
		if (fabs(predict_row(model, &table, i) - want[i]) > 1e-5)
			fail_msg("%s, row %lld: %.9g, XGBoost %.9g", name, (long long) i, predict_row(model, &table, i), want[i]);
	}
	pgaml_ml_model_free(model);
	free(want);
	table_free(&table);
}

static void
boosting_equals_xgboost(void **state)
{
	static const int8_t signs[5] = {1, -1, 1, 0, 0};

	(void) state;
	boosting_case("boosting_plain", NULL);
	boosting_case("boosting_weighted", NULL);
	boosting_case("boosting_monotone", signs);
}

/* Held-out error of a loss with scikit-learn's parameters, at most 2 % above its own. */
static void
robust_case(const char *name, const char *loss)
{
	double		sizes[3];
	Table		table;
	Table		fresh;
	MlParams	params;
	MlModel    *model;
	double		want;
	double		got = 0.0;

	open_case(name, 3, sizes);
	table = table_new((int64_t) sizes[0], 6);
	fresh = table_new((int64_t) sizes[1], 6);
	for (int32_t f = 0; f < 6; f++)
		read_floats(table_column(&table, f), table.data.nrows);
	for (int32_t f = 0; f < 6; f++)
		read_floats(table_column(&fresh, f), fresh.data.nrows);
	read_doubles(table.target, table.data.nrows);
	read_doubles(fresh.target, fresh.data.nrows);
	read_doubles(&want, 1);
	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	assert_int_equal(pgaml_ml_params_set_text(&params, "loss", loss, NULL), ML_OK);
	params.huber_delta = params.quantile = sizes[2];
	assert_int_equal(pgaml_ml_train(&table.data, &params, &plain_heap, NULL, &model, NULL), ML_OK);
	for (int64_t i = 0; i < fresh.data.nrows; i++)
	{
		double		r = fresh.target[i] - predict_row(model, &fresh, i);

		if (params.loss == ML_LOSS_QUANTILE)
			got += r * (r > 0.0 ? sizes[2] : sizes[2] - 1.0) / sizes[1];
		else
			got += fabs(r) / sizes[1];
	}
	if (!(got <= 1.02 * want))
		fail_msg("%s: %.4f, scikit-learn %.4f", loss, got, want);
	pgaml_ml_model_free(model);
	table_free(&table);
	table_free(&fresh);
}

static void
robust_losses_are_as_good_as_scikit_learn(void **state)
{
	(void) state;
	robust_case("robust_huber", "huber");
	robust_case("robust_quantile", "quantile");
}

/* Two forests with other random numbers: the errors agree within 3 %. */
static void
the_out_of_bag_error_is_that_of_scikit_learn(void **state)
{
	double		size;
	double		want;
	Table		table;
	MlModel    *model;

	(void) state;
	open_case("out_of_bag", 1, &size);
	table = table_new((int64_t) size, 6);
	for (int32_t f = 0; f < 6; f++)
		read_floats(table_column(&table, f), table.data.nrows);
	read_doubles(table.target, table.data.nrows);
	read_doubles(&want, 1);
	model = train(&table, ML_RANDOM_FOREST, "n_trees", 300.0, "feature_fraction", 0.5, "min_samples_leaf", 3.0, NULL);
	if (!(fabs(pgaml_ml_model_oob_rmse(model) / want - 1.0) < 0.03))
		fail_msg("out-of-bag error %.4f, scikit-learn %.4f", pgaml_ml_model_oob_rmse(model), want);
	pgaml_ml_model_free(model);
	table_free(&table);
}

int
main(void)
{
	/* in the order of the file */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ridge_equals_scikit_learn),
		cmocka_unit_test(metrics_equal_scikit_learn),
		cmocka_unit_test(the_robust_line_is_near_scikit_learn),
		cmocka_unit_test(a_stump_equals_scikit_learn),
		cmocka_unit_test(trees_are_as_good_as_scikit_learn),
		cmocka_unit_test(boosting_equals_xgboost),
		cmocka_unit_test(robust_losses_are_as_good_as_scikit_learn),
		cmocka_unit_test(the_out_of_bag_error_is_that_of_scikit_learn),
	};

	return cmocka_run_group_tests(tests, NULL, close_goldens);
}
