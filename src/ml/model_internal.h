/*-------------------------------------------------------------------------
 * model_internal.h
 *		What a fitted model is, for the files that make, check, use and
 *		store it.  Included only inside src/ml.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_MODEL_INTERNAL_H
#define PGAML_ML_MODEL_INTERNAL_H

#include "tree_internal.h"

/* One feature of a linear model. */
typedef struct MlLinearTerm
{
	double		mean;			/* of training: what a missing value counts as */
	double		slope;			/* target per unit of the feature */
	double		missing;		/* added when the value is missing */
	double		error;			/* standard error of the slope; NaN: not known */
	float		low;			/* inputs are clamped to low..high, the range of training */
	float		high;
} MlLinearTerm;

struct MlModel
{
	MlAllocator allocator;
	MlModelType type;
	int32_t		nfeatures;

	/* linear */
	double		intercept;
	MlLinearTerm *terms;		/* [nfeatures], NULL in tree models */

	/*
	 * tree, forest: the prediction is the mean of the trees; boosting: base
	 * plus their sum
	 */
	double		base;
	int32_t		ntrees;
	MlTree	   *trees;			/* [ntrees], NULL in linear models */
	double		oob_rmse;		/* out-of-bag error, or NaN */
};

/* An empty model of a type, with room for terms or for trees (ntrees starts at 0). */
extern MlModel *pgaml_ml_model_create(MlModelType type, int32_t nfeatures, int32_t max_trees,
									  const MlAllocator *allocator);

/* ML_E_FORMAT unless everything in the model is in its range; training and decoding both end here. */
extern MlStatus pgaml_ml_model_validate(const MlModel *model, MlError *error);

/* Targets and weights of the rows that count, brought to exact, harmless scales. */
typedef struct MlPrepared
{
	int32_t		nrows;			/* rows with weight > 0 */
	int32_t    *rows;			/* [nrows] their index in the dataset */
	double	   *target;			/* [nrows] target / target_scale - mean */
	double	   *weight;			/* [nrows] weight / weight_scale */
	double		mean;			/* weighted, of target / target_scale */
	double		target_scale;	/* a power of two */
	double		weight_scale;	/* a power of four */
} MlPrepared;

/* What a tree on prepared rows is grown to; learning_rate is a factor on its leaves. */
extern MlGrowScale pgaml_ml_prepared_scale(const MlPrepared *prepared, double offset, double learning_rate);

extern MlStatus pgaml_ml_prepare(MlPrepared *prepared, const MlDataset *data,
								 const MlAllocator *allocator, MlTicker *ticker, MlError *error);
extern void pgaml_ml_prepared_free(MlPrepared *prepared, const MlAllocator *allocator);
extern size_t pgaml_ml_prepared_memory(int64_t nrows);

/* Growth rules in the prepared scales; see pgaml_ml_prepare. */
extern MlGrowRules pgaml_ml_grow_rules(const MlParams *params, int64_t nrows,
									   double target_scale, double weight_scale);

/* The fits; model is empty and of their type. */
extern MlStatus pgaml_ml_fit_boosting(MlModel *model, const MlDataset *data, const MlPrepared *prepared,
									  const MlParams *params, MlTicker *ticker, MlError *error);
extern MlStatus pgaml_ml_fit_trees(MlModel *model, const MlDataset *data, const MlPrepared *prepared,
								   const MlParams *params, MlTicker *ticker, MlError *error);
extern MlStatus pgaml_ml_fit_linear(MlModel *model, const MlDataset *data, const MlPrepared *prepared,
									const MlParams *params, MlTicker *ticker, MlError *error);
extern size_t pgaml_ml_fit_trees_memory(const MlParams *params, int64_t nrows, int32_t nfeatures);
extern size_t pgaml_ml_fit_boosting_memory(const MlParams *params, int64_t nrows, int64_t leaves);
extern size_t pgaml_ml_fit_linear_memory(int32_t nfeatures);

extern double pgaml_ml_linear_predict(const MlModel *model, const float *row);

/* pgaml_ml_explain as a part of longer work, which it advances by share. */
extern MlStatus pgaml_ml_explain_part(const MlModel *model, const float *rows, int64_t nrows,
									  const MlAllocator *allocator, MlTicker *ticker, double share,
									  double *expected, double *contributions, MlError *error);

#endif							/* PGAML_ML_MODEL_INTERNAL_H */
