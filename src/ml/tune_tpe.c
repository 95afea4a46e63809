/*-------------------------------------------------------------------------
 * tune_tpe.c
 *		The tree-structured Parzen estimator (Bergstra et al. 2011, section
 *		4), multivariate (Falkner et al. 2018, section 3.2).
 *
 * 1. The trials so far are sorted; the best few are "below", the rest above.
 * 2. Each side becomes a mixture of products of kernels, one kernel per trial
 *    and an even one that stands for the prior: truncated normals for ranges,
 *    smoothed counts for choices.
 * 3. Candidates are drawn from the mixture of those below; the one for which
 *    the ratio of both densities is largest is proposed.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define N_CANDIDATES	24
#define BELOW_SHARE		0.1		/* of the trials so far, rounded up */
#define MAX_BELOW		25
#define KERNEL_WIDTH	0.1		/* of the range, for one trial; narrows as Scott's rule says */
#define MIN_WIDTH		0.02	/* a kernel is never narrower */
#define CHOICE_STAYS	0.5		/* a kernel's share for its own choice */

/* A trial in the order of their worth: complete, pruned late, pruned early, failed. */
typedef struct Seen
{
	double		value;			/* lower is better */
	int32_t		measured;		/* values; complete: INT32_MAX, failed: -1 */
	double		at[ML_TUNE_MAX_DIMS];
} Seen;

typedef struct Mixture
{
	const MlTuneSpace *space;
	const Seen *seen;
	int32_t		n;
	double		width;
} Mixture;

static bool
is_better(const Seen *a, const Seen *b)
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
sort_trials(const MlStudy *study, Seen *seen)
{
	int32_t		n = 0;

	for (int32_t t = 0; t < study->ntrials; t++)
	{
		const MlTrial *trial = &study->trials[t];
		Seen		next = {.value = 0.0, .measured = -1};
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

/* Share of a standard normal between two points. */
static double
normal_share(double from, double to)
{
	return 0.5 * (erf(to * M_SQRT1_2) - erf(from * M_SQRT1_2));
}

/* Log density of one kernel in one dimension; trial -1 is the prior. */
static double
log_kernel(const Mixture *m, int32_t trial, int32_t d, double at)
{
	int32_t		nchoices = m->space->dims[d].nchoices;
	double		center = trial < 0 ? 0.0 : m->seen[trial].at[d];
	double		z = (at - center) / m->width;

	if (nchoices > 0)
	{
		double		other = (trial < 0 ? 1.0 : 1.0 - CHOICE_STAYS) / nchoices;

		return log(trial >= 0 && center == at ? CHOICE_STAYS + other : other);
	}
	if (trial < 0)
		return 0.0;
	return -0.5 * z * z - log(m->width * normal_share(-center / m->width, (1.0 - center) / m->width));
}

static double
log_density(const Mixture *m, const double *at)
{
	double		sum = 0.0;
	double		top = -INFINITY;

	for (int32_t trial = -1; trial < m->n; trial++)
	{
		double		term = 0.0;

		for (int32_t d = 0; d < m->space->ndims; d++)
			term += log_kernel(m, trial, d, at[d]);
		if (term > top)
		{
			sum *= exp(top - term);
			top = term;
		}
		sum += exp(term - top);
	}
	return top + log(sum / (m->n + 1));
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
was_tried(const Mixture *a, const Mixture *b, const double *at)
{
	size_t		size = (size_t) a->space->ndims * sizeof(double);

	for (int32_t i = 0; i < a->n; i++)
	{
		if (memcmp(a->seen[i].at, at, size) == 0)
			return true;
	}
	for (int32_t i = 0; i < b->n; i++)
	{
		if (memcmp(b->seen[i].at, at, size) == 0)
			return true;
	}
	return false;
}

/*
 * The best of the candidates; one that was tried already only when all were.
 */
static void
propose(const Mixture *below, const Mixture *above, MlRng *rng, double *coordinates)
{
	double		best = -INFINITY;
	bool		best_tried = true;

	for (int c = 0; c < N_CANDIDATES; c++)
	{
		int32_t		trial = (int32_t) pgaml_ml_rng_below(rng, (uint64_t) below->n + 1) - 1;
		double		at[ML_TUNE_MAX_DIMS];
		double		ratio;
		bool		tried;

		for (int32_t d = 0; d < below->space->ndims; d++)
			at[d] = draw(below, trial, d, rng);
		ratio = log_density(below, at) - log_density(above, at);
		tried = was_tried(below, above, at);
		if (c > 0 && (tried != best_tried ? tried : ratio <= best))
			continue;
		best = ratio;
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
	Seen	   *seen = pgaml_ml_alloc(allocator, (size_t) study->ntrials, sizeof(Seen));
	Mixture		below;
	Mixture		above;
	int32_t		n;
	int32_t		nbelow;

	if (seen == NULL)
		return pgaml_ml_nomem(error, "tune");
	n = sort_trials(study, seen);
	nbelow = (int32_t) fmin(ceil(BELOW_SHARE * n), MAX_BELOW);
	below = (Mixture) {space, seen, nbelow, kernel_width(nbelow, space->ndims)};
	above = (Mixture) {space, seen + nbelow, n - nbelow, kernel_width(n - nbelow, space->ndims)};
	propose(&below, &above, rng, coordinates);
	pgaml_ml_release(allocator, seen);
	return ML_OK;
}
