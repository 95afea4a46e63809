/*-------------------------------------------------------------------------
 * tune_surrogate.c
 *		What a trial not yet made would gain: expected improvement under a
 *		Gaussian process (Jones et al. 1998; Rasmussen and Williams 2006,
 *		algorithm 2.1).
 *
 * It is fitted to the normal scores of the trials' ranks, not to their
 * values: one terrible trial then bends nothing, and trials that were pruned
 * or failed have a rank too.  One length for all dimensions and the share of
 * noise are those of a small grid that make the scores most likely; the scale
 * follows in closed form.
 *-------------------------------------------------------------------------
 */
#include "ml/matrix_internal.h"
#include "ml/stages.h"
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define MAX_FITTED		100		/* the best trials that count: the time is cubic in them */
#define CHOICE_DISTANCE 0.5		/* between two choices, in shares of a range */

static const double lengths[] = {0.3, 0.5, 0.8, 1.2, 2.0};
static const double noises[] = {0.001, 0.01, 0.1, 0.3};	/* variance of a trial beside the process's 1 */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Correlation of two points (Matern 5/2). */
static double
correlation(const MlTuneSurrogate *s, const double *a, const double *b)
{
	double		squared = 0.0;
	double		r;

	for (int32_t d = 0; d < s->space->ndims; d++)
	{
		double		difference = a[d] - b[d];

		if (s->space->dims[d].nchoices > 0)
			difference = difference != 0.0 ? CHOICE_DISTANCE : 0.0;
		squared += difference * difference;
	}
	r = sqrt(5.0 * squared) / s->length;
	return (1.0 + r + r * r / 3.0) * exp(-r);
}

/*
 * Solve for one length and noise; the logarithm of how likely the scores
 * are, but for a constant.
 */
static double
solve(MlTuneSurrogate *s, double length, double noise)
{
	MlTicker	ticker = {0};	/* there are few trials: too fast to be stopped */
	double		squared = 0.0;
	double		determinant = 0.0;

	s->length = length;
	for (int32_t i = 0; i < s->n; i++)
	{
		for (int32_t j = 0; j < i; j++)
			s->factor[i * s->n + j] = correlation(s, s->seen[i].at, s->seen[j].at);
		s->factor[i * s->n + i] = 1.0 + noise;
	}
	(void) pgaml_ml_cholesky_factor(s->factor, s->n, s->n, &ticker);
	memcpy(s->weight, s->score, (size_t) s->n * sizeof(double));
	pgaml_ml_cholesky_solve(s->factor, s->n, s->n, s->weight);
	for (int32_t i = 0; i < s->n; i++)
	{
		squared += s->score[i] * s->weight[i];
		determinant += log(s->factor[i * s->n + i]);
	}
	s->variance = squared / s->n;
	return -0.5 * s->n * log(s->variance) - determinant;
}

static double
expectation(const MlTuneSurrogate *s, const double *at)
{
	double		mean = 0.0;

	for (int32_t i = 0; i < s->n; i++)
		mean += correlation(s, at, s->seen[i].at) * s->weight[i];
	return mean;
}

static void
fit(MlTuneSurrogate *s)
{
	double		top = -INFINITY;
	double		length = lengths[0];
	double		noise = noises[0];

	for (size_t l = 0; l < COUNT(lengths); l++)
	{
		for (size_t k = 0; k < COUNT(noises); k++)
		{
			double		likely = solve(s, lengths[l], noises[k]);

			if (!(likely > top))
				continue;
			top = likely;
			length = lengths[l];
			noise = noises[k];
		}
	}
	(void) solve(s, length, noise);
	s->best = INFINITY;
	for (int32_t i = 0; i < s->n; i++)
		s->best = fmin(s->best, expectation(s, s->seen[i].at));
}

MlStatus
pgaml_ml_tune_surrogate_fit(const MlTuneSpace *space, const MlTuneSeen *seen, int32_t n,
							const MlAllocator *allocator, MlTuneSurrogate *s, MlError *error)
{
	int32_t		fitted = n < MAX_FITTED ? n : MAX_FITTED;
	double		mean = 0.0;

	*s = (MlTuneSurrogate) {.space = space, .seen = seen, .n = fitted};
	s->score = pgaml_ml_alloc(allocator, (size_t) fitted * ((size_t) fitted + 3), sizeof(double));
	if (s->score == NULL)
		return pgaml_ml_nomem(error, "tune");
	s->weight = s->score + fitted;
	s->scratch = s->weight + fitted;
	s->factor = s->scratch + fitted;
	for (int32_t i = 0; i < fitted; i++)
		mean += s->score[i] = pgaml_ml_normal_quantile((i + 0.5) / n);
	for (int32_t i = 0; i < fitted; i++)
		s->score[i] -= mean / fitted;
	fit(s);
	return ML_OK;
}

void
pgaml_ml_tune_surrogate_free(MlTuneSurrogate *s, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, s->score);
}

/*
 * Logarithm of the expected improvement on the best expectation so far.
 */
double
pgaml_ml_tune_surrogate_log_gain(MlTuneSurrogate *s, const double *at)
{
	double		mean = 0.0;
	double		known = 0.0;
	double		deviation;
	double		z;

	/* scratch becomes L^-1 of the correlations, whose squares are what the trials tell */
	for (int32_t i = 0; i < s->n; i++)
	{
		const double *row = s->factor + (size_t) i * (size_t) s->n;
		double		sum = correlation(s, at, s->seen[i].at);

		mean += sum * s->weight[i];
		for (int32_t j = 0; j < i; j++)
			sum -= row[j] * s->scratch[j];
		s->scratch[i] = sum / row[i];
		known += s->scratch[i] * s->scratch[i];
	}
	deviation = sqrt(fmax((1.0 - known) * s->variance, 1e-12));
	z = (s->best - mean) / deviation;
	return log(deviation * (z * 0.5 * erfc(-z * M_SQRT1_2) + exp(-0.5 * z * z) / sqrt(2.0 * M_PI)) + 1e-300);
}
