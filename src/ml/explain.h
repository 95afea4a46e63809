/*-------------------------------------------------------------------------
 * explain.h
 *		Why a model predicts what it predicts, and what it looks at.
 *
 * Pure C, on top of ml.h.  Contributions are Shapley values on the scale of
 * the target: for trees the exact path-dependent ones (Lundberg et al. 2020,
 * From local explanations to global understanding with explainable AI for
 * trees, algorithm 2), for ridge slope x (value - mean).  They and the
 * expected value add up to the prediction.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_EXPLAIN_H
#define PGAML_ML_EXPLAIN_H

#include "ml/ml.h"

/*
 * Contributions of nrows rows, row by row as in pgaml_ml_predict:
 * contributions[row * nfeatures + feature].  *expected is what the model says
 * when nothing is known of a row: the mean over its training rows, for ridge
 * the value at the features' means.  Memory beside the arguments does not
 * grow with nrows.
 */
extern MlStatus pgaml_ml_explain(const MlModel *model, const float *rows, int64_t nrows,
								 const MlAllocator *allocator, const MlStop *stop,
								 double *expected, double *contributions, MlError *error);

#endif							/* PGAML_ML_EXPLAIN_H */
