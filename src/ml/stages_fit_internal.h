/*-------------------------------------------------------------------------
 * stages_fit_internal.h
 *		One run of pgaml_ml_stages_fit, shared by stages_fit.c,
 *		stages_learner.c, stages_tune.c, stages_cross.c, stages_calibrate.c
 *		and stages_report.c.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_STAGES_FIT_INTERNAL_H
#define PGAML_ML_STAGES_FIT_INTERNAL_H

#include "ml/stages_internal.h"

#define ML_SPREAD_DEFAULT	0.5	/* log; when nothing at all is known */
#define ML_VALIDATION_EVERY 10	/* every how manyth statement only decides when boosting stops */
#define ML_VALIDATION_MIN	20	/* statements below which all are fitted */

typedef struct MlFit
{
	const MlStageData *data;
	const MlStageLayout *layout;
	const MlParams *params;
	const MlAllocator *allocator;
	const MlStop *stop;
	MlStageReport *report;
	MlError    *error;
	MlStages   *stages;
	int64_t		n[3];			/* rows by part */
	int64_t    *rows[3];		/* their numbers, ascending */
	float	   *weight;			/* [ngroups] of one training row where statements are to be told apart by their
								 * plans: the mean over rows is 1, those of statements with many rows less */
	int8_t		monotone[ML_STAGE_MAX_FEATURES];	/* where boosting is constrained: time does not fall as cost rises */
} MlFit;

/* Can a fit use these rows and this layout? */
extern MlStatus pgaml_ml_stages_check(const MlStageData *data, const MlStageLayout *layout, MlError *error);

/* Fill rows and n; at least one row trains. */
extern MlStatus pgaml_ml_stages_parts(MlFit *fit);

/*
 * What precedes a learner: the rows of each part, weights, and in stages
 * median, range, cost line and usual spread of the training part.
 */
extern MlStatus pgaml_ml_learner_begin(MlFit *fit);

/* Give back what _begin or _parts took, whether it succeeded or not. */
extern void pgaml_ml_learner_end(MlFit *fit);

/* Training rows as the learner sees them. */
typedef struct MlLearnerRows
{
	MlDataset	data;			/* points into what follows, and to fit->monotone */
	float	   *values;			/* column after column */
	const float **columns;
	double	   *target;			/* departure from the cost line */
	float	   *weight;
	uint8_t    *validation;
} MlLearnerRows;

/* How many rows are shown of at most nrows. */
extern int64_t pgaml_ml_learner_most(int64_t nrows);

/* After _begin.  To be hidden again, whether it succeeded or not. */
extern MlStatus pgaml_ml_learner_show(MlFit *fit, MlLearnerRows *shown);
extern void pgaml_ml_learner_hide(const MlFit *fit, MlLearnerRows *shown);

/* The row of the data that is shown as the i-th. */
extern int64_t pgaml_ml_learner_source(const MlFit *fit, int64_t i);

/* Fit the learner to the rows shown. */
extern MlStatus pgaml_ml_learner_fit(MlFit *fit);

/* What every stage says of the rows of one part. */
typedef struct MlHeldOut
{
	int64_t		n;
	double	   *y;
	uint8_t    *single;
	uint8_t    *spread;			/* group of the statement's spread */
	uint8_t    *late;			/* 1: in the later half of the statement's rows */
	double	   *center[ML_STAGE_COUNT]; /* NaN where the stage has no answer or does not serve */
	double	   *half[ML_STAGE_COUNT];	/* of the calibrated 90 % interval in the test part, NaN without one; in
										 * the calibration part what errors are divided by */
} MlHeldOut;

/* Ask every stage; on failure nothing is left allocated. */
extern MlStatus pgaml_ml_held_out(MlFit *fit, MlPart part, MlHeldOut *held);
extern void pgaml_ml_held_out_free(MlFit *fit, MlHeldOut *held);

/*
 * Leave statements out in turn: how far cold answers are shrunk, what serves
 * them, and how wrong they are.
 */
extern MlStatus pgaml_ml_stages_cross(MlFit *fit);

/* Shrink, choose and calibrate the stages for warm rows on the calibration part. */
extern MlStatus pgaml_ml_stages_calibrate(MlFit *fit);

/* Fill the report and the confidence table from the test part. */
extern MlStatus pgaml_ml_stages_measure(MlFit *fit);

/* Is this statement one that boosting may validate on? */
extern bool pgaml_ml_validates(int32_t group);

/*
 * These marks, where boosting is to stop early and the statements so marked
 * are some but not most; else NULL.
 */
extern const uint8_t *pgaml_ml_validation(const MlFit *fit, const uint8_t *validation, int64_t n,
										  int32_t statements);

/* Log ms of the single executions before a row that its lags speak of, oldest first; how many. */
extern int32_t pgaml_ml_recent_of(const MlStageLayout *layout, const MlStageData *data, int64_t row,
								  float *recent);

/* Least and largest value of some rows of a column (all: NULL); NaN when none is known. */
extern void pgaml_ml_range(const float *column, const int64_t *rows, int64_t n, float *low, float *high);

extern int64_t pgaml_ml_key_of(const MlStageData *data, int64_t row);

/* Metrics of n answers p to y, NaN left out; half: of their 90 % intervals or NULL; single: what coverage counts, or NULL. */
extern MlStatus pgaml_ml_stage_score(MlFit *fit, const double *y, const double *p, const double *half,
									 const uint8_t *single, const float *weight, int64_t n, MlStageScore *out);

/* Ask the caller between two steps over all rows: ML_OK or ML_E_STOPPED. */
extern MlStatus pgaml_ml_stages_ask(MlFit *fit);

#endif							/* PGAML_ML_STAGES_FIT_INTERNAL_H */
