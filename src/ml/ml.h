/*-------------------------------------------------------------------------
 * ml.h
 *		The learning library: what other rooms may call.
 *
 * Pure C: no server header, no global state.  Memory comes from an
 * MlAllocator; long work asks an MlStop; every function that can fail
 * returns an MlStatus and fills an MlError (which may be NULL).  The same
 * data, parameters and seed give the same bytes.
 *
 * Targets are on whatever scale the caller chose; this project uses the
 * natural logarithm of milliseconds.  Features are float, NaN means missing,
 * infinities are refused (ML_E_DATA).
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_ML_H
#define PGAML_ML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum MlStatus
{
	ML_OK = 0,
	ML_E_NOMEM,					/* the allocator returned NULL */
	ML_E_ARG,					/* a parameter is out of its range */
	ML_E_DATA,					/* the data cannot be used (infinity, NaN target, no rows, ...) */
	ML_E_STOPPED,				/* the stop callback said so */
	ML_E_FORMAT,				/* bytes are not a model */
	ML_E_VERSION,				/* bytes are a model of a version this build cannot read */
	ML_E_LIMIT					/* a fixed limit (trees, features, bytes) is exceeded */
} MlStatus;

typedef struct MlError
{
	MlStatus	code;
	char		where[48];		/* function or field */
	char		message[160];	/* lower case, no period */
} MlError;

typedef struct MlAllocator
{
	void	   *(*alloc) (void *state, size_t size);	/* NULL when there is none */
	void		(*free) (void *state, void *ptr);	/* accepts NULL */
	void	   *state;
} MlAllocator;

typedef struct MlStop
{
	/* Called at least every 100 ms of work; progress is 0..1.  May be NULL. */
	bool		(*should_stop) (void *state, double progress);
	void	   *state;
} MlStop;

/* Training data, column by column; the caller owns everything. */
typedef struct MlDataset
{
	int64_t		nrows;
	int32_t		nfeatures;
	const float *const *columns;	/* nfeatures pointers to nrows values; NaN = missing */
	const double *target;		/* nrows */
	const float *weight;		/* nrows, >= 0, or NULL for 1 */
	const uint8_t *validation;	/* nrows; boosting: 1 = not fitted, only decides when to stop; or NULL */
	const int8_t *monotone;		/* nfeatures; boosting: +1 never falls, -1 never rises as the feature
								 * rises, 0 free; or NULL */
} MlDataset;

typedef enum MlModelType
{
	ML_LINEAR_REGRESSION = 1,
	ML_DECISION_TREE = 2,
	ML_RANDOM_FOREST = 3,
	ML_GRADIENT_BOOSTING = 4
} MlModelType;

/* What boosting makes small. */
typedef enum MlLossKind
{
	ML_LOSS_SQUARED = 0,		/* squared error: the mean */
	ML_LOSS_HUBER = 1,			/* squared near the middle, absolute in the tails */
	ML_LOSS_QUANTILE = 2		/* pinball loss: a quantile */
} MlLossKind;

/* Hyper-parameters of every type; a type uses those that its name table lists. */
typedef struct MlParams
{
	MlModelType type;
	uint64_t	seed;
	double		l2;				/* linear: ridge penalty on standardised features; boosting: added to the
								 * weight of a leaf; >= 0 */
	int32_t		n_trees;		/* forest, boosting: 1..10000 */
	int32_t		max_depth;		/* trees of all types: 1..64 */
	int32_t		max_leaves;		/* 2..65536 */
	int32_t		max_bins;		/* 2..255 */
	double		min_samples_leaf;	/* sum of weights in a leaf, >= 0; a tree also has
									 * at most rows / min_samples_leaf leaves, which bounds memory */
	double		min_gain;		/* smallest decrease of squared error by a split, >= 0; boosting: of the
								 * squared error of the gradients */
	double		feature_fraction;	/* forest: share of features tried per split, 0..1; 0 = one third;
									 * boosting: share of features a tree may use, 0.01..1 */
	double		sample_fraction;	/* forest: bootstrap size as share of the rows; boosting: share of
									 * the rows a tree is grown on, without replacement; 0..1 */
	double		learning_rate;	/* boosting: factor on each tree, 0..1 */
	MlLossKind	loss;			/* boosting */
	double		huber_delta;	/* boosting, huber: share of the absolute residuals below the point where
								 * the loss turns linear, 0.01..1 */
	double		quantile;		/* boosting, quantile: which one, 0.001..0.999 */
	int32_t		early_stopping_rounds;	/* boosting: stop after so many trees that do not lower the loss on
										 * the validation rows, and keep the best; 0 = never */
	double		validation_fraction;	/* boosting that may stop early, without MlDataset.validation:
										 * share of the rows that are drawn for it, 0..0.9 */
	int32_t		monotone;		/* boosting: 1 = follow MlDataset.monotone, 0 = do not */
} MlParams;

typedef struct MlModel MlModel;

/* Name of a type ("random_forest"); and back, false when unknown. */
extern const char *pgaml_ml_type_name(MlModelType type);
extern bool pgaml_ml_type_from_name(const char *name, MlModelType *type);

/* Defaults of a type. */
extern void pgaml_ml_params_default(MlModelType type, MlParams *params);

/* Set one by name; ML_E_ARG when the type has no such parameter or the value is out of range. */
extern MlStatus pgaml_ml_params_set(MlParams *params, const char *name, double value, MlError *error);

/* The same by a word, for parameters whose values have names ("loss": "huber"). */
extern MlStatus pgaml_ml_params_set_text(MlParams *params, const char *name, const char *text, MlError *error);

/* Name and current value of the i-th parameter of this type; false past the end. */
extern bool pgaml_ml_params_get(const MlParams *params, int i, const char **name, double *value);

/* Name of the current value of the i-th parameter; NULL when its values are numbers. */
extern const char *pgaml_ml_params_text(const MlParams *params, int i);

/* First bad field, or ML_OK. */
extern MlStatus pgaml_ml_params_check(const MlParams *params, MlError *error);

/* Upper bound of the bytes that a fit of this size takes at its peak, model included, the dataset not; SIZE_MAX on overflow. */
extern size_t pgaml_ml_train_memory(const MlParams *params, int64_t nrows, int32_t nfeatures);

/* Fit.  On ML_OK *model is the caller's, to be freed with pgaml_ml_model_free. */
extern MlStatus pgaml_ml_train(const MlDataset *data, const MlParams *params,
							   const MlAllocator *allocator, const MlStop *stop,
							   MlModel **model, MlError *error);
extern void pgaml_ml_model_free(MlModel *model);

/* One row of nfeatures values.  Never fails, never allocates. */
extern double pgaml_ml_predict(const MlModel *model, const float *row);

/* Column-wise rows into out[nrows]. */
extern void pgaml_ml_predict_columns(const MlModel *model, const float *const *columns,
									 int64_t nrows, double *out);

extern MlModelType pgaml_ml_model_type(const MlModel *model);
extern int32_t pgaml_ml_model_features(const MlModel *model);
extern int32_t pgaml_ml_model_trees(const MlModel *model);	/* 0 for linear */
extern double pgaml_ml_model_oob_rmse(const MlModel *model);	/* forest: out-of-bag error; else NaN */

/*
 * Slope per unit of a feature of a linear model, and its standard error (NaN:
 * the feature was constant or said nothing new, or there were too few rows).
 * False for other models and features that there are not.
 */
extern bool pgaml_ml_linear_coefficient(const MlModel *model, int32_t feature, double *slope, double *error);

/* Documented bytes (FORMAT.md): *bytes is from the allocator, the caller frees it. */
extern MlStatus pgaml_ml_model_encode(const MlModel *model, const MlAllocator *allocator,
									  uint8_t **bytes, size_t *length, MlError *error);

/* Validates everything before a model exists; bytes may be hostile. */
extern MlStatus pgaml_ml_model_decode(const uint8_t *bytes, size_t length,
									  const MlAllocator *allocator, MlModel **model, MlError *error);

/*
 * Metrics over n pairs; y and p on the log scale, weight may be NULL.
 */
typedef struct MlMetrics
{
	double		r2;				/* on the scale given; NaN when the targets are constant */
	double		rmse;			/* on the scale given */
	double		mae;			/* on the scale given */
	double		r2_ms;			/* of exp(p) against exp(y) */
	double		rmse_ms;		/* infinite when exp overflows, as mae_ms */
	double		mae_ms;
	double		mape;			/* of exp(p) against exp(y), 0..inf */
	double		q50,
				q90,
				q95,
				qmax;			/* quantiles of the q-error max(exp(p)/exp(y), exp(y)/exp(p)) */
} MlMetrics;

extern MlStatus pgaml_ml_metrics(const double *y, const double *p, const float *weight, int64_t n,
								 const MlAllocator *allocator, MlMetrics *out, MlError *error);

/* Weighted lower median of values (weight may be NULL); NaN for n = 0.  Sorts its scratch. */
extern MlStatus pgaml_ml_weighted_quantile(const double *values, const float *weight, int64_t n, double q,
										   const MlAllocator *allocator, double *out, MlError *error);

/*
 * Robust line y = intercept + slope * x (Huber loss by iteratively
 * reweighted least squares, slope kept >= 0); pairs with NaN are left out.
 * With fewer than 3 usable pairs or constant x the slope is 0 and the
 * intercept the weighted median.  scale is 1.4826 x MAD of the residuals.
 */
typedef struct MlLine
{
	double		intercept;
	double		slope;
	double		scale;
	double		x_min;			/* range of x seen */
	double		x_max;
} MlLine;

extern MlStatus pgaml_ml_robust_line(const float *x, const double *y, const float *weight, int64_t n,
									 const MlAllocator *allocator, MlLine *out, MlError *error);

/*
 * Split-conformal half-width at coverage p from n ascending absolute scores:
 * the ceil((n + 1) p)-th smallest.  Returns false, and leaves *out alone,
 * when n < p / (1 - p): then no finite width keeps the promise.
 * (Lei et al. 2018, Distribution-free predictive inference, section 2.2.)
 */
extern bool pgaml_ml_conformal_quantile(const double *sorted_scores, int64_t n, double p, double *out);

/* Seeded generator (xoshiro256**, seeded by splitmix64). */
typedef struct MlRng
{
	uint64_t	s[4];
} MlRng;

extern void pgaml_ml_rng_seed(MlRng *rng, uint64_t seed);
extern uint64_t pgaml_ml_rng_next(MlRng *rng);
extern double pgaml_ml_rng_uniform(MlRng *rng); /* [0, 1) */
extern uint64_t pgaml_ml_rng_below(MlRng *rng, uint64_t n); /* 0..n-1, unbiased; n >= 1 */
extern double pgaml_ml_rng_normal(MlRng *rng);

#endif							/* PGAML_ML_H */
