/*-------------------------------------------------------------------------
 * tune_suggest.c
 *		What the next trial tries: at random, out of a grid, or where the
 *		Parzen estimator expects most.
 *
 * Each trial has a random stream of its own, out of the study's seed and its
 * number, so nothing depends on when a study was interrupted.
 *-------------------------------------------------------------------------
 */
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define N_STARTUP		4		/* trials, the default included, before the estimator speaks */
#define MAX_LEVELS		10		/* of one parameter in a grid */

static void
seed_of_trial(const MlStudy *study, MlRng *rng)
{
	pgaml_ml_rng_seed(rng, study->options.seed ^ (UINT64_C(0x9e3779b97f4a7c15) * (uint64_t) study->ntrials));
}

static void
sample(const MlTuneSpace *space, MlRng *rng, double *coordinates)
{
	for (int32_t d = 0; d < space->ndims; d++)
	{
		int32_t		nchoices = space->dims[d].nchoices;

		coordinates[d] = nchoices > 0 ? (double) pgaml_ml_rng_below(rng, (uint64_t) nchoices) :
			pgaml_ml_rng_uniform(rng);
	}
}

/*
 * Distinct coordinates of one parameter at so many levels, from the middles of equal
 * parts of its range; how many they are.
 */
static int32_t
level_coordinates(const MlTuneDim *dim, int32_t levels, double *coordinates)
{
	int32_t		n = 0;

	for (int32_t l = 0; l < levels; l++)
	{
		double		at = dim->nchoices > 0 ? l : (l + 0.5) / levels;

		if (n == 0 || pgaml_ml_dim_value(dim, at) != pgaml_ml_dim_value(dim, coordinates[n - 1]))
			coordinates[n++] = at;
	}
	return n;
}

static int32_t
max_levels(const MlTuneDim *dim)
{
	if (dim->nchoices > 0)
		return dim->nchoices;
	return dim->integer ? (int32_t) fmin(dim->high - dim->low + 1.0, MAX_LEVELS) : MAX_LEVELS;
}

/*
 * Levels per parameter: one more for each in turn, the most important first,
 * as long as the cells are not more than the trials.  A parameter with one
 * level keeps its default.
 */
static void
plan_grid(const MlTuneSpace *space, int64_t max_cells, int32_t *levels)
{
	int64_t		cells = 1;
	bool		grown = true;

	for (int32_t d = 0; d < space->ndims; d++)
		levels[d] = 1;
	while (grown)
	{
		grown = false;
		for (int32_t d = 0; d < space->ndims; d++)
		{
			int64_t		more = cells / levels[d] * (levels[d] + 1);

			if (levels[d] >= max_levels(&space->dims[d]) || more > max_cells)
				continue;
			cells = more;
			levels[d]++;
			grown = true;
		}
	}
}

/*
 * The cell of the trial's number; *done when there are fewer.
 */
static void
grid(const MlStudy *study, double *coordinates, bool *done)
{
	const MlTuneSpace *space = &study->space;
	int32_t		levels[ML_TUNE_MAX_DIMS];
	int64_t		cell = study->ntrials - 1;

	plan_grid(space, study->options.n_trials - 1, levels);
	for (int32_t d = 0; d < space->ndims; d++)
	{
		double		at[MAX_LEVELS];
		int32_t		n = level_coordinates(&space->dims[d], levels[d], at);

		if (levels[d] > 1)
			coordinates[d] = at[cell % n];
		cell /= n;
	}
	*done = cell > 0;
}

MlStatus
pgaml_ml_tune_suggest(const MlStudy *study, const MlAllocator *allocator,
					  MlParams *params, bool *done, MlError *error)
{
	double		coordinates[ML_TUNE_MAX_DIMS];
	MlRng		rng;
	MlStatus	status = ML_OK;

	*done = false;
	seed_of_trial(study, &rng);
	pgaml_ml_tune_coordinates(&study->space, &study->base, coordinates);
	if (study->options.sampler == ML_TUNE_GRID)
		grid(study, coordinates, done);
	else if (study->options.sampler == ML_TUNE_RANDOM || study->ntrials < N_STARTUP)
		sample(&study->space, &rng, coordinates);
	else
		status = pgaml_ml_tune_tpe(study, &rng, allocator, coordinates, error);
	pgaml_ml_tune_params(&study->space, &study->base, coordinates, params);
	return status;
}
