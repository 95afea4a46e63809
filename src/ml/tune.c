/*-------------------------------------------------------------------------
 * tune.c
 *		Runs a study: trial after trial, step after step, then the choice.
 *
 * The study is written as things happen, so at any interruption it holds
 * what was measured; what follows from it is computed, never remembered.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define KEEP_TRIALS 2.5			/* time of so many full trials is kept for the choice: the default, the
								 * best, and what clocks and callbacks are late */

typedef struct Run
{
	MlStudy    *study;
	const MlTuneObjective *objective;
	const MlTuneWatch *watch;	/* may be NULL */
	const MlAllocator *allocator;
	const MlStop *stop;			/* may be NULL */
	MlError    *error;
	double		started;		/* wall ms */
	double		stop_at;		/* wall ms after which the present step is broken off; infinite: none */
	double		full_ms;		/* longest wall time of one trial that was measured in full */
	bool		late;			/* stop_at was passed */
	double		progress;		/* 0..1 of the study */
	double		step_from;		/* progress at which the present step begins */
	double		step_to;		/* ... and at which it ends */
} Run;

static double
wall_ms(const Run *run)
{
	return run->watch != NULL && run->watch->wall_ms != NULL ? run->watch->wall_ms(run->watch->state) : 0.0;
}

static double
cpu_ms(const Run *run)
{
	return run->watch != NULL && run->watch->cpu_ms != NULL ? run->watch->cpu_ms(run->watch->state) : 0.0;
}

static MlStatus
record(Run *run, const MlTrial *trial)
{
	if (run->watch == NULL || run->watch->record == NULL)
		return ML_OK;
	return run->watch->record(run->watch->state, trial, run->error);
}

static bool
is_stopped(const Run *run)
{
	return run->stop != NULL && run->stop->should_stop != NULL &&
		run->stop->should_stop(run->stop->state, run->progress);
}

/* What the objective asks: the caller, and the clock. */
static bool
step_should_stop(void *state, double progress)
{
	Run		   *run = state;

	run->progress = fmin(run->step_from + (run->step_to - run->step_from) * fmax(progress, 0.0), run->step_to);
	run->late |= wall_ms(run) >= run->stop_at;
	return run->late || is_stopped(run);
}

/*
 * Time to be kept for measuring the default and the best again.
 */
static void
set_search_end(Run *run)
{
	double		limit = run->study->options.time_limit_ms;
	double		keep = run->study->options.n_confirm > 0 ? KEEP_TRIALS * run->full_ms : 0.0;

	run->stop_at = limit > 0.0 ? run->started + fmax(limit - keep, 0.0) : INFINITY;
}

/* The next measurement is step i of all that this trial, or this confirmation, takes. */
static void
place_step(Run *run, double turn, int32_t i, int32_t all)
{
	double		turns = run->study->options.n_trials + 1.0;	/* the last one is to confirm */

	run->step_from = (turn + (double) i / all) / turns;
	run->step_to = (turn + (i + 1.0) / all) / turns;
}

/*
 * One value of a trial; *value is NaN when it could not be measured, and the
 * trial then says why.  ML_E_STOPPED: the caller's wish, or run->late.
 */
static MlStatus
measure(Run *run, MlTrial *trial, const MlTuneStep *step, double *value)
{
	MlStop		stop = {step_should_stop, run};
	MlError		failure = {0};
	double		before = cpu_ms(run);
	MlStatus	status;

	*value = NAN;
	if (step_should_stop(run, 0.0))
		return pgaml_ml_stopped(run->error, "tune");
	status = run->objective->measure(run->objective->state, &trial->params, step, &stop, value, &failure);
	trial->cpu_ms += fmax(cpu_ms(run) - before, 0.0);
	if (status == ML_E_STOPPED)
		return pgaml_ml_stopped(run->error, "tune");
	if (status == ML_OK && isfinite(*value))
		return ML_OK;
	if (status == ML_OK)
		(void) pgaml_ml_fail(&failure, ML_E_DATA, "tune", "error is not finite");
	memcpy(trial->message, failure.message, sizeof(trial->message));
	*value = NAN;
	return ML_OK;
}

static MlStatus
finish(Run *run, MlTrial *trial, MlTrialState state)
{
	int32_t		nsteps = run->study->options.nsteps;

	trial->state = state;
	if (state == ML_TRIAL_COMPLETE)
		trial->value = pgaml_ml_tune_mean(trial->values, trial->nvalues - nsteps, nsteps);
	return record(run, trial);
}

/*
 * All steps that a trial still has to take.
 */
static MlStatus
run_trial(Run *run, MlTrial *trial)
{
	const MlTuneOptions *options = &run->study->options;
	int32_t		all = options->nsteps * pgaml_ml_tune_rungs(options);
	double		began = wall_ms(run);

	while (trial->nvalues < all)
	{
		MlTuneStep	step = {
			.trial = trial->number, .step = trial->nvalues % options->nsteps,
			.budget = pgaml_ml_tune_budget(options, trial->nvalues / options->nsteps)
		};
		double		value;
		bool		prune = false;
		MlStatus	status = ML_OK;

		/* before the step, not after one: whoever goes on asks as well */
		if (trial->nvalues > 0)
			status = pgaml_ml_tune_prune(run->study, trial, run->allocator, &prune, run->error);
		if (status != ML_OK)
			return status;
		if (prune)
			return finish(run, trial, ML_TRIAL_PRUNED);
		place_step(run, trial->number, trial->nvalues, all);
		status = measure(run, trial, &step, &value);
		if (status != ML_OK)
			return status;
		if (isnan(value))
			return finish(run, trial, ML_TRIAL_FAILED);
		trial->values[trial->nvalues++] = value;
	}
	run->full_ms = fmax(run->full_ms, wall_ms(run) - began);
	set_search_end(run);
	return finish(run, trial, ML_TRIAL_COMPLETE);
}

/*
 * The trial to work on: one that was interrupted, or the next; NULL when the
 * grid has no further cell.
 */
static MlStatus
next_trial(Run *run, MlTrial **trial)
{
	MlStudy    *study = run->study;
	MlTrial		next = {.number = study->ntrials, .params = study->base, .value = NAN};
	bool		done = false;
	MlStatus	status = ML_OK;

	*trial = NULL;
	if (study->ntrials > 0 && study->trials[study->ntrials - 1].state == ML_TRIAL_RUNNING)
	{
		*trial = &study->trials[study->ntrials - 1];
		return ML_OK;
	}
	if (study->ntrials > 0)
		status = pgaml_ml_tune_suggest(study, run->allocator, &next.params, &done, run->error);
	if (status != ML_OK || done)
		return status;
	*trial = &study->trials[study->ntrials++];
	**trial = next;
	return record(run, *trial);
}

static bool
is_finished(const MlStudy *study)
{
	return study->ntrials == study->options.n_trials && study->trials[study->ntrials - 1].state != ML_TRIAL_RUNNING;
}

static MlStatus
search(Run *run)
{
	MlStudy    *study = run->study;
	MlStatus	status = ML_OK;

	set_search_end(run);
	while (!is_finished(study))
	{
		MlTrial    *trial;

		if (wall_ms(run) >= run->stop_at)
		{
			study->end = ML_STUDY_TIME;
			return ML_OK;
		}
		status = next_trial(run, &trial);
		if (status == ML_OK && trial == NULL)
		{
			study->end = ML_STUDY_GRID_DONE;
			return ML_OK;
		}
		if (status == ML_OK)
			status = run_trial(run, trial);
		if (status == ML_E_STOPPED && run->late)
		{
			study->end = ML_STUDY_TIME;
			return ML_OK;
		}
		if (status != ML_OK)
			return status;
	}
	study->end = ML_STUDY_ALL_TRIALS;
	return ML_OK;
}

/*
 * Measure the candidates on other folds, as far as time goes.
 */
static MlStatus
confirm(Run *run, const int32_t *numbers, int32_t n)
{
	const MlTuneOptions *options = &run->study->options;

	run->late = false;
	run->stop_at = options->time_limit_ms > 0.0 ? run->started + options->time_limit_ms : INFINITY;
	for (int32_t i = 0; i < n; i++)
	{
		MlTrial    *trial = &run->study->trials[numbers[i]];
		bool		measured = false;
		MlStatus	status = ML_OK;

		while (trial->nconfirm < options->nsteps)
		{
			MlTuneStep	step = {
				.trial = trial->number, .step = trial->nconfirm, .budget = 1.0, .confirm = true
			};
			double		value;

			place_step(run, options->n_trials, i * options->nsteps + trial->nconfirm, n * options->nsteps);
			status = measure(run, trial, &step, &value);
			if (status != ML_OK || isnan(value))
				break;
			trial->confirm[trial->nconfirm++] = value;
			measured = true;
		}
		if (measured && (status == ML_OK || status == ML_E_STOPPED))
		{
			MlStatus	recorded = record(run, trial);

			status = recorded != ML_OK ? recorded : status;
		}
		if (status == ML_E_STOPPED && run->late)
			return ML_OK;
		if (status != ML_OK)
			return status;
	}
	return ML_OK;
}

static MlStatus
choose(Run *run)
{
	MlStudy    *study = run->study;
	int32_t    *numbers = pgaml_ml_alloc(run->allocator, (size_t) study->ntrials + 1, sizeof(int32_t));
	int32_t		n;
	MlStatus	status = ML_OK;

	if (numbers == NULL)
		return pgaml_ml_nomem(run->error, "tune");
	n = pgaml_ml_tune_candidates(study, numbers);
	if (n > 1 && study->options.n_confirm > 0)
		status = confirm(run, numbers, n);
	if (status == ML_OK && n > 0)
		study->best = pgaml_ml_tune_choose(study, numbers, n);
	else if (status == ML_OK && study->end == ML_STUDY_TIME && study->trials[0].state == ML_TRIAL_RUNNING)
		study->best = 0;		/* no time to measure even the default */
	else if (status == ML_OK)
		status = pgaml_ml_fail(run->error, ML_E_DATA, "tune", "no trial could be measured: %s",
							   study->trials[0].message);
	pgaml_ml_release(run->allocator, numbers);
	return status;
}

MlStatus
pgaml_ml_tune(MlStudy *study, const MlTuneObjective *objective, const MlTuneWatch *watch,
			  const MlAllocator *allocator, const MlStop *stop, MlError *error)
{
	Run			run = {
		.study = study, .objective = objective, .watch = watch, .allocator = allocator,
		.stop = stop, .error = error
	};
	MlStatus	status;

	study->best = -1;
	study->end = ML_STUDY_OPEN;
	if (study->options.time_limit_ms > 0.0 && (watch == NULL || watch->wall_ms == NULL))
		return pgaml_ml_fail(error, ML_E_ARG, "time_limit_ms", "a time limit needs a clock");
	run.started = wall_ms(&run);
	status = search(&run);
	if (status == ML_OK)
		status = choose(&run);
	if (status == ML_E_STOPPED)
		study->end = ML_STUDY_OPEN;
	return status;
}
