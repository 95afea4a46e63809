/*-------------------------------------------------------------------------
 * tune_tpe.c
 *		The tree-structured Parzen estimator (Bergstra et al. 2011, section
 *		4), multivariate (Falkner et al. 2018, section 3.2).
 *
 * 1. The trials so far are sorted; the best few are "below".
 * 2. They become a mixture of products of kernels, one kernel per trial and an
 *    even one that stands for the prior: truncated normals for ranges,
 *    smoothed counts for choices.  Candidates are drawn from it.
 * 3. The one is proposed for which most improvement is expected.  The papers
 *    tell that by the ratio of the mixture to one of all other trials, which
 *    knows on which side a trial fell and not by how much; here a Gaussian
 *    process tells it (tune_surrogate.c), which finds better trials when
 *    there are few: figures are in test/bench/README.md.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define N_CANDIDATES	100
#define BELOW_SHARE		0.1		/* of the trials so far, rounded up */
#define MAX_BELOW		25
#define KERNEL_WIDTH	0.1		/* of the range, for one trial; narrows as Scott's rule says */
#define MIN_WIDTH		0.02	/* a kernel is never narrower */
#define CHOICE_STAYS	0.5		/* a kernel's share for its own choice */

typedef struct Mixture
{
	const MlTuneSpace *space;
	const MlTuneSeen *seen;
	int32_t		n;
	double		width;
} Mixture;

static bool
is_better(const MlTuneSeen *a, const MlTuneSeen *b)
{
	if (a->measured != b->measured)
		return a->measured > b->measured;
	return a->value < b->value;
}

/*
 * Trials in order, by insertion: there are few, and earlier ones stay first
 * among equals.
 */
static int32_t
sort_trials(const MlStudy *study, MlTuneSeen *seen)
{
	int32_t		n = 0;

	for (int32_t t = 0; t < study->ntrials; t++)
	{
		const MlTrial *trial = &study->trials[t];
		MlTuneSeen	next = {.value = 0.0, .measured = -1};
		int32_t		i = n++;

		pgaml_ml_tune_coordinates(&study->space, &trial->params, next.at);
		if (trial->state == ML_TRIAL_COMPLETE)
		{
			next.measured = INT32_MAX;
			next.value = trial->value;
		}
		else if (trial->state == ML_TRIAL_PRUNED)
		{
			int32_t		from = (trial->nvalues - 1) / study->options.nsteps * study->options.nsteps;

			next.measured = trial->nvalues;
			next.value = pgaml_ml_tune_mean(trial->values, from, trial->nvalues - from);
		}
		for (; i > 0 && is_better(&next, &seen[i - 1]); i--)
			seen[i] = seen[i - 1];
		seen[i] = next;
	}
	return n;
}

/* One draw from the kernel of a trial, brought to the nearest value that can be tried. */
static double
draw(const Mixture *m, int32_t trial, int32_t d, MlRng *rng)
{
	const MlTuneDim *dim = &m->space->dims[d];
	double		at;

	if (dim->nchoices > 0)
	{
		if (trial >= 0 && pgaml_ml_rng_uniform(rng) < CHOICE_STAYS)
			return m->seen[trial].at[d];
		return (double) pgaml_ml_rng_below(rng, (uint64_t) dim->nchoices);
	}
	if (trial < 0)
		at = pgaml_ml_rng_uniform(rng);
	else
	{
		/* nearly half of a kernel lies inside, so few draws are thrown away */
		do
			at = m->seen[trial].at[d] + m->width * pgaml_ml_rng_normal(rng);
		while (!(at >= 0.0 && at <= 1.0));
	}
	return pgaml_ml_dim_coordinate(dim, pgaml_ml_dim_value(dim, at));
}

static bool
was_tried(const MlTuneSpace *space, const MlTuneSeen *seen, int32_t n, const double *at)
{
	for (int32_t i = 0; i < n; i++)
	{
		if (memcmp(seen[i].at, at, (size_t) space->ndims * sizeof(double)) == 0)
			return true;
	}
	return false;
}

/*
 * The best of the candidates; one of the n trials only when all were tried.
 */
static void
propose(const Mixture *below, int32_t n, MlTuneSurrogate *surrogate, MlRng *rng, double *coordinates)
{
	double		best = -INFINITY;
	bool		best_tried = true;

	for (int c = 0; c < N_CANDIDATES; c++)
	{
		int32_t		trial = (int32_t) pgaml_ml_rng_below(rng, (uint64_t) below->n + 1) - 1;
		double		at[ML_TUNE_MAX_DIMS];
		double		gain;
		bool		tried;

		for (int32_t d = 0; d < below->space->ndims; d++)
			at[d] = draw(below, trial, d, rng);
		gain = pgaml_ml_tune_surrogate_log_gain(surrogate, at);
		tried = was_tried(below->space, below->seen, n, at);
		if (c > 0 && (tried != best_tried ? tried : gain <= best))
			continue;
		best = gain;
		best_tried = tried;
		memcpy(coordinates, at, (size_t) below->space->ndims * sizeof(double));
	}
}

/* Narrower with more trials, wider with more dimensions (Scott 1992). */
static double
kernel_width(int32_t n, int32_t ndims)
{
	return fmax(MIN_WIDTH, KERNEL_WIDTH * pow(fmax(n, 1), -1.0 / (ndims + 4)));
}

MlStatus
pgaml_ml_tune_tpe(const MlStudy *study, MlRng *rng, const MlAllocator *allocator,
				  double *coordinates, MlError *error)
{
	const MlTuneSpace *space = &study->space;
	MlTuneSeen	   *seen = pgaml_ml_alloc(allocator, (size_t) study->ntrials, sizeof(MlTuneSeen));
	Mixture		below;
	MlTuneSurrogate surrogate;
	int32_t		n;
	int32_t		nbelow;
	MlStatus	status;

	if (seen == NULL)
		return pgaml_ml_nomem(error, "tune");
	n = sort_trials(study, seen);
	nbelow = (int32_t) fmin(ceil(BELOW_SHARE * n), MAX_BELOW);
	below = (Mixture) {space, seen, nbelow, kernel_width(nbelow, space->ndims)};
	status = pgaml_ml_tune_surrogate_fit(space, seen, n, allocator, &surrogate, error);
	if (status == ML_OK)
	{
		propose(&below, n, &surrogate, rng, coordinates);
		pgaml_ml_tune_surrogate_free(&surrogate, allocator);
	}
	pgaml_ml_release(allocator, seen);
	return status;
}
