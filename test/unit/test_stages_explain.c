/*-------------------------------------------------------------------------
 * test_stages_explain.c
 *		Answers of the stages taken apart, whatever stage gives them, and
 *		importances of their learner on data whose truth is known.
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
#include "ml/stages_explain.h"
#include "ml/stages_internal.h"

enum
{
	F_COST, F_DRIVER, F_IDLE, F_CENTER, F_SPREAD, F_RUNS, NFEATURES
};

enum
{
	GROUPS = 30, PER_GROUP = 60, ROWS = GROUPS * PER_GROUP
};

static const MlStageLayout layout = {
	.feature_version = 3, .nfeatures = NFEATURES, .lag_center = F_CENTER, .lag_spread = F_SPREAD,
	.lag_runs = F_RUNS, .cost = F_COST,
	.roles = {[F_COST] = ML_ROLE_PLAN, [F_CENTER] = ML_ROLE_PAST, [F_SPREAD] = ML_ROLE_PAST, [F_RUNS] = ML_ROLE_PAST}
};

/* Statements whose executions depart from their centre by 3 x driver; their cost tells half of the centre. */
typedef struct Fixture
{
	float		columns[NFEATURES][ROWS];
	const float *pointers[NFEATURES];
	double		target[ROWS];
	int32_t		group[ROWS];
	int64_t		plan[ROWS];
	uint8_t		part[ROWS];
	uint8_t		single[ROWS];
	MlStageData data;
	MlStages   *stages;
	MlStageReport report;
} Fixture;

static Fixture *
fixture(MlModelType type, double driver_effect)
{
	Fixture    *f = calloc(1, sizeof(Fixture));
	MlParams	params;
	MlError		error;
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, 5);
	for (int g = 0; g < GROUPS; g++)
	{
		double		center = 4.0 * pgaml_ml_rng_uniform(&rng);
		double		cost = 2.0 * center + pgaml_ml_rng_normal(&rng);

		for (int j = 0; j < PER_GROUP; j++)
		{
			int			i = g * PER_GROUP + j;
			double		driver = pgaml_ml_rng_uniform(&rng) - 0.5;

			f->columns[F_COST][i] = (float) cost;
			f->columns[F_DRIVER][i] = (float) driver;
			f->columns[F_IDLE][i] = (float) pgaml_ml_rng_normal(&rng);
			f->columns[F_CENTER][i] = j < 3 ? NAN : (float) center;
			f->columns[F_SPREAD][i] = j < 3 ? NAN : 0.3f;
			f->columns[F_RUNS][i] = (float) j;
			f->target[i] = center + driver_effect * driver + 0.05 * pgaml_ml_rng_normal(&rng);
			f->group[i] = g;
			f->plan[i] = g + 1;
			f->part[i] = j < 36 ? ML_PART_TRAIN : j < 48 ? ML_PART_CALIBRATE : ML_PART_TEST;
			f->single[i] = 1;
		}
	}
	for (int c = 0; c < NFEATURES; c++)
		f->pointers[c] = f->columns[c];
	f->data = (MlStageData) {
		.nrows = ROWS, .columns = f->pointers, .target = f->target, .group = f->group, .ngroups = GROUPS,
		.plan = f->plan, .part = f->part, .single = f->single
	};
	pgaml_ml_params_default(type, &params);
	params.n_trees = 30;
	if (pgaml_ml_stages_fit(&f->data, &layout, &params, &plain_heap, NULL, &f->stages, &f->report, &error) != ML_OK)
		fail_msg("%s", error.message);
	return f;
}

static void
finish(Fixture *f)
{
	pgaml_ml_stages_free(f->stages);
	free(f);
}

static MlStageExplanation
explain(const MlStages *stages, const float *row, double *contributions, float *seen)
{
	MlStageExplanation out;

	assert_int_equal(pgaml_ml_stages_explain(stages, row, false, &plain_heap, &out, contributions, seen, NULL), ML_OK);
	return out;
}

/* Takes apart what pgaml_ml_stages_predict answers, and puts it together again. */
static MlStageExplanation
check_sum(const MlStages *stages, const float *row)
{
	double		contributions[NFEATURES];
	float		seen[NFEATURES];
	float		scratch[NFEATURES];
	MlStageExplanation out = explain(stages, row, contributions, seen);
	double		sum = out.start + out.base + out.clamp;
	MlForecast	forecast;

	pgaml_ml_stages_predict(stages, &(MlStageQuery) {.row = row, .coverage = 0.9}, scratch, &forecast);
	assert_int_equal(out.answered, forecast.source != ML_SOURCE_NONE);
	if (!out.answered)
		return out;
	for (int i = 0; i < NFEATURES; i++)
		sum += contributions[i];
	assert_float_equal(out.center, forecast.center, 0.0);
	assert_float_equal(sum, forecast.center, 1e-9);
	return out;
}

static void
answers_of_every_stage_add_up(void **state)
{
	static const MlModelType types[] = {
		ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING
	};

	(void) state;
	for (int t = 0; t < 4; t++)
	{
		Fixture    *f = fixture(types[t], 3.0);
		int			met[ML_STAGE_COUNT] = {0};
		int			clamped = 0;

		for (int source = 0; source < 2; source++)
		{
			f->stages->warm_source = source ? ML_SOURCE_MODEL : ML_SOURCE_HISTORY;
			f->stages->cold_source = source ? ML_SOURCE_MODEL : ML_SOURCE_PLANNER;
			for (int i = 0; i < ROWS; i += 7)
			{
				float		row[NFEATURES];
				MlStageExplanation out;

				for (int c = 0; c < NFEATURES; c++)
					row[c] = f->columns[c][i];
				row[F_COST] += i % 5 == 0 ? 1000.0f : 0.0f;
				row[F_CENTER] += i % 35 == 0 ? 100.0f : 0.0f;
				out = check_sum(f->stages, row);
				met[out.kind]++;
				clamped += out.clamp != 0.0;
				assert_int_equal(out.learner, out.kind == ML_STAGE_MODEL_WARM || out.kind == ML_STAGE_MODEL_COLD);
				if (out.kind == ML_STAGE_HISTORY)
					assert_float_equal(out.start, row[F_CENTER], 0.0);
				if (out.kind == ML_STAGE_MODEL_WARM && out.clamp != 0.0)
					assert_float_equal(out.center, f->stages->y_max, 0.0);
			}
		}
		assert_true(met[ML_STAGE_HISTORY] > 5 && met[ML_STAGE_MODEL_WARM] > 5);
		assert_true(met[ML_STAGE_MODEL_COLD] > 5 && met[ML_STAGE_PLANNER] > 5);
		assert_true(clamped > 5);
		finish(f);
	}
}

static void
what_is_hidden_is_not_seen(void **state)
{
	Fixture    *f = fixture(ML_GRADIENT_BOOSTING, 3.0);
	float		row[NFEATURES] = {3.0f, 0.4f, 0.0f, NAN, 0.7f, 2.0f};
	double		contributions[NFEATURES];
	float		seen[NFEATURES];
	MlStageExplanation out;

	(void) state;
	f->stages->cold_source = ML_SOURCE_MODEL;
	out = explain(f->stages, row, contributions, seen);
	assert_int_equal(out.kind, ML_STAGE_MODEL_COLD);
	assert_true(isnan(seen[F_RUNS]) && isnan(seen[F_SPREAD]));
	assert_float_equal(seen[F_DRIVER], 0.4, 1e-6);
	/* the truth departs by 3 x 0.4 x shrink */
	assert_true(contributions[F_DRIVER] > 0.5 * f->stages->shrink_cold);

	/* nothing known: no answer, nothing to explain */
	row[F_COST] = NAN;
	row[F_CENTER] = NAN;
	out = check_sum(f->stages, row);
	assert_false(out.answered);
	finish(f);
}

static void
a_learner_of_log_ms_itself_has_no_start(void **state)
{
	Table		table = table_random(300, NFEATURES, 1);
	MlModel    *model = train(&table, ML_GRADIENT_BOOSTING, NULL);
	MlStages   *stages;
	MlStageReport report;
	MlStageExplanation out;
	float		row[NFEATURES] = {0.3f, 0.1f, -0.2f, NAN, NAN, NAN};

	(void) state;
	assert_int_equal(pgaml_ml_stages_adopt(model, &layout, NULL, &plain_heap, NULL, &stages, &report, NULL), ML_OK);
	out = check_sum(stages, row);
	assert_int_equal(out.kind, ML_STAGE_MODEL_COLD);
	assert_float_equal(out.start, 0.0, 0.0);
	assert_float_equal(out.clamp, 0.0, 0.0);
	pgaml_ml_stages_free(stages);
	table_free(&table);
}

static void
the_driver_is_found(void **state)
{
	Fixture    *f = fixture(ML_GRADIENT_BOOSTING, 3.0);
	double		gain[NFEATURES];
	double		permutation[NFEATURES];
	double		shap[NFEATURES];
	MlStageImportance out;

	(void) state;
	assert_int_equal(pgaml_ml_stages_importance(f->stages, &f->data, 100, 40, 3, 1, &plain_heap, NULL, &out,
												gain, permutation, shap, NULL), ML_OK);
	assert_int_equal(out.part, ML_PART_TEST);
	assert_int_equal(out.rows, 100);
	assert_in_range(out.shap_rows, 30, 40);
	for (int i = 0; i < NFEATURES; i++)
		if (i != F_DRIVER)
			assert_true(permutation[F_DRIVER] > 2.0 * permutation[i] && shap[F_DRIVER] > 2.0 * shap[i] &&
						gain[F_DRIVER] > gain[i]);
	/* two draws of 3 x uniform differ by 1 on average */
	assert_float_equal(permutation[F_DRIVER], 1.0, 0.25);

	/* all there are; and of another part when nothing was held out */
	assert_int_equal(pgaml_ml_stages_importance(f->stages, &f->data, 100000, 100000, 1, 1, &plain_heap, NULL, &out,
												gain, permutation, shap, NULL), ML_OK);
	assert_int_equal(out.rows, GROUPS * 12);
	assert_int_equal(out.shap_rows, GROUPS * 12);
	for (int i = 0; i < ROWS; i++)
		f->part[i] = ML_PART_TRAIN;
	assert_int_equal(pgaml_ml_stages_importance(f->stages, &f->data, 10, 0, 1, 1, &plain_heap, NULL, &out,
												gain, permutation, shap, NULL), ML_OK);
	assert_int_equal(out.part, ML_PART_TRAIN);
	assert_int_equal(out.rows, 10);
	assert_int_equal(out.shap_rows, 0);
	assert_int_equal(pgaml_ml_stages_importance(f->stages, &f->data, 0, 0, 1, 1, &plain_heap, NULL, &out,
												gain, permutation, shap, NULL), ML_E_ARG);
	finish(f);
}

static bool
watch(void *state, double progress)
{
	double	   *last = state;

	assert_true(progress >= *last && progress <= 1.0);
	*last = progress;
	return false;
}

static bool
ask(void *state, double progress)
{
	double	   *last = state;

	assert_true(progress >= *last && progress <= 1.0);
	*last = progress;
	return progress > 0.5;
}

/* Leaving statements out, the learner, measuring: progress rises over all of it, and is near the end then. */
static void
progress_of_a_fit_never_goes_back(void **state)
{
	static const MlModelType types[] = {ML_LINEAR_REGRESSION, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING};

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		Fixture    *f = fixture(types[i], 3.0);
		MlStages   *stages;
		MlParams	params;
		MlStageReport report;
		MlError		error;
		double		progress = 0.0;
		MlStop		stop = {watch, &progress};

		pgaml_ml_params_default(types[i], &params);
		params.n_trees = 20;
		assert_int_equal(pgaml_ml_stages_fit(&f->data, &layout, &params, &plain_heap, &stop, &stages, &report, &error),
						 ML_OK);
		assert_true(progress > 0.9);
		pgaml_ml_stages_free(stages);
		finish(f);
	}
}

static void
failures_leave_nothing_behind(void **state)
{
	Fixture    *f = fixture(ML_RANDOM_FOREST, 3.0);
	double		numbers[3][NFEATURES];
	double		progress = 0.0;
	MlStop		stop = {ask, &progress};
	MlStageImportance out;
	MlStatus	status;
	int64_t		n = 0;

	(void) state;
	do
	{
		Counter		counter = {.fail_at = ++n};
		MlAllocator allocator = counting(&counter);

		status = pgaml_ml_stages_importance(f->stages, &f->data, 50, 20, 1, 1, &allocator, NULL, &out,
											numbers[0], numbers[1], numbers[2], NULL);
		assert_int_equal(counter.held, 0);
		assert_int_equal(status, counter.calls < n ? ML_OK : ML_E_NOMEM);
	} while (status != ML_OK);
	assert_true(n > 10);
	assert_int_equal(pgaml_ml_stages_importance(f->stages, &f->data, 360, 360, 9, 1, &plain_heap, &stop, &out,
												numbers[0], numbers[1], numbers[2], NULL), ML_E_STOPPED);
	finish(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_of_every_stage_add_up),
		cmocka_unit_test(what_is_hidden_is_not_seen),
		cmocka_unit_test(a_learner_of_log_ms_itself_has_no_start),
		cmocka_unit_test(the_driver_is_found),
		cmocka_unit_test(progress_of_a_fit_never_goes_back),
		cmocka_unit_test(failures_leave_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
