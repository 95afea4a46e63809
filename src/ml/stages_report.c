/*-------------------------------------------------------------------------
 * stages_report.c
 *		Measures fitted stages on held-out rows, beside four baselines.
 *
 * The baselines: the median of all training rows; the cost line; the
 * statement's median in training; the average of its last runs.  Confidence
 * is held-out R2 of a stage on log time against the statement's own mean
 * (warm) or the cost line (cold), by size; at least 0.5 only for a stage
 * that beats all four.
 *-------------------------------------------------------------------------
 */
#include "ml/core_internal.h"
#include "ml/stages_fit_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW_STEPS		2000	/* elementary steps to ask every stage about a row */
#define AVERAGE_RUNS	10		/* runs in the moving average */
#define GROUP_MIN_ROWS	30		/* held-out rows that a size group needs to speak for itself */
#define REPORT_COVERAGE 0.90
#define NOT_BEST_CAP	0.49

void
pgaml_ml_held_out_free(MlFit *fit, MlHeldOut *held)
{
	pgaml_ml_release(fit->allocator, held->y);
	pgaml_ml_release(fit->allocator, held->single);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		pgaml_ml_release(fit->allocator, held->center[kind]);
		pgaml_ml_release(fit->allocator, held->scale[kind]);
	}
	memset(held, 0, sizeof(*held));
}

static bool
held_out_alloc(MlFit *fit, MlHeldOut *held)
{
	bool		good;

	held->y = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
	held->single = pgaml_ml_alloc(fit->allocator, held->n, 1);
	good = held->y != NULL && held->single != NULL;
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		held->center[kind] = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
		held->scale[kind] = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
		good = good && held->center[kind] != NULL && held->scale[kind] != NULL;
	}
	return good;
}

MlStatus
pgaml_ml_held_out(MlFit *fit, MlPart part, MlHeldOut *held)
{
	const MlStageData *data = fit->data;
	float		ahead[ML_STAGE_MAX_FEATURES];
	float		own[ML_STAGE_MAX_FEATURES];
	float		scratch[ML_STAGE_MAX_FEATURES];
	MlTicker	ticker = {.stop = fit->stop, .progress = 1.0};

	memset(held, 0, sizeof(*held));
	held->n = fit->n[part];
	if (!held_out_alloc(fit, held))
	{
		pgaml_ml_held_out_free(fit, held);
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	}
	for (int64_t i = 0; i < held->n; i++)
	{
		int64_t		from = fit->rows[part][i];
		bool		warm;

		if (pgaml_ml_tick(&ticker, ROW_STEPS))
		{
			pgaml_ml_held_out_free(fit, held);
			return pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit");
		}
		pgaml_ml_stage_row_ahead(fit->layout, data, from, ahead);
		for (int32_t j = 0; j < fit->layout->nfeatures; j++)
			own[j] = data->columns[j][from];
		warm = pgaml_ml_stage_warm(fit->layout, own);
		held->y[i] = data->target[from];
		held->single[i] = data->single[from];
		for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
		{
			bool		needs_lags = kind == ML_STAGE_HISTORY || kind == ML_STAGE_MODEL_WARM;

			held->scale[kind][i] = pgaml_ml_stage_scale(fit->stages, kind, own);
			held->center[kind][i] = needs_lags && !warm ? NAN :
				pgaml_ml_stage_center(fit->stages, kind, needs_lags ? ahead : own, scratch);
		}
	}
	return ML_OK;
}

/* Metrics of the rows for which p has an answer, with coverage of the 90 % interval. */
static MlStatus
score(MlFit *fit, const MlHeldOut *held, const double *p, const double *half, MlStageScore *out)
{
	double	   *y_known = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
	double	   *p_known = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
	double	   *width = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
	int64_t		singles = 0;
	int64_t		covered = 0;
	MlStatus	status = ML_OK;

	out->n = 0;
	out->coverage = out->width = NAN;
	if (y_known == NULL || p_known == NULL || width == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < held->n && status == ML_OK; i++)
	{
		if (!isfinite(p[i]))
			continue;
		y_known[out->n] = held->y[i];
		p_known[out->n++] = p[i];
		if (half == NULL || !isfinite(half[i]) || !held->single[i])
			continue;
		width[singles++] = 2.0 * half[i];
		covered += fabs(held->y[i] - p[i]) <= half[i];
	}
	if (status == ML_OK && out->n > 0)
		status = pgaml_ml_metrics(y_known, p_known, NULL, out->n, fit->allocator, &out->metrics, fit->error);
	if (status == ML_OK && singles > 0)
	{
		out->coverage = (double) covered / singles;
		status = pgaml_ml_weighted_quantile(width, NULL, singles, 0.5, fit->allocator, &out->width, fit->error);
		out->width = exp(out->width);
	}
	pgaml_ml_release(fit->allocator, width);
	pgaml_ml_release(fit->allocator, p_known);
	pgaml_ml_release(fit->allocator, y_known);
	return status;
}

typedef struct GroupValue
{
	int32_t		group;
	double		y;
} GroupValue;

static int
compare_group_value(const void *a, const void *b)
{
	const GroupValue *x = a;
	const GroupValue *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->y > y->y) - (x->y < y->y);
}

/* Median and mean log ms per statement over the training part; NaN for those without rows. */
static MlStatus
statement_centres(MlFit *fit, double *median, double *mean)
{
	int64_t		n = fit->n[ML_PART_TRAIN];
	GroupValue *values = pgaml_ml_alloc(fit->allocator, n, sizeof(GroupValue));

	if (values == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int32_t g = 0; g < fit->data->ngroups; g++)
		median[g] = mean[g] = NAN;
	for (int64_t i = 0; i < n; i++)
	{
		int64_t		row = fit->rows[ML_PART_TRAIN][i];

		values[i] = (GroupValue){fit->data->group[row], fit->data->target[row]};
	}
	qsort(values, n, sizeof(GroupValue), compare_group_value);
	for (int64_t from = 0; from < n;)
	{
		int64_t		to = from;
		double		sum = 0.0;

		while (to < n && values[to].group == values[from].group)
			sum += values[to++].y;
		median[values[from].group] = values[from + (to - from - 1) / 2].y;
		mean[values[from].group] = sum / (to - from);
		from = to;
	}
	pgaml_ml_release(fit->allocator, values);
	return ML_OK;
}

/* Average of the statement's last runs before each test row; rows of a group are in time order. */
static void
moving_average(MlFit *fit, double *out)
{
	const MlStageData *data = fit->data;
	double		ring[AVERAGE_RUNS];
	int64_t		seen = 0;
	int64_t		tested = 0;

	for (int64_t i = 0; i < data->nrows; i++)
	{
		int			n;
		double		sum = 0.0;

		if (i > 0 && data->group[i] != data->group[i - 1])
			seen = 0;
		n = seen < AVERAGE_RUNS ? (int) seen : AVERAGE_RUNS;
		for (int k = 0; k < n; k++)
			sum += ring[k];
		if (data->part[i] == ML_PART_TEST)
			out[tested++] = n > 0 ? sum / n : fit->stages->global_median;
		ring[seen++ % AVERAGE_RUNS] = data->target[i];
	}
}

/* Predictions of the four baselines for the test part, and each row's own statement mean. */
static MlStatus
baselines(MlFit *fit, const MlHeldOut *held, double *out[ML_BASE_COUNT], double *own_mean)
{
	double	   *median = pgaml_ml_alloc(fit->allocator, fit->data->ngroups, sizeof(double));
	double	   *mean = pgaml_ml_alloc(fit->allocator, fit->data->ngroups, sizeof(double));
	MlStatus	status = median && mean ? statement_centres(fit, median, mean) : pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");

	for (int64_t i = 0; i < held->n && status == ML_OK; i++)
	{
		int32_t		group = fit->data->group[fit->rows[ML_PART_TEST][i]];
		double		global = fit->stages->global_median;

		out[ML_BASE_GLOBAL_MEDIAN][i] = global;
		out[ML_BASE_COST_ONLY][i] = held->center[ML_STAGE_PLANNER][i];
		out[ML_BASE_STATEMENT_MEDIAN][i] = isnan(median[group]) ? global : median[group];
		own_mean[i] = isnan(mean[group]) ? global : mean[group];
	}
	if (status == ML_OK)
		moving_average(fit, out[ML_BASE_MOVING_AVERAGE]);
	pgaml_ml_release(fit->allocator, mean);
	pgaml_ml_release(fit->allocator, median);
	return status;
}

/* 1 - squared error of p / squared error of the reference, over one size group or all (-1). */
static double
relative_r2(const MlHeldOut *held, const double *p, const double *reference, int group, int64_t *n)
{
	double		ours = 0.0;
	double		theirs = 0.0;

	*n = 0;
	for (int64_t i = 0; i < held->n; i++)
	{
		if (!isfinite(p[i]) || (group >= 0 && pgaml_ml_size_group(p[i]) != group))
			continue;
		ours += (held->y[i] - p[i]) * (held->y[i] - p[i]);
		theirs += (held->y[i] - reference[i]) * (held->y[i] - reference[i]);
		(*n)++;
	}
	return *n > 0 && theirs > 0.0 ? 1.0 - ours / theirs : 0.0;
}

/* Does this stage have a smaller mean absolute error than every baseline on the rows it answers? */
static bool
beats_baselines(const MlHeldOut *held, const double *p, double *const base[ML_BASE_COUNT])
{
	for (int b = 0; b < ML_BASE_COUNT; b++)
	{
		double		ours = 0.0;
		double		theirs = 0.0;

		for (int64_t i = 0; i < held->n; i++)
		{
			if (!isfinite(p[i]))
				continue;
			ours += fabs(held->y[i] - p[i]);
			theirs += fabs(held->y[i] - base[b][i]);
		}
		if (!(ours < theirs))
			return false;
	}
	return true;
}

static void
set_confidence(MlFit *fit, const MlHeldOut *held, double *const base[ML_BASE_COUNT], const double *own_mean)
{
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		bool		warm = kind == ML_STAGE_HISTORY || kind == ML_STAGE_MODEL_WARM;
		const double *reference = warm ? own_mean : base[ML_BASE_COST_ONLY];
		double		cap = beats_baselines(held, held->center[kind], base) ? ML_CONFIDENCE_CAP : NOT_BEST_CAP;
		int64_t		n;
		double		all = relative_r2(held, held->center[kind], reference, -1, &n);

		for (int group = 0; group < ML_SIZE_GROUPS; group++)
		{
			double		r2 = relative_r2(held, held->center[kind], reference, group, &n);

			if (n < GROUP_MIN_ROWS)
				r2 = all;
			r2 = fmin(fmax(r2, 0.0), cap);
			fit->stages->confidence[kind][group] =
				fit->n[ML_PART_TRAIN] < ML_SMALL_TRAINING ? 0.8 * r2 : r2;
		}
	}
}

/* Half-widths of a stage for every held-out row; NaN when it is not calibrated. */
static void
half_widths(MlFit *fit, const MlHeldOut *held, MlStageKind kind, double *out)
{
	double		quantile = NAN;

	(void) pgaml_ml_conformal_quantile(fit->stages->scores[kind], fit->stages->nscores[kind],
									   REPORT_COVERAGE, &quantile);
	for (int64_t i = 0; i < held->n; i++)
		out[i] = quantile * held->scale[kind][i];
}

/* Score each stage, then the mixture that serves. */
static MlStatus
score_stages(MlFit *fit, const MlHeldOut *held, double *half, double *mixed, double *mixed_half)
{
	MlStageReport *report = fit->report;
	MlStageKind warm = report->warm_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_WARM : ML_STAGE_HISTORY;
	MlStageKind cold = report->cold_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_COLD : ML_STAGE_PLANNER;
	MlStatus	status = ML_OK;

	for (int64_t i = 0; i < held->n; i++)
		mixed[i] = mixed_half[i] = NAN;
	for (int kind = 0; kind < ML_STAGE_COUNT && status == ML_OK; kind++)
	{
		half_widths(fit, held, kind, half);
		status = score(fit, held, held->center[kind], half, &report->stage[kind]);
		for (int64_t i = 0; i < held->n; i++)
			if (kind == (int) (isfinite(held->center[ML_STAGE_HISTORY][i]) ? warm : cold))
			{
				mixed[i] = held->center[kind][i];
				mixed_half[i] = half[i];
			}
	}
	report->serving_cold = report->stage[cold];
	return status == ML_OK ? score(fit, held, mixed, mixed_half, &report->serving) : status;
}

/* One block of memory for all per-row arrays of the measurement. */
static MlStatus
measure_with(MlFit *fit, const MlHeldOut *held)
{
	int64_t		n = held->n > 0 ? held->n : 1;
	double	   *block = pgaml_ml_alloc(fit->allocator, n * (ML_BASE_COUNT + 4), sizeof(double));
	double	   *base[ML_BASE_COUNT];
	double	   *own_mean;
	MlStatus	status;

	if (block == NULL)
		return pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int b = 0; b < ML_BASE_COUNT; b++)
		base[b] = block + b * n;
	own_mean = block + ML_BASE_COUNT * n;
	status = baselines(fit, held, base, own_mean);
	if (status == ML_OK)
	{
		set_confidence(fit, held, base, own_mean);
		status = score_stages(fit, held, own_mean + n, own_mean + 2 * n, own_mean + 3 * n);
	}
	for (int b = 0; b < ML_BASE_COUNT && status == ML_OK; b++)
		status = score(fit, held, base[b], NULL, &fit->report->baseline[b]);
	pgaml_ml_release(fit->allocator, block);
	return status;
}

MlStatus
pgaml_ml_stages_measure(MlFit *fit)
{
	MlStageReport *report = fit->report;
	MlHeldOut	held;
	MlStatus	status;

	memcpy(report->rows, fit->n, sizeof(report->rows));
	report->warm_source = fit->stages->warm_source;
	report->cold_source = fit->stages->cold_source;
	report->shrink_warm = fit->stages->shrink_warm;
	report->shrink_cold = fit->stages->shrink_cold;
	report->oob_rmse = pgaml_ml_model_oob_rmse(fit->stages->model);
	status = pgaml_ml_held_out(fit, ML_PART_TEST, &held);
	if (status != ML_OK)
		return status;
	status = measure_with(fit, &held);
	pgaml_ml_held_out_free(fit, &held);
	return status;
}
