/*-------------------------------------------------------------------------
 * tune.h
 *		Which parameters fit these data: a study of trials.
 *
 * Pure C, on top of ml.h and folds.h.  A study is a plain record: options,
 * space and trials.  What a trial tries depends on the seed, its number and
 * the trials before it, so a study that is stored, restored and continued
 * goes on as if it had never stopped.  Trial 0 is the default; another is
 * chosen only when it is better again on folds that the search did not see.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_TUNE_H
#define PGAML_ML_TUNE_H

#include "ml/folds.h"
#include "ml/ml.h"

#define ML_TUNE_MAX_DIMS	16		/* parameters searched at once */
#define ML_TUNE_MAX_CHOICES 8		/* of one parameter */
#define ML_TUNE_MAX_STEPS	20		/* folds of one trial */
#define ML_TUNE_MAX_RUNGS	3		/* budgets of 1/9, 1/3 and all of the rows */
#define ML_TUNE_MAX_VALUES	(ML_TUNE_MAX_STEPS * ML_TUNE_MAX_RUNGS)
#define ML_TUNE_MAX_TRIALS	10000

typedef enum MlTuneSampler
{
	ML_TUNE_RANDOM,
	ML_TUNE_GRID,				/* at most n_trials - 1 cells, the first parameter varies fastest */
	ML_TUNE_TPE					/* tree-structured Parzen estimator (Bergstra et al. 2011); a Gaussian
								 * process picks among its candidates */
} MlTuneSampler;

typedef enum MlTunePruner
{
	ML_TUNE_NO_PRUNER,
	ML_TUNE_MEDIAN,				/* worse than the median of completed trials at the same step (Golovin et al. 2017) */
	ML_TUNE_HALVING				/* only the best third goes on to three times the rows (Li et al. 2020) */
} MlTunePruner;

/* Names as in SQL ("random", "grid", "tpe"; "none", "median", "halving"); false when unknown. */
extern const char *pgaml_ml_sampler_name(MlTuneSampler sampler);
extern bool pgaml_ml_sampler_from_name(const char *name, MlTuneSampler *sampler);
extern const char *pgaml_ml_pruner_name(MlTunePruner pruner);
extern bool pgaml_ml_pruner_from_name(const char *name, MlTunePruner *pruner);

/* One parameter: a range, or unordered choices. */
typedef struct MlTuneDim
{
	char		name[32];		/* as in pgaml_ml_params_set */
	double		low;
	double		high;
	bool		log;			/* searched on the logarithm; low > 0 */
	bool		integer;
	int32_t		nchoices;		/* 0: a range; else one of choices */
	double		choices[ML_TUNE_MAX_CHOICES];
} MlTuneDim;

typedef struct MlTuneSpace
{
	int32_t		ndims;
	MlTuneDim	dims[ML_TUNE_MAX_DIMS];	/* the most important first */
} MlTuneSpace;

/* What is worth searching for a type; the caller may change it. */
extern void pgaml_ml_tune_space_default(MlModelType type, MlTuneSpace *space);

/* First bad dimension, or ML_OK: every value must be one that params of base's type accept. */
extern MlStatus pgaml_ml_tune_space_check(const MlTuneSpace *space, const MlParams *base, MlError *error);

typedef struct MlTuneOptions
{
	MlTuneSampler sampler;
	MlTunePruner pruner;
	int32_t		n_trials;		/* the default, trial 0, included; 1..ML_TUNE_MAX_TRIALS */
	int32_t		nsteps;			/* folds; 1..ML_TUNE_MAX_STEPS */
	int32_t		n_confirm;		/* how many of the best are measured again; 0: none, the best is
								 * chosen by what the search measured */
	uint64_t	seed;
	double		time_limit_ms;	/* of one call of pgaml_ml_tune; 0: none */
} MlTuneOptions;

/* tpe, no pruner, 25 trials, 5 folds, 3 confirmed, seed 0, no time limit. */
extern void pgaml_ml_tune_options_default(MlTuneOptions *options);

typedef enum MlTrialState
{
	ML_TRIAL_RUNNING,			/* also: interrupted, to be continued */
	ML_TRIAL_COMPLETE,
	ML_TRIAL_PRUNED,
	ML_TRIAL_FAILED
} MlTrialState;

extern const char *pgaml_ml_trial_state_name(MlTrialState state);

/* No pointers: may be stored as it is. */
typedef struct MlTrial
{
	int32_t		number;
	MlTrialState state;
	MlParams	params;
	int32_t		nvalues;
	double		values[ML_TUNE_MAX_VALUES]; /* as measured: fold by fold, halving: once per budget */
	double		value;			/* mean over the folds with all rows; NaN unless complete */
	int32_t		nconfirm;
	double		confirm[ML_TUNE_MAX_STEPS]; /* on other folds, when it was among the best */
	double		cpu_ms;			/* of all its measurements */
	char		message[160];	/* failed: why */
} MlTrial;

typedef enum MlStudyEnd
{
	ML_STUDY_OPEN,				/* not yet, or stopped by the caller */
	ML_STUDY_ALL_TRIALS,
	ML_STUDY_GRID_DONE,			/* the grid has fewer cells */
	ML_STUDY_TIME
} MlStudyEnd;

typedef struct MlStudy
{
	MlTuneOptions options;
	MlTuneSpace space;
	MlParams	base;			/* trial 0; gives what the space does not search */
	int32_t		ntrials;
	MlTrial    *trials;			/* [options.n_trials] */
	int32_t		best;			/* number of the chosen trial; -1: not chosen */
	MlStudyEnd	end;
} MlStudy;

/* ML_E_ARG names the first bad option or dimension.  On ML_OK freed by the caller. */
extern MlStatus pgaml_ml_study_create(const MlTuneOptions *options, const MlTuneSpace *space, const MlParams *base,
									  const MlAllocator *allocator, MlStudy *study, MlError *error);
extern void pgaml_ml_study_free(MlStudy *study, const MlAllocator *allocator);

/* Give back a recorded trial, in order of their numbers. */
extern MlStatus pgaml_ml_study_restore(MlStudy *study, const MlTrial *trial, MlError *error);

/* What the objective is asked to measure. */
typedef struct MlTuneStep
{
	int32_t		trial;
	int32_t		step;			/* fold, 0..nsteps-1 */
	double		budget;			/* share of the training rows, 0..1 */
	bool		confirm;		/* on other folds than the search */
} MlTuneStep;

typedef struct MlTuneObjective
{
	/*
	 * Lower is better.  ML_E_STOPPED ends the run, any other failure or a value
	 * that is not finite fails the trial.
	 */
	MlStatus	(*measure) (void *state, const MlParams *params, const MlTuneStep *step,
							const MlStop *stop, double *value, MlError *error);
	void	   *state;
} MlTuneObjective;

/* The outside world; every function may be NULL. */
typedef struct MlTuneWatch
{
	double		(*wall_ms) (void *state);	/* never falls; needed for a time limit */
	double		(*cpu_ms) (void *state);
	/* A trial began, ended, or was measured again; a failure ends the run with it. */
	MlStatus	(*record) (void *state, const MlTrial *trial, MlError *error);
	void	   *state;
} MlTuneWatch;

/*
 * Run what is left of a study and choose.  ML_E_STOPPED: stop said so; the
 * study holds what was measured and may be continued.  ML_E_DATA: no trial
 * could be measured.
 */
extern MlStatus pgaml_ml_tune(MlStudy *study, const MlTuneObjective *objective, const MlTuneWatch *watch,
							  const MlAllocator *allocator, const MlStop *stop, MlError *error);

/*
 * The ready-made objective: mean absolute error on the log scale, weighted,
 * on held-out folds.  Data and what spec points to must outlive it.  A trial
 * whose training would take more than memory_limit bytes (0: no limit) fails.
 */
typedef struct MlTuneData MlTuneData;

extern MlStatus pgaml_ml_tune_data_create(const MlDataset *data, const MlFoldSpec *spec, size_t memory_limit,
										  const MlAllocator *allocator, const MlStop *stop,
										  MlTuneData **out, MlError *error);
extern void pgaml_ml_tune_data_free(MlTuneData *tune_data);
extern MlTuneObjective pgaml_ml_tune_data_objective(MlTuneData *tune_data);

#endif							/* PGAML_ML_TUNE_H */
