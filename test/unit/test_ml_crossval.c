/*-------------------------------------------------------------------------
 * test_ml_crossval.c
 *		Cross-validation against fits by hand on copied rows; coverage; what
 *		time order forbids; failures.
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
#include "ml/crossval.h"

static const MlModelType all_types[] = {
	ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING
};

static MlParams
small_params(MlModelType type)
{
	MlParams	params;

	pgaml_ml_params_default(type, &params);
	params.n_trees = 8;
	params.max_leaves = 15;
	return params;
}

static MlFolds
make_folds(const MlFoldSpec *spec, int64_t nrows)
{
	MlFolds		folds;

	assert_int_equal(pgaml_ml_folds_create(spec, nrows, &plain_heap, NULL, &folds, NULL), ML_OK);
	return folds;
}

static MlValidation
validate(const Table *table, const MlParams *params, const MlFolds *folds, double coverage)
{
	MlValidation out;
	MlError		error = {0};

	if (pgaml_ml_validate(&table->data, params, folds, coverage, &plain_heap, NULL, &out, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return out;
}

/* The rows of one side, copied. */
static Table
copy_rows(const Table *from, const MlFolds *folds, int32_t k, MlFoldSide side)
{
	int64_t    *rows = malloc((size_t) from->data.nrows * sizeof(int64_t));
	int64_t		n = pgaml_ml_folds_rows(folds, k, side, rows);
	Table		to = table_new(n, from->data.nfeatures);

	table_set_weights(&to);
	for (int64_t i = 0; i < n; i++)
	{
		for (int32_t f = 0; f < from->data.nfeatures; f++)
			table_column(&to, f)[i] = from->columns[f][rows[i]];
		to.target[i] = from->target[rows[i]];
		to.weight[i] = from->weight != NULL ? from->weight[rows[i]] : 1.0f;
	}
	free(rows);
	return to;
}

static void
folds_are_fitted_as_by_hand(void **state)
{
	(void) state;
	for (int t = 0; t < 8; t++)
	{
		Table		table = table_random(400, 4, 3);
		MlParams	params = small_params(all_types[t % 4]);
		MlFoldSpec	spec = {.kind = t % 2 ? ML_FOLDS_RANDOM : ML_FOLDS_EXPANDING, .nfolds = 3, .seed = 5};
		MlFolds		folds = make_folds(&spec, 400);
		MlValidation v;

		if (t >= 4)
		{
			table_set_weights(&table);
			for (int64_t i = 0; i < 400; i++)
				table.weight[i] = (float) (i % 3) / 2.0f;
		}
		v = validate(&table, &params, &folds, 0.9);
		assert_int_equal(v.nfolds, 3);
		for (int32_t k = 0; k < 3; k++)
		{
			Table		fit = copy_rows(&table, &folds, k, ML_FOLD_TRAIN);
			Table		held = copy_rows(&table, &folds, k, ML_FOLD_TEST);
			double	   *p = malloc((size_t) held.data.nrows * sizeof(double));
			int64_t		next = 0;
			int64_t		counted = 0;
			MlModel    *model;
			MlMetrics	metrics;

			assert_int_equal(pgaml_ml_train(&fit.data, &params, &plain_heap, NULL, &model, NULL), ML_OK);
			for (int64_t i = 0; i < held.data.nrows; i++)
				p[i] = predict_row(model, &held, i);
			for (int64_t i = 0; i < 400; i++)
			{
				if (folds.fold[i] == k)
					assert_true(v.predicted[i] == p[next++]);
				if (folds.fold[i] < 0)
					assert_true(isnan(v.predicted[i]));
			}
			assert_int_equal(pgaml_ml_metrics(held.target, p, held.weight, next, &plain_heap, &metrics, NULL), ML_OK);
			assert_true(metrics.mae == v.fold[k].metrics.mae && metrics.r2_ms == v.fold[k].metrics.r2_ms &&
						metrics.q90 == v.fold[k].metrics.q90);
			for (int64_t i = 0; i < fit.data.nrows; i++)
				counted += fit.weight[i] > 0.0f;
			assert_int_equal(v.fold[k].ntrain, counted);
			pgaml_ml_model_free(model);
			free(p);
			table_free(&fit);
			table_free(&held);
		}
		pgaml_ml_validation_free(&v, &plain_heap);
		pgaml_ml_folds_free(&folds, &plain_heap);
		table_free(&table);
	}
}

static void
pooled_metrics_are_of_all_tested_rows(void **state)
{
	Table		table = table_random(300, 3, 9);
	MlParams	params = small_params(ML_LINEAR_REGRESSION);
	MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = 4, .seed = 1};
	MlFolds		folds = make_folds(&spec, 300);
	MlValidation v = validate(&table, &params, &folds, 0.9);
	double		mae = 0.0;

	(void) state;
	for (int32_t k = 0; k < 4; k++)
		mae += v.fold[k].metrics.mae * (double) v.fold[k].ntest / 300.0;
	assert_int_equal(v.pooled.ntest, 300);
	assert_int_equal(v.pooled.ntrain, 225);
	assert_true(fabs(v.pooled.metrics.mae - mae) < 1e-12);
	pgaml_ml_validation_free(&v, &plain_heap);
	pgaml_ml_folds_free(&folds, &plain_heap);
	table_free(&table);
}

static void
coverage_is_what_was_asked_for(void **state)
{
	static const double asked[] = {0.5, 0.9};

	(void) state;
	for (int c = 0; c < 2; c++)
	{
		double		covered = 0.0;

		for (uint64_t seed = 1; seed <= 5; seed++)
		{
			Table		table = table_random(1000, 3, seed);
			MlParams	params = small_params(ML_GRADIENT_BOOSTING);
			MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = 5, .seed = seed};
			MlFolds		folds = make_folds(&spec, 1000);
			MlValidation v = validate(&table, &params, &folds, asked[c]);

			covered += v.pooled.coverage / 5.0;
			assert_true(v.pooled.width > 1.0);
			pgaml_ml_validation_free(&v, &plain_heap);
			pgaml_ml_folds_free(&folds, &plain_heap);
			table_free(&table);
		}
		assert_true(fabs(covered - asked[c]) < 0.02);
	}
}

/* By hand: the width of a fold from the errors of the others. */
static void
widths_come_from_the_other_folds(void **state)
{
	static const MlFoldKind kinds[] = {ML_FOLDS_RANDOM, ML_FOLDS_EXPANDING};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		Table		table = table_random(60, 2, 4);
		MlParams	params = small_params(ML_LINEAR_REGRESSION);
		MlFoldSpec	spec = {.kind = kinds[i], .nfolds = 3, .seed = 2};
		MlFolds		folds = make_folds(&spec, 60);
		MlValidation v = validate(&table, &params, &folds, 0.8);

		for (int32_t k = 0; k < 3; k++)
		{
			double		scores[60];
			int64_t		n = 0;
			double		half;
			int64_t		covered = 0;
			int64_t		tested = 0;

			for (int64_t row = 0; row < 60; row++)
			{
				bool		known = folds.fold[row] >= 0 && (kinds[i] == ML_FOLDS_RANDOM ? folds.fold[row] != k : folds.fold[row] < k);

				if (!known)
					continue;
				scores[n++] = fabs(v.predicted[row] - table.target[row]);
				for (int64_t j = n - 1; j > 0 && scores[j] < scores[j - 1]; j--)
				{
					double		swap = scores[j];

					scores[j] = scores[j - 1];
					scores[j - 1] = swap;
				}
			}
			if (!pgaml_ml_conformal_quantile(scores, n, 0.8, &half))
			{
				assert_true(k == 0 && kinds[i] == ML_FOLDS_EXPANDING);
				assert_true(isnan(v.fold[k].coverage) && isnan(v.fold[k].width));
				continue;
			}
			for (int64_t row = 0; row < 60; row++)
			{
				tested += folds.fold[row] == k;
				covered += folds.fold[row] == k && fabs(v.predicted[row] - table.target[row]) <= half;
			}
			assert_true(fabs(v.fold[k].coverage - (double) covered / (double) tested) < 1e-12);
			assert_true(fabs(log(v.fold[k].width) - 2.0 * half) < 1e-12);
		}
		pgaml_ml_validation_free(&v, &plain_heap);
		pgaml_ml_folds_free(&folds, &plain_heap);
		table_free(&table);
	}
}

static void
by_time_the_future_changes_nothing(void **state)
{
	Table		table = table_random(200, 3, 4);
	MlParams	params = small_params(ML_GRADIENT_BOOSTING);
	MlFoldSpec	spec = {.kind = ML_FOLDS_EXPANDING, .nfolds = 4};
	MlFolds		folds = make_folds(&spec, 200);
	MlValidation before = validate(&table, &params, &folds, 0.9);
	MlValidation after;

	(void) state;
	for (int64_t i = 120; i < 200; i++)
	{
		table.target[i] += 100.0;
		table_column(&table, 1)[i] = -7.0f;
	}
	after = validate(&table, &params, &folds, 0.9);
	assert_memory_equal(before.fold, after.fold, 2 * sizeof(MlFoldScore));
	assert_memory_equal(before.predicted + 40, after.predicted + 40, 80 * sizeof(double));
	assert_true(before.fold[3].metrics.mae != after.fold[3].metrics.mae);
	pgaml_ml_validation_free(&before, &plain_heap);
	pgaml_ml_validation_free(&after, &plain_heap);
	pgaml_ml_folds_free(&folds, &plain_heap);
	table_free(&table);
}

static void
rows_without_weight_do_not_count(void **state)
{
	Table		table = table_random(90, 2, 4);
	MlParams	params = small_params(ML_DECISION_TREE);
	MlFoldSpec	spec = {.kind = ML_FOLDS_EXPANDING, .nfolds = 2};
	MlFolds		folds = make_folds(&spec, 90);
	MlError		error;
	MlValidation v;

	(void) state;
	table_set_weights(&table);
	for (int64_t i = 30; i < 60; i++)
		table.weight[i] = 0.0f;
	v = validate(&table, &params, &folds, 0.9);
	assert_int_equal(v.fold[0].ntest, 0);
	assert_true(isnan(v.fold[0].metrics.mae) && isnan(v.fold[0].metrics.qmax) && isnan(v.fold[0].coverage));
	assert_int_equal(v.fold[1].ntrain, 30);
	assert_int_equal(v.pooled.ntest, 30);
	pgaml_ml_validation_free(&v, &plain_heap);

	for (int64_t i = 0; i < 30; i++)
		table.weight[i] = 0.0f;
	assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &plain_heap, NULL, &v, &error), ML_E_DATA);
	assert_null(v.predicted);
	for (int64_t i = 0; i < 90; i++)
		table.weight[i] = 0.0f;
	assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &plain_heap, NULL, &v, &error), ML_E_DATA);
	pgaml_ml_folds_free(&folds, &plain_heap);
	table_free(&table);
}

static void
bad_arguments_are_refused(void **state)
{
	static const double coverages[] = {0.0, 1.0, NAN, -1.0};
	Table		table = table_random(50, 2, 4);
	MlParams	params = small_params(ML_DECISION_TREE);
	MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = 2};
	MlFolds		folds = make_folds(&spec, 49);
	MlError		error;
	MlValidation v;

	(void) state;
	assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &plain_heap, NULL, &v, &error), ML_E_ARG);
	assert_string_equal(error.where, "folds");
	pgaml_ml_folds_free(&folds, &plain_heap);
	folds = make_folds(&spec, 50);
	for (int i = 0; i < 4; i++)
	{
		assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, coverages[i], &plain_heap, NULL, &v, &error), ML_E_ARG);
		assert_string_equal(error.where, "coverage");
	}
	params.max_leaves = 0;
	assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &plain_heap, NULL, &v, &error), ML_E_ARG);
	assert_string_equal(error.where, "max_leaves");
	pgaml_ml_folds_free(&folds, &plain_heap);
	table_free(&table);
}

static bool
stop_late(void *state, double progress)
{
	double	   *seen = state;

	assert_true(progress >= *seen && progress <= 1.0);
	*seen = progress;
	return progress > 0.6;
}

static void
failures_and_stops_leave_nothing(void **state)
{
	Table		table = table_random(20000, 4, 4);
	MlParams	params = small_params(ML_GRADIENT_BOOSTING);
	MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = 2};
	MlFolds		folds = make_folds(&spec, 20000);
	double		seen = 0.0;
	MlStop		stop = {stop_late, &seen};
	Counter		whole = {0};
	MlAllocator allocator = counting(&whole);
	MlValidation v;

	(void) state;
	params.n_trees = 2;
	assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &allocator, &stop, &v, NULL), ML_E_STOPPED);
	assert_true(seen > 0.6);
	assert_int_equal(whole.held, 0);
	whole.calls = 0;
	assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &allocator, NULL, &v, NULL), ML_OK);
	pgaml_ml_validation_free(&v, &allocator);
	assert_true(whole.peak <= pgaml_ml_validate_memory(&params, 20000, 4));
	assert_true(pgaml_ml_validate_memory(&params, INT64_MAX, 4) == SIZE_MAX);
	for (int64_t fail_at = 1; fail_at <= whole.calls; fail_at++)
	{
		Counter		counter = {.fail_at = fail_at};

		allocator = counting(&counter);
		assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &allocator, NULL, &v, NULL), ML_E_NOMEM);
		assert_int_equal(counter.held, 0);
		assert_null(v.fold);
	}
	pgaml_ml_folds_free(&folds, &plain_heap);
	table_free(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folds_are_fitted_as_by_hand),
		cmocka_unit_test(pooled_metrics_are_of_all_tested_rows),
		cmocka_unit_test(coverage_is_what_was_asked_for),
		cmocka_unit_test(widths_come_from_the_other_folds),
		cmocka_unit_test(by_time_the_future_changes_nothing),
		cmocka_unit_test(rows_without_weight_do_not_count),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(failures_and_stops_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
