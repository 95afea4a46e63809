/*-------------------------------------------------------------------------
 * importance.c
 *		Which features a model looks at, and how much that helps.
 *
 * Three answers to one question: what splits gained in training (cheap, and
 * flatters features with many values), what is lost on given rows without a
 * feature (honest on held-out rows, and divides what correlated features
 * share), and how far a feature moves predictions (whether they are right or
 * not).
 *-------------------------------------------------------------------------
 */
#include "ml/explain.h"

#include <math.h>
#include <string.h>

#include "model_internal.h"

#define SHAP_BLOCK	64			/* rows explained at a time */

static void
normalise(double *out, int32_t n)
{
	double		largest = 0.0;
	double		sum = 0.0;

	/* against the largest first: the sum of huge gains must stay finite */
	for (int32_t f = 0; f < n; f++)
		largest = out[f] > largest ? out[f] : largest;
	if (largest == 0.0)
		return;
	for (int32_t f = 0; f < n; f++)
		sum += out[f] / largest;
	for (int32_t f = 0; f < n; f++)
		out[f] = out[f] / largest / sum;
}

void
pgaml_ml_importance_gain(const MlModel *model, double *out)
{
	for (int32_t f = 0; f < model->nfeatures; f++)
		out[f] = model->type == ML_LINEAR_REGRESSION ?
			fabs(model->terms[f].slope) * ((double) model->terms[f].high - model->terms[f].low) : 0.0;
	for (int32_t t = 0; t < model->ntrees; t++)
	{
		const MlTree *tree = &model->trees[t];

		for (int32_t k = 0; k + 1 < tree->nleaves; k++)
			out[tree->nodes[k].feature] += tree->gains[k];
	}
	normalise(out, model->nfeatures);
}

/* Does any prediction depend on the feature? */
static bool
looks_at(const MlModel *model, int32_t feature)
{
	if (model->type == ML_LINEAR_REGRESSION)
		return model->terms[feature].slope != 0.0 || model->terms[feature].missing != 0.0;
	for (int32_t t = 0; t < model->ntrees; t++)
		for (int32_t k = 0; k + 1 < model->trees[t].nleaves; k++)
			if (model->trees[t].nodes[k].feature == feature)
				return true;
	return false;
}

/* What a permutation run holds. */
typedef struct Dealing
{
	const MlModel *model;
	const float *rows;
	const double *target;
	int64_t		nrows;
	int64_t    *from;			/* [nrows] whose value a row is dealt */
	float	   *row;			/* [nfeatures] */
	MlTicker	ticker;
	int64_t		work;			/* of one prediction */
} Dealing;

static void
shuffle(MlRng *rng, int64_t *from, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		from[i] = i;
	for (int64_t i = n - 1; i > 0; i--)
	{
		int64_t		j = (int64_t) pgaml_ml_rng_below(rng, (uint64_t) i + 1);
		int64_t		kept = from[i];

		from[i] = from[j];
		from[j] = kept;
	}
}

/* Mean absolute error with one feature dealt out, -1 for none; true when stopped. */
static bool
error_with(Dealing *d, int32_t feature, double *out)
{
	size_t		n = (size_t) d->model->nfeatures;
	double		sum = 0.0;

	for (int64_t i = 0; i < d->nrows; i++)
	{
		memcpy(d->row, d->rows + (size_t) i * n, n * sizeof(float));
		if (feature >= 0)
			d->row[feature] = d->rows[(size_t) d->from[i] * n + (size_t) feature];
		sum += fabs(d->target[i] - pgaml_ml_predict(d->model, d->row)) / (double) d->nrows;
		if (pgaml_ml_tick(&d->ticker, d->work))
			return true;
	}
	*out = sum;
	return false;
}

static bool
deal_all(Dealing *d, int repeats, uint64_t seed, double *out)
{
	int32_t		nfeatures = d->model->nfeatures;
	double		before;
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, seed);
	if (error_with(d, -1, &before))
		return true;
	for (int repeat = 0; repeat < repeats; repeat++)
	{
		shuffle(&rng, d->from, d->nrows);
		for (int32_t f = 0; f < nfeatures; f++)
		{
			double		after;

			d->ticker.progress = (repeat + (double) f / nfeatures) / repeats;
			if (!looks_at(d->model, f))
				continue;
			if (error_with(d, f, &after))
				return true;
			out[f] += (after - before) / repeats;
		}
	}
	return false;
}

MlStatus
pgaml_ml_importance_permutation(const MlModel *model, const float *rows, const double *target,
								int64_t nrows, int repeats, uint64_t seed,
								const MlAllocator *allocator, const MlStop *stop,
								double *out, MlError *error)
{
	Dealing		d = {.model = model, .rows = rows, .target = target, .nrows = nrows, .ticker = {.stop = stop}};
	MlStatus	status = ML_OK;

	if (nrows < 1 || nrows > ML_MAX_ROWS || repeats < 1)
		return pgaml_ml_fail(error, ML_E_ARG, "permutation", "%lld rows, %d repeats", (long long) nrows, repeats);
	for (int64_t i = 0; i < nrows; i++)
		if (!isfinite(target[i]))
			return pgaml_ml_fail(error, ML_E_DATA, "target", "target of row %lld is not finite", (long long) i);
	d.work = model->nfeatures + 16 * (int64_t) model->ntrees;
	d.from = pgaml_ml_alloc(allocator, (size_t) nrows, sizeof(int64_t));
	d.row = pgaml_ml_alloc(allocator, (size_t) model->nfeatures, sizeof(float));
	memset(out, 0, (size_t) model->nfeatures * sizeof(double));
	if (d.from == NULL || d.row == NULL)
		status = pgaml_ml_nomem(error, "permutation");
	else if (deal_all(&d, repeats, seed, out))
		status = pgaml_ml_stopped(error, "permutation");
	pgaml_ml_release(allocator, d.row);
	pgaml_ml_release(allocator, d.from);
	return status;
}

MlStatus
pgaml_ml_importance_shap(const MlModel *model, const float *rows, int64_t nrows,
						 const MlAllocator *allocator, const MlStop *stop, double *out, MlError *error)
{
	MlTicker	ticker = {.stop = stop};
	int32_t		n = model->nfeatures;
	double	   *phi = pgaml_ml_alloc(allocator, SHAP_BLOCK * (size_t) n, sizeof(double));
	MlStatus	status = phi != NULL ? ML_OK : pgaml_ml_nomem(error, "shap");

	memset(out, 0, (size_t) n * sizeof(double));
	for (int64_t done = 0; done < nrows && status == ML_OK; done += SHAP_BLOCK)
	{
		int64_t		count = nrows - done < SHAP_BLOCK ? nrows - done : SHAP_BLOCK;
		double		expected;

		status = pgaml_ml_explain_part(model, rows + done * n, count, allocator, &ticker,
									   (double) count / (double) nrows, &expected, phi, error);
		for (int64_t i = 0; i < count * n && status == ML_OK; i++)
			out[i % n] += fabs(phi[i]) / (double) nrows;
	}
	pgaml_ml_release(allocator, phi);
	return status;
}
