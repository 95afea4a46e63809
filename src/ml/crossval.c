/*-------------------------------------------------------------------------
 * crossval.c
 *		See crossval.h.
 *
 * A fold is trained without copying a column: rows that do not train have
 * weight 0, and training leaves those out.
 *-------------------------------------------------------------------------
 */
#include "ml/core_internal.h"
#include "ml/crossval.h"
#include "ml/crossval_internal.h"

#include <math.h>
#include <string.h>

#define MIN_SHARE_ROWS	200		/* a share smaller than that tells nothing about the whole */

typedef struct Validator
{
	const MlDataset *data;
	const MlFolds *folds;
	const MlAllocator *allocator;
	MlError    *error;
	MlValidation *out;
	float	   *weight;			/* [nrows] */
	double	   *y;				/* [nrows] tested rows, packed */
	double	   *p;				/* [nrows] */
	float	   *w;				/* [nrows] */
	double	   *half;			/* [nrows] half-width of each tested row's interval; NaN without */
	double	   *scores;			/* [nrows] */
} Validator;

/* The progress of one of several fits, told as that of all. */
typedef struct Part
{
	const MlStop *stop;
	int32_t		done;
	int32_t		of;
} Part;

static bool
part_should_stop(void *state, double progress)
{
	const Part *part = state;

	return part->stop->should_stop(part->stop->state, (part->done + progress) / part->of);
}

static double
row_weight(const MlDataset *data, int64_t row)
{
	return data->weight != NULL ? data->weight[row] : 1.0;
}

/* A number in [0, 1) that depends on the seed and the row only. */
static double
lot(uint64_t seed, int64_t row)
{
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed + UINT64_C(0xd1342543de82ef95) * (uint64_t) (row + 1));
	return pgaml_ml_rng_uniform(&rng);
}

/*
 * Weights of the rows that train; NULL data weights count as 1.
 */
static void
choose_rows(const MlDataset *data, const MlFolds *folds, int32_t k, double share, uint64_t seed, float *weight)
{
	int64_t		ntrain = 0;
	double		enough;

	for (int64_t i = 0; i < data->nrows; i++)
	{
		weight[i] = pgaml_ml_folds_side(folds, k, i) == ML_FOLD_TRAIN ? (float) row_weight(data, i) : 0.0f;
		ntrain += weight[i] != 0.0f;
	}
	enough = fmax(share * (double) ntrain, MIN_SHARE_ROWS) / (double) ntrain;
	if (!(enough < 1.0))
		return;
	for (int64_t i = 0; i < data->nrows; i++)
	{
		if (weight[i] != 0.0f && lot(seed, i) >= enough)
			weight[i] = 0.0f;
	}
}

MlStatus
pgaml_ml_fold_predict(const MlDataset *data, const MlParams *params, const MlFolds *folds,
					  int32_t k, double share, uint64_t seed, float *weight, double *predicted,
					  const MlAllocator *allocator, const MlStop *stop, MlError *error)
{
	MlDataset	part = *data;
	float		row[ML_MAX_FEATURES];
	MlTicker	ticker = {.stop = stop, .progress = 1.0};
	MlModel    *model;
	MlStatus	status;

	choose_rows(data, folds, k, share, seed, weight);
	part.weight = weight;
	status = pgaml_ml_train(&part, params, allocator, stop, &model, error);
	for (int64_t i = 0; i < data->nrows && status == ML_OK; i++)
	{
		if (folds->fold[i] != k)
			continue;
		for (int32_t f = 0; f < data->nfeatures; f++)
			row[f] = data->columns[f][i];
		predicted[i] = pgaml_ml_predict(model, row);
		if (pgaml_ml_tick(&ticker, data->nfeatures + 20 * (int64_t) pgaml_ml_model_trees(model)))
			status = pgaml_ml_stopped(error, "fold");
	}
	pgaml_ml_model_free(model);
	return status;
}

/* True when a row's held-out error is known before fold k is tested. */
static bool
is_known(const MlFolds *folds, int32_t k, int64_t row)
{
	int32_t		fold = folds->fold[row];

	if (folds->kind == ML_FOLDS_RANDOM || folds->kind == ML_FOLDS_GROUP)
		return fold >= 0 && fold != k;
	return fold >= 0 && fold < k;
}

static MlStatus
sort_scores(Validator *v, int64_t n)
{
	MlPair	   *pairs = pgaml_ml_alloc(v->allocator, pgaml_ml_size_mul((size_t) n, 2), sizeof(MlPair));

	if (pairs == NULL)
		return pgaml_ml_nomem(v->error, "validate");
	for (int64_t i = 0; i < n; i++)
		pairs[i] = (MlPair) {v->scores[i], 1.0};
	pgaml_ml_sort_pairs(pairs, pairs + n, n);
	for (int64_t i = 0; i < n; i++)
		v->scores[i] = pairs[i][0];
	pgaml_ml_release(v->allocator, pairs);
	return ML_OK;
}

/*
 * Half-width of fold k's interval for each of its rows; NaN stays where the
 * other folds give none.
 */
static MlStatus
widen(Validator *v, int32_t k, double coverage)
{
	int64_t		n = 0;
	double		half;
	MlStatus	status;

	for (int64_t i = 0; i < v->data->nrows; i++)
	{
		if (is_known(v->folds, k, i) && row_weight(v->data, i) > 0.0)
			v->scores[n++] = fabs(v->out->predicted[i] - v->data->target[i]);
	}
	status = sort_scores(v, n);
	if (status != ML_OK || !pgaml_ml_conformal_quantile(v->scores, n, coverage, &half))
		return status;
	for (int64_t i = 0; i < v->data->nrows; i++)
	{
		if (v->folds->fold[i] == k)
			v->half[i] = half;
	}
	return ML_OK;
}

/*
 * Score of the rows tested in fold k; k = -1: of all.
 */
static MlStatus
measure(Validator *v, int32_t k, MlFoldScore *out)
{
	int64_t		n = 0;
	int64_t		intervals = 0;
	int64_t		covered = 0;
	MlStatus	status;

	for (int64_t i = 0; i < v->data->nrows; i++)
	{
		double		w = row_weight(v->data, i);
		int32_t		fold = v->folds->fold[i];

		if (fold < 0 || (k >= 0 && fold != k) || w == 0.0)
			continue;
		v->y[n] = v->data->target[i];
		v->p[n] = v->out->predicted[i];
		v->w[n] = (float) w;
		if (!isnan(v->half[i]))
		{
			covered += fabs(v->p[n] - v->y[n]) <= v->half[i];
			v->scores[intervals++] = 2.0 * v->half[i];
		}
		n++;
	}
	out->ntest = n;
	out->coverage = out->width = NAN;
	if (n == 0)
	{
		out->metrics = (MlMetrics) {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
		return ML_OK;
	}
	status = pgaml_ml_metrics(v->y, v->p, v->w, n, v->allocator, &out->metrics, v->error);
	if (status == ML_OK && intervals > 0)
	{
		out->coverage = (double) covered / (double) intervals;
		status = pgaml_ml_weighted_quantile(v->scores, NULL, intervals, 0.5, v->allocator, &out->width, v->error);
		out->width = exp(out->width);
	}
	return status;
}

static MlStatus
run(Validator *v, const MlParams *params, double coverage, const MlStop *stop)
{
	int32_t		nfolds = v->folds->nfolds;
	int64_t		ntrain = 0;
	MlStatus	status = ML_OK;

	for (int64_t i = 0; i < v->data->nrows; i++)
		v->out->predicted[i] = v->half[i] = NAN;
	for (int32_t k = 0; k < nfolds && status == ML_OK; k++)
	{
		Part		part = {stop, k, nfolds};
		MlStop		of_part = {part_should_stop, &part};

		status = pgaml_ml_fold_predict(v->data, params, v->folds, k, 1.0, 0, v->weight, v->out->predicted,
									   v->allocator, stop != NULL && stop->should_stop != NULL ? &of_part : NULL,
									   v->error);
		v->out->fold[k].ntrain = 0;
		for (int64_t i = 0; i < v->data->nrows; i++)
			v->out->fold[k].ntrain += v->weight[i] != 0.0f;
		ntrain += v->out->fold[k].ntrain;
	}

	/* every error is known now, so every fold can have its interval */
	for (int32_t k = 0; k < nfolds && status == ML_OK; k++)
	{
		status = widen(v, k, coverage);
		if (status == ML_OK)
			status = measure(v, k, &v->out->fold[k]);
	}
	if (status == ML_OK)
		status = measure(v, -1, &v->out->pooled);
	v->out->pooled.ntrain = ntrain / nfolds;
	return status;
}

MlStatus
pgaml_ml_validate(const MlDataset *data, const MlParams *params, const MlFolds *folds,
				  double coverage, const MlAllocator *allocator, const MlStop *stop,
				  MlValidation *out, MlError *error)
{
	Validator	v = {.data = data, .folds = folds, .allocator = allocator, .error = error, .out = out};
	size_t		n = (size_t) data->nrows;
	MlStatus	status;

	memset(out, 0, sizeof(*out));
	if (folds->nrows != data->nrows)
		return pgaml_ml_fail(error, ML_E_ARG, "folds", "folds of %lld rows for %lld rows",
							 (long long) folds->nrows, (long long) data->nrows);
	if (!(coverage > 0.0 && coverage < 1.0))
		return pgaml_ml_fail(error, ML_E_ARG, "coverage", "coverage must be between 0 and 1");
	out->nfolds = folds->nfolds;
	out->nrows = data->nrows;
	out->fold = pgaml_ml_alloc_zero(allocator, (size_t) folds->nfolds, sizeof(MlFoldScore));
	out->predicted = pgaml_ml_alloc(allocator, n, sizeof(double));
	v.weight = pgaml_ml_alloc(allocator, n, sizeof(float));
	v.y = pgaml_ml_alloc(allocator, n, sizeof(double));
	v.p = pgaml_ml_alloc(allocator, n, sizeof(double));
	v.w = pgaml_ml_alloc(allocator, n, sizeof(float));
	v.half = pgaml_ml_alloc(allocator, n, sizeof(double));
	v.scores = pgaml_ml_alloc(allocator, n, sizeof(double));
	if (out->fold == NULL || out->predicted == NULL || v.weight == NULL || v.y == NULL ||
		v.p == NULL || v.w == NULL || v.half == NULL || v.scores == NULL)
		status = pgaml_ml_nomem(error, "validate");
	else
		status = run(&v, params, coverage, stop);
	pgaml_ml_release(allocator, v.scores);
	pgaml_ml_release(allocator, v.half);
	pgaml_ml_release(allocator, v.w);
	pgaml_ml_release(allocator, v.p);
	pgaml_ml_release(allocator, v.y);
	pgaml_ml_release(allocator, v.weight);
	if (status != ML_OK)
		pgaml_ml_validation_free(out, allocator);
	return status;
}

void
pgaml_ml_validation_free(MlValidation *validation, const MlAllocator *allocator)
{
	pgaml_ml_release(allocator, validation->fold);
	pgaml_ml_release(allocator, validation->predicted);
	memset(validation, 0, sizeof(*validation));
}

/*
 * Two floats and five doubles per row stay; a fit, or the two pairs per row
 * that metrics sort, comes and goes.
 */
size_t
pgaml_ml_validate_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	size_t		n = nrows > 0 ? (size_t) nrows : 0;
	size_t		fit = pgaml_ml_train_memory(params, nrows, nfeatures);
	size_t		sort = pgaml_ml_size_mul(n, 2 * sizeof(MlPair));
	size_t		stays = pgaml_ml_size_mul(n, 2 * sizeof(float) + 5 * sizeof(double));

	return pgaml_ml_size_add(pgaml_ml_size_add(stays, ML_MAX_FOLDS * sizeof(MlFoldScore)),
							 fit > sort ? fit : sort);
}
