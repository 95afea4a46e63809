/*-------------------------------------------------------------------------
 * tune_prune.c
 *		Which trials are not worth finishing.
 *
 * A trial is compared with those before it only, at the same step, so the
 * decision is the same whenever it is made.  The default is never pruned.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>

#define MEDIAN_STARTUP	5		/* complete trials before their median speaks */
#define MEDIAN_WARMUP	1		/* steps that a trial takes before it is compared */
#define REDUCTION		3		/* halving keeps one in so many, and gives them so many times the rows */

int32_t
pgaml_ml_tune_rungs(const MlTuneOptions *options)
{
	return options->pruner == ML_TUNE_HALVING ? ML_TUNE_MAX_RUNGS : 1;
}

double
pgaml_ml_tune_budget(const MlTuneOptions *options, int32_t rung)
{
	return pow(REDUCTION, rung + 1 - pgaml_ml_tune_rungs(options));
}

double
pgaml_ml_tune_mean(const double *values, int32_t from, int32_t n)
{
	double		sum = 0.0;

	for (int32_t i = from; i < from + n; i++)
		sum += values[i];
	return sum / n;
}

/*
 * Worse than the median of the earlier trials that were completed (Golovin
 * et al. 2017, section 3.3.2), each by its mean up to this step.
 */
static MlStatus
prune_median(const MlStudy *study, const MlTrial *trial, const MlAllocator *allocator,
			 bool *prune, MlError *error)
{
	int32_t		steps = trial->nvalues;
	double	   *means = pgaml_ml_alloc(allocator, (size_t) study->ntrials, sizeof(double));
	double		median;
	int32_t		n = 0;
	MlStatus	status = ML_OK;

	if (means == NULL)
		return pgaml_ml_nomem(error, "tune");
	for (int32_t t = 0; t < trial->number; t++)
	{
		if (study->trials[t].state == ML_TRIAL_COMPLETE)
			means[n++] = pgaml_ml_tune_mean(study->trials[t].values, 0, steps);
	}
	if (steps >= MEDIAN_WARMUP && n >= MEDIAN_STARTUP)
	{
		status = pgaml_ml_weighted_quantile(means, NULL, n, 0.5, allocator, &median, error);
		*prune = status == ML_OK && pgaml_ml_tune_mean(trial->values, 0, steps) > median;
	}
	pgaml_ml_release(allocator, means);
	return status;
}

/*
 * Asynchronous successive halving, one trial at a time (Li et al. 2020): at
 * the end of a rung only the best third of all that reached it goes on.
 */
static bool
prune_halving(const MlStudy *study, const MlTrial *trial)
{
	int32_t		nsteps = study->options.nsteps;
	int32_t		from = trial->nvalues - nsteps;
	double		mine;
	int32_t		reached = 1;
	int32_t		better = 0;

	if (trial->nvalues % nsteps != 0)
		return false;
	mine = pgaml_ml_tune_mean(trial->values, from, nsteps);
	for (int32_t t = 0; t < trial->number; t++)
	{
		const MlTrial *other = &study->trials[t];

		if (other->state == ML_TRIAL_FAILED || other->nvalues < trial->nvalues)
			continue;
		reached++;
		better += pgaml_ml_tune_mean(other->values, from, nsteps) <= mine;
	}
	return better > 0 && better >= reached / REDUCTION;
}

MlStatus
pgaml_ml_tune_prune(const MlStudy *study, const MlTrial *trial, const MlAllocator *allocator,
					bool *prune, MlError *error)
{
	*prune = false;
	if (trial->number == 0)
		return ML_OK;
	if (study->options.pruner == ML_TUNE_MEDIAN)
		return prune_median(study, trial, allocator, prune, error);
	if (study->options.pruner == ML_TUNE_HALVING)
		*prune = prune_halving(study, trial);
	return ML_OK;
}
