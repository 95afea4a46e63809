/*-------------------------------------------------------------------------
 * test_ml_tune_data.c
 *		The ready-made objective against cross-validation, and whole studies
 *		on small data.
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
#include "ml/tune.h"

#define N_ROWS 600

static int64_t groups[N_ROWS];

static MlFoldSpec
spec_of(MlFoldKind kind)
{
	for (int64_t i = 0; i < N_ROWS; i++)
		groups[i] = (int64_t) sqrt((double) i);	/* all of different size */
	return (MlFoldSpec) {.kind = kind, .nfolds = 3, .seed = 11, .groups = groups};
}

static MlTuneData *
new_data(const Table *table, const MlFoldSpec *spec, size_t memory_limit)
{
	MlTuneData *data;

	assert_int_equal(pgaml_ml_tune_data_create(&table->data, spec, memory_limit, &plain_heap, NULL, &data, NULL), ML_OK);
	return data;
}

static double
measure(MlTuneData *data, const MlParams *params, MlTuneStep step)
{
	MlTuneObjective objective = pgaml_ml_tune_data_objective(data);
	double		value = NAN;
	MlError		error = {0};

	if (objective.measure(objective.state, params, &step, NULL, &value, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return value;
}

static void
a_step_is_the_error_of_a_fold(void **state)
{
	static const MlFoldKind kinds[] = {ML_FOLDS_RANDOM, ML_FOLDS_GROUP, ML_FOLDS_EXPANDING, ML_FOLDS_BLOCKED};

	(void) state;
	for (int i = 0; i < 4; i++)
	{
		Table		table = table_random(N_ROWS, 4, 2);
		MlFoldSpec	spec = spec_of(kinds[i]);
		MlTuneData *data;
		MlParams	params;
		MlFolds		folds;
		MlValidation v;

		table_set_weights(&table);
		for (int64_t row = 0; row < N_ROWS; row++)
			table.weight[row] = (float) (row % 4);
		pgaml_ml_params_default(ML_DECISION_TREE, &params);
		data = new_data(&table, &spec, 0);
		assert_int_equal(pgaml_ml_folds_create(&spec, N_ROWS, &plain_heap, NULL, &folds, NULL), ML_OK);
		assert_int_equal(pgaml_ml_validate(&table.data, &params, &folds, 0.9, &plain_heap, NULL, &v, NULL), ML_OK);
		for (int32_t k = 0; k < 3; k++)
		{
			double		value = measure(data, &params, (MlTuneStep) {.step = k, .budget = 1.0});

			assert_true(fabs(value - v.fold[k].metrics.mae) < 1e-12);
			/* other folds confirm */
			assert_true(measure(data, &params, (MlTuneStep) {.step = k, .budget = 1.0, .confirm = true}) != value);
			assert_true(measure(data, &params, (MlTuneStep) {.step = k, .budget = 1.0}) == value);
		}
		pgaml_ml_validation_free(&v, &plain_heap);
		pgaml_ml_folds_free(&folds, &plain_heap);
		pgaml_ml_tune_data_free(data);
		table_free(&table);
	}
}

static void
fewer_rows_teach_less(void **state)
{
	Table		table = table_random(6000, 4, 2);
	MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = 2, .seed = 3};
	MlTuneData *data = new_data(&table, &spec, 0);
	MlParams	params;
	double		errors[3];

	(void) state;
	pgaml_ml_params_default(ML_DECISION_TREE, &params);
	for (int i = 0; i < 3; i++)
		errors[i] = measure(data, &params, (MlTuneStep) {.budget = pow(3.0, i - 2)});
	assert_true(errors[0] > 1.05 * errors[1] && errors[1] > 1.05 * errors[2]);
	/* but a share is never of next to nothing */
	assert_true(measure(data, &params, (MlTuneStep) {.budget = 1e-9}) < 2.0 * errors[0]);
	pgaml_ml_tune_data_free(data);
	table_free(&table);
}

static void
few_groups_are_confirmed_too(void **state)
{
	static const MlFoldKind kinds[] = {ML_FOLDS_GROUP, ML_FOLDS_EXPANDING};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		Table		table = table_random(N_ROWS, 3, 2);
		MlFoldSpec	spec = spec_of(kinds[i]);
		MlTuneData *data;
		MlParams	params;

		/* as many groups, or moments, as three folds need and no more */
		for (int64_t row = 0; row < N_ROWS; row++)
			groups[row] = row % (kinds[i] == ML_FOLDS_GROUP ? 3 : 4);
		spec.times = groups;
		pgaml_ml_params_default(ML_LINEAR_REGRESSION, &params);
		data = new_data(&table, &spec, 0);
		for (int32_t k = 0; k < 3; k++)
			assert_true(isfinite(measure(data, &params, (MlTuneStep) {.step = k, .budget = 1.0, .confirm = true})));
		pgaml_ml_tune_data_free(data);
		spec.nfolds = 5;
		assert_int_equal(pgaml_ml_tune_data_create(&table.data, &spec, 0, &plain_heap, NULL, &data, NULL), ML_E_DATA);
		assert_null(data);
		table_free(&table);
	}
}

static MlStudy
run(const Table *table, MlModelType type, const MlTuneOptions *options, size_t memory_limit)
{
	MlFoldSpec	spec = {.kind = ML_FOLDS_RANDOM, .nfolds = options->nsteps, .seed = 1};
	MlTuneData *data = new_data(table, &spec, memory_limit);
	MlTuneObjective objective = pgaml_ml_tune_data_objective(data);
	MlTuneSpace space;
	MlParams	base;
	MlStudy		study;
	MlError		error = {0};

	pgaml_ml_params_default(type, &base);
	base.n_trees = 20;
	pgaml_ml_tune_space_default(type, &space);
	assert_int_equal(pgaml_ml_study_create(options, &space, &base, &plain_heap, &study, NULL), ML_OK);
	if (pgaml_ml_tune(&study, &objective, NULL, &plain_heap, NULL, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	pgaml_ml_tune_data_free(data);
	return study;
}

static void
studies_of_all_types_repeat_themselves(void **state)
{
	Table		table = table_random(400, 4, 2);

	(void) state;
	for (int type = ML_LINEAR_REGRESSION; type <= ML_GRADIENT_BOOSTING; type++)
	{
		MlTuneOptions options;
		MlStudy		a;
		MlStudy		b;

		pgaml_ml_tune_options_default(&options);
		options.n_trials = 9;
		options.nsteps = 2;
		options.pruner = ML_TUNE_HALVING;
		a = run(&table, (MlModelType) type, &options, 0);
		b = run(&table, (MlModelType) type, &options, 0);
		assert_int_equal(a.ntrials, 9);
		assert_int_equal(a.best, b.best);
		assert_memory_equal(a.trials, b.trials, 9 * sizeof(MlTrial));
		pgaml_ml_study_free(&a, &plain_heap);
		pgaml_ml_study_free(&b, &plain_heap);
	}
	table_free(&table);
}

static void
a_trial_that_takes_too_much_memory_fails(void **state)
{
	Table		table = table_random(400, 4, 2);
	MlTuneOptions options;
	MlParams	params;
	MlStudy		study;
	size_t		limit;
	int			failed = 0;

	(void) state;
	pgaml_ml_tune_options_default(&options);
	options.n_trials = 20;
	options.nsteps = 2;
	pgaml_ml_params_default(ML_DECISION_TREE, &params);
	limit = pgaml_ml_train_memory(&params, 400, 4);
	study = run(&table, ML_DECISION_TREE, &options, limit);
	for (int32_t t = 0; t < 20; t++)
	{
		bool		too_much = pgaml_ml_train_memory(&study.trials[t].params, 400, 4) > limit;

		assert_int_equal(study.trials[t].state, too_much ? ML_TRIAL_FAILED : ML_TRIAL_COMPLETE);
		assert_true(too_much == (strstr(study.trials[t].message, "bytes") != NULL));
		failed += too_much;
	}
	assert_in_range(failed, 1, 18);
	pgaml_ml_study_free(&study, &plain_heap);
	table_free(&table);
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
	Table		table = table_random(N_ROWS, 3, 2);
	MlFoldSpec	spec = spec_of(ML_FOLDS_GROUP);
	MlStop		stop = {always_stop, NULL};
	bool		more = true;
	MlParams	params;

	(void) state;
	pgaml_ml_params_default(ML_DECISION_TREE, &params);
	for (int64_t fail_at = 1; more; fail_at++)
	{
		Counter		counter = {.fail_at = fail_at};
		MlAllocator allocator = counting(&counter);
		MlTuneData *data;
		MlStatus	status = pgaml_ml_tune_data_create(&table.data, &spec, 0, &allocator, NULL, &data, NULL);

		if (status == ML_OK)
		{
			MlTuneObjective objective = pgaml_ml_tune_data_objective(data);
			double		value;

			status = objective.measure(objective.state, &params, &(MlTuneStep) {.budget = 1.0}, NULL, &value, NULL);
			pgaml_ml_tune_data_free(data);
		}
		more = counter.calls >= fail_at;
		assert_int_equal(status, more ? ML_E_NOMEM : ML_OK);
		assert_int_equal(counter.held, 0);
	}
	table_free(&table);

	table = table_random(60000, 3, 2);
	spec = (MlFoldSpec) {.kind = ML_FOLDS_RANDOM, .nfolds = 2};
	{
		MlTuneData *data = new_data(&table, &spec, 0);
		MlTuneObjective objective = pgaml_ml_tune_data_objective(data);
		double		value;
		MlError		error;

		assert_int_equal(objective.measure(objective.state, &params, &(MlTuneStep) {.budget = 1.0}, &stop, &value, NULL),
						 ML_E_STOPPED);
		assert_int_equal(objective.measure(objective.state, &params, &(MlTuneStep) {.step = 2}, NULL, &value, &error),
						 ML_E_ARG);
		pgaml_ml_tune_data_free(data);
	}
	table_free(&table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_the_error_of_a_fold),
		cmocka_unit_test(fewer_rows_teach_less),
		cmocka_unit_test(few_groups_are_confirmed_too),
		cmocka_unit_test(studies_of_all_types_repeat_themselves),
		cmocka_unit_test(a_trial_that_takes_too_much_memory_fails),
		cmocka_unit_test(failures_and_stops_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
