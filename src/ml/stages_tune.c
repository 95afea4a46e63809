/*-------------------------------------------------------------------------
 * stages_tune.c
 *		See stages_tune.h.
 */
#include "ml/stages_tune.h"

#include <string.h>

#include "ml/core_internal.h"
#include "ml/stages_fit_internal.h"

struct MlStageTune
{
	MlAllocator allocator;
	MlFit		fit;			/* its data is not looked at after creation */
	MlStageReport report;		/* nothing is reported, but a fit has one */
	MlParams	base;
	MlLearnerRows shown;
	int64_t    *keys;			/* [shown rows] moment, statement or row */
	MlTuneData *folds;
};

size_t
pgaml_ml_stages_tune_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	size_t		shown = (size_t) pgaml_ml_learner_most(nrows);
	size_t		per_row = (size_t) nfeatures * sizeof(float)	/* the rows shown */
		+ sizeof(double) + sizeof(float) + 1
		+ sizeof(int64_t) + 2 + sizeof(float) + sizeof(double)	/* keys, folds and scratch of them */
		+ 3 * sizeof(int64_t);	/* rows of each part, and keys while folds are made */

	return pgaml_ml_size_add(pgaml_ml_train_memory(params, (int64_t) shown, nfeatures),
							 pgaml_ml_size_mul(per_row, shown));
}

/* What decides on which side of a fold each shown row lies. */
static MlStatus
fill_keys(MlStageTune *tune, const MlStageTuneSpec *spec)
{
	int64_t		n = tune->shown.data.nrows;

	tune->keys = pgaml_ml_alloc(&tune->allocator, n, sizeof(int64_t));
	if (tune->keys == NULL)
		return pgaml_ml_nomem(tune->fit.error, "pgaml_ml_stages_tune");
	for (int64_t i = 0; i < n; i++)
	{
		int64_t		row = pgaml_ml_learner_source(&tune->fit, i);

		tune->keys[i] = spec->folds == ML_STAGE_FOLDS_TIME ? spec->times[row] :
			spec->folds == ML_STAGE_FOLDS_STATEMENT ? tune->fit.data->group[row] : row;
	}
	return ML_OK;
}

static MlStatus
make_folds(MlStageTune *tune, const MlStageTuneSpec *spec, MlError *error)
{
	MlFoldSpec	folds = {
		.kind = spec->folds == ML_STAGE_FOLDS_TIME ? ML_FOLDS_EXPANDING : ML_FOLDS_GROUP,
		.nfolds = spec->nfolds, .seed = spec->seed, .times = tune->keys, .groups = tune->keys
	};

	return pgaml_ml_tune_data_create(&tune->shown.data, &folds, 0, &tune->allocator, tune->fit.stop,
									 &tune->folds, error);
}

static MlStatus
create(MlStageTune *tune, const MlStageTuneSpec *spec, MlError *error)
{
	MlFit	   *fit = &tune->fit;
	MlStatus	status = pgaml_ml_stages_check(fit->data, fit->layout, error);

	if (status == ML_OK)
		status = pgaml_ml_params_check(fit->params, error);
	if (status == ML_OK && spec->folds == ML_STAGE_FOLDS_TIME && spec->times == NULL)
		status = pgaml_ml_fail(error, ML_E_ARG, "times", "folds by time need the time of each row");
	if (status != ML_OK)
		return status;
	fit->stages = pgaml_ml_stages_new(&tune->allocator, fit->layout);
	if (fit->stages == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_stages_tune");
	status = pgaml_ml_learner_begin(fit);
	if (status == ML_OK)
		status = pgaml_ml_learner_show(fit, &tune->shown);
	if (status == ML_OK)
		status = fill_keys(tune, spec);
	if (status == ML_OK)
		status = make_folds(tune, spec, error);
	pgaml_ml_learner_end(fit);	/* rows shown are copies */
	pgaml_ml_stages_free(fit->stages);
	fit->stages = NULL;
	fit->data = NULL;
	fit->stop = NULL;
	fit->error = NULL;
	return status;
}

MlStatus
pgaml_ml_stages_tune_create(const MlStageData *data, const MlStageLayout *layout, const MlParams *base,
							const MlStageTuneSpec *spec, const MlAllocator *allocator, const MlStop *stop,
							MlStageTune **out, MlError *error)
{
	MlStageTune *tune = pgaml_ml_alloc_zero(allocator, 1, sizeof(MlStageTune));
	MlStatus	status;

	*out = NULL;
	if (tune == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_stages_tune");
	tune->allocator = *allocator;
	tune->base = *base;
	tune->fit = (MlFit) {
		.data = data, .layout = layout, .params = &tune->base, .allocator = &tune->allocator,
		.stop = stop, .report = &tune->report, .error = error
	};
	status = create(tune, spec, error);
	if (status == ML_OK)
		*out = tune;
	else
		pgaml_ml_stages_tune_free(tune);
	return status;
}

void
pgaml_ml_stages_tune_free(MlStageTune *tune)
{
	MlAllocator allocator;

	if (tune == NULL)
		return;
	allocator = tune->allocator;
	pgaml_ml_tune_data_free(tune->folds);
	pgaml_ml_release(&allocator, tune->keys);
	pgaml_ml_learner_hide(&tune->fit, &tune->shown);
	pgaml_ml_release(&allocator, tune);
}

MlTuneObjective
pgaml_ml_stages_tune_objective(MlStageTune *tune)
{
	return pgaml_ml_tune_data_objective(tune->folds);
}
