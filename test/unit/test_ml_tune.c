/*-------------------------------------------------------------------------
 * test_ml_tune.c
 *		Samplers and pruners on cheap objectives, over many seeds; studies
 *		interrupted anywhere; the choice; time limits; what is refused.
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
#include "ml/tune.h"

#define N_SEEDS 20

/* An objective under control. */
typedef struct Fake
{
	double		(*value) (const MlParams *params, const MlTuneStep *step);
	int32_t		calls;
	int32_t		stop_at;		/* call that finds the caller's wish to stop; 0: none */
	double		cost;			/* sum of budgets */
	double		now;			/* ms */
	double		ms_per_step;
	bool		stopped;
	double		progress;		/* as told last */
} Fake;

static MlStatus
fake_measure(void *state, const MlParams *params, const MlTuneStep *step,
			 const MlStop *stop, double *value, MlError *error)
{
	Fake	   *fake = state;

	fake->calls++;
	if (fake->stop_at != 0 && fake->calls == fake->stop_at)
	{
		fake->stopped = true;
		if (stop->should_stop(stop->state, 0.5))
			return ML_E_STOPPED;
	}
	fake->cost += step->budget;
	fake->now += fake->ms_per_step * step->budget;
	if (stop->should_stop(stop->state, 1.0))
		return ML_E_STOPPED;
	*value = fake->value(params, step);
	if (*value == -INFINITY)
	{
		strcpy(error->message, "this cannot be fitted");
		return ML_E_LIMIT;
	}
	return ML_OK;
}

static bool
fake_should_stop(void *state, double progress)
{
	Fake	   *fake = state;

	assert_true(progress >= fake->progress && progress <= 1.0);
	fake->progress = progress;
	return fake->stopped;
}

static double
fake_wall(void *state)
{
	return ((Fake *) state)->now;
}

static double
fake_cpu(void *state)
{
	return ((Fake *) state)->now / 2.0;
}

static MlStatus
tune(MlStudy *study, Fake *fake, const MlAllocator *allocator, MlError *error)
{
	MlTuneObjective objective = {fake_measure, fake};
	MlTuneWatch watch = {.wall_ms = fake_wall, .cpu_ms = fake_cpu, .state = fake};
	MlStop		stop = {fake_should_stop, fake};

	fake->progress = 0.0;
	return pgaml_ml_tune(study, &objective, &watch, allocator, &stop, error);
}

static void
keep_dims(MlTuneSpace *space, const char *first, const char *second, const char *third, const char *fourth)
{
	MlTuneSpace all = *space;
	const char *names[] = {first, second, third, fourth};

	memset(space, 0, sizeof(*space));
	for (int32_t n = 0; n < 4 && names[n] != NULL; n++)
	{
		for (int32_t d = 0; d < all.ndims; d++)
		{
			if (strcmp(all.dims[d].name, names[n]) == 0)
				space->dims[space->ndims++] = all.dims[d];
		}
	}
}

/* Two parameters without logarithm, a whole number, one on the logarithm. */
static MlTuneSpace
four_dims(void)
{
	MlTuneSpace space;

	pgaml_ml_tune_space_default(ML_GRADIENT_BOOSTING, &space);
	keep_dims(&space, "learning_rate", "max_leaves", "sample_fraction", "feature_fraction");
	assert_int_equal(space.ndims, 4);
	return space;
}

static MlStudy
new_study(const MlTuneOptions *options, const MlTuneSpace *space)
{
	MlParams	base;
	MlStudy		study;
	MlError		error = {0};

	pgaml_ml_params_default(ML_GRADIENT_BOOSTING, &base);
	if (pgaml_ml_study_create(options, space, &base, &plain_heap, &study, &error) != ML_OK)
		fail_msg("%s: %s", error.where, error.message);
	return study;
}

/* Branin's function over the fractions, bowls over the others; the minimum is about 0.04. */
static double
branin(const MlParams *params, const MlTuneStep *step)
{
	double		x = (params->sample_fraction - 0.5) / 0.5 * 15.0 - 5.0;
	double		y = (params->feature_fraction - 0.3) / 0.7 * 15.0;
	double		b = y - 5.1 / (4.0 * M_PI * M_PI) * x * x + 5.0 / M_PI * x - 6.0;
	double		rate = log(params->learning_rate / 0.05);
	double		leaves = log(params->max_leaves / 20.0);

	(void) step;
	return (b * b + 10.0 * (1.0 - 1.0 / (8.0 * M_PI)) * cos(x) + 10.0) / 10.0 + rate * rate + leaves * leaves;
}

/* The same bowl at each step and budget, moved by what the step alone decides. */
static double
separable(const MlParams *params, const MlTuneStep *step)
{
	return branin(params, step) + 3.0 * sin(step->step) + 1.0 / step->budget;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median_of_best(MlTuneSampler sampler, int32_t n_trials)
{
	MlTuneSpace space = four_dims();
	double		best[N_SEEDS];

	for (uint64_t seed = 0; seed < N_SEEDS; seed++)
	{
		MlTuneOptions options = {.sampler = sampler, .n_trials = n_trials, .nsteps = 1, .seed = seed};
		MlStudy		study = new_study(&options, &space);
		Fake		fake = {.value = branin};

		assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
		assert_int_equal(study.end, ML_STUDY_ALL_TRIALS);
		assert_int_equal(study.ntrials, n_trials);
		best[seed] = study.trials[study.best].value;
		for (int32_t t = 0; t < n_trials; t++)
			assert_true(study.trials[t].value >= best[seed]);
		pgaml_ml_study_free(&study, &plain_heap);
	}
	qsort(best, N_SEEDS, sizeof(double), compare_doubles);
	return best[N_SEEDS / 2];
}

static void
the_estimator_beats_twice_as_many_random_trials(void **state)
{
	double		tpe = median_of_best(ML_TUNE_TPE, 25);

	(void) state;
	assert_true(tpe < 0.8 * median_of_best(ML_TUNE_RANDOM, 25));
	assert_true(tpe < median_of_best(ML_TUNE_RANDOM, 50));
	assert_true(median_of_best(ML_TUNE_TPE, 60) < 0.5 * tpe);
}

static double
likes_fifty_trees(const MlParams *params, const MlTuneStep *step)
{
	(void) step;
	return (params->n_trees == 50 ? 0.0 : 1.0) + fabs(log(params->learning_rate / 0.05));
}

static void
the_estimator_learns_choices(void **state)
{
	MlTuneSpace space = {
		.ndims = 2,
		.dims = {
			{.name = "n_trees", .nchoices = 4, .choices = {10, 20, 50, 90}},
			{.name = "learning_rate", .low = 0.01, .high = 0.3, .log = true}
		}
	};
	int			right = 0;
	int			won = 0;

	(void) state;
	for (uint64_t seed = 0; seed < 10; seed++)
	{
		MlTuneOptions options = {.sampler = ML_TUNE_TPE, .n_trials = 30, .nsteps = 1, .seed = seed};
		MlStudy		study = new_study(&options, &space);
		Fake		fake = {.value = likes_fifty_trees};

		assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
		for (int32_t t = 1; t < 30; t++)
		{
			int32_t		n = study.trials[t].params.n_trees;

			assert_true(n == 10 || n == 20 || n == 50 || n == 90);
			right += t >= 10 && n == 50;
		}
		won += study.trials[study.best].params.n_trees == 50;
		pgaml_ml_study_free(&study, &plain_heap);
	}
	/* by chance it would be 50 of 200 */
	assert_true(right > 110);
	assert_true(won >= 8);
}

static double
likes_thirty_leaves(const MlParams *params, const MlTuneStep *step)
{
	(void) step;
	return fabs(params->max_leaves - 30.0);
}

/* Few values: what was tried is not tried again as long as there is anything else near. */
static void
the_estimator_does_not_repeat_itself(void **state)
{
	MlTuneSpace space = {.ndims = 1, .dims = {{.name = "max_leaves", .low = 2, .high = 41, .integer = true}}};

	(void) state;
	for (uint64_t seed = 0; seed < 10; seed++)
	{
		MlTuneOptions options = {.sampler = ML_TUNE_TPE, .n_trials = 20, .nsteps = 1, .seed = seed};
		MlStudy		study = new_study(&options, &space);
		Fake		fake = {.value = likes_thirty_leaves};

		assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
		for (int32_t t = 6; t < 20; t++)
		{
			for (int32_t other = 0; other < t; other++)
				assert_int_not_equal(study.trials[t].params.max_leaves, study.trials[other].params.max_leaves);
		}
		assert_int_equal(study.trials[study.best].params.max_leaves, 30);
		pgaml_ml_study_free(&study, &plain_heap);
	}
}

static void
a_grid_is_ordered_and_bounded(void **state)
{
	MlTuneSpace space = four_dims();
	MlTuneOptions options = {.sampler = ML_TUNE_GRID, .n_trials = 25, .nsteps = 1};
	MlStudy		study = new_study(&options, &space);
	Fake		fake = {.value = branin};

	(void) state;
	assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
	assert_int_equal(study.end, ML_STUDY_ALL_TRIALS);
	/* 3 x 2 x 2 x 2 cells, the first parameter varies fastest */
	for (int32_t t = 1; t < 25; t++)
	{
		assert_true(study.trials[t].params.learning_rate == study.trials[1 + (t - 1) % 3].params.learning_rate);
		assert_true(study.trials[t].params.max_leaves == study.trials[1 + 3 * ((t - 1) / 3 % 2)].params.max_leaves);
		for (int32_t other = 1; other < t; other++)
			assert_memory_not_equal(&study.trials[t].params, &study.trials[other].params, sizeof(MlParams));
	}
	assert_true(study.trials[1].params.learning_rate < study.trials[2].params.learning_rate);
	pgaml_ml_study_free(&study, &plain_heap);

	/* a small space has no more cells than values; what is not searched stays */
	space = (MlTuneSpace) {
		.ndims = 2, .dims = {{.name = "n_trees", .low = 3, .high = 4, .integer = true},
		{.name = "max_leaves", .nchoices = 3, .choices = {4, 8, 16}}}
	};
	options.n_trials = 100;
	study = new_study(&options, &space);
	assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
	assert_int_equal(study.end, ML_STUDY_GRID_DONE);
	assert_int_equal(study.ntrials, 1 + 2 * 3);
	for (int32_t t = 1; t <= 6; t++)
	{
		assert_int_equal(study.trials[t].params.n_trees, 3 + (t - 1) % 2);
		assert_int_equal(study.trials[t].params.max_leaves, 4 << (t - 1) / 2);
		assert_true(study.trials[t].params.learning_rate == study.base.learning_rate);
	}
	pgaml_ml_study_free(&study, &plain_heap);

	/* logarithmic whole numbers: levels that fall together count once */
	space = (MlTuneSpace) {.ndims = 1, .dims = {{.name = "n_trees", .low = 1, .high = 50, .integer = true, .log = true}}};
	study = new_study(&options, &space);
	assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
	assert_in_range(study.ntrials, 7, 11);
	for (int32_t t = 2; t < study.ntrials; t++)
		assert_true(study.trials[t].params.n_trees > study.trials[t - 1].params.n_trees);
	pgaml_ml_study_free(&study, &plain_heap);
}

static void
pruners_spare_the_best_and_a_third_of_the_work(void **state)
{
	static const MlTunePruner pruners[] = {ML_TUNE_MEDIAN, ML_TUNE_HALVING};
	MlTuneSpace space = four_dims();

	(void) state;
	for (int p = 0; p < 2; p++)
	{
		double		cost = 0.0;

		for (uint64_t seed = 0; seed < N_SEEDS; seed++)
		{
			MlTuneOptions options = {
				.sampler = ML_TUNE_RANDOM, .pruner = pruners[p], .n_trials = 30, .nsteps = 5, .seed = seed
			};
			MlStudy		study = new_study(&options, &space);
			Fake		fake = {.value = separable};
			int			pruned = 0;

			assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
			assert_int_equal(study.trials[0].state, ML_TRIAL_COMPLETE);
			for (int32_t t = 0; t < 30; t++)
			{
				MlTuneStep	step = {0};

				pruned += study.trials[t].state == ML_TRIAL_PRUNED;
				assert_true(isnan(study.trials[t].value) == (study.trials[t].state == ML_TRIAL_PRUNED));
				assert_true(branin(&study.trials[study.best].params, &step) <= branin(&study.trials[t].params, &step));
			}
			assert_true(pruned >= 10);
			cost += fake.cost / (30 * 5) / N_SEEDS;
			pgaml_ml_study_free(&study, &plain_heap);
		}
		assert_true(cost < 2.0 / 3.0);
	}
}

/* Everything but the time that it took. */
static void
assert_same_trials(const MlStudy *a, const MlStudy *b)
{
	assert_int_equal(a->ntrials, b->ntrials);
	assert_int_equal(a->best, b->best);
	for (int32_t t = 0; t < a->ntrials; t++)
	{
		MlTrial		x = a->trials[t];
		MlTrial		y = b->trials[t];

		assert_memory_equal(&x.params, &y.params, sizeof(MlParams));
		assert_int_equal(x.state, y.state);
		assert_int_equal(x.nvalues, y.nvalues);
		assert_memory_equal(x.values, y.values, sizeof(x.values));
		assert_int_equal(x.nconfirm, y.nconfirm);
		assert_memory_equal(x.confirm, y.confirm, sizeof(x.confirm));
	}
}

/* The rule by hand: among those so far, the best third goes on, and always the best. */
static void
halving_keeps_the_best_third(void **state)
{
	MlTuneSpace space = four_dims();
	MlTuneOptions options = {
		.sampler = ML_TUNE_RANDOM, .pruner = ML_TUNE_HALVING, .n_trials = 60, .nsteps = 2, .seed = 3
	};
	MlStudy		study = new_study(&options, &space);
	Fake		fake = {.value = separable};

	(void) state;
	assert_int_equal(tune(&study, &fake, &plain_heap, NULL), ML_OK);
	for (int32_t t = 1; t < 60; t++)
	{
		MlTuneStep	step = {0};
		double		mine = branin(&study.trials[t].params, &step);
		int32_t		better = 0;

		for (int32_t other = 0; other < t; other++)
			better += branin(&study.trials[other].params, &step) < mine;
		assert_int_equal(study.trials[t].nvalues > 2, better == 0 || better < (t + 1) / 3);
	}
	pgaml_ml_study_free(&study, &plain_heap);
}

/*
 * Stopped at any step, stored, restored and continued: as if never stopped.
 */
static void
an_interrupted_study_goes_on_as_if_never_stopped(void **state)
{
	MlTuneSpace space = four_dims();

	(void) state;
	for (int kind = 0; kind < 9; kind++)
	{
		MlTuneOptions options = {
			.sampler = (MlTuneSampler) (kind % 3), .pruner = (MlTunePruner) (kind / 3),
			.n_trials = 16, .nsteps = 3, .n_confirm = 2, .seed = 7
		};
		MlStudy		whole = new_study(&options, &space);
		Fake		fake = {.value = separable};
		int32_t		calls;

		assert_int_equal(tune(&whole, &fake, &plain_heap, NULL), ML_OK);
		calls = fake.calls;
		for (int32_t stop_at = 1; stop_at <= calls; stop_at += 3)
		{
			MlStudy		first = new_study(&options, &space);
			MlStudy		second = new_study(&options, &space);
			MlError		error = {0};

			fake = (Fake) {.value = separable, .stop_at = stop_at};
			assert_int_equal(tune(&first, &fake, &plain_heap, &error), ML_E_STOPPED);
			assert_int_equal(first.best, -1);
			assert_int_equal(first.end, ML_STUDY_OPEN);
			for (int32_t t = 0; t < first.ntrials; t++)
				assert_int_equal(pgaml_ml_study_restore(&second, &first.trials[t], &error), ML_OK);
			fake = (Fake) {.value = separable};
			assert_int_equal(tune(&second, &fake, &plain_heap, NULL), ML_OK);
			assert_int_equal(fake.calls, calls - stop_at + 1);
			assert_same_trials(&whole, &second);

			/* the study itself goes on just as well */
			fake = (Fake) {.value = separable};
			assert_int_equal(tune(&first, &fake, &plain_heap, NULL), ML_OK);
			assert_same_trials(&whole, &first);
			pgaml_ml_study_free(&first, &plain_heap);
			pgaml_ml_study_free(&second, &plain_heap);
		}
		pgaml_ml_study_free(&whole, &plain_heap);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_estimator_beats_twice_as_many_random_trials),
		cmocka_unit_test(the_estimator_learns_choices),
		cmocka_unit_test(the_estimator_does_not_repeat_itself),
		cmocka_unit_test(a_grid_is_ordered_and_bounded),
		cmocka_unit_test(pruners_spare_the_best_and_a_third_of_the_work),
		cmocka_unit_test(halving_keeps_the_best_third),
		cmocka_unit_test(an_interrupted_study_goes_on_as_if_never_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
