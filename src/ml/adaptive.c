/*-------------------------------------------------------------------------
 * adaptive.c
 *		Intervals that adapt to drift.
 *
 * Adaptive conformal inference (Gibbs and Candes 2021, Adaptive conformal
 * inference under distribution shift, section 2): after a miss the next
 * interval aims at fewer misses, after a hit at more.  Nothing is stored for
 * it: whoever predicts has the newest executions of the statement, and they
 * are replayed, each against the interval that history would have given.
 *-------------------------------------------------------------------------
 */
#include "ml/adaptive_internal.h"

#include <math.h>
#include <string.h>

#define RATE			0.02	/* gamma of the paper: six misses in a row ask for everything */
#define FIRST_SCORED	20		/* runs before one that make its own centre and spread steady enough */
#define P10_TO_P90		2.5631031	/* standard deviations of a normal distribution */

double
pgaml_ml_adaptive_step(double share, double target, double rate, bool missed)
{
	return share + rate * (target - (missed ? 1.0 : 0.0));
}

/* Linear interpolation between order statistics, as the lag features do. */
static double
quantile(const float *sorted, int32_t n, double q)
{
	double		at = q * (n - 1);
	int32_t		low = (int32_t) at;

	return low + 1 < n ? sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]) : sorted[n - 1];
}

static void
insert(float *sorted, int32_t n, float value)
{
	int32_t		i = n;

	for (; i > 0 && sorted[i - 1] > value; i--)
		sorted[i] = sorted[i - 1];
	sorted[i] = value;
}

double
pgaml_ml_adapted_share(const MlScores *scores, const float *recent, int32_t nrecent, double floor, double target)
{
	float		sorted[ML_STAGE_RECENT];
	double		share = target;

	if (nrecent > ML_STAGE_RECENT)
	{
		recent += nrecent - ML_STAGE_RECENT;
		nrecent = ML_STAGE_RECENT;
	}
	for (int32_t i = 0; i < nrecent; i++)
	{
		if (i >= FIRST_SCORED)
		{
			double		spread = (quantile(sorted, i, 0.9) - quantile(sorted, i, 0.1)) / P10_TO_P90;
			double		score = fabs(recent[i] - quantile(sorted, i, 0.5)) / fmax(spread, floor);
			double		width;
			bool		finite = pgaml_ml_scores_quantile(scores, 1.0 - share, &width);

			share = pgaml_ml_adaptive_step(share, target, RATE, finite ? score > width : share >= 1.0);
		}
		insert(sorted, i, recent[i]);
	}
	return share;
}
