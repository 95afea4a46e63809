/*-------------------------------------------------------------------------
 * test_ml_tune_study.c
 *		The record of a study and its run: spaces, failing trials, luck, time
 *		limits, what is recorded, what is refused, failing allocations.
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
#include "ml/tune.h"

static const MlModelType all_types[] = {
	ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING
};

/* An outside world under control. */
typedef struct World
{
	double		(*value) (const MlParams *params, const MlTuneStep *step);	/* -inf: cannot be measured */
	double		now;			/* ms */
	double		ms_per_step;
	int32_t		records;
	int32_t		refuse_record;	/* that one fails; 0: none */
	MlTrial		recorded[600];
} World;

static MlStatus
world_measure(void *state, const MlParams *params, const MlTuneStep *step,
			  const MlStop *stop, double *value, MlError *error)
{
	World	   *world = state;

	world->now += world->ms_per_step;
	if (stop->should_stop(stop->state, 1.0))
		return ML_E_STOPPED;
	*value = world->value(params, step);
	if (*value != -INFINITY)
		return ML_OK;
	strcpy(error->message, "this cannot be fitted");
	return ML_E_LIMIT;
}

static MlStatus
world_record(void *state, const MlTrial *trial, MlError *error)
{
	World	   *world = state;

	if (world->records + 1 == world->refuse_record)
	{
		strcpy(error->message, "disk is full");
		return ML_E_DATA;
	}
	world->recorded[world->records++] = *trial;
	return ML_OK;
}

static double
world_wall(void *state)
{
	return ((World *) state)->now;
}

static double
world_cpu(void *state)
{
	return ((World *) state)->now / 2.0;
}

static World *
new_world(double (*value) (const MlParams *params, const MlTuneStep *step))
{
	World	   *world = calloc(1, sizeof(World));

	world->value = value;
	world->ms_per_step = 10.0;
	return world;
}

static MlStatus
tune(MlStudy *study, World *world, const MlAllocator *allocator, MlError *error)
{
	MlTuneObjective objective = {world_measure, world};
	MlTuneWatch watch = {world_wall, world_cpu, world_record, world};

	return pgaml_ml_tune(study, &objective, &watch, allocator, NULL, error);
}

static MlStudy
new_study(const MlTuneOptions *options)
{
	MlTuneSpace space;
	MlParams	base;
	MlStudy		study;

	pgaml_ml_params_default(ML_RANDOM_FOREST, &base);
	pgaml_ml_tune_space_default(ML_RANDOM_FOREST, &space);
	assert_int_equal(pgaml_ml_study_create(options, &space, &base, &plain_heap, &study, NULL), ML_OK);
	return study;
}

static MlTuneOptions
small_options(void)
{
	MlTuneOptions options;

	pgaml_ml_tune_options_default(&options);
	options.n_trials = 12;
	options.nsteps = 3;
	return options;
}

/* Better with more rows per leaf; the folds of confirmation agree. */
static double
honest(const MlParams *params, const MlTuneStep *step)
{
	return 10.0 - log(params->min_samples_leaf) + step->step;
}

/* The same in the search; on other folds the default is as good as any. */
static double
lucky(const MlParams *params, const MlTuneStep *step)
{
	return step->confirm ? 5.0 + (step->trial > 0) * 0.1 * sin(step->trial + 2.0 * step->step) : honest(params, step);
}

static double
fails_often(const MlParams *params, const MlTuneStep *step)
{
	if (step->trial == 0)
		return -INFINITY;
	return step->trial % 2 ? NAN : honest(params, step);
}

static double
fails_always(const MlParams *params, const MlTuneStep *step)
{
	(void) params;
	(void) step;
	return -INFINITY;
}

static void
names_go_both_ways(void **state)
{
	(void) state;
	for (int i = 0; i < 3; i++)
	{
		MlTuneSampler sampler;
		MlTunePruner pruner;

		assert_true(pgaml_ml_sampler_from_name(pgaml_ml_sampler_name((MlTuneSampler) i), &sampler));
		assert_true(pgaml_ml_pruner_from_name(pgaml_ml_pruner_name((MlTunePruner) i), &pruner));
		assert_int_equal(sampler, i);
		assert_int_equal(pruner, i);
	}
	assert_false(pgaml_ml_sampler_from_name("guess", &(MlTuneSampler) {0}));
	assert_false(pgaml_ml_pruner_from_name("", &(MlTunePruner) {0}));
	assert_string_equal(pgaml_ml_sampler_name((MlTuneSampler) 9), "unknown");
	assert_string_equal(pgaml_ml_trial_state_name(ML_TRIAL_PRUNED), "pruned");
}

/*
 * Whatever is sampled is accepted, lies in its range, and survives six digits.
 */
static void
default_spaces_fit_their_types(void **state)
{
	(void) state;
	for (int t = 0; t < 4; t++)
	{
		MlTuneOptions options = {.sampler = ML_TUNE_RANDOM, .n_trials = 200, .nsteps = 1};
		World	   *world = new_world(honest);
		MlTuneSpace space;
		MlParams	base;
		MlStudy		study;

		pgaml_ml_params_default(all_types[t], &base);
		pgaml_ml_tune_space_default(all_types[t], &space);
		assert_true(space.ndims >= 1);
		assert_int_equal(pgaml_ml_study_create(&options, &space, &base, &plain_heap, &study, NULL), ML_OK);
		assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
		for (int32_t d = 0; d < space.ndims; d++)
		{
			double		low = INFINITY;
			double		high = -INFINITY;

			for (int32_t n = 0; n < 200; n++)
			{
				const char *name = "";
				double		value = NAN;
				char		text[32];

				assert_int_equal(pgaml_ml_params_check(&study.trials[n].params, NULL), ML_OK);
				for (int i = 0; strcmp(name, space.dims[d].name) != 0; i++)
					assert_true(pgaml_ml_params_get(&study.trials[n].params, i, &name, &value));
				snprintf(text, sizeof(text), "%.6g", value);
				assert_true(strtod(text, NULL) == value);
				low = value < low ? value : low;
				high = value > high ? value : high;
			}
			if (space.dims[d].nchoices > 0)
				assert_true(low == space.dims[d].choices[0] && high == space.dims[d].choices[1]);
			else if (space.dims[d].log)
				assert_true(log(high / low) > 0.8 * log(space.dims[d].high / space.dims[d].low));
			else
				assert_true(high - low > 0.8 * (space.dims[d].high - space.dims[d].low));
			assert_true(space.dims[d].nchoices > 0 || (low >= space.dims[d].low && high <= space.dims[d].high));
		}
		pgaml_ml_study_free(&study, &plain_heap);
		free(world);
	}
}

static void
bad_options_and_spaces_are_refused(void **state)
{
	static const MlTuneDim dims[] = {
		{.name = "no_such_thing", .low = 1, .high = 2},
		{.name = "max_leaves", .low = 8, .high = 8},
		{.name = "max_leaves", .low = 8, .high = NAN},
		{.name = "max_leaves", .low = 1, .high = 8, .integer = true},
		{.name = "max_leaves", .low = 2, .high = 9},
		{.name = "max_leaves", .low = 2.5, .high = 9, .integer = true},
		{.name = "min_samples_leaf", .low = 0, .high = 9, .log = true},
		{.name = "feature_fraction", .low = 0.5, .high = 1.5},
		{.name = "max_leaves", .nchoices = 2, .choices = {2, 2.5}},
		{.name = "max_leaves", .nchoices = 9},
		{.name = "max_leaves", .nchoices = -1},
	};
	MlTuneOptions good = small_options();
	MlTuneOptions bad[7];
	MlTuneSpace space;
	MlParams	base;
	MlStudy		study;
	MlError		error;

	(void) state;
	pgaml_ml_params_default(ML_RANDOM_FOREST, &base);
	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
	{
		space = (MlTuneSpace) {.ndims = 1, .dims = {dims[i]}};
		assert_int_equal(pgaml_ml_study_create(&good, &space, &base, &plain_heap, &study, &error), ML_E_ARG);
	}
	space = (MlTuneSpace) {0};
	assert_int_equal(pgaml_ml_study_create(&good, &space, &base, &plain_heap, &study, &error), ML_E_ARG);
	assert_string_equal(error.where, "space");
	pgaml_ml_tune_space_default(ML_RANDOM_FOREST, &space);
	space.dims[1] = space.dims[0];
	assert_int_equal(pgaml_ml_study_create(&good, &space, &base, &plain_heap, &study, &error), ML_E_ARG);
	memset(space.dims[1].name, 'x', sizeof(space.dims[1].name));
	assert_int_equal(pgaml_ml_study_create(&good, &space, &base, &plain_heap, &study, &error), ML_E_ARG);

	pgaml_ml_tune_space_default(ML_RANDOM_FOREST, &space);
	for (int i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].sampler = (MlTuneSampler) 3;
	bad[1].pruner = (MlTunePruner) -1;
	bad[2].n_trials = 0;
	bad[3].n_trials = ML_TUNE_MAX_TRIALS + 1;
	bad[4].nsteps = ML_TUNE_MAX_STEPS + 1;
	bad[5].n_confirm = -1;
	bad[6].time_limit_ms = NAN;
	for (int i = 0; i < 7; i++)
		assert_int_equal(pgaml_ml_study_create(&bad[i], &space, &base, &plain_heap, &study, &error), ML_E_ARG);
	base.n_trees = 0;
	assert_int_equal(pgaml_ml_study_create(&good, &space, &base, &plain_heap, &study, &error), ML_E_ARG);
	assert_string_equal(error.where, "n_trees");
	assert_null(study.trials);
}

static void
a_better_trial_wins_and_a_lucky_one_does_not(void **state)
{
	MlTuneOptions options = small_options();
	int			kept = 0;
	MlStudy		study;

	(void) state;
	for (uint64_t seed = 0; seed < 20; seed++)
	{
		World	   *world = new_world(honest);

		options.seed = seed;
		study = new_study(&options);
		assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
		assert_true(study.best > 0 && study.trials[study.best].nconfirm == 3 && study.trials[0].nconfirm == 3);
		for (int32_t t = 0; t < 12; t++)
			assert_true(study.trials[t].value >= study.trials[study.best].value);
		pgaml_ml_study_free(&study, &plain_heap);

		world->value = lucky;
		study = new_study(&options);
		assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
		if (study.best > 0)
		{
			/* only by more than one standard error of the differences */
			double		mean = 0.0;
			double		squared = 0.0;

			for (int i = 0; i < 3; i++)
				mean += (5.0 - study.trials[study.best].confirm[i]) / 3.0;
			for (int i = 0; i < 3; i++)
				squared += pow(5.0 - study.trials[study.best].confirm[i] - mean, 2.0);
			assert_true(mean > sqrt(squared / 2.0 / 3.0));
		}
		kept += study.best == 0;
		pgaml_ml_study_free(&study, &plain_heap);
		free(world);
	}

	assert_true(kept >= 5);

	/* without confirmation the search alone decides */
	options.n_confirm = 0;
	study = new_study(&options);
	{
		World	   *world = new_world(lucky);

		assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
		assert_true(study.best > 0 && study.trials[study.best].nconfirm == 0);
		free(world);
	}
	pgaml_ml_study_free(&study, &plain_heap);
}

static void
one_trial_is_the_default(void **state)
{
	MlTuneOptions options = small_options();
	World	   *world = new_world(honest);
	MlStudy		study;

	(void) state;
	options.n_trials = 1;
	study = new_study(&options);
	assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
	assert_int_equal(study.best, 0);
	assert_int_equal(study.end, ML_STUDY_ALL_TRIALS);
	assert_memory_equal(&study.trials[0].params, &study.base, sizeof(MlParams));
	assert_true(study.trials[0].cpu_ms == 15.0);
	assert_int_equal(world->records, 2);
	pgaml_ml_study_free(&study, &plain_heap);
	free(world);
}

static void
failing_trials_do_not_end_a_study(void **state)
{
	MlTuneOptions options = small_options();
	World	   *world = new_world(fails_often);
	MlStudy		study = new_study(&options);
	MlError		error;

	(void) state;
	assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
	for (int32_t t = 0; t < 12; t++)
	{
		bool		failed = t == 0 || t % 2;

		assert_int_equal(study.trials[t].state, failed ? ML_TRIAL_FAILED : ML_TRIAL_COMPLETE);
		assert_string_equal(study.trials[t].message,
							t == 0 ? "this cannot be fitted" : failed ? "error is not finite" : "");
	}
	assert_true(study.best > 0 && study.trials[study.best].state == ML_TRIAL_COMPLETE);
	pgaml_ml_study_free(&study, &plain_heap);

	world->value = fails_always;
	study = new_study(&options);
	assert_int_equal(tune(&study, world, &plain_heap, &error), ML_E_DATA);
	assert_non_null(strstr(error.message, "this cannot be fitted"));
	assert_int_equal(study.ntrials, 12);
	assert_int_equal(study.best, -1);
	pgaml_ml_study_free(&study, &plain_heap);
	free(world);
}

static void
a_time_limit_leaves_time_to_choose(void **state)
{
	static const double limits[] = {1.0, 25.0, 95.0, 200.0, 335.0, 1e6};

	(void) state;
	for (int i = 0; i < 6; i++)
	{
		MlTuneOptions options = small_options();
		World	   *world = new_world(honest);
		MlStudy		study;

		options.time_limit_ms = limits[i];
		study = new_study(&options);
		assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
		assert_int_equal(study.end, i < 5 ? ML_STUDY_TIME : ML_STUDY_ALL_TRIALS);
		assert_true(world->now < limits[i] + world->ms_per_step);
		/* a trial takes 30 ms, so does measuring one again */
		if (i < 3)
			assert_int_equal(study.best, 0);
		if (i >= 3)
			assert_true(study.trials[0].nconfirm == 3);
		if (i >= 4)
			assert_true(study.best > 0);
		pgaml_ml_study_free(&study, &plain_heap);
		free(world);
	}
}

static void
every_trial_is_recorded_as_it_ends(void **state)
{
	MlTuneOptions options = small_options();
	World	   *world = new_world(honest);
	MlStudy		study;
	MlError		error = {0};
	int32_t		ended = 0;

	(void) state;
	options.pruner = ML_TUNE_HALVING;
	study = new_study(&options);
	assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
	for (int32_t i = 0; i < world->records; i++)
	{
		const MlTrial *trial = &world->recorded[i];

		if (trial->nconfirm > 0)
			continue;
		if (trial->state == ML_TRIAL_RUNNING)
			assert_int_equal(trial->number, ended);
		else
			assert_int_equal(trial->number, ended++);
	}
	assert_int_equal(ended, 12);
	assert_true(world->recorded[world->records - 1].nconfirm == 3);
	pgaml_ml_study_free(&study, &plain_heap);

	world->records = 0;
	world->refuse_record = 6;
	study = new_study(&options);
	assert_int_equal(tune(&study, world, &plain_heap, &error), ML_E_DATA);
	assert_string_equal(error.message, "disk is full");
	pgaml_ml_study_free(&study, &plain_heap);
	free(world);
}

static void
what_does_not_fit_a_study_is_not_restored(void **state)
{
	MlTuneOptions options = small_options();
	World	   *world = new_world(honest);
	MlStudy		done = new_study(&options);
	MlStudy		study = new_study(&options);
	MlTrial		bad[9];

	(void) state;
	assert_int_equal(tune(&done, world, &plain_heap, NULL), ML_OK);
	for (int i = 0; i < 9; i++)
		bad[i] = done.trials[0];
	bad[0].number = 1;
	bad[1].state = (MlTrialState) 7;
	bad[2].nvalues = 99;
	bad[3].nvalues = 2;
	bad[4].values[1] = NAN;
	bad[5].params.type = ML_DECISION_TREE;
	bad[6].params.max_leaves = 0;
	bad[7].nconfirm = 4;
	bad[8].state = ML_TRIAL_PRUNED;
	for (int i = 0; i < 9; i++)
		assert_true(pgaml_ml_study_restore(&study, &bad[i], NULL) != ML_OK);
	assert_int_equal(study.ntrials, 0);
	for (int32_t t = 0; t < 12; t++)
		assert_int_equal(pgaml_ml_study_restore(&study, &done.trials[t], NULL), ML_OK);
	assert_int_equal(pgaml_ml_study_restore(&study, &done.trials[0], NULL), ML_E_ARG);

	/* all is there: nothing is measured, the choice is the same */
	world->now = 0.0;
	assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
	assert_true(world->now == 0.0);
	assert_int_equal(study.best, done.best);

	/* a trial may not follow one that is not over */
	study.ntrials = 1;
	study.trials[0].state = ML_TRIAL_RUNNING;
	assert_int_equal(pgaml_ml_study_restore(&study, &done.trials[1], NULL), ML_E_ARG);

	/* and a time limit needs a clock */
	study.options.time_limit_ms = 5.0;
	assert_int_equal(pgaml_ml_tune(&study, &(MlTuneObjective) {world_measure, world}, NULL, &plain_heap, NULL, NULL), ML_E_ARG);
	pgaml_ml_study_free(&done, &plain_heap);
	pgaml_ml_study_free(&study, &plain_heap);
	free(world);
}

static void
failed_allocations_leave_a_study_that_goes_on(void **state)
{
	(void) state;
	for (int p = 0; p < 3; p++)
	{
		MlTuneOptions options = small_options();
		World	   *world = new_world(honest);
		MlStudy		whole = new_study(&options);
		bool		more = true;

		options.pruner = (MlTunePruner) p;
		pgaml_ml_study_free(&whole, &plain_heap);
		whole = new_study(&options);
		assert_int_equal(tune(&whole, world, &plain_heap, NULL), ML_OK);
		for (int64_t fail_at = 1; more; fail_at++)
		{
			MlStudy		study = new_study(&options);
			Counter		counter = {.fail_at = fail_at};
			MlAllocator allocator = counting(&counter);
			MlStatus	status;

			world->records = 0;
			status = tune(&study, world, &allocator, NULL);
			more = counter.calls >= fail_at;
			assert_int_equal(status, more ? ML_E_NOMEM : ML_OK);
			assert_int_equal(counter.held, 0);
			world->records = 0;
			assert_int_equal(tune(&study, world, &plain_heap, NULL), ML_OK);
			assert_int_equal(study.best, whole.best);
			assert_memory_equal(&study.trials[11].params, &whole.trials[11].params, sizeof(MlParams));
			pgaml_ml_study_free(&study, &plain_heap);
		}
		pgaml_ml_study_free(&whole, &plain_heap);
		free(world);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_both_ways),
		cmocka_unit_test(default_spaces_fit_their_types),
		cmocka_unit_test(bad_options_and_spaces_are_refused),
		cmocka_unit_test(a_better_trial_wins_and_a_lucky_one_does_not),
		cmocka_unit_test(one_trial_is_the_default),
		cmocka_unit_test(failing_trials_do_not_end_a_study),
		cmocka_unit_test(a_time_limit_leaves_time_to_choose),
		cmocka_unit_test(every_trial_is_recorded_as_it_ends),
		cmocka_unit_test(what_does_not_fit_a_study_is_not_restored),
		cmocka_unit_test(failed_allocations_leave_a_study_that_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
