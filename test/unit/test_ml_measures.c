/*-------------------------------------------------------------------------
 * test_ml_measures.c
 *		Generator, quantiles, metrics, robust line, conformal width, names
 *		and ranges of parameters.
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

/* First values of xoshiro256** seeded by splitmix64(0), from the authors' code. */
static void
the_generator_is_the_published_one(void **state)
{
	MlRng		rng;
	MlRng		plain = {{1, 2, 3, 4}};

	(void) state;
	pgaml_ml_rng_seed(&rng, 0);
	assert_true(rng.s[0] == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(rng.s[1] == UINT64_C(0x6e789e6aa1b965f4));
	assert_true(pgaml_ml_rng_next(&plain) == 11520);
	assert_true(pgaml_ml_rng_next(&plain) == 0);
	assert_true(pgaml_ml_rng_next(&plain) == 1509978240);
}

static void
the_generator_is_uniform_and_normal(void **state)
{
	MlRng		rng;
	double		sum = 0.0;
	double		normal = 0.0;
	double		square = 0.0;
	int			seen[7] = {0};

	(void) state;
	pgaml_ml_rng_seed(&rng, 42);
	for (int i = 0; i < 70000; i++)
	{
		double		u = pgaml_ml_rng_uniform(&rng);
		double		z = pgaml_ml_rng_normal(&rng);

		assert_true(u >= 0.0 && u < 1.0);
		sum += u;
		normal += z;
		square += z * z;
		seen[pgaml_ml_rng_below(&rng, 7)]++;
	}
	assert_true(fabs(sum / 70000 - 0.5) < 0.01);
	assert_true(fabs(normal / 70000) < 0.02);
	assert_true(fabs(square / 70000 - 1.0) < 0.03);
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 9600, 10400);
	assert_int_equal(pgaml_ml_rng_below(&rng, 1), 0);
}

static double
quantile(const double *values, const float *weight, int64_t n, double q)
{
	double		out = -1.0;

	assert_int_equal(pgaml_ml_weighted_quantile(values, weight, n, q, &plain_heap, &out, NULL), ML_OK);
	return out;
}

static void
quantiles_are_lower_and_weighted(void **state)
{
	const double values[] = {5, 1, 4, 2, 3, NAN};
	const float weight[] = {1, 1, 1, 1, 6, 9};
	double		out;

	(void) state;
	assert_true(quantile(values, NULL, 4, 0.5) == 2);
	assert_true(quantile(values, NULL, 6, 0.5) == 3);
	assert_true(quantile(values, NULL, 5, 0.0) == 1);
	assert_true(quantile(values, NULL, 5, 1.0) == 5);
	assert_true(quantile(values, weight, 6, 0.3) == 3);
	assert_true(quantile(values, weight, 6, 0.2) == 2);
	assert_true(isnan(quantile(values, NULL, 0, 0.5)));
	assert_true(isnan(quantile(values + 5, NULL, 1, 0.5)));
	assert_int_equal(pgaml_ml_weighted_quantile(values, NULL, 5, 1.1, &plain_heap, &out, NULL), ML_E_ARG);
	assert_int_equal(pgaml_ml_weighted_quantile(values, NULL, 5, NAN, &plain_heap, &out, NULL), ML_E_ARG);
	assert_int_equal(pgaml_ml_weighted_quantile(values, NULL, -1, 0.5, &plain_heap, &out, NULL), ML_E_ARG);
	assert_int_equal(pgaml_ml_weighted_quantile(values, (const float[]) {-1}, 1, 0.5, &plain_heap, &out, NULL), ML_E_DATA);
}

static int
by_value(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
every_order_statistic_is_found(void **state)
{
	double		values[1000];
	double		sorted[1000];
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 3);
	for (int n = 1; n <= 1000; n += n < 40 ? 1 : 97)
	{
		for (int i = 0; i < n; i++)
			sorted[i] = values[i] = (double) pgaml_ml_rng_below(&rng, 50);
		qsort(sorted, (size_t) n, sizeof(double), by_value);
		for (int k = 1; k <= n; k += 1 + n / 10)
			assert_true(quantile(values, NULL, n, ((double) k - 0.5) / n) == sorted[k - 1]);
	}
}

static void
metrics_know_their_edges(void **state)
{
	const double y[] = {1, 2, 3};
	const double constant[] = {2, 2, 2};
	const double bad[] = {1, NAN, 3};
	const float weight[] = {1, 0, 1};
	const float none[] = {0, 0, 0};
	const float negative[] = {1, -1, 1};
	MlMetrics	m;

	(void) state;
	assert_int_equal(pgaml_ml_metrics(y, y, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(m.r2 == 1.0 && m.rmse == 0.0 && m.mape == 0.0 && m.q50 == 1.0 && m.qmax == 1.0);
	assert_int_equal(pgaml_ml_metrics(constant, y, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(isnan(m.r2) && m.rmse > 0.8 && m.qmax > 2.718 && m.qmax < 2.719);
	assert_int_equal(pgaml_ml_metrics(y, constant, weight, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(m.mae == 1.0 && m.r2 == 0.0);
	assert_int_equal(pgaml_ml_metrics(y, bad, NULL, 3, &plain_heap, &m, NULL), ML_E_DATA);
	assert_int_equal(pgaml_ml_metrics(y, y, none, 3, &plain_heap, &m, NULL), ML_E_DATA);
	assert_int_equal(pgaml_ml_metrics(y, y, negative, 3, &plain_heap, &m, NULL), ML_E_DATA);
	assert_int_equal(pgaml_ml_metrics(y, y, NULL, 0, &plain_heap, &m, NULL), ML_E_DATA);
}

/*
 * exp() of a target or a prediction may be more than a double holds; what can
 * still be said is said.
 */
static void
metrics_on_ms_do_not_overflow_on_the_way(void **state)
{
	const double high[] = {1000, 1001, 1002};
	const double low[] = {0, 1, 2};
	const double wild[] = {0, 1, 800};
	const double wilder[] = {0, 1, 1e300};
	const double below[] = {-2000, -1999, -1998};
	MlMetrics	h;
	MlMetrics	m;

	(void) state;
	assert_int_equal(pgaml_ml_metrics(high, (const double[]) {1000.5, 1001, 1001.5}, NULL, 3, &plain_heap, &h, NULL), ML_OK);
	assert_int_equal(pgaml_ml_metrics(low, (const double[]) {0.5, 1, 1.5}, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(fabs(h.r2_ms - m.r2_ms) < 1e-9 && isinf(h.rmse_ms) && isinf(h.mae_ms));
	assert_true(fabs(m.mae_ms - (exp(0.5) - 1.0 + exp(2) - exp(1.5)) / 3.0) < 1e-12);
	assert_int_equal(pgaml_ml_metrics(low, wild, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(isinf(m.r2_ms) && m.r2_ms < 0.0 && isinf(m.rmse_ms));
	assert_int_equal(pgaml_ml_metrics(wild, low, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(fabs(m.r2_ms + 0.5) < 1e-12);
	assert_int_equal(pgaml_ml_metrics(low, wilder, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(m.r2_ms < 0.0 && !isnan(m.rmse_ms) && !isnan(m.mae_ms));
	assert_int_equal(pgaml_ml_metrics(below, below, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(m.r2_ms == 1.0 && m.rmse_ms == 0.0 && m.mae_ms == 0.0);
	assert_int_equal(pgaml_ml_metrics((const double[]) {1, 1, 1}, low, NULL, 3, &plain_heap, &m, NULL), ML_OK);
	assert_true(isnan(m.r2_ms) && m.rmse_ms > 0.0);
}

static MlLine
line_of(const float *x, const double *y, const float *weight, int64_t n)
{
	MlLine		line;

	assert_int_equal(pgaml_ml_robust_line(x, y, weight, n, &plain_heap, &line, NULL), ML_OK);
	return line;
}

static void
a_line_withstands_wild_points(void **state)
{
	float		x[200];
	double		y[200];
	MlRng		rng;
	MlLine		line;

	(void) state;
	pgaml_ml_rng_seed(&rng, 9);
	for (int i = 0; i < 200; i++)
	{
		x[i] = (float) i / 20.0f;
		y[i] = 2.0 + 0.5 * x[i] + 0.1 * pgaml_ml_rng_normal(&rng);
		if (i % 8 == 0)
			y[i] += 100.0;
	}
	x[7] = NAN;
	y[9] = NAN;
	line = line_of(x, y, NULL, 200);
	assert_true(fabs(line.slope - 0.5) < 0.02);
	assert_true(fabs(line.intercept - 2.0) < 0.1);
	assert_true(line.scale > 0.07 && line.scale < 0.15);
	assert_true(line.x_min == 0.0 && line.x_max == x[199]);
}

static void
a_line_knows_its_edges(void **state)
{
	const float x[] = {1, 2, 3, 4, 5};
	const float same[] = {3, 3, 3, 3, 3};
	const float nans[] = {NAN, NAN, NAN, NAN, NAN};
	const float infinite[] = {1, 2, INFINITY, 4, 5};
	const double y[] = {1, 3, 5, 7, 9};
	const double down[] = {9, 7, 5, 3, 1};
	const float weight[] = {1, 1, 5, 0, 0};
	const float bad_weight[] = {1, 1, NAN, 0, 0};
	MlLine		line = line_of(x, y, NULL, 5);

	(void) state;
	assert_true(fabs(line.slope - 2.0) < 1e-12 && fabs(line.intercept + 1.0) < 1e-12 && line.scale < 1e-9);
	line = line_of(x, down, NULL, 5);
	assert_true(line.slope == 0.0 && fabs(line.intercept - 5.0) < 1e-9);
	line = line_of(same, y, NULL, 5);
	assert_true(line.slope == 0.0 && line.intercept == 5.0 && line.x_min == 3.0 && line.x_max == 3.0);
	assert_true(fabs(line.scale - 1.4826 * 2.0) < 1e-9);
	line = line_of(x, y, NULL, 2);
	assert_true(line.slope == 0.0 && line.intercept == 1.0);
	line = line_of(x, y, weight, 5);
	assert_true(fabs(line.slope - 2.0) < 1e-12 && line.x_max == 3.0);
	line = line_of(nans, y, NULL, 5);
	assert_true(line.slope == 0.0 && isnan(line.intercept) && isnan(line.x_min));
	line = line_of(x, y, NULL, 0);
	assert_true(isnan(line.intercept));
	assert_int_equal(pgaml_ml_robust_line(infinite, y, NULL, 5, &plain_heap, &line, NULL), ML_E_DATA);
	assert_int_equal(pgaml_ml_robust_line(x, y, bad_weight, 5, &plain_heap, &line, NULL), ML_E_DATA);
}

static void
conformal_needs_enough_scores(void **state)
{
	double		scores[1000];
	double		out = -1.0;

	(void) state;
	for (int i = 0; i < 1000; i++)
		scores[i] = i + 1;
	assert_false(pgaml_ml_conformal_quantile(scores, 8, 0.9, &out));
	assert_true(out == -1.0);
	assert_true(pgaml_ml_conformal_quantile(scores, 9, 0.9, &out) && out == 9);
	assert_true(pgaml_ml_conformal_quantile(scores, 19, 0.9, &out) && out == 18);
	assert_true(pgaml_ml_conformal_quantile(scores, 999, 0.9, &out) && out == 900);
	assert_false(pgaml_ml_conformal_quantile(scores, 98, 0.99, &out));
	assert_true(pgaml_ml_conformal_quantile(scores, 99, 0.99, &out) && out == 99);
	assert_true(pgaml_ml_conformal_quantile(scores, 1, 0.5, &out) && out == 1);
	assert_false(pgaml_ml_conformal_quantile(scores, 0, 0.5, &out));
	assert_false(pgaml_ml_conformal_quantile(scores, 100, 1.0, &out));
	assert_false(pgaml_ml_conformal_quantile(scores, 100, 0.0, &out));
	assert_false(pgaml_ml_conformal_quantile(scores, 100, NAN, &out));
}

/* 4,000 log-normal errors to calibrate on, 4,000 to be covered. */
static void
conformal_covers_what_it_promises(void **state)
{
	double		scores[4000];
	double		width;
	MlRng		rng;

	(void) state;
	for (uint64_t seed = 1; seed <= 5; seed++)
	{
		int			inside = 0;

		pgaml_ml_rng_seed(&rng, seed);
		for (int i = 0; i < 4000; i++)
			scores[i] = fabs(log(exp(0.7 * pgaml_ml_rng_normal(&rng))));
		qsort(scores, 4000, sizeof(double), by_value);
		assert_true(pgaml_ml_conformal_quantile(scores, 4000, 0.9, &width));
		for (int i = 0; i < 4000; i++)
			inside += fabs(0.7 * pgaml_ml_rng_normal(&rng)) <= width;
		assert_in_range(inside, 3520, 3680);
	}
}

static void
parameters_are_named_and_checked(void **state)
{
	static const MlModelType types[] = {ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST};
	static const int counts[] = {2, 6, 9};
	MlParams	params;
	MlError		error;
	MlModelType type;

	(void) state;
	for (int t = 0; t < 3; t++)
	{
		const char *name;
		double		value;
		int			i = 0;

		pgaml_ml_params_default(types[t], &params);
		assert_int_equal(pgaml_ml_params_check(&params, &error), ML_OK);
		for (; pgaml_ml_params_get(&params, i, &name, &value); i++)
		{
			assert_int_equal(pgaml_ml_params_set(&params, name, value, &error), ML_OK);
			assert_int_equal(pgaml_ml_params_set(&params, name, -1.0, &error), ML_E_ARG);
			assert_int_equal(pgaml_ml_params_set(&params, name, NAN, &error), ML_E_ARG);
			assert_int_equal(pgaml_ml_params_set(&params, name, 1e301, &error), ML_E_ARG);
			assert_string_equal(error.where, name);
		}
		assert_int_equal(i, counts[t]);
		assert_false(pgaml_ml_params_get(&params, -1, &name, &value));
		assert_int_equal(pgaml_ml_params_set(&params, "nonsense", 1.0, &error), ML_E_ARG);
		assert_non_null(strstr(error.message, "nonsense"));

		assert_true(pgaml_ml_type_from_name(pgaml_ml_type_name(types[t]), &type));
		assert_int_equal(type, types[t]);
	}
	assert_false(pgaml_ml_type_from_name("perceptron", &type));
	assert_string_equal(pgaml_ml_type_name((MlModelType) 99), "unknown");
	assert_int_equal(pgaml_ml_params_set(&params, "n_trees", 2.5, &error), ML_E_ARG);
	assert_int_equal(pgaml_ml_params_set(&params, "l2", 1.0, &error), ML_E_ARG);
	assert_int_equal(pgaml_ml_params_set(&params, "seed", 77.0, NULL), ML_OK);
	assert_true(params.seed == 77);
	params.seed = UINT64_MAX;
	assert_int_equal(pgaml_ml_params_check(&params, &error), ML_OK);
	params.max_bins = 256;
	assert_int_equal(pgaml_ml_params_check(&params, &error), ML_E_ARG);
	assert_string_equal(error.where, "max_bins");
	params.type = (MlModelType) 99;
	assert_int_equal(pgaml_ml_params_check(&params, &error), ML_E_ARG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_generator_is_the_published_one),
		cmocka_unit_test(the_generator_is_uniform_and_normal),
		cmocka_unit_test(quantiles_are_lower_and_weighted),
		cmocka_unit_test(every_order_statistic_is_found),
		cmocka_unit_test(metrics_know_their_edges),
		cmocka_unit_test(metrics_on_ms_do_not_overflow_on_the_way),
		cmocka_unit_test(a_line_withstands_wild_points),
		cmocka_unit_test(a_line_knows_its_edges),
		cmocka_unit_test(conformal_needs_enough_scores),
		cmocka_unit_test(conformal_covers_what_it_promises),
		cmocka_unit_test(parameters_are_named_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
