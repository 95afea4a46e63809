/*-------------------------------------------------------------------------
 * tune_data.c
 *		The ready-made objective: held-out error of a dataset on its folds.
 *-------------------------------------------------------------------------
 */
#include "ml/crossval_internal.h"
#include "ml/tune_internal.h"

#include <math.h>
#include <string.h>

#define CONFIRM_SALT UINT64_C(0x632be59bd9b4e019)

struct MlTuneData
{
	MlAllocator allocator;
	const MlDataset *data;
	size_t		memory_limit;
	uint64_t	seed;			/* draws smaller shares of the rows */
	MlFolds		folds[2];		/* of the search, of confirmation */
	int32_t		first[2];		/* the fold that is step 0 */
	float	   *weight;			/* [nrows] scratch */
	double	   *predicted;		/* [nrows] scratch */
};

/*
 * Other folds for confirmation: another seed, and where the seed decides
 * little (by time, groups of different size) other borders, by one fold more,
 * of which by time the earliest is not used.
 */
static MlStatus
make_folds(MlTuneData *t, const MlFoldSpec *spec, const MlStop *stop, MlError *error)
{
	bool		by_time = spec->kind == ML_FOLDS_EXPANDING || spec->kind == ML_FOLDS_BLOCKED;
	MlFoldSpec	other = *spec;
	MlStatus	status;

	status = pgaml_ml_folds_create(spec, t->data->nrows, &t->allocator, stop, &t->folds[0], error);
	if (status != ML_OK)
		return status;
	other.seed ^= CONFIRM_SALT;
	if (spec->kind != ML_FOLDS_RANDOM && spec->nfolds < ML_MAX_FOLDS)
	{
		other.nfolds++;
		t->first[1] = by_time ? 1 : 0;
		status = pgaml_ml_folds_create(&other, t->data->nrows, &t->allocator, stop, &t->folds[1], error);
		if (status != ML_E_DATA)
			return status;
		other.nfolds--;			/* too few groups or moments for one more */
		t->first[1] = 0;
	}
	return pgaml_ml_folds_create(&other, t->data->nrows, &t->allocator, stop, &t->folds[1], error);
}

MlStatus
pgaml_ml_tune_data_create(const MlDataset *data, const MlFoldSpec *spec, size_t memory_limit,
						  const MlAllocator *allocator, const MlStop *stop,
						  MlTuneData **out, MlError *error)
{
	MlTuneData *t = pgaml_ml_alloc_zero(allocator, 1, sizeof(MlTuneData));
	MlStatus	status;

	*out = NULL;
	if (t == NULL)
		return pgaml_ml_nomem(error, "tune");
	t->allocator = *allocator;
	t->data = data;
	t->memory_limit = memory_limit;
	t->seed = spec->seed;
	status = make_folds(t, spec, stop, error);
	if (status == ML_OK)
	{
		t->weight = pgaml_ml_alloc(allocator, (size_t) data->nrows, sizeof(float));
		t->predicted = pgaml_ml_alloc(allocator, (size_t) data->nrows, sizeof(double));
		if (t->weight == NULL || t->predicted == NULL)
			status = pgaml_ml_nomem(error, "tune");
	}
	if (status == ML_OK)
		*out = t;
	else
		pgaml_ml_tune_data_free(t);
	return status;
}

void
pgaml_ml_tune_data_free(MlTuneData *tune_data)
{
	MlAllocator allocator;

	if (tune_data == NULL)
		return;
	allocator = tune_data->allocator;
	pgaml_ml_folds_free(&tune_data->folds[0], &allocator);
	pgaml_ml_folds_free(&tune_data->folds[1], &allocator);
	pgaml_ml_release(&allocator, tune_data->weight);
	pgaml_ml_release(&allocator, tune_data->predicted);
	pgaml_ml_release(&allocator, tune_data);
}

/* Weighted mean absolute error of the rows tested in fold k; NaN without any. */
static double
held_out_error(const MlTuneData *t, const MlFolds *folds, int32_t k)
{
	double		sum = 0.0;
	double		total = 0.0;

	for (int64_t i = 0; i < t->data->nrows; i++)
	{
		double		w = t->data->weight != NULL ? t->data->weight[i] : 1.0;

		if (folds->fold[i] != k || w == 0.0)
			continue;
		sum += w * fabs(t->predicted[i] - t->data->target[i]);
		total += w;
	}
	return sum / total;
}

static MlStatus
measure(void *state, const MlParams *params, const MlTuneStep *step,
		const MlStop *stop, double *value, MlError *error)
{
	MlTuneData *t = state;
	const MlFolds *folds = &t->folds[step->confirm];
	int32_t		k = step->step + t->first[step->confirm];
	MlParams	seeded = *params;
	MlStatus	status;

	if (k >= folds->nfolds)
		return pgaml_ml_fail(error, ML_E_ARG, "step", "step %d of %d folds", (int) step->step, (int) folds->nfolds);
	if (t->memory_limit > 0 &&
		pgaml_ml_train_memory(params, t->data->nrows, t->data->nfeatures) > t->memory_limit)
		return pgaml_ml_fail(error, ML_E_LIMIT, "memory_limit", "training would take more than %zu bytes",
							 t->memory_limit);
	if (step->confirm)
		seeded.seed ^= CONFIRM_SALT;	/* a lucky model seed does not count either */
	status = pgaml_ml_fold_predict(t->data, &seeded, folds, k, step->budget, t->seed, t->weight, t->predicted,
								   &t->allocator, stop, error);
	if (status == ML_OK)
		*value = held_out_error(t, folds, k);
	return status;
}

MlTuneObjective
pgaml_ml_tune_data_objective(MlTuneData *tune_data)
{
	return (MlTuneObjective) {measure, tune_data};
}
