/*-------------------------------------------------------------------------
 * stages_fit.c
 *		Fits the stages, decides which of them serves, calibrates intervals.
 *
 * Order of work: what the training part says by itself (median, cost line,
 * ranges, plans); statements left out in turn (stages_cross.c); the learner
 * on departures from the line, rows cold and with their own plan; the
 * calibration part (stages_calibrate.c); the test part (stages_report.c).
 * Training, calibration and test rows never mix.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/core_internal.h"
#include "ml/stages_fit_internal.h"

#define SPREAD_DEFAULT	0.5		/* log; when nothing at all is known */
#define SHOW_TWICE_ROWS	20000	/* training rows up to which each is shown both cold and warm */
#define NOVELTY_STEPS	200		/* elementary steps to look at one row */
#define SHOW_STEPS		100		/* ... to show one */
#define NOVELTY_USUAL_MAX 0.7	/* beyond this the learner's paths tell nothing */
#define SPREAD_UNKNOWN	1.0		/* log; error of a learner that met no row of this server */

/* Leaving statements out comes before the fit and never takes more rows, so the larger of the two counts. */
size_t
pgaml_ml_stages_memory(const MlParams *params, int64_t nrows, int32_t nfeatures)
{
	int64_t		shown = nrows > 2 * SHOW_TWICE_ROWS ? nrows : nrows > SHOW_TWICE_ROWS ? 2 * SHOW_TWICE_ROWS : 2 * nrows;
	size_t		model = pgaml_ml_train_memory(params, shown, nfeatures);
	size_t		per_row = (size_t) nfeatures * sizeof(float)	/* gathered columns */
		+ sizeof(double) * (2 * ML_STAGE_COUNT + ML_BASE_COUNT + 10);
	size_t		fixed = sizeof(float) * (ML_STAGE_WARM_COUNT * ML_SCORES_TOTAL + ML_STAGE_COUNT * 2 * ML_SCORES_MAX) +
		ML_NOVELTY_SETS * ML_NOVELTY_BYTES;

	return pgaml_ml_size_add(pgaml_ml_size_add(model, fixed), pgaml_ml_size_mul(per_row, (size_t) shown));
}

static MlStatus
check_data(const MlStageData *data, const MlStageLayout *layout, MlError *error)
{
	if (data->nrows < 1 || data->ngroups < 1)
		return pgaml_ml_fail(error, ML_E_DATA, "nrows", "no rows");
	if (!pgaml_ml_stage_layout_valid(layout))
		return pgaml_ml_fail(error, ML_E_LIMIT, "layout", "feature positions are out of range");
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

/* 1 / sqrt(rows) for every statement: one with ten thousand runs does not drown one with ten. */
static MlStatus
weigh_statements(MlFit *fit)
{
	int64_t		n = fit->n[ML_PART_TRAIN];
	int32_t		ngroups = fit->data->ngroups;
	double		sum = 0.0;

	fit->weight = pgaml_ml_alloc_zero(fit->allocator, ngroups, sizeof(float));
	if (fit->weight == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < n; i++)
		fit->weight[fit->data->group[fit->rows[ML_PART_TRAIN][i]]] += 1.0f;
	for (int32_t g = 0; g < ngroups; g++)
		sum += sqrt(fit->weight[g]);
	for (int32_t g = 0; g < ngroups; g++)
		if (fit->weight[g] > 0.0f)
			fit->weight[g] = (float) (n / sum / sqrt(fit->weight[g]));
	return ML_OK;
}

static int
compare_int64(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

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

void
pgaml_ml_range(const float *column, const int64_t *rows, int64_t n, float *low, float *high)
{
	*low = *high = NAN;
	for (int64_t i = 0; i < n; i++)
	{
		float		x = column[rows != NULL ? rows[i] : i];

		*low = isnan(*low) || x < *low ? x : *low;
		*high = isnan(*high) || x > *high ? x : *high;
	}
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
		pgaml_ml_range(fit->data->columns[j], fit->rows[ML_PART_TRAIN], fit->n[ML_PART_TRAIN],
					   &stages->feature_min[j], &stages->feature_max[j]);
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
	MlTicker	ticker = {.stop = fit->stop};
	double	   *y = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	double	   *spread = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	float	   *cost = pgaml_ml_alloc(fit->allocator, n, sizeof(float));
	float	   *weight = pgaml_ml_alloc(fit->allocator, n, sizeof(float));
	MlStatus	status = ML_OK;

	if (y == NULL || spread == NULL || cost == NULL || weight == NULL)
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
			weight[i] = fit->weight[data->group[row]];
			stages->y_min = fmin(stages->y_min, y[i]);
			stages->y_max = fmax(stages->y_max, y[i]);
			if (isfinite(s))
				spread[nspread++] = s;
		}
		status = pgaml_ml_weighted_quantile(y, NULL, n, 0.5, fit->allocator,
											&stages->global_median, fit->error);
		if (status == ML_OK)
			status = pgaml_ml_stages_ask(fit);
		if (status == ML_OK)
			status = pgaml_ml_fit_line(cost, y, weight, n, fit->allocator, &ticker, &stages->line, fit->error);
		if (status == ML_OK && !isfinite(stages->line.intercept))	/* no plan is known at all */
			stages->line = (MlLine) {stages->global_median, 0.0, SPREAD_DEFAULT, 0.0, 0.0};
		stages->default_spread = SPREAD_DEFAULT;
		if (status == ML_OK && nspread > 0)
			status = pgaml_ml_weighted_quantile(spread, NULL, nspread, 0.5, fit->allocator,
												&stages->default_spread, fit->error);
	}
	pgaml_ml_release(fit->allocator, weight);
	pgaml_ml_release(fit->allocator, cost);
	pgaml_ml_release(fit->allocator, spread);
	pgaml_ml_release(fit->allocator, y);
	return status;
}

bool
pgaml_ml_validates(int32_t group)
{
	return group % ML_VALIDATION_EVERY == ML_VALIDATION_EVERY / 2;
}

const uint8_t *
pgaml_ml_validation(const MlFit *fit, const uint8_t *validation, int64_t n, int32_t statements)
{
	int64_t		aside = 0;

	for (int64_t i = 0; i < n; i++)
		aside += validation[i];
	return fit->params->type == ML_GRADIENT_BOOSTING && fit->params->early_stopping_rounds > 0 &&
		statements >= ML_VALIDATION_MIN && aside > 0 && aside <= n / 2 ? validation : NULL;
}

/* Rows as the learner sees them. */
typedef struct Shown
{
	float	   *values;			/* column after column */
	const float **columns;
	double	   *departure;
	float	   *weight;
	uint8_t    *validation;
} Shown;

/* How often each of n training rows is shown: cold and otherwise where rows are few, else one or the other. */
static int64_t
times_shown(int64_t n)
{
	return n <= SHOW_TWICE_ROWS ? 2 : 1;
}

/* One training row into place at, with its own plan; what its past tells is hidden when cold. */
static void
show_row(MlFit *fit, Shown *shown, int64_t from, bool cold, int64_t n, int64_t at)
{
	const MlStageLayout *layout = fit->layout;
	int32_t		group = fit->data->group[from];
	float		row[ML_STAGE_MAX_FEATURES];

	for (int32_t j = 0; j < layout->nfeatures; j++)
		row[j] = fit->data->columns[j][from];
	cold = cold || !pgaml_ml_stage_warm(layout, row);
	shown->departure[at] = fit->data->target[from] -
		pgaml_ml_line_at(&fit->stages->line, fit->stages->global_median, row[layout->cost]);
	if (cold)
		pgaml_ml_stage_hide(layout, row);
	for (int32_t j = 0; j < layout->nfeatures; j++)
		shown->values[(int64_t) j * n + at] = row[j];
	shown->weight[at] = cold ? fit->weight[group] : 1.0f;
	shown->validation[at] = pgaml_ml_validates(group);
}

/* Copy the training rows together, n of them as shown. */
static MlStatus
show_rows(MlFit *fit, Shown *shown, int64_t n)
{
	int64_t		rows = fit->n[ML_PART_TRAIN];
	MlTicker	ticker = {.stop = fit->stop};
	MlRng		rng;

	pgaml_ml_rng_seed(&rng, fit->params->seed);
	for (int64_t i = 0; i < rows; i++)
	{
		int64_t		from = fit->rows[ML_PART_TRAIN][i];
		bool		cold = (pgaml_ml_rng_next(&rng) >> 63) != 0;

		if (pgaml_ml_tick(&ticker, SHOW_STEPS))
			return pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit");
		show_row(fit, shown, from, n > rows || cold, n, i);
		if (n > rows)
			show_row(fit, shown, from, false, n, rows + i);
	}
	return ML_OK;
}

static MlStatus
learn_departures(MlFit *fit)
{
	int32_t		nfeatures = fit->layout->nfeatures;
	int64_t		n = fit->n[ML_PART_TRAIN] * times_shown(fit->n[ML_PART_TRAIN]);
	Shown		shown = {
		.values = pgaml_ml_alloc(fit->allocator, n * nfeatures, sizeof(float)),
		.columns = pgaml_ml_alloc(fit->allocator, nfeatures, sizeof(float *)),
		.departure = pgaml_ml_alloc(fit->allocator, n, sizeof(double)),
		.weight = pgaml_ml_alloc(fit->allocator, n, sizeof(float)),
		.validation = pgaml_ml_alloc(fit->allocator, n, 1)
	};
	MlStatus	status;

	if (shown.values == NULL || shown.columns == NULL || shown.departure == NULL || shown.weight == NULL ||
		shown.validation == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	else
	{
		MlDataset	data = {
			.nrows = n, .nfeatures = nfeatures, .columns = shown.columns, .target = shown.departure,
			.weight = shown.weight, .monotone = fit->monotone
		};

		for (int32_t j = 0; j < nfeatures; j++)
			shown.columns[j] = shown.values + (int64_t) j * n;
		status = show_rows(fit, &shown, n);
		data.validation = pgaml_ml_validation(fit, shown.validation, n, fit->data->ngroups);
		if (status == ML_OK)
			status = pgaml_ml_train(&data, fit->params, fit->allocator, fit->stop,
									&fit->stages->model, fit->error);
	}
	pgaml_ml_release(fit->allocator, shown.validation);
	pgaml_ml_release(fit->allocator, shown.weight);
	pgaml_ml_release(fit->allocator, shown.departure);
	pgaml_ml_release(fit->allocator, shown.columns);
	pgaml_ml_release(fit->allocator, shown.values);
	return status;
}

/* Share of unseen paths that one in ten rows of the calibration part exceeds; NaN when stopped. */
static double
usual_novelty(MlFit *fit, MlTicker *ticker)
{
	int64_t		count[ML_NOVELTY_SETS + 1] = {0};
	int64_t		n = fit->n[ML_PART_CALIBRATE];
	int64_t		above = n / 10;
	float		row[ML_STAGE_MAX_FEATURES];
	int32_t		nsets = fit->stages->novelty.nsets;
	int32_t		k = nsets;

	for (int64_t i = 0; i < n; i++)
	{
		if (pgaml_ml_tick(ticker, NOVELTY_STEPS))
			return NAN;
		for (int32_t j = 0; j < fit->layout->nfeatures; j++)
			row[j] = fit->data->columns[j][fit->rows[ML_PART_CALIBRATE][i]];
		pgaml_ml_stage_hide(fit->layout, row);
		count[(int32_t) (pgaml_ml_novelty_unseen(&fit->stages->novelty, fit->stages->model, row) * nsets + 0.5)]++;
	}
	for (; k > 0 && above >= count[k]; k--)
		above -= count[k];
	return fmin((double) k / nsets, NOVELTY_USUAL_MAX);
}

/* Which paths the training rows take, cold as novelty is asked for. */
static MlStatus
learn_novelty(MlFit *fit)
{
	MlNovelty  *novelty = &fit->stages->novelty;
	float		row[ML_STAGE_MAX_FEATURES];
	MlTicker	ticker = {.stop = fit->stop, .progress = 1.0};
	MlStatus	status = pgaml_ml_novelty_create(novelty, fit->stages->model, fit->allocator, fit->error);

	if (status != ML_OK || novelty->nsets == 0)
		return status;
	for (int64_t i = 0; i < fit->n[ML_PART_TRAIN]; i++)
	{
		if (pgaml_ml_tick(&ticker, NOVELTY_STEPS))
			return pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit");
		for (int32_t j = 0; j < fit->layout->nfeatures; j++)
			row[j] = fit->data->columns[j][fit->rows[ML_PART_TRAIN][i]];
		pgaml_ml_stage_hide(fit->layout, row);
		pgaml_ml_novelty_learn(novelty, fit->stages->model, row);
	}
	novelty->usual = usual_novelty(fit, &ticker);
	return isnan(novelty->usual) ? pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit") : ML_OK;
}

/* Everything behind the learner; it is fitted here unless there already is one. */
static MlStatus
run_fit(MlFit *fit)
{
	MlStatus	status = list_parts(fit);

	if (status == ML_OK)
		status = weigh_statements(fit);
	if (status == ML_OK)
		status = learn_scale(fit);
	if (status == ML_OK)
		status = learn_ranges(fit);
	if (status == ML_OK)
		status = learn_plans(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_cross(fit);
	if (status == ML_OK && fit->stages->model == NULL)
		status = learn_departures(fit);
	if (status == ML_OK)
		status = learn_novelty(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_calibrate(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_measure(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_validate(fit->stages, fit->error);
	for (int p = 0; p < 3; p++)
		pgaml_ml_release(fit->allocator, fit->rows[p]);
	pgaml_ml_release(fit->allocator, fit->weight);
	return status;
}

/* What is known of a learner without data: nothing but itself. */
static MlStatus
adopt_unseen(MlFit *fit)
{
	MlStages   *stages = fit->stages;
	int32_t		nfeatures = fit->layout->nfeatures;

	stages->warm_source = fit->report->warm_source = ML_SOURCE_HISTORY;
	stages->own_source = fit->report->own_source = ML_SOURCE_HISTORY;
	stages->cold_source = fit->report->cold_source = ML_SOURCE_MODEL;
	stages->shrink_cold = stages->shrink_new = fit->report->shrink_cold = fit->report->shrink_new = 1.0;
	fit->report->shrink_warm = fit->report->shrink_own = 1.0;
	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
		stages->shrink_warm[group] = stages->shrink_own[group] = 1.0;
	fit->report->oob_rmse = pgaml_ml_model_oob_rmse(stages->model);
	stages->y_min = stages->y_max = NAN;
	stages->default_spread = SPREAD_DEFAULT;
	stages->line.scale = SPREAD_UNKNOWN;
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
		stages->smear[kind] = 1.0;
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
	fit.monotone[layout->cost] = 1;
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
	static const MlParams no_params = {0};	/* nothing is trained */
	MlFit		fit = {
		.data = data, .layout = layout, .params = &no_params, .allocator = allocator, .stop = stop,
		.report = report, .error = error
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
		report->calibration[kind] = stages->pooled[kind].each > 0 ? stages->pooled[kind].n / stages->pooled[kind].each : 0;
	for (int group = 0; group < ML_SPREAD_GROUPS; group++)
	{
		report->shrink_warm = fmax(report->shrink_warm, stages->shrink_warm[group]);
		report->shrink_own = fmax(report->shrink_own, stages->shrink_own[group]);
	}
	report->shrink_cold = stages->shrink_cold;
	report->shrink_new = stages->shrink_new;
	for (int p = 0; p < 3; p++)
		pgaml_ml_release(allocator, fit.rows[p]);
	return status;
}
