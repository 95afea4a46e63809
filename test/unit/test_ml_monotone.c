/*-------------------------------------------------------------------------
 * test_ml_monotone.c
 *		Monotone constraints of gradient boosting, with every loss.
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

static const char *const losses[] = {"squared", "huber", "quantile"};

static MlParams
boosting(const char *loss)
{
	MlParams	params;

	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	params.n_trees = 30;
	assert_int_equal(pgaml_ml_params_set_text(&params, "loss", loss, NULL), ML_OK);
	return params;
}

static MlModel *
fit(const Table *table, const MlParams *params)
{
	MlModel    *model = NULL;
	MlError		error = {0};

	if (pgaml_ml_train(&table->data, params, &plain_heap, NULL, &model, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return model;
}

/*
 * Targets that rise and fall with every feature, with gaps.  Feature 0 must
 * not fall, feature 1 must not rise, the others are free.
 */
static Table
wavy(int64_t n, uint64_t seed)
{
	Table		table = table_random(n, 4, seed);
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed + 1000);
	for (int64_t i = 0; i < n; i++)
	{
		double		x[4];

		for (int32_t f = 0; f < 4; f++)
		{
			x[f] = table_column(&table, f)[i];
			if (pgaml_ml_rng_uniform(&rng) < 0.1)
				table_column(&table, f)[i] = NAN;
		}
		table.target[i] = 2.0 * sin(2.0 * x[0]) + x[0] - cos(3.0 * x[1]) * (1.0 + x[2]) - 0.5 * x[1] +
			x[2] * x[3] + 0.5 * pgaml_ml_rng_normal(&rng) + (isnan(table_column(&table, 0)[i]) ? -4.0 : 0.0);
		if (i % 40 == 0)
			table.target[i] *= 30.0;
	}
	return table;
}

/* Worst step of the predictions against the constraint over a sweep of one feature. */
static double
worst_step(const MlModel *model, int32_t feature, int sign, uint64_t seed)
{
	double		worst = 0.0;
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed);
	for (int turn = 0; turn < 40; turn++)
	{
		float		row[4];
		double		before = NAN;

		for (int32_t f = 0; f < 4; f++)
			row[f] = pgaml_ml_rng_uniform(&rng) < 0.15 ? NAN : (float) (1.3 * pgaml_ml_rng_normal(&rng));
		for (int step = -100; step <= 100; step++)
		{
			double		p;

			row[feature] = (float) step / 25.0f;
			p = pgaml_ml_predict(model, row);
			if (step > -100 && sign * (p - before) < worst)
				worst = sign * (p - before);
			before = p;
		}
	}
	return worst;
}

static void
constrained_predictions_never_turn(void **state)
{
	static const int8_t signs[4] = {1, -1, 0, 0};

	(void) state;
	for (uint64_t seed = 1; seed <= 5; seed++)
	{
		for (int l = 0; l < 3; l++)
		{
			/* small data grow on sorted rows, large on histograms, packed or not */
			Table		table = wavy(seed % 2 ? 400 : 4000, seed);
			MlParams	params = boosting(losses[l]);
			MlModel    *free_model;
			MlModel    *model;

			if (seed == 4)
			{
				table_set_weights(&table);
				for (int64_t i = 0; i < 4000; i++)
					table.weight[i] = (float) (1 + i % 17) * 0.37f;
			}
			table.data.monotone = signs;
			params.seed = seed;
			params.sample_fraction = seed % 3 == 0 ? 0.6 : 1.0;
			params.quantile = 0.7;
			params.n_trees = 60;
			free_model = fit(&table, &params);
			assert_true(worst_step(free_model, 0, 1, seed) < -0.05);
			params.monotone = 1;
			model = fit(&table, &params);
			if (worst_step(model, 0, 1, seed) < 0.0 || worst_step(model, 1, -1, seed) < 0.0)
				fail_msg("%s, seed %d: falls by %g, rises by %g", losses[l], (int) seed,
						 worst_step(model, 0, 1, seed), worst_step(model, 1, -1, seed));
			/* and it still learns, from feature 0 too */
			assert_true(worst_step(model, 0, -1, seed) < -0.05);
			assert_true(worst_step(model, 2, 1, seed) < -0.05);
			pgaml_ml_model_free(free_model);
			pgaml_ml_model_free(model);
			table_free(&table);
		}
	}
}

/* A constraint that the data keep to costs nothing that can be seen. */
static void
a_true_constraint_does_not_hurt(void **state)
{
	static const int8_t up[3] = {1, 0, 0};
	Table		table = table_random(4000, 3, 21);
	Table		fresh = table_random(4000, 3, 22);
	MlParams	params = boosting("squared");
	MlModel    *free_model;
	MlModel    *model;

	(void) state;
	params.n_trees = 100;
	table.data.monotone = up;
	free_model = fit(&table, &params);
	params.monotone = 1;
	model = fit(&table, &params);
	assert_true(r2_of(model, &fresh) > r2_of(free_model, &fresh) - 0.005);
	pgaml_ml_model_free(free_model);
	pgaml_ml_model_free(model);
	table_free(&table);
	table_free(&fresh);
}

/* Missing values may have any value: only they separate here, below all others. */
static void
missing_values_are_free(void **state)
{
	static const int8_t up[2] = {1, 0};

	(void) state;
	for (int64_t n = 300; n <= 3000; n += 2700)
	{
		for (int sign = -1; sign <= 1; sign += 2)
		{
			Table		table = table_random(n, 2, 23);
			MlParams	params = boosting("squared");
			MlModel    *model;
			float		there[2] = {0.0f, 0.0f};
			float		gone[2] = {NAN, 0.0f};

			for (int64_t i = 0; i < n; i++)
			{
				table.target[i] = i % 3 == 0 ? 5.0 * sign : 0.0;
				if (i % 3 == 0)
					table_column(&table, 0)[i] = NAN;
			}
			table.data.monotone = up;
			params.monotone = 1;
			params.n_trees = 100;
			model = fit(&table, &params);
			assert_true(fabs(pgaml_ml_predict(model, gone) - 5.0 * sign) < 0.1);
			assert_true(fabs(pgaml_ml_predict(model, there)) < 0.1);
			pgaml_ml_model_free(model);
			table_free(&table);
		}
	}
}

/*
 * Below the root's other branch feature 0 has only 0, 1 and missing.  They are
 * told apart exactly, and larger values, which training had elsewhere, go with
 * the values and not with the missing ones.
 */
static void
missing_values_alone_on_a_side_are_free(void **state)
{
	static const int8_t up[2] = {1, 0};

	(void) state;
	for (int64_t n = 300; n <= 6000; n += 5700)
	{
		Table		table = table_new(n, 2);
		MlParams	params = boosting("squared");
		MlModel    *model;
		const float gone[2] = {NAN, 0.0f};

		for (int64_t i = 0; i < n; i++)
		{
			bool		other = i % 2 == 1;
			bool		missing = !other && i % 6 == 0;

			table_column(&table, 1)[i] = (float) other;
			table_column(&table, 0)[i] = missing ? NAN : (float) (i / 6 % (other ? 4 : 2));
			table.target[i] = other ? 100.0 : missing ? -5.0 : 0.0;
		}
		table.data.monotone = up;
		params.monotone = 1;
		params.n_trees = 1;
		params.max_leaves = 3;
		params.learning_rate = 1.0;
		params.l2 = 0.0;
		model = fit(&table, &params);
		assert_true(fabs(pgaml_ml_predict(model, gone) + 5.0) < 1e-9);
		for (int x = 0; x < 4; x++)
		{
			const float row[2] = {(float) x, 0.0f};

			assert_true(fabs(pgaml_ml_predict(model, row)) < 1e-9);
		}
		pgaml_ml_model_free(model);
		table_free(&table);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constrained_predictions_never_turn),
		cmocka_unit_test(a_true_constraint_does_not_hurt),
		cmocka_unit_test(missing_values_are_free),
		cmocka_unit_test(missing_values_alone_on_a_side_are_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
