/*-------------------------------------------------------------------------
 * crossval.h
 *		How good a type with these parameters is on rows that it did not see.
 *
 * Pure C, on top of ml.h and folds.h.  Targets are natural logarithms of ms;
 * metrics are given on both scales.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_CROSSVAL_H
#define PGAML_ML_CROSSVAL_H

#include "ml/folds.h"
#include "ml/ml.h"

typedef struct MlFoldScore
{
	int64_t		ntrain;			/* rows of weight above 0 */
	int64_t		ntest;			/* the same; 0: all below is NaN */
	MlMetrics	metrics;
	double		coverage;		/* share of tested rows inside their interval; NaN: too few scores for one */
	double		width;			/* median ratio of upper to lower bound, on ms; NaN the same */
} MlFoldScore;

typedef struct MlValidation
{
	int32_t		nfolds;
	int64_t		nrows;
	MlFoldScore *fold;			/* [nfolds] */
	MlFoldScore pooled;			/* all tested rows together; ntrain is the mean */
	double	   *predicted;		/* [nrows] held-out prediction; NaN: never tested */
} MlValidation;

/*
 * Train and test once per fold.  Intervals are cross-conformal (Vovk 2015) at
 * the nominal coverage, 0..1: a fold's half-width is the split-conformal
 * quantile of the absolute held-out errors of the other folds; by time, of
 * the earlier ones only.  ML_E_DATA when a fold has nothing to train on.  On
 * ML_OK the caller frees *out with pgaml_ml_validation_free.
 */
extern MlStatus pgaml_ml_validate(const MlDataset *data, const MlParams *params, const MlFolds *folds,
								  double coverage, const MlAllocator *allocator, const MlStop *stop,
								  MlValidation *out, MlError *error);
extern void pgaml_ml_validation_free(MlValidation *validation, const MlAllocator *allocator);

/* Upper bound of the bytes that pgaml_ml_validate takes at its peak; SIZE_MAX on overflow. */
extern size_t pgaml_ml_validate_memory(const MlParams *params, int64_t nrows, int32_t nfeatures);

#endif							/* PGAML_ML_CROSSVAL_H */
