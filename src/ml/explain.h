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

/*
 * Importances, one number per feature into out[nfeatures].  Rows are laid out
 * as for pgaml_ml_explain.
 *
 * gain: share of a feature in the decrease of the loss over all nodes, which
 * adds up to 1 (or is 0 everywhere in a model without a node); for ridge, which
 * has no nodes, share in the sum of |slope| x range.
 */
extern void pgaml_ml_importance_gain(const MlModel *model, double *out);

/*
 * permutation: by how much the mean absolute error over the rows grows when
 * the feature's values are dealt out to them at random (Breiman 2001, Random
 * forests, section 10), mean of some repeats; negative when chance had it so.
 * All features are dealt the same permutations, so their order does not matter.
 */
extern MlStatus pgaml_ml_importance_permutation(const MlModel *model, const float *rows, const double *target,
												int64_t nrows, int repeats, uint64_t seed,
												const MlAllocator *allocator, const MlStop *stop,
												double *out, MlError *error);

/* shap: mean absolute contribution over the rows; 0 without rows. */
extern MlStatus pgaml_ml_importance_shap(const MlModel *model, const float *rows, int64_t nrows,
										 const MlAllocator *allocator, const MlStop *stop,
										 double *out, MlError *error);

/*
 * What training saw of a feature.  Quantiles are interpolated as by SQL's
 * percentile_cont.  A deviation is robust: 1.4826 x the median distance from
 * the median, or where that is 0 because most values are equal, 1.2533 x the
 * mean distance (Iglewicz and Hoaglin 1993, How to detect and handle outliers,
 * chapter 3).
 */
#define ML_OUTLIER_DEVIATIONS 3.0

typedef struct MlFeatureStats
{
	int64_t		nrows;
	int64_t		missing;		/* NaN; with nothing else all numbers below are NaN or 0 */
	int64_t		distinct;		/* values */
	int64_t		outliers;		/* more than ML_OUTLIER_DEVIATIONS from the median */
	double		minimum;
	double		p05;
	double		median;
	double		p95;
	double		maximum;
	double		mean;
	double		deviation;
} MlFeatureStats;

/* Of the n values of a column in rows[n], or of the first n when rows is NULL. */
extern MlStatus pgaml_ml_feature_stats(const float *column, const int64_t *rows, int64_t n,
									   const MlAllocator *allocator, MlFeatureStats *out, MlError *error);

#endif							/* PGAML_ML_EXPLAIN_H */
