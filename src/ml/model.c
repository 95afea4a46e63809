/*-------------------------------------------------------------------------
 * model.c
 *		Fitting and applying a model of any type; its memory.
 *-------------------------------------------------------------------------
 */
#include "model_internal.h"

#include <math.h>
#include <string.h>

MlModel *
pgaml_ml_model_create(MlModelType type, int32_t nfeatures, int32_t max_trees,
					  const MlAllocator *allocator)
{
	MlModel    *model = pgaml_ml_alloc_zero(allocator, 1, sizeof(MlModel));

	if (model == NULL)
		return NULL;
	model->allocator = *allocator;
	model->type = type;
	model->nfeatures = nfeatures;
	model->oob_rmse = NAN;
	if (type == ML_LINEAR_REGRESSION)
		model->terms = pgaml_ml_alloc_zero(allocator, (size_t) nfeatures, sizeof(MlLinearTerm));
	else
		model->trees = pgaml_ml_alloc_zero(allocator, (size_t) max_trees, sizeof(MlTree));
	if (model->terms == NULL && model->trees == NULL)
	{
		pgaml_ml_model_free(model);
		return NULL;
	}
	return model;
}

void
pgaml_ml_model_free(MlModel *model)
{
	MlAllocator allocator;

	if (model == NULL)
		return;
	allocator = model->allocator;
	for (int32_t t = 0; t < model->ntrees; t++)
		pgaml_ml_release(&allocator, model->trees[t].leaves);
	pgaml_ml_release(&allocator, model->trees);
	pgaml_ml_release(&allocator, model->terms);
	pgaml_ml_release(&allocator, model);
}

/*
 * Upper bound of what pgaml_ml_train has allocated at any moment, model
 * included.
 */
size_t
pgaml_ml_train_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	size_t		size;

	if (nrows < 1 || nfeatures < 1)
		return 0;
	if (nrows > ML_MAX_ROWS || nfeatures > ML_MAX_FEATURES)
		return SIZE_MAX;
	size = pgaml_ml_size_add(sizeof(MlModel), pgaml_ml_prepared_memory(nrows));
	if (params->type == ML_LINEAR_REGRESSION)
		return pgaml_ml_size_add(size, pgaml_ml_fit_linear_memory(nfeatures));
	return pgaml_ml_size_add(size, pgaml_ml_fit_trees_memory(params, nrows, nfeatures));
}

MlStatus
pgaml_ml_train(const MlDataset *data, const MlParams *params,
			   const MlAllocator *allocator, const MlStop *stop,
			   MlModel **model, MlError *error)
{
	MlTicker	ticker = {.stop = stop};
	MlPrepared	prepared;
	MlModel    *fitted;
	MlStatus	status;

	*model = NULL;
	status = pgaml_ml_params_check(params, error);
	if (status == ML_OK)
		status = pgaml_ml_prepare(&prepared, data, allocator, &ticker, error);
	if (status != ML_OK)
		return status;

	fitted = pgaml_ml_model_create(params->type, data->nfeatures,
								   params->type == ML_DECISION_TREE ? 1 : params->n_trees, allocator);
	if (fitted == NULL)
		status = pgaml_ml_nomem(error, "train");
	else if (params->type == ML_LINEAR_REGRESSION)
		status = pgaml_ml_fit_linear(fitted, data, &prepared, params, &ticker, error);
	else if (params->type == ML_GRADIENT_BOOSTING)
		status = pgaml_ml_fit_boosting(fitted, data, &prepared, params, &ticker, error);
	else
		status = pgaml_ml_fit_trees(fitted, data, &prepared, params, &ticker, error);
	pgaml_ml_prepared_free(&prepared, allocator);

	if (status == ML_OK && pgaml_ml_model_validate(fitted, error) != ML_OK)
	{
		/* No bytes are wrong here: the targets were too large for the sums. */
		status = ML_E_DATA;
		if (error != NULL)
			error->code = status;
	}
	if (status == ML_OK)
		*model = fitted;
	else
		pgaml_ml_model_free(fitted);
	return status;
}

double
pgaml_ml_predict(const MlModel *model, const float *row)
{
	double		sum;
	if (model->type == ML_LINEAR_REGRESSION)
		return pgaml_ml_linear_predict(model, row);
	sum = pgaml_ml_trees_sum(model->trees, model->ntrees, row, model->nfeatures);
	return model->type == ML_GRADIENT_BOOSTING ? model->base + sum : sum / model->ntrees;
}

/*
 * The same numbers as pgaml_ml_predict row by row.
 */
void
pgaml_ml_predict_columns(const MlModel *model, const float *const *columns,
						 int64_t nrows, double *out)
{
	float		row[ML_MAX_FEATURES];

	for (int64_t i = 0; i < nrows; i++)
	{
		for (int32_t f = 0; f < model->nfeatures; f++)
			row[f] = columns[f][i];
		out[i] = pgaml_ml_predict(model, row);
	}
}

MlModelType
pgaml_ml_model_type(const MlModel *model)
{
	return model->type;
}

int32_t
pgaml_ml_model_features(const MlModel *model)
{
	return model->nfeatures;
}

int32_t
pgaml_ml_model_trees(const MlModel *model)
{
	return model->ntrees;
}

double
pgaml_ml_model_oob_rmse(const MlModel *model)
{
	return model->oob_rmse;
}
