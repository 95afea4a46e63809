/*-------------------------------------------------------------------------
 * test_ml_boost.c
 *		Gradient boosting: its losses, early stopping, parameters.
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

#include "ml/model_internal.h"

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

static double
mean_absolute_error(const MlModel *model, const Table *table)
{
	double		sum = 0.0;

	for (int64_t i = 0; i < table->data.nrows; i++)
		sum += fabs(predict_row(model, table, i) - table->target[i]);
	return sum / (double) table->data.nrows;
}

static int
ascending(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Selecting must say what sorting says, whatever the order and the ties. */
static void
selection_agrees_with_sorting(void **state)
{
	MlTicker	ticker = {0};
	MlRng		rng;

	(void) state;
	pgaml_ml_rng_seed(&rng, 1);
	for (int turn = 0; turn < 2000; turn++)
	{
		int64_t		n = 1 + (int64_t) pgaml_ml_rng_below(&rng, turn % 10 == 0 ? 3000 : 90);
		uint64_t	distinct = 1 + pgaml_ml_rng_below(&rng, 200);
		double		q = turn % 7 == 0 ? (double) (turn % 2) : (double) pgaml_ml_rng_below(&rng, 101) / 100.0;
		MlPair	   *pairs = malloc((size_t) n * sizeof(MlPair));
		MlPair	   *sorted = malloc((size_t) n * sizeof(MlPair));
		MlPair	   *scratch = malloc((size_t) n * sizeof(MlPair));
		double		got;

		for (int64_t i = 0; i < n; i++)
		{
			double		value = turn % 3 == 0 ? (double) i : (double) pgaml_ml_rng_below(&rng, distinct);

			pairs[i] = (MlPair) {turn % 5 == 0 ? -value : value, (double) (1 + pgaml_ml_rng_below(&rng, 4)) / 4.0};
		}
		memcpy(sorted, pairs, (size_t) n * sizeof(MlPair));
		pgaml_ml_sort_pairs(sorted, scratch, n);
		assert_false(pgaml_ml_select_quantile(pairs, n, q, &ticker, &got));
		if (got != pgaml_ml_sorted_quantile(sorted, n, q))
			fail_msg("n %lld, q %g: %g, sorted %g", (long long) n, q, got, pgaml_ml_sorted_quantile(sorted, n, q));
		free(pairs);
		free(sorted);
		free(scratch);
	}
}

/* One leaf and a learning rate of 1 give the loss's own constant. */
static void
the_start_is_the_constant_of_the_loss(void **state)
{
	Table		table = table_random(301, 2, 1);
	MlParams	params;
	double		sorted[301];
	double		mean = 0.0;

	(void) state;
	for (int64_t i = 0; i < 301; i++)
		mean += table.target[i] / 301.0;
	memcpy(sorted, table.target, sizeof(sorted));
	qsort(sorted, 301, sizeof(double), ascending);
	for (int l = 0; l < 3; l++)
	{
		double		want[] = {mean, NAN, sorted[240]};
		MlModel    *model;

		params = boosting(losses[l]);
		params.quantile = 0.8;	/* the 241st of 301 */
		params.n_trees = 1;
		params.learning_rate = 1.0;
		params.l2 = 0.0;
		params.min_samples_leaf = 301.0;
		if (l == 1)
		{
			/* median, then one step of algorithm 4 */
			double		sizes[301];
			double		step = 0.0;

			for (int64_t i = 0; i < 301; i++)
				sizes[i] = fabs(table.target[i] - sorted[150]);
			qsort(sizes, 301, sizeof(double), ascending);
			for (int64_t i = 0; i < 301; i++)
				step += fmax(-sizes[270], fmin(sizes[270], table.target[i] - sorted[150])) / 301.0;
			want[1] = sorted[150] + step;	/* 0.9: the 271st */
		}
		model = fit(&table, &params);
		if (!(fabs(predict_row(model, &table, 0) - want[l]) < 1e-12))
			fail_msg("%s: %.17g, want %.17g", losses[l], predict_row(model, &table, 0), want[l]);
		pgaml_ml_model_free(model);
	}
	table_free(&table);
}

/* The share of the rows below a fitted quantile is that quantile, also of new rows. */
static void
a_quantile_model_covers_its_share(void **state)
{
	static const double levels[] = {0.1, 0.5, 0.9};

	(void) state;
	for (int k = 0; k < 3; k++)
	{
		Table		table = table_random(4000, 4, 2);
		Table		fresh = table_random(4000, 4, 3);
		MlParams	params = boosting("quantile");
		MlModel    *model;
		int			below = 0;

		params.quantile = levels[k];
		params.n_trees = 100;
		params.min_samples_leaf = 100.0;
		params.max_leaves = 15;
		model = fit(&table, &params);
		for (int64_t i = 0; i < 4000; i++)
			below += fresh.target[i] <= predict_row(model, &fresh, i);
		/* trees that fit closely leave somewhat less outside on new rows */
		if (fabs(below / 4000.0 - levels[k]) > 0.06)
			fail_msg("%g: %g of new rows are below", levels[k], below / 4000.0);
		pgaml_ml_model_free(model);
		table_free(&table);
		table_free(&fresh);
	}
}

/* A few absurd targets ruin squared error and leave the two others alone. */
static void
robust_losses_ignore_absurd_targets(void **state)
{
	Table		table = table_random(3000, 4, 4);
	Table		fresh = table_random(3000, 4, 5);
	double		errors[3];

	(void) state;
	for (int64_t i = 0; i < 3000; i += 25)
		table.target[i] += i % 50 == 0 ? 400.0 : 100.0;
	for (int l = 0; l < 3; l++)
	{
		MlParams	params = boosting(losses[l]);
		MlModel    *model;

		params.n_trees = 100;
		model = fit(&table, &params);
		errors[l] = mean_absolute_error(model, &fresh);
		pgaml_ml_model_free(model);
	}
	if (!(errors[0] > 3.0 && errors[1] < 0.7 && errors[2] < 0.7))
		fail_msg("squared %g, huber %g, quantile %g", errors[0], errors[1], errors[2]);
	table_free(&table);
	table_free(&fresh);
}

static void
every_loss_is_deterministic_and_finite_at_the_edges(void **state)
{
	(void) state;
	for (int l = 0; l < 3; l++)
	{
		for (int64_t n = 1; n <= 1201; n += 400)
		{
			Table		table = table_random(n, 4, 6);
			MlParams	params = boosting(losses[l]);
			MlModel    *a;
			MlModel    *b;

			params.sample_fraction = 0.6;
			params.feature_fraction = 0.5;
			params.early_stopping_rounds = 3;
			params.max_leaves = 8;
			for (int32_t f = 0; f < 4; f++)
				table_column(&table, f)[(f * 7) % n] = NAN;
			table_set_weights(&table);
			for (int64_t i = 0; i < n; i++)
				table.weight[i] = i % 3 == 0 ? 1e30f : i % 3 == 1 ? 1.0f : 1e-30f;
			a = fit(&table, &params);
			b = fit(&table, &params);
			assert_same_bytes(a, b);
			for (int64_t i = 0; i < n; i++)
				assert_true(isfinite(predict_row(a, &table, i)));
			pgaml_ml_model_free(a);
			pgaml_ml_model_free(b);

			/* equal targets, also the largest allowed */
			for (int64_t i = 0; i < n; i++)
				table.target[i] = 1e300;
			a = fit(&table, &params);
			for (int64_t i = 0; i < n; i++)
				assert_true(fabs(predict_row(a, &table, i) - 1e300) < 1e286);
			pgaml_ml_model_free(a);
			table_free(&table);
		}
	}
}

/* Half of the targets are the same number: most residuals start at exactly 0. */
static void
huber_moves_when_most_residuals_are_zero(void **state)
{
	Table		table = table_random(2000, 3, 7);
	MlParams	params = boosting("huber");
	MlModel    *model;

	(void) state;
	for (int64_t i = 0; i < 2000; i++)
		table.target[i] = table_column(&table, 0)[i] > 1.7f ? 3.0 : 0.0;
	params.huber_delta = 0.5;
	params.n_trees = 100;
	model = fit(&table, &params);
	assert_true(r2_of(model, &table) > 0.9);
	pgaml_ml_model_free(model);
	table_free(&table);
}

/* ---- properties that hold for every loss ---- */

static void
a_constant_added_to_the_target_shifts_boosted_predictions(void **state)
{
	(void) state;
	for (int l = 0; l < 3; l++)
	{
		Table		table = table_random(2000, 5, 8);
		MlParams	params = boosting(losses[l]);
		MlModel    *before = fit(&table, &params);
		MlModel    *after;

		for (int64_t i = 0; i < 2000; i++)
			table.target[i] += 1024.0;
		after = fit(&table, &params);
		for (int64_t i = 0; i < 2000; i++)
			assert_true(fabs(predict_row(after, &table, i) - predict_row(before, &table, i) - 1024.0) < 1e-8);
		pgaml_ml_model_free(before);
		pgaml_ml_model_free(after);
		table_free(&table);
	}
}

/* Not asked of the quantile loss, whose two gradients make ties between columns. */
static void
the_order_of_columns_does_not_matter_to_boosting(void **state)
{
	static const int order[] = {3, 0, 4, 2, 1};

	(void) state;
	for (int l = 0; l < 2; l++)
	{
		Table		table = table_random(2000, 5, 9);
		Table		moved = table_new(2000, 5);
		MlParams	params = boosting(losses[l]);
		MlModel    *a;
		MlModel    *b;

		for (int32_t f = 0; f < 5; f++)
			memcpy(table_column(&moved, f), table_column(&table, order[f]), 2000 * sizeof(float));
		memcpy(moved.target, table.target, 2000 * sizeof(double));
		a = fit(&table, &params);
		b = fit(&moved, &params);
		for (int64_t i = 0; i < 2000; i++)
			assert_true(fabs(predict_row(a, &table, i) - predict_row(b, &moved, i)) < 1e-9);
		pgaml_ml_model_free(a);
		pgaml_ml_model_free(b);
		table_free(&table);
		table_free(&moved);
	}
}

static void
weight_two_is_a_row_twice_to_boosting(void **state)
{
	(void) state;
	for (int l = 0; l < 3; l++)
	{
		Table		once = table_random(200, 4, 10);
		Table		twice = table_new(400, 4);
		MlParams	params = boosting(losses[l]);
		MlModel    *a;
		MlModel    *b;

		table_set_weights(&once);
		for (int64_t i = 0; i < 200; i++)
		{
			once.weight[i] = 2.0f;
			for (int32_t f = 0; f < 4; f++)
				table_column(&twice, f)[2 * i] = table_column(&twice, f)[2 * i + 1] = table_column(&once, f)[i];
			twice.target[2 * i] = twice.target[2 * i + 1] = once.target[i];
		}
		params.max_leaves = 8;
		a = fit(&once, &params);
		b = fit(&twice, &params);
		for (int64_t i = 0; i < 200; i++)
			assert_true(fabs(predict_row(a, &once, i) - predict_row(b, &once, i)) < 1e-9);
		pgaml_ml_model_free(a);
		pgaml_ml_model_free(b);
		table_free(&once);
		table_free(&twice);
	}
}

static void
scales_of_targets_change_nothing_else(void **state)
{
	static const double scales[] = {0x1p-900, 0x1p990};

	(void) state;
	for (int l = 0; l < 3; l++)
	{
		Table		table = table_random(400, 4, 11);
		MlParams	params = boosting(losses[l]);
		MlModel    *a = fit(&table, &params);

		for (int s = 0; s < 2; s++)
		{
			Table		scaled = table_random(400, 4, 11);
			MlModel    *b;

			for (int64_t i = 0; i < 400; i++)
				scaled.target[i] *= scales[s];
			b = fit(&scaled, &params);
			for (int64_t i = 0; i < 400; i++)
				assert_true(fabs(predict_row(a, &table, i) - predict_row(b, &scaled, i) / scales[s]) < 1e-9);
			pgaml_ml_model_free(b);
			table_free(&scaled);
		}
		pgaml_ml_model_free(a);
		table_free(&table);
	}
}

static void
l2_and_min_gain_make_models_smaller(void **state)
{
	(void) state;
	for (int l = 0; l < 3; l++)
	{
		Table		table = table_random(1000, 4, 12);
		MlParams	params = boosting(losses[l]);
		MlModel    *plain = fit(&table, &params);
		MlModel    *shrunk;
		MlModel    *flat;

		params.l2 = 1e6;
		shrunk = fit(&table, &params);
		params.l2 = 1.0;
		params.min_gain = 1e9;
		flat = fit(&table, &params);
		assert_true(r2_of(plain, &table) > 0.7);
		assert_true(r2_of(shrunk, &table) < 0.05);
		for (int64_t i = 0; i < 1000; i++)
			assert_true(predict_row(flat, &table, i) == predict_row(flat, &table, 0));
		pgaml_ml_model_free(plain);
		pgaml_ml_model_free(shrunk);
		pgaml_ml_model_free(flat);
		table_free(&table);
	}
}

/* A tree with half of the features has no others; over many trees all are seen. */
static void
a_tree_keeps_to_its_share_of_the_features(void **state)
{
	Table		table = table_random(3000, 12, 13);
	MlParams	params = boosting("squared");
	MlModel    *model;
	unsigned	seen = 0;

	(void) state;
	for (int32_t f = 3; f < 12; f++)
	{
		for (int64_t i = 0; i < 3000; i++)
			table.target[i] += 0.3 * table_column(&table, f)[i];
	}
	params.feature_fraction = 0.25;
	model = fit(&table, &params);
	for (int32_t t = 0; t < model->ntrees; t++)
	{
		unsigned	used = 0;

		for (int32_t i = 0; i + 1 < model->trees[t].nleaves; i++)
			used |= 1u << model->trees[t].nodes[i].feature;
		assert_in_range(__builtin_popcount(used), 1, 3);
		seen |= used;
	}
	assert_int_equal(seen, (1u << 12) - 1);
	pgaml_ml_model_free(model);
	table_free(&table);
}

/* ---- early stopping ---- */

/* Pure noise: nothing is gained on validation rows, and almost nothing is kept. */
static void
fitting_stops_when_validation_gains_nothing(void **state)
{
	(void) state;
	for (int l = 0; l < 3; l++)
	{
		for (int given = 0; given < 2; given++)
		{
			Table		table = table_random(1500, 5, 14);
			uint8_t    *validation = calloc(1500, 1);
			MlParams	params = boosting(losses[l]);
			MlModel    *model;
			MlRng		rng;

			pgaml_ml_rng_seed(&rng, 15);
			for (int64_t i = 0; i < 1500; i++)
			{
				table.target[i] = pgaml_ml_rng_normal(&rng);
				validation[i] = i % 4 == 0;
			}
			table.data.validation = given ? validation : NULL;
			params.n_trees = 400;
			params.early_stopping_rounds = 10;
			params.validation_fraction = 0.25;
			model = fit(&table, &params);
			assert_in_range(pgaml_ml_model_trees(model), 1, 60);
			pgaml_ml_model_free(model);
			free(validation);
			table_free(&table);
		}
	}
}

static double
validation_mse(const MlModel *model, int32_t ntrees, const Table *table)
{
	double		sum = 0.0;

	for (int64_t i = 0; i < table->data.nrows; i += 4)
	{
		float		row[16];
		double		p = model->base;

		for (int32_t f = 0; f < table->data.nfeatures; f++)
			row[f] = table->columns[f][i];
		for (int32_t t = 0; t < ntrees; t++)
			p += pgaml_ml_tree_predict(&model->trees[t], row);
		sum += (p - table->target[i]) * (p - table->target[i]);
	}
	return sum;
}

/* What is kept is the prefix of the same trees that is best on the validation rows. */
static void
the_best_prefix_is_kept(void **state)
{
	Table		table = table_random(1200, 5, 16);
	uint8_t    *validation = calloc(1200, 1);
	MlParams	params = boosting("squared");
	MlModel    *whole;
	MlModel    *stopped;
	int32_t		best = 1;

	(void) state;
	for (int64_t i = 0; i < 1200; i++)
		validation[i] = i % 4 == 0;
	table.data.validation = validation;
	params.n_trees = 250;
	params.sample_fraction = 0.7;
	whole = fit(&table, &params);
	assert_int_equal(pgaml_ml_model_trees(whole), 250);
	params.early_stopping_rounds = 250;
	stopped = fit(&table, &params);
	for (int32_t t = 2; t <= 250; t++)
	{
		if (validation_mse(whole, t, &table) < validation_mse(whole, best, &table))
			best = t;
	}
	assert_int_equal(pgaml_ml_model_trees(stopped), best);
	assert_in_range(best, 10, 249);
	for (int64_t i = 0; i < 1200; i += 4)
	{
		/* validation rows are not fitted: what they say changes nothing but the end */
		assert_true(fabs(table.target[i]) < 1e6);
		table.target[i] += 1e6;
	}
	params.early_stopping_rounds = 0;
	pgaml_ml_model_free(stopped);
	stopped = fit(&table, &params);
	for (int64_t i = 0; i < 1200; i++)
		assert_true(fabs(predict_row(stopped, &table, i) - predict_row(whole, &table, i)) < 1e-6);
	pgaml_ml_model_free(whole);
	pgaml_ml_model_free(stopped);
	free(validation);
	table_free(&table);
}

static void
validation_rows_alone_are_refused(void **state)
{
	Table		table = table_random(50, 2, 17);
	uint8_t		validation[50];
	MlParams	params = boosting("squared");
	MlModel    *model;
	MlError		error = {0};

	(void) state;
	memset(validation, 1, sizeof(validation));
	table.data.validation = validation;
	assert_int_equal(pgaml_ml_train(&table.data, &params, &plain_heap, NULL, &model, &error), ML_E_DATA);
	assert_string_equal(error.where, "validation");
	assert_null(model);

	/* one row cannot be split: it is fitted */
	table.data.validation = NULL;
	table.data.nrows = 1;
	params.early_stopping_rounds = 5;
	params.validation_fraction = 0.9;
	for (uint64_t seed = 0; seed < 20; seed++)
	{
		params.seed = seed;
		model = fit(&table, &params);
		assert_true(fabs(predict_row(model, &table, 0) - table.target[0]) < 1e-12);
		pgaml_ml_model_free(model);
	}
	table_free(&table);
}

/* ---- parameters by word ---- */

static void
losses_are_named(void **state)
{
	MlParams	params;
	MlError		error = {0};
	const char *name;
	double		value;
	int			at = -1;

	(void) state;
	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &params);
	for (int i = 0; pgaml_ml_params_get(&params, i, &name, &value); i++)
	{
		if (strcmp(name, "loss") == 0)
			at = i;
		else
			assert_null(pgaml_ml_params_text(&params, i));
	}
	assert_true(at >= 0);
	for (int l = 0; l < 3; l++)
	{
		assert_int_equal(pgaml_ml_params_set_text(&params, "loss", losses[l], &error), ML_OK);
		assert_string_equal(pgaml_ml_params_text(&params, at), losses[l]);
		assert_int_equal(pgaml_ml_params_check(&params, &error), ML_OK);
		assert_int_equal(pgaml_ml_params_set(&params, "loss", l, &error), ML_OK);
		assert_string_equal(pgaml_ml_params_text(&params, at), losses[l]);
	}
	assert_null(pgaml_ml_params_text(&params, 100));
	assert_null(pgaml_ml_params_text(&params, -1));
	assert_int_equal(pgaml_ml_params_set_text(&params, "loss", "hubert", &error), ML_E_ARG);
	assert_string_equal(error.message, "loss must be one of squared, huber, quantile");
	assert_int_equal(pgaml_ml_params_set(&params, "loss", 3.0, &error), ML_E_ARG);
	assert_int_equal(pgaml_ml_params_set(&params, "loss", 0.5, &error), ML_E_ARG);
	assert_int_equal(pgaml_ml_params_set(&params, "loss", NAN, &error), ML_E_ARG);
	/* a forest takes 0 for its default, boosting has none */
	assert_int_equal(pgaml_ml_params_set(&params, "feature_fraction", 0.0, &error), ML_E_ARG);
	assert_int_equal(pgaml_ml_params_set_text(&params, "n_trees", "many", &error), ML_E_ARG);
	assert_string_equal(error.message, "n_trees must be a number");
	assert_int_equal(pgaml_ml_params_set_text(&params, "tree", "many", &error), ML_E_ARG);
	params.loss = (MlLossKind) 7;
	assert_int_equal(pgaml_ml_params_check(&params, &error), ML_E_ARG);
	assert_string_equal(error.where, "loss");
	pgaml_ml_params_default(ML_RANDOM_FOREST, &params);
	assert_int_equal(pgaml_ml_params_set_text(&params, "loss", "huber", &error), ML_E_ARG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selection_agrees_with_sorting),
		cmocka_unit_test(the_start_is_the_constant_of_the_loss),
		cmocka_unit_test(a_quantile_model_covers_its_share),
		cmocka_unit_test(robust_losses_ignore_absurd_targets),
		cmocka_unit_test(every_loss_is_deterministic_and_finite_at_the_edges),
		cmocka_unit_test(huber_moves_when_most_residuals_are_zero),
		cmocka_unit_test(a_constant_added_to_the_target_shifts_boosted_predictions),
		cmocka_unit_test(the_order_of_columns_does_not_matter_to_boosting),
		cmocka_unit_test(weight_two_is_a_row_twice_to_boosting),
		cmocka_unit_test(scales_of_targets_change_nothing_else),
		cmocka_unit_test(l2_and_min_gain_make_models_smaller),
		cmocka_unit_test(a_tree_keeps_to_its_share_of_the_features),
		cmocka_unit_test(fitting_stops_when_validation_gains_nothing),
		cmocka_unit_test(the_best_prefix_is_kept),
		cmocka_unit_test(validation_rows_alone_are_refused),
		cmocka_unit_test(losses_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
