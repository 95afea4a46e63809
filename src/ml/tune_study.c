/*-------------------------------------------------------------------------
 * tune_study.c
 *		The record of a study: names, checks, memory, trials given back.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define DEFAULT_TRIALS	25
#define DEFAULT_STEPS	5
#define DEFAULT_CONFIRM 3

static const char *const sampler_names[] = {"random", "grid", "tpe"};
static const char *const pruner_names[] = {"none", "median", "halving"};
static const char *const state_names[] = {"running", "complete", "pruned", "failed"};

#define COUNT(names) ((int) (sizeof(names) / sizeof(names[0])))

static const char *
name_of(const char *const *names, int count, int i)
{
	return i >= 0 && i < count ? names[i] : "unknown";
}

static int
find_name(const char *const *names, int count, const char *name)
{
	int			i = 0;

	while (i < count && strcmp(names[i], name) != 0)
		i++;
	return i < count ? i : -1;
}

const char *
pgaml_ml_sampler_name(MlTuneSampler sampler)
{
	return name_of(sampler_names, COUNT(sampler_names), (int) sampler);
}

bool
pgaml_ml_sampler_from_name(const char *name, MlTuneSampler *sampler)
{
	int			i = find_name(sampler_names, COUNT(sampler_names), name);

	if (i >= 0)
		*sampler = (MlTuneSampler) i;
	return i >= 0;
}

const char *
pgaml_ml_pruner_name(MlTunePruner pruner)
{
	return name_of(pruner_names, COUNT(pruner_names), (int) pruner);
}

bool
pgaml_ml_pruner_from_name(const char *name, MlTunePruner *pruner)
{
	int			i = find_name(pruner_names, COUNT(pruner_names), name);

	if (i >= 0)
		*pruner = (MlTunePruner) i;
	return i >= 0;
}

const char *
pgaml_ml_trial_state_name(MlTrialState state)
{
	return name_of(state_names, COUNT(state_names), (int) state);
}

void
pgaml_ml_tune_options_default(MlTuneOptions *options)
{
	*options = (MlTuneOptions) {
		.sampler = ML_TUNE_TPE, .pruner = ML_TUNE_NO_PRUNER, .n_trials = DEFAULT_TRIALS,
		.nsteps = DEFAULT_STEPS, .n_confirm = DEFAULT_CONFIRM
	};
}

static MlStatus
check_options(const MlTuneOptions *options, MlError *error)
{
	if ((int) options->sampler < 0 || (int) options->sampler >= COUNT(sampler_names))
		return pgaml_ml_fail(error, ML_E_ARG, "sampler", "unknown sampler %d", (int) options->sampler);
	if ((int) options->pruner < 0 || (int) options->pruner >= COUNT(pruner_names))
		return pgaml_ml_fail(error, ML_E_ARG, "pruner", "unknown pruner %d", (int) options->pruner);
	if (options->n_trials < 1 || options->n_trials > ML_TUNE_MAX_TRIALS)
		return pgaml_ml_fail(error, ML_E_ARG, "n_trials", "number of trials must be between 1 and %d",
							 ML_TUNE_MAX_TRIALS);
	if (options->nsteps < 1 || options->nsteps > ML_TUNE_MAX_STEPS)
		return pgaml_ml_fail(error, ML_E_ARG, "nsteps", "number of folds must be between 1 and %d",
							 ML_TUNE_MAX_STEPS);
	if (options->n_confirm < 0 || options->n_confirm > ML_TUNE_MAX_TRIALS)
		return pgaml_ml_fail(error, ML_E_ARG, "n_confirm", "number of trials to confirm must be between 0 and %d",
							 ML_TUNE_MAX_TRIALS);
	if (!(options->time_limit_ms >= 0.0))
		return pgaml_ml_fail(error, ML_E_ARG, "time_limit_ms", "time limit must not be negative");
	return ML_OK;
}

MlStatus
pgaml_ml_study_create(const MlTuneOptions *options, const MlTuneSpace *space, const MlParams *base,
					  const MlAllocator *allocator, MlStudy *study, MlError *error)
{
	MlStatus	status = check_options(options, error);

	memset(study, 0, sizeof(*study));
	if (status == ML_OK)
		status = pgaml_ml_params_check(base, error);
	if (status == ML_OK)
		status = pgaml_ml_tune_space_check(space, base, error);
	if (status != ML_OK)
		return status;
	study->options = *options;
	study->space = *space;
	study->base = *base;
	study->best = -1;
	study->trials = pgaml_ml_alloc_zero(allocator, (size_t) options->n_trials, sizeof(MlTrial));
	return study->trials != NULL ? ML_OK : pgaml_ml_nomem(error, "tune");
}

void
pgaml_ml_study_free(MlStudy *study, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, study->trials);
	memset(study, 0, sizeof(*study));
}

static bool
all_finite(const double *values, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
	{
		if (!isfinite(values[i]))
			return false;
	}
	return true;
}

/*
 * Whether a trial can be one of this study: it may come from storage.
 */
static bool
fits(const MlStudy *study, const MlTrial *trial)
{
	int32_t		nsteps = study->options.nsteps;
	int32_t		all = nsteps * pgaml_ml_tune_rungs(&study->options);
	bool		complete = trial->state == ML_TRIAL_COMPLETE;

	if (trial->nvalues < 0 || trial->nvalues > all || !all_finite(trial->values, trial->nvalues))
		return false;
	if (trial->nconfirm < 0 || trial->nconfirm > (complete ? nsteps : 0) ||
		!all_finite(trial->confirm, trial->nconfirm))
		return false;
	if (complete)
		return trial->nvalues == all && isfinite(trial->value);
	if (trial->state == ML_TRIAL_PRUNED)
		return trial->nvalues > 0 && trial->number > 0;
	return trial->state == ML_TRIAL_RUNNING || trial->state == ML_TRIAL_FAILED;
}

MlStatus
pgaml_ml_study_restore(MlStudy *study, const MlTrial *trial, MlError *error)
{
	MlStatus	status;

	if (study->ntrials >= study->options.n_trials)
		return pgaml_ml_fail(error, ML_E_ARG, "trial", "study has room for %d trials",
							 (int) study->options.n_trials);
	if (trial->number != study->ntrials)
		return pgaml_ml_fail(error, ML_E_ARG, "trial", "trial %d where %d was expected",
							 (int) trial->number, (int) study->ntrials);
	if (study->ntrials > 0 && study->trials[study->ntrials - 1].state == ML_TRIAL_RUNNING)
		return pgaml_ml_fail(error, ML_E_ARG, "trial", "trial %d follows one that is running", (int) trial->number);
	if (trial->params.type != study->base.type)
		return pgaml_ml_fail(error, ML_E_ARG, "trial", "trial %d is of another type", (int) trial->number);
	status = pgaml_ml_params_check(&trial->params, error);
	if (status != ML_OK)
		return status;
	if (!fits(study, trial))
		return pgaml_ml_fail(error, ML_E_DATA, "trial", "values of trial %d do not fit its state", (int) trial->number);
	study->trials[study->ntrials] = *trial;
	study->trials[study->ntrials++].message[sizeof(trial->message) - 1] = '\0';
	return ML_OK;
}
