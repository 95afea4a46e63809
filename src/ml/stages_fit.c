/*-------------------------------------------------------------------------
 * stages_fit.c
 *		Fits the stages, decides which of them serves, calibrates intervals.
 *
 * Order of work: what the training part says by itself (median, cost line,
 * ranges, plans), the learner on departures with lags hidden at random,
 * then the calibration part (shrinkage, scores, choice).  stages_report.c
 * measures the result on the test part.  Training, calibration and test rows
 * never mix.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/core_internal.h"
#include "ml/stages_fit_internal.h"

/* The learner serves when its held-out error is below this share of the simpler stage's. */
#define MUST_WIN_WARM	0.90	/* a statement's own recent runs are hard to beat, and chance looks like a small win */
#define MUST_WIN_COLD	0.98
#define SPREAD_DEFAULT	0.5		/* log; when nothing at all is known */
#define SPREAD_UNKNOWN	1.0		/* log; error of a learner that met no row of this server */

size_t
pgaml_ml_stages_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	size_t		model = pgaml_ml_train_memory(params, nrows, nfeatures);
	size_t		per_row = (size_t) nfeatures * sizeof(float)	/* gathered columns */
		+ sizeof(double) * (ML_STAGE_COUNT + ML_BASE_COUNT + 6);

	if (model == SIZE_MAX || (uint64_t) nrows > (SIZE_MAX - model) / per_row / 2)
		return SIZE_MAX;
	return model + per_row * (size_t) nrows;
}

static MlStatus
check_data(const MlStageData *data, const MlStageLayout *layout, MlError *error)
{
	if (data->nrows < 1 || data->ngroups < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "nrows", "no rows");
	if (layout->nfeatures < 1 || layout->nfeatures > ML_STAGE_MAX_FEATURES)
		return pgaml_ml_fail(error, ML_E_LIMIT, "nfeatures", "too many or too few features");
	for (int64_t i = 0; i < data->nrows; i++)
	{
		if (!isfinite(data->target[i]))
			return pgaml_ml_fail(error, ML_E_DATA, "target", "target is not finite");
		if (data->group[i] < 0 || data->group[i] >= data->ngroups)
			return pgaml_ml_fail(error, ML_E_DATA, "group", "group out of range");
		if (data->part[i] > ML_PART_TEST)
			return pgaml_ml_fail(error, ML_E_DATA, "part", "unknown part");
	}
	return ML_OK;
}

/* Rows of each part, in order. */
static MlStatus
list_parts(MlFit *fit)
{
	const MlStageData *data = fit->data;

	for (int64_t i = 0; i < data->nrows; i++)
		fit->n[data->part[i]]++;
	for (int p = 0; p < 3; p++)
	{
		int64_t		n = 0;

		fit->rows[p] = pgaml_ml_alloc(fit->allocator, fit->n[p], sizeof(int64_t));
		if (fit->rows[p] == NULL)
			return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
		for (int64_t i = 0; i < data->nrows; i++)
			if (data->part[i] == p)
				fit->rows[p][n++] = i;
	}
	if (fit->n[ML_PART_TRAIN] < 1)
		return pgaml_ml_fail(fit->error, ML_E_DATA, "part", "no rows to train on");
	return ML_OK;
}

static int
compare_int64(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static int
compare_double(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Distinct plan ids of the training part; the lowest ones when there are too many. */
static MlStatus
learn_plans(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	int64_t		n = fit->n[ML_PART_TRAIN];
	int64_t		kept = 0;
	int64_t    *all = pgaml_ml_alloc(fit->allocator, n, sizeof(int64_t));

	if (all == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < n; i++)
		all[i] = fit->data->plan[fit->rows[ML_PART_TRAIN][i]];
	qsort(all, n, sizeof(int64_t), compare_int64);
	for (int64_t i = 0; i < n; i++)
		if (all[i] != 0 && (kept == 0 || all[kept - 1] != all[i]) && kept < ML_STAGE_MAX_PLANS)
			all[kept++] = all[i];
	stages->plans = pgaml_ml_alloc(fit->allocator, kept, sizeof(int64_t));
	if (stages->plans != NULL)
		memcpy(stages->plans, all, sizeof(int64_t) * kept);
	stages->nplans = stages->plans ? (int32_t) kept : 0;
	pgaml_ml_release(fit->allocator, all);
	return stages->plans ? ML_OK : pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
}

static MlStatus
learn_ranges(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	int32_t		nfeatures = fit->layout->nfeatures;

	stages->feature_min = pgaml_ml_alloc(fit->allocator, nfeatures, sizeof(float));
	stages->feature_max = pgaml_ml_alloc(fit->allocator, nfeatures, sizeof(float));
	if (stages->feature_min == NULL || stages->feature_max == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int32_t j = 0; j < nfeatures; j++)
	{
		float		low = NAN;
		float		high = NAN;

		for (int64_t i = 0; i < fit->n[ML_PART_TRAIN]; i++)
		{
			float		x = fit->data->columns[j][fit->rows[ML_PART_TRAIN][i]];

			low = isnan(low) || x < low ? x : low;
			high = isnan(high) || x > high ? x : high;
		}
		stages->feature_min[j] = low;
		stages->feature_max[j] = high;
	}
	return ML_OK;
}

/* Median, range, cost line and usual spread of the training part. */
static MlStatus
learn_scale(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	const MlStageData *data = fit->data;
	int64_t		n = fit->n[ML_PART_TRAIN];
	int64_t		nspread = 0;
	double	   *y = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	double	   *spread = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	float	   *cost = pgaml_ml_alloc(fit->allocator, n, sizeof(float));
	MlStatus	status = ML_OK;

	if (y == NULL || spread == NULL || cost == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	else
	{
		stages->y_min = INFINITY;
		stages->y_max = -INFINITY;
		for (int64_t i = 0; i < n; i++)
		{
			int64_t		row = fit->rows[ML_PART_TRAIN][i];
			float		s = data->columns[fit->layout->lag_spread][row];

			y[i] = data->target[row];
			cost[i] = data->columns[fit->layout->cost][row];
			stages->y_min = fmin(stages->y_min, y[i]);
			stages->y_max = fmax(stages->y_max, y[i]);
			if (isfinite(s))
				spread[nspread++] = s;
		}
		status = pgaml_ml_weighted_quantile(y, NULL, n, 0.5, fit->allocator,
											&stages->global_median, fit->error);
		if (status == ML_OK)
			status = pgaml_ml_robust_line(cost, y, NULL, n, fit->allocator, &stages->line, fit->error);
		if (status == ML_OK && !isfinite(stages->line.intercept))	/* no plan is known at all */
			stages->line = (MlLine) {stages->global_median, 0.0, SPREAD_DEFAULT, 0.0, 0.0};
		stages->default_spread = SPREAD_DEFAULT;
		if (status == ML_OK && nspread > 0)
			status = pgaml_ml_weighted_quantile(spread, NULL, nspread, 0.5, fit->allocator,
												&stages->default_spread, fit->error);
	}
	pgaml_ml_release(fit->allocator, cost);
	pgaml_ml_release(fit->allocator, spread);
	pgaml_ml_release(fit->allocator, y);
	return status;
}

/* Copy the training rows together; hide the lags of every other one; subtract the start. */
static void
fill_training(MlFit *fit, float *values, double *departure)
{
	const MlStageLayout *layout = fit->layout;
	const MlStages *stages = fit->stages;
	int64_t		n = fit->n[ML_PART_TRAIN];
	float		row[ML_STAGE_MAX_FEATURES];
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, fit->params->seed);
	for (int64_t i = 0; i < n; i++)
	{
		int64_t		from = fit->rows[ML_PART_TRAIN][i];
		bool		hide = (pgaml_ml_rng_next(&rng) >> 63) != 0;
		double		start;

		for (int32_t j = 0; j < layout->nfeatures; j++)
			row[j] = fit->data->columns[j][from];
		hide = hide || !pgaml_ml_stage_warm(layout, row);
		start = pgaml_ml_stage_center(stages, hide ? ML_STAGE_PLANNER : ML_STAGE_HISTORY, row, NULL);
		departure[i] = fit->data->target[from] - start;
		if (hide)
			pgaml_ml_stage_hide(layout, row);
		for (int32_t j = 0; j < layout->nfeatures; j++)
			values[(int64_t) j * n + i] = row[j];
	}
}

static MlStatus
learn_departures(MlFit *fit)
{
	int32_t		nfeatures = fit->layout->nfeatures;
	int64_t		n = fit->n[ML_PART_TRAIN];
	float	   *values = pgaml_ml_alloc(fit->allocator, n * nfeatures, sizeof(float));
	double	   *departure = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	const float **columns = pgaml_ml_alloc(fit->allocator, nfeatures, sizeof(float *));
	MlStatus	status;

	if (values == NULL || departure == NULL || columns == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	else
	{
		MlDataset	data = {.nrows = n, .nfeatures = nfeatures, .columns = columns, .target = departure};

		for (int32_t j = 0; j < nfeatures; j++)
			columns[j] = values + (int64_t) j * n;
		fill_training(fit, values, departure);
		status = pgaml_ml_train(&data, fit->params, fit->allocator, fit->stop,
								&fit->stages->model, fit->error);
	}
	pgaml_ml_release(fit->allocator, columns);
	pgaml_ml_release(fit->allocator, departure);
	pgaml_ml_release(fit->allocator, values);
	return status;
}

/* Least-squares factor on the learner's departure, held within 0..1. */
static double
shrink_factor(MlFit *fit, MlStageKind simple, MlStageKind with_model, const MlHeldOut *held)
{
	double		above = 0.0;
	double		below = 0.0;

	for (int64_t i = 0; i < held->n; i++)
	{
		double		d = held->center[with_model][i] - held->center[simple][i];

		if (!isfinite(d))
			continue;
		above += d * (held->y[i] - held->center[simple][i]);
		below += d * d;
	}
	if (held->n == 0 || below <= 0.0)
		return fit->n[ML_PART_CALIBRATE] == 0 ? 1.0 : 0.0;
	return fmin(1.0, fmax(0.0, above / below));
}

/* Keep the ascending scores of one stage, thinned to evenly spaced order statistics. */
static MlStatus
keep_scores(MlFit *fit, MlStageKind kind, const MlHeldOut *held)
{
	MlStages   *stages = fit->stages;
	double	   *all = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
	double		smear = 0.0;
	int64_t		n = 0;
	int64_t		kept;

	if (all == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < held->n; i++)
	{
		double		residual = held->y[i] - held->center[kind][i];

		if (!isfinite(residual) || !held->single[i])
			continue;
		smear += exp(fmin(residual, ML_SMEAR_MAX));
		all[n++] = fabs(residual) / held->scale[kind][i];
	}
	qsort(all, n, sizeof(double), compare_double);
	kept = n < ML_STAGE_MAX_SCORES ? n : ML_STAGE_MAX_SCORES;
	stages->scores[kind] = pgaml_ml_alloc(fit->allocator, kept, sizeof(double));
	if (stages->scores[kind] != NULL)
		for (int64_t i = 0; i < kept; i++)
			stages->scores[kind][i] = all[kept < n ? (int64_t) ((i + 1.0) * n / kept) - 1 : i];
	stages->nscores[kind] = stages->scores[kind] ? (int32_t) kept : 0;
	stages->smear[kind] = n > 0 ? smear / n : 1.0;
	fit->report->calibration[kind] = n;
	pgaml_ml_release(fit->allocator, all);
	return stages->scores[kind] ? ML_OK : pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
}

/* The learner serves only where it clearly wins; without evidence the simpler stage does. */
static MlSource
choose_source(MlStageKind simple, MlStageKind with_model, MlSource otherwise, double must_win,
			  const MlHeldOut *held)
{
	double		simple_error = 0.0;
	double		model_error = 0.0;
	int64_t		n = 0;

	for (int64_t i = 0; i < held->n; i++)
	{
		if (!isfinite(held->center[simple][i]) || !isfinite(held->center[with_model][i]))
			continue;
		simple_error += fabs(held->y[i] - held->center[simple][i]);
		model_error += fabs(held->y[i] - held->center[with_model][i]);
		n++;
	}
	return n > 0 && model_error < must_win * simple_error ? ML_SOURCE_MODEL : otherwise;
}

/* Shrink, score and choose on the calibration part. */
static MlStatus
calibrate(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	MlHeldOut	held;
	MlStatus	status;

	stages->shrink_warm = stages->shrink_cold = 1.0;
	status = pgaml_ml_held_out(fit, ML_PART_CALIBRATE, &held);
	if (status != ML_OK)
		return status;
	if (!stages->absolute)
	{
		stages->shrink_warm = shrink_factor(fit, ML_STAGE_HISTORY, ML_STAGE_MODEL_WARM, &held);
		stages->shrink_cold = shrink_factor(fit, ML_STAGE_PLANNER, ML_STAGE_MODEL_COLD, &held);
		pgaml_ml_held_out_free(fit, &held);
		status = pgaml_ml_held_out(fit, ML_PART_CALIBRATE, &held);
		if (status != ML_OK)
			return status;
	}
	for (int kind = 0; kind < ML_STAGE_COUNT && status == ML_OK; kind++)
		status = keep_scores(fit, kind, &held);
	stages->warm_source = choose_source(ML_STAGE_HISTORY, ML_STAGE_MODEL_WARM, ML_SOURCE_HISTORY,
										 MUST_WIN_WARM, &held);
	stages->cold_source = choose_source(ML_STAGE_PLANNER, ML_STAGE_MODEL_COLD, ML_SOURCE_PLANNER,
										 MUST_WIN_COLD, &held);
	pgaml_ml_held_out_free(fit, &held);
	return status;
}

/* Everything behind the learner; it is fitted here unless there already is one. */
static MlStatus
run_fit(MlFit *fit)
{
	MlStatus	status = list_parts(fit);

	if (status == ML_OK)
		status = learn_scale(fit);
	if (status == ML_OK)
		status = learn_ranges(fit);
	if (status == ML_OK)
		status = learn_plans(fit);
	if (status == ML_OK && fit->stages->model == NULL)
		status = learn_departures(fit);
	if (status == ML_OK)
		status = calibrate(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_measure(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_validate(fit->stages, fit->error);
	for (int p = 0; p < 3; p++)
		pgaml_ml_release(fit->allocator, fit->rows[p]);
	return status;
}

/* What is known of a learner without data: nothing but itself. */
static MlStatus
adopt_unseen(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	int32_t		nfeatures = fit->layout->nfeatures;

	stages->warm_source = fit->report->warm_source = ML_SOURCE_HISTORY;
	stages->cold_source = fit->report->cold_source = ML_SOURCE_MODEL;
	stages->shrink_warm = stages->shrink_cold = fit->report->shrink_warm = fit->report->shrink_cold = 1.0;
	fit->report->oob_rmse = pgaml_ml_model_oob_rmse(stages->model);
	stages->y_min = stages->y_max = NAN;
	stages->default_spread = SPREAD_DEFAULT;
	stages->line.scale = SPREAD_UNKNOWN;
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		stages->smear[kind] = 1.0;
		stages->scores[kind] = pgaml_ml_alloc(fit->allocator, 0, sizeof(double));
		if (stages->scores[kind] == NULL)
			return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_adopt");
	}
	stages->plans = pgaml_ml_alloc(fit->allocator, 0, sizeof(int64_t));
	stages->feature_min = pgaml_ml_alloc(fit->allocator, nfeatures, sizeof(float));
	stages->feature_max = pgaml_ml_alloc(fit->allocator, nfeatures, sizeof(float));
	if (stages->plans == NULL || stages->feature_min == NULL || stages->feature_max == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_adopt");
	for (int32_t j = 0; j < nfeatures; j++)
		stages->feature_min[j] = stages->feature_max[j] = NAN;
	return pgaml_ml_stages_validate(stages, fit->error);
}

MlStatus
pgaml_ml_stages_fit(const MlStageData *data, const MlStageLayout *layout, const MlParams *params,
					const MlAllocator *allocator, const MlStop *stop, MlStages **out,
					MlStageReport *report, MlError *error)
{
	MlFit		fit = {
		.data = data, .layout = layout, .params = params, .allocator = allocator,
		.stop = stop, .report = report, .error = error
	};
	MlStatus	status = check_data(data, layout, error);

	*out = NULL;
	memset(report, 0, sizeof(*report));
	if (status == ML_OK)
		status = pgaml_ml_params_check(params, error);
	if (status != ML_OK)
		return status;
	fit.stages = pgaml_ml_stages_new(allocator, layout);
	if (fit.stages == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_stages_fit");
	status = run_fit(&fit);
	if (status == ML_OK)
		*out = fit.stages;
	else
		pgaml_ml_stages_free(fit.stages);
	return status;
}

MlStatus
pgaml_ml_stages_adopt(MlModel *model, const MlStageLayout *layout, const MlStageData *data,
					  const MlAllocator *allocator, const MlStop *stop, MlStages **out,
					  MlStageReport *report, MlError *error)
{
	MlFit		fit = {
		.data = data, .layout = layout, .allocator = allocator, .stop = stop, .report = report, .error = error
	};
	MlStatus	status = ML_OK;

	*out = NULL;
	memset(report, 0, sizeof(*report));
	if (data != NULL)
		status = check_data(data, layout, error);
	if (status == ML_OK && pgaml_ml_model_features(model) != layout->nfeatures)
		status = pgaml_ml_fail(error, ML_E_ARG, "model", "the learner has %d features and not %d",
							   pgaml_ml_model_features(model), layout->nfeatures);
	if (status != ML_OK)
		return status;
	fit.stages = pgaml_ml_stages_new(allocator, layout);
	if (fit.stages == NULL)
		return pgaml_ml_nomem(error, "pgaml_ml_stages_adopt");
	fit.stages->model = model;
	fit.stages->absolute = true;
	status = data != NULL ? run_fit(&fit) : adopt_unseen(&fit);
	if (status == ML_OK)
		*out = fit.stages;
	else
	{
		fit.stages->model = NULL;	/* stays the caller's */
		pgaml_ml_stages_free(fit.stages);
	}
	return status;
}

MlStatus
pgaml_ml_stages_judge(MlStages *stages, const MlStageData *data, const MlAllocator *allocator, const MlStop *stop,
					  MlStageReport *report, MlError *error)
{
	MlFit		fit = {
		.data = data, .layout = &stages->layout, .allocator = allocator, .stop = stop, .report = report,
		.error = error, .stages = stages
	};
	MlStatus	status = check_data(data, &stages->layout, error);

	memset(report, 0, sizeof(*report));
	if (status != ML_OK)
		return status;
	status = list_parts(&fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_measure(&fit);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
		report->calibration[kind] = stages->nscores[kind];
	for (int p = 0; p < 3; p++)
		pgaml_ml_release(allocator, fit.rows[p]);
	return status;
}
