/*-------------------------------------------------------------------------
 * tune_choose.c
 *		Which trial wins.
 *
 * The best of many trials is partly the luckiest, so the few best are
 * measured again, on other folds, beside the default.  The default stays
 * unless another is better there by more than one standard error of their
 * difference, fold by fold.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>

/*
 * The default first, when it was measured, then the n_confirm best that the
 * search found better than it.
 */
int32_t
pgaml_ml_tune_candidates(const MlStudy *study, int32_t *numbers)
{
	const MlTrial *trials = study->trials;
	bool		has_default = study->ntrials > 0 && trials[0].state == ML_TRIAL_COMPLETE;
	int32_t		most = study->options.n_confirm > 0 ? study->options.n_confirm : 1;
	int32_t		n = 0;

	if (has_default)
		numbers[n++] = 0;
	most += n;
	for (int32_t t = 1; t < study->ntrials; t++)
	{
		int32_t		i;

		if (trials[t].state != ML_TRIAL_COMPLETE || (has_default && !(trials[t].value < trials[0].value)))
			continue;
		/* earlier trials stay first among equals; the last falls out */
		for (i = n; i > (has_default ? 1 : 0) && trials[t].value < trials[numbers[i - 1]].value; i--)
		{
			if (i < most)
				numbers[i] = numbers[i - 1];
		}
		if (i >= most)
			continue;
		numbers[i] = t;
		n += n < most;
	}
	return n;
}

/* Mean by which b is better than a on the folds of confirmation, less one standard error. */
static double
sure_gain(const MlTrial *a, const MlTrial *b, int32_t nsteps)
{
	double		mean = 0.0;
	double		squared = 0.0;

	for (int32_t i = 0; i < nsteps; i++)
		mean += (a->confirm[i] - b->confirm[i]) / nsteps;
	if (nsteps < 2)
		return mean;
	for (int32_t i = 0; i < nsteps; i++)
		squared += (a->confirm[i] - b->confirm[i] - mean) * (a->confirm[i] - b->confirm[i] - mean);
	return mean - sqrt(squared / (nsteps - 1) / nsteps);
}

/*
 * Number of the winner among candidates in the order of
 * pgaml_ml_tune_candidates, n >= 1; those not measured again in full lose
 * against the default.
 */
int32_t
pgaml_ml_tune_choose(const MlStudy *study, const int32_t *numbers, int32_t n)
{
	const MlTrial *first = &study->trials[numbers[0]];
	int32_t		nsteps = study->options.nsteps;
	int32_t		best = -1;
	double		best_mean = INFINITY;

	if (study->options.n_confirm == 0)
		return numbers[n - 1];
	if (first->number == 0 && first->nconfirm < nsteps)
		return 0;
	for (int32_t i = 0; i < n; i++)
	{
		const MlTrial *trial = &study->trials[numbers[i]];
		double		mean;

		if (trial->nconfirm < nsteps)
			continue;
		mean = pgaml_ml_tune_mean(trial->confirm, 0, nsteps);
		if (!(mean < best_mean) || (i > 0 && first->number == 0 && !(sure_gain(first, trial, nsteps) > 0.0)))
			continue;
		best = trial->number;
		best_mean = mean;
	}
	return best >= 0 ? best : first->number;
}
