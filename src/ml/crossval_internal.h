/*-------------------------------------------------------------------------
 * crossval_internal.h
 *		One fold, fitted and predicted: what validation and tuning share.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_CROSSVAL_INTERNAL_H
#define PGAML_ML_CROSSVAL_INTERNAL_H

#include "ml/folds.h"
#include "ml/ml.h"

/*
 * Fit on a share (0..1, drawn by seed; smaller shares are parts of larger
 * ones) of the rows that train when fold k is tested, and write the
 * prediction of each tested row into predicted[nrows].  weight is scratch of
 * nrows; afterwards it holds 0 for rows that did not train.
 */
extern MlStatus pgaml_ml_fold_predict(const MlDataset *data, const MlParams *params, const MlFolds *folds,
									  int32_t k, double share, uint64_t seed, float *weight, double *predicted,
									  const MlAllocator *allocator, const MlStop *stop, MlError *error);

#endif							/* PGAML_ML_CROSSVAL_INTERNAL_H */
