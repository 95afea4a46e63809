/*-------------------------------------------------------------------------
 * tune_internal.h
 *		What the files of tuning share: coordinates, suggestions, pruning.
 *
 * A parameter's coordinate is where its value lies in its range, 0..1, on
 * the scale that it is searched on; of choices it is the index.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_TUNE_INTERNAL_H
#define PGAML_ML_TUNE_INTERNAL_H

#include "ml/core_internal.h"
#include "ml/tune.h"

/* Value of a parameter by name; NaN when the type has none of that name. */
extern double pgaml_ml_tune_get(const MlParams *params, const char *name);

extern double pgaml_ml_dim_value(const MlTuneDim *dim, double coordinate);
extern double pgaml_ml_dim_coordinate(const MlTuneDim *dim, double value);

/* Coordinates of a trial; of params with the values at coordinates. */
extern void pgaml_ml_tune_coordinates(const MlTuneSpace *space, const MlParams *params, double *coordinates);
extern void pgaml_ml_tune_params(const MlTuneSpace *space, const MlParams *base,
								 const double *coordinates, MlParams *params);

/* Mean of values[from..from+n-1]. */
extern double pgaml_ml_tune_mean(const double *values, int32_t from, int32_t n);

/* How many budgets a trial goes through, and the i-th as a share of the rows. */
extern int32_t pgaml_ml_tune_rungs(const MlTuneOptions *options);
extern double pgaml_ml_tune_budget(const MlTuneOptions *options, int32_t rung);

/* Parameters of the next trial, number study->ntrials > 0; *done: the grid is exhausted. */
extern MlStatus pgaml_ml_tune_suggest(const MlStudy *study, const MlAllocator *allocator,
									  MlParams *params, bool *done, MlError *error);

/* A trial in the order of their worth: complete, pruned late, pruned early, failed. */
typedef struct MlTuneSeen
{
	double		value;			/* lower is better */
	int32_t		measured;		/* values; complete: INT32_MAX, failed: -1 */
	double		at[ML_TUNE_MAX_DIMS];
} MlTuneSeen;

/*
 * What is expected between trials: a Gaussian process through the ranks of
 * the best of them.
 */
typedef struct MlTuneSurrogate
{
	const MlTuneSpace *space;
	const MlTuneSeen *seen;		/* the best first */
	int32_t		n;				/* how many of them count */
	double		length;			/* distance over which values are alike */
	double		best;			/* lowest expectation at a trial */
	double		variance;
	double	   *score;			/* [n] normal score of the rank, lower is better */
	double	   *factor;			/* [n * n] of the covariance */
	double	   *weight;			/* [n] covariance^-1 score */
	double	   *scratch;		/* [n] */
} MlTuneSurrogate;

/* Fit to n trials, the best first, that must outlive it.  On ML_OK the caller frees it. */
extern MlStatus pgaml_ml_tune_surrogate_fit(const MlTuneSpace *space, const MlTuneSeen *seen, int32_t n,
											const MlAllocator *allocator, MlTuneSurrogate *s, MlError *error);
extern double pgaml_ml_tune_surrogate_log_gain(MlTuneSurrogate *s, const double *at);
extern void pgaml_ml_tune_surrogate_free(MlTuneSurrogate *s, const MlAllocator *allocator);

/* The Parzen estimator's proposal out of the trials so far, as coordinates. */
extern MlStatus pgaml_ml_tune_tpe(const MlStudy *study, MlRng *rng, const MlAllocator *allocator,
								  double *coordinates, MlError *error);

/* True when a trial, with the values that it has, is not worth going on with. */
extern MlStatus pgaml_ml_tune_prune(const MlStudy *study, const MlTrial *trial, const MlAllocator *allocator,
									bool *prune, MlError *error);

/* Which trial has won; numbers of the candidates are kept in order of search value. */
extern int32_t pgaml_ml_tune_candidates(const MlStudy *study, int32_t *numbers);
extern int32_t pgaml_ml_tune_choose(const MlStudy *study, const int32_t *numbers, int32_t n);

#endif							/* PGAML_ML_TUNE_INTERNAL_H */
