/*-------------------------------------------------------------------------
 * stages_fit.c
 *		Fits the stages, decides which of them serves, calibrates intervals.
 *
 * Order of work: what the training part says by itself (median and cost line
 * in stages_learner.c; ranges, plans); statements left out in turn
 * (stages_cross.c); the learner (stages_learner.c); the calibration part
 * (stages_calibrate.c); the test part (stages_report.c).  Training,
 * calibration and test rows never mix.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ml/core_internal.h"
#include "ml/stages_fit_internal.h"

#define CROSS_SHARE		0.75	/* of a fit's time, roughly: leaving statements out in turn */
#define LEARNER_SHARE	0.2		/* the learner itself; the rest is measuring */
#define NOVELTY_STEPS	200		/* elementary steps to look at one row */
#define NOVELTY_USUAL_MAX 0.7	/* beyond this the learner's paths tell nothing */
#define SPREAD_UNKNOWN	1.0		/* log; error of a learner that met no row of this server */

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

/* The part of a fit under way: its own progress is from .. from + share of the whole. */
typedef struct Phase
{
	const MlStop *stop;			/* the caller's */
	double		from;
	double		share;
	double		shown;			/* never less than before, whatever a part says of itself */
} Phase;

static bool
phase_stop(void *state, double progress)
{
	Phase	   *phase = state;

	phase->shown = fmax(phase->shown, phase->from + phase->share * progress);
	return phase->stop->should_stop(phase->stop->state, phase->shown);
}

/* Everything around the learner; it is fitted here unless there already is one. */
static MlStatus
run_phases(MlFit *fit, Phase *phase)
{
	MlStatus	status = pgaml_ml_learner_begin(fit);

	if (status == ML_OK)
		status = learn_ranges(fit);
	if (status == ML_OK)
		status = learn_plans(fit);
	phase->share = CROSS_SHARE;
	if (status == ML_OK)
		status = pgaml_ml_stages_cross(fit);
	phase->from = CROSS_SHARE;
	phase->share = LEARNER_SHARE;
	if (status == ML_OK && fit->stages->model == NULL)
		status = pgaml_ml_learner_fit(fit);
	phase->from = CROSS_SHARE + LEARNER_SHARE;
	phase->share = 0.0;
	if (status == ML_OK)
		status = learn_novelty(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_calibrate(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_measure(fit);
	if (status == ML_OK)
		status = pgaml_ml_stages_validate(fit->stages, fit->error);
	pgaml_ml_learner_end(fit);
	return status;
}

static MlStatus
run_fit(MlFit *fit)
{
	Phase		phase = {.stop = fit->stop};
	MlStop		stop = {phase_stop, &phase};
	MlStatus	status;

	if (fit->stop != NULL && fit->stop->should_stop != NULL)
		fit->stop = &stop;
	status = run_phases(fit, &phase);
	fit->stop = phase.stop;
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
	stages->default_spread = ML_SPREAD_DEFAULT;
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
	MlStatus	status = pgaml_ml_stages_check(data, layout, error);

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
	static const MlParams no_params = {0};	/* nothing is trained */
	MlFit		fit = {
		.data = data, .layout = layout, .params = &no_params, .allocator = allocator, .stop = stop,
		.report = report, .error = error
	};
	MlStatus	status = ML_OK;

	*out = NULL;
	memset(report, 0, sizeof(*report));
	if (data != NULL)
		status = pgaml_ml_stages_check(data, layout, error);
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
	MlStatus	status = pgaml_ml_stages_check(data, &stages->layout, error);

	memset(report, 0, sizeof(*report));
	if (status != ML_OK)
		return status;
	status = pgaml_ml_stages_parts(&fit);
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
	pgaml_ml_learner_end(&fit);
	return status;
}
