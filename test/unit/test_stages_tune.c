/*-------------------------------------------------------------------------
 * test_stages_tune.c
 *		The objective over the learner's rows: it measures departures from the
 *		cost line, keeps both showings of a row together, and looks at the
 *		training part only.  A study over it may be interrupted anywhere.
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
#include "helper_world.h"
#include "ml/stages_tune.h"

#define N_FOLDS 3

static const WorldRules rules = {.statements = 40, .runs = 40, .sensitive = 0.3, .decades = 2.0, .seed = 5};

static int64_t *
times_of(const World *world)
{
	int64_t    *times = malloc(sizeof(int64_t) * world->data.nrows);
	int64_t		run = 0;

	/* statements one after another, each in order of time */
	for (int64_t i = 0; i < world->data.nrows; i++)
	{
		run = i > 0 && world->group[i] == world->group[i - 1] ? run + 1 : 0;
		times[i] = run;
	}
	return times;
}

static MlStageTuneSpec
spec_of(MlStageFolds folds, const int64_t *times)
{
	return (MlStageTuneSpec) {.folds = folds, .nfolds = N_FOLDS, .seed = 9, .times = times};
}

static MlParams
small_params(MlModelType type)
{
	MlParams	params;

	pgaml_ml_params_default(type, &params);
	params.n_trees = 20;
	params.seed = 1;
	return params;
}

/* Mean over the folds; NaN when measuring fails. */
static double
value_of(const World *world, MlStageFolds folds, const MlParams *params)
{
	int64_t    *times = times_of(world);
	MlStageTuneSpec spec = spec_of(folds, times);
	MlStageTune *tune;
	MlTuneObjective objective;
	MlError		error = {0};
	double		sum = 0.0;

	if (pgaml_ml_stages_tune_create(&world->data, &world_layout, params, &spec, &plain_heap, NULL, &tune, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	objective = pgaml_ml_stages_tune_objective(tune);
	for (int32_t k = 0; k < N_FOLDS; k++)
	{
		MlTuneStep	step = {.step = k, .budget = 1.0};
		double		value = NAN;

		assert_int_equal(objective.measure(objective.state, params, &step, NULL, &value, NULL), ML_OK);
		sum += value / N_FOLDS;
	}
	pgaml_ml_stages_tune_free(tune);
	free(times);
	return sum;
}

static void
what_the_line_tells_is_not_counted(void **state)
{
	MlParams	params = small_params(ML_DECISION_TREE);

	(void) state;
	for (int folds = ML_STAGE_FOLDS_TIME; folds <= ML_STAGE_FOLDS_ROW; folds++)
	{
		World		world;
		double		before;

		world_make(&world, &rules);
		before = value_of(&world, (MlStageFolds) folds, &params);
		for (int64_t i = 0; i < world.data.nrows; i++)
			world.target[i] += 3.0 + 2.0 * world.columns[W_COST][i];
		assert_true(fabs(value_of(&world, (MlStageFolds) folds, &params) - before) < 1e-3 * before);
		world_free(&world);
	}
}

static void
cold_rows_do_not_know_their_past(void **state)
{
	MlParams	params = small_params(ML_DECISION_TREE);
	World		world;
	double		before;
	double		after;

	(void) state;
	world_make(&world, &rules);
	for (int64_t i = 0; i < world.data.nrows; i++)
		for (int column = 0; column < W_COUNT; column++)
			world.columns[column][i] = column == W_RUNS ? 5.0f : 1.0f;
	before = value_of(&world, ML_STAGE_FOLDS_STATEMENT, &params);
	for (int64_t i = 0; i < world.data.nrows; i++)
		world.columns[W_CENTER][i] = (float) world.target[i];	/* the past tells all */
	after = value_of(&world, ML_STAGE_FOLDS_STATEMENT, &params);
	assert_true(after < 0.6 * before);
	assert_true(after > 0.3 * before);	/* near 0 if every row knew */
	world_free(&world);
}

/* Rows that say who they are: on the other side of a fold they would be recognised. */
static void
nothing_is_on_both_sides(void **state)
{
	MlParams	params = small_params(ML_DECISION_TREE);
	MlRng		rng;

	(void) state;
	params.min_samples_leaf = 0.0;
	params.max_leaves = 4096;
	params.max_bins = 255;
	pgaml_ml_rng_seed(&rng, 3);
	for (int folds = ML_STAGE_FOLDS_STATEMENT; folds <= ML_STAGE_FOLDS_ROW; folds++)
	{
		WorldRules	few = rules;
		World		world;
		double		noise = 0.0;

		few.statements = folds == ML_STAGE_FOLDS_STATEMENT ? 40 : 10;
		few.runs = folds == ML_STAGE_FOLDS_STATEMENT ? 20 : 16;	/* rows to train on: fewer than bins */
		world_make(&world, &few);
		for (int64_t i = 0; i < world.data.nrows; i++)
		{
			int64_t		who = folds == ML_STAGE_FOLDS_STATEMENT ? world.group[i] : i;
			double		u = 0.0;

			pgaml_ml_rng_seed(&rng, (uint64_t) who + 1000);
			for (int turn = 0; turn < 3; turn++)
				u = pgaml_ml_rng_normal(&rng);
			for (int column = 0; column < W_COUNT; column++)
				world.columns[column][i] = column == W_RUNS ? 5.0f : 1.0f;
			world.columns[W_ROWS][i] = (float) who;
			world.target[i] = u;
			noise += fabs(u) / world.data.nrows;
		}
		assert_true(value_of(&world, (MlStageFolds) folds, &params) > 0.7 * noise);
		/* and where they are on both sides, they are: by time statements are known again */
		if (folds == ML_STAGE_FOLDS_STATEMENT)
			assert_true(value_of(&world, ML_STAGE_FOLDS_TIME, &params) < 0.2 * noise);
		world_free(&world);
	}
}

static void
only_the_training_part_counts(void **state)
{
	MlParams	params = small_params(ML_GRADIENT_BOOSTING);
	World		world;
	double		before;

	(void) state;
	world_make(&world, &rules);
	before = value_of(&world, ML_STAGE_FOLDS_TIME, &params);
	for (int64_t i = 0; i < world.data.nrows; i++)
		if (world.part[i] != ML_PART_TRAIN)
			world.target[i] += 5.0;
	assert_true(value_of(&world, ML_STAGE_FOLDS_TIME, &params) == before);
	world_free(&world);
}

static void
failures_leave_nothing_and_memory_is_bounded(void **state)
{
	static const MlModelType types[] = {ML_LINEAR_REGRESSION, ML_DECISION_TREE, ML_RANDOM_FOREST, ML_GRADIENT_BOOSTING};
	WorldRules	few = rules;
	World		world;
	int64_t    *times;

	(void) state;
	few.runs = 10;
	world_make(&world, &few);
	times = times_of(&world);
	for (int t = 0; t < 4; t++)
	{
		MlStageTuneSpec spec = spec_of((MlStageFolds) (t % 3), times);
		MlParams	params = small_params(types[t]);
		bool		more = true;

		params.n_trees = 2;
		for (int64_t fail_at = 1; more; fail_at++)
		{
			Counter		counter = {.fail_at = fail_at};
			MlAllocator allocator = counting(&counter);
			MlStageTune *tune;
			MlStatus	status = pgaml_ml_stages_tune_create(&world.data, &world_layout, &params, &spec, &allocator,
															 NULL, &tune, NULL);

			if (status == ML_OK)
			{
				MlTuneObjective objective = pgaml_ml_stages_tune_objective(tune);
				double		value;

				status = objective.measure(objective.state, &params, &(MlTuneStep) {.budget = 1.0}, NULL, &value, NULL);
				pgaml_ml_stages_tune_free(tune);
			}
			more = counter.calls >= fail_at;
			assert_int_equal(status, more ? ML_E_NOMEM : ML_OK);
			assert_int_equal(counter.held, 0);
			if (!more)
				assert_true(counter.peak <= pgaml_ml_stages_tune_memory(&params, world.data.nrows, W_COUNT));
		}
	}
	free(times);
	world_free(&world);
}

static void
bad_questions_are_refused(void **state)
{
	MlParams	params = small_params(ML_DECISION_TREE);
	MlStageTuneSpec spec = spec_of(ML_STAGE_FOLDS_TIME, NULL);
	WorldRules	few = rules;
	World		world;
	MlStageTune *tune;
	MlError		error;

	(void) state;
	few.statements = 2;
	world_make(&world, &few);
	assert_int_equal(pgaml_ml_stages_tune_create(&world.data, &world_layout, &params, &spec, &plain_heap, NULL, &tune, &error),
					 ML_E_ARG);
	assert_null(tune);
	spec.folds = ML_STAGE_FOLDS_STATEMENT;	/* 2 statements for 3 folds */
	assert_int_equal(pgaml_ml_stages_tune_create(&world.data, &world_layout, &params, &spec, &plain_heap, NULL, &tune, &error),
					 ML_E_DATA);
	params.max_leaves = 0;
	assert_int_equal(pgaml_ml_stages_tune_create(&world.data, &world_layout, &params, &spec, &plain_heap, NULL, &tune, &error),
					 ML_E_ARG);
	memset(world.part, ML_PART_TEST, world.data.nrows);
	params = small_params(ML_DECISION_TREE);
	assert_int_equal(pgaml_ml_stages_tune_create(&world.data, &world_layout, &params, &spec, &plain_heap, NULL, &tune, &error),
					 ML_E_DATA);
	world_free(&world);
}

/* Records as SQL does, and asks to stop after so many measurements. */
typedef struct Recorder
{
	MlTrial		trials[16];
	int			ntrials;
	int			questions;
	int			stop_at;
} Recorder;

static MlStatus
record(void *state, const MlTrial *trial, MlError *error)
{
	Recorder   *recorder = state;

	(void) error;
	recorder->trials[trial->number] = *trial;
	if (trial->number >= recorder->ntrials)
		recorder->ntrials = trial->number + 1;
	return ML_OK;
}

static bool
stop_now(void *state, double progress)
{
	Recorder   *recorder = state;

	(void) progress;
	return recorder->stop_at > 0 && ++recorder->questions >= recorder->stop_at;
}

/* One run of a study, going on from what is recorded; number of the best, -1 when stopped. */
static int32_t
go_on(const World *world, Recorder *recorder, MlTunePruner pruner)
{
	MlStageTuneSpec spec = spec_of(ML_STAGE_FOLDS_STATEMENT, NULL);
	MlParams	base = small_params(ML_GRADIENT_BOOSTING);
	MlTuneWatch watch = {.record = record, .state = recorder};
	MlStop		stop = {stop_now, recorder};
	MlTuneObjective objective;
	MlTuneOptions options;
	MlTuneSpace space;
	MlStageTune *tune;
	MlStudy		study;
	MlStatus	status;
	int32_t		best;

	pgaml_ml_tune_options_default(&options);
	options.n_trials = 8;
	options.nsteps = N_FOLDS;
	options.pruner = pruner;
	options.seed = 4;
	pgaml_ml_tune_space_default(ML_GRADIENT_BOOSTING, &space);
	assert_int_equal(pgaml_ml_stages_tune_create(&world->data, &world_layout, &base, &spec, &plain_heap, NULL, &tune, NULL), ML_OK);
	assert_int_equal(pgaml_ml_study_create(&options, &space, &base, &plain_heap, &study, NULL), ML_OK);
	for (int t = 0; t < recorder->ntrials; t++)
		assert_int_equal(pgaml_ml_study_restore(&study, &recorder->trials[t], NULL), ML_OK);
	objective = pgaml_ml_stages_tune_objective(tune);
	recorder->questions = 0;
	status = pgaml_ml_tune(&study, &objective, &watch, &plain_heap, &stop, NULL);
	assert_true(status == ML_OK || status == ML_E_STOPPED);
	best = status == ML_OK ? study.best : -1;
	pgaml_ml_study_free(&study, &plain_heap);
	pgaml_ml_stages_tune_free(tune);
	return best;
}

static void
an_interrupted_study_ends_like_any_other(void **state)
{
	static const MlTunePruner pruners[] = {ML_TUNE_NO_PRUNER, ML_TUNE_HALVING};
	WorldRules	few = rules;
	World		world;

	(void) state;
	few.runs = 12;
	world_make(&world, &few);
	for (int p = 0; p < 2; p++)
	{
		Recorder	whole = {.stop_at = 0};
		int32_t		best = go_on(&world, &whole, pruners[p]);

		assert_in_range(best, 0, 7);
		for (int after = 40; after < 2000; after *= 3)
		{
			Recorder	parts = {.stop_at = after};
			int32_t		chosen;
			int			turns = 0;

			/* what was only being measured is lost, so each turn gets further than the one before */
			while ((chosen = go_on(&world, &parts, pruners[p])) < 0)
			{
				parts.stop_at *= 2;
				turns++;
			}
			assert_true(turns > 0 || after > 300);
			assert_int_equal(chosen, best);
			assert_int_equal(parts.ntrials, whole.ntrials);
			assert_memory_equal(parts.trials, whole.trials, sizeof(MlTrial) * whole.ntrials);
		}
	}
	world_free(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_line_tells_is_not_counted),
		cmocka_unit_test(cold_rows_do_not_know_their_past),
		cmocka_unit_test(nothing_is_on_both_sides),
		cmocka_unit_test(only_the_training_part_counts),
		cmocka_unit_test(failures_leave_nothing_and_memory_is_bounded),
		cmocka_unit_test(bad_questions_are_refused),
		cmocka_unit_test(an_interrupted_study_ends_like_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
