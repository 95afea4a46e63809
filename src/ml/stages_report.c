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
	pgaml_ml_release(fit->allocator, held->spread);
	pgaml_ml_release(fit->allocator, held->late);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		pgaml_ml_release(fit->allocator, held->center[kind]);
		pgaml_ml_release(fit->allocator, held->half[kind]);
	}
	memset(held, 0, sizeof(*held));
}

MlStatus
pgaml_ml_stages_ask(MlFit *fit)
{
	MlTicker	ticker = {.stop = fit->stop, .progress = fit->stages->model != NULL ? 1.0 : 0.0};

	return pgaml_ml_tick(&ticker, ML_STOP_EVERY) ? pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit") : ML_OK;
}

static bool
held_out_alloc(MlFit *fit, MlHeldOut *held)
{
	bool		good;

	held->y = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
	held->single = pgaml_ml_alloc(fit->allocator, held->n, 1);
	held->spread = pgaml_ml_alloc(fit->allocator, held->n, 1);
	held->late = pgaml_ml_alloc(fit->allocator, held->n, 1);
	good = held->y != NULL && held->single != NULL && held->spread != NULL && held->late != NULL;
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		held->center[kind] = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
		held->half[kind] = pgaml_ml_alloc(fit->allocator, held->n, sizeof(double));
		good = good && held->center[kind] != NULL && held->half[kind] != NULL;
	}
	return good;
}

int64_t
pgaml_ml_key_of(const MlStageData *data, int64_t row)
{
	return data->group_key != NULL ? data->group_key[data->group[row]] : data->group[row];
}

int32_t
pgaml_ml_recent_of(const MlStageLayout *layout, const MlStageData *data, int64_t row, float *recent)
{
	float		runs = data->columns[layout->lag_runs][row];
	int64_t		n = runs >= ML_STAGE_RECENT ? ML_STAGE_RECENT : runs >= 1.0f ? (int64_t) runs : 0;
	int64_t		from = row;
	int32_t		k = 0;

	while (row - from < n && from > 0 && data->group[from - 1] == data->group[row] && data->single[from - 1])
		from--;
	for (; from < row; from++)
		recent[k++] = (float) data->target[from];
	return k;
}

/* Does a stage for warm rows leave those of this spread to history? */
static bool
left_to_history(const MlStages *stages, MlStageKind kind, int spread)
{
	if (kind == ML_STAGE_MODEL_WARM)
		return stages->warm_source == ML_SOURCE_MODEL && stages->shrink_warm[spread] == 0.0;
	return kind == ML_STAGE_MODEL_OWN && stages->own_source == ML_SOURCE_MODEL && stages->shrink_own[spread] == 0.0;
}

/* What the stages say of one row, and how sure they are. */
static void
ask_stages(MlFit *fit, MlPart part, int64_t i, MlHeldOut *held)
{
	const MlStageData *data = fit->data;
	const MlStages *stages = fit->stages;
	int64_t		from = fit->rows[part][i];
	float		ahead[ML_STAGE_MAX_FEATURES];
	float		own[ML_STAGE_MAX_FEATURES];
	float		scratch[ML_STAGE_MAX_FEATURES];
	float		recent[ML_STAGE_RECENT];
	MlStageQuery query = {
		.key = pgaml_ml_key_of(data, from), .coverage = REPORT_COVERAGE, .plan = data->plan[from],
		.recent = recent, .nrecent = pgaml_ml_recent_of(fit->layout, data, from, recent)
	};

	pgaml_ml_stage_row_ahead(fit->layout, data, from, ahead);
	for (int32_t j = 0; j < fit->layout->nfeatures; j++)
		own[j] = data->columns[j][from];
	held->y[i] = data->target[from];
	held->single[i] = data->single[from];
	held->spread[i] = (uint8_t) pgaml_ml_spread_group(fit->layout, own);
	for (int kind = 0; kind < ML_STAGE_COUNT; kind++)
	{
		MlForecast	forecast;

		held->center[kind][i] = held->half[kind][i] = NAN;
		if (pgaml_ml_stage_needs_lags(kind) &&
			(!pgaml_ml_stage_warm(fit->layout, own) || left_to_history(stages, kind, held->spread[i])))
			continue;
		query.row = kind == ML_STAGE_HISTORY || kind == ML_STAGE_MODEL_WARM ? ahead : own;
		query.own_plan = kind == ML_STAGE_MODEL_OWN;
		if (part == ML_PART_CALIBRATE)
		{
			held->center[kind][i] = pgaml_ml_stage_center(stages, kind, query.row, scratch);
			held->half[kind][i] = pgaml_ml_stage_scale(stages, kind, query.row);
			continue;
		}
		pgaml_ml_stage_forecast(stages, kind, &query, scratch, &forecast);
		held->center[kind][i] = forecast.center;
		if (forecast.calibrated)
			held->half[kind][i] = (forecast.upper - forecast.lower) / 2.0;
	}
}

static void
tell_halves(const MlFit *fit, MlPart part, MlHeldOut *held)
{
	const int32_t *group = fit->data->group;
	const int64_t *rows = fit->rows[part];

	for (int64_t from = 0, to; from < held->n; from = to)
	{
		for (to = from; to < held->n && group[rows[to]] == group[rows[from]]; to++)
			;
		for (int64_t i = from; i < to; i++)
			held->late[i] = i - from >= (to - from) / 2;
	}
}

MlStatus
pgaml_ml_held_out(MlFit *fit, MlPart part, MlHeldOut *held)
{
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
		if (pgaml_ml_tick(&ticker, ROW_STEPS))
		{
			pgaml_ml_held_out_free(fit, held);
			return pgaml_ml_stopped(fit->error, "pgaml_ml_stages_fit");
		}
		ask_stages(fit, part, i, held);
	}
	tell_halves(fit, part, held);
	return ML_OK;
}

MlStatus
pgaml_ml_stage_score(MlFit *fit, const double *y, const double *p, const double *half, const uint8_t *single,
					 const float *weight, int64_t n, MlStageScore *out)
{
	double	   *y_known = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	double	   *p_known = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	double	   *width = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	float	   *w_known = pgaml_ml_alloc(fit->allocator, n, sizeof(float));
	int64_t		singles = 0;
	int64_t		covered = 0;
	MlStatus	status = pgaml_ml_stages_ask(fit);

	out->n = 0;
	out->coverage = out->width = NAN;
	if (y_known == NULL || p_known == NULL || width == NULL || w_known == NULL)
		status = pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");
	for (int64_t i = 0; i < n && status == ML_OK; i++)
	{
		if (!isfinite(p[i]))
			continue;
		y_known[out->n] = y[i];
		w_known[out->n] = weight != NULL ? weight[i] : 1.0f;
		p_known[out->n++] = p[i];
		if (half == NULL || !isfinite(half[i]) || !single[i])
			continue;
		width[singles++] = 2.0 * half[i];
		covered += fabs(y[i] - p[i]) <= half[i];
	}
	if (status == ML_OK && out->n > 0)
		status = pgaml_ml_metrics(y_known, p_known, weight != NULL ? w_known : NULL, out->n, fit->allocator,
								  &out->metrics, fit->error);
	if (status == ML_OK && singles > 0)
	{
		out->coverage = (double) covered / singles;
		status = pgaml_ml_weighted_quantile(width, NULL, singles, 0.5, fit->allocator, &out->width, fit->error);
		out->width = exp(out->width);
	}
	pgaml_ml_release(fit->allocator, w_known);
	pgaml_ml_release(fit->allocator, width);
	pgaml_ml_release(fit->allocator, p_known);
	pgaml_ml_release(fit->allocator, y_known);
	return status;
}

static MlStatus
score(MlFit *fit, const MlHeldOut *held, const double *p, const double *half, MlStageScore *out)
{
	return pgaml_ml_stage_score(fit, held->y, p, half, held->single, NULL, held->n, out);
}

/* Median and mean log ms per statement over the training part, whose rows are by statement; NaN for those without rows. */
static MlStatus
statement_centres(MlFit *fit, double *median, double *mean)
{
	const int64_t *rows = fit->rows[ML_PART_TRAIN];
	const int32_t *group = fit->data->group;
	int64_t		n = fit->n[ML_PART_TRAIN];
	double	   *values = pgaml_ml_alloc(fit->allocator, n, sizeof(double));
	MlStatus	status = values ? ML_OK : pgaml_ml_nomem(fit->error, "pgaml_ml_stages_fit");

	for (int32_t g = 0; g < fit->data->ngroups; g++)
		median[g] = mean[g] = NAN;
	for (int64_t from = 0, to; from < n && status == ML_OK; from = to)
	{
		int32_t		g = group[rows[from]];
		double		sum = 0.0;

		for (to = from; to < n && group[rows[to]] == g; to++)
		{
			values[to - from] = fit->data->target[rows[to]];
			sum += values[to - from];
		}
		mean[g] = sum / (to - from);
		status = pgaml_ml_weighted_quantile(values, NULL, to - from, 0.5, fit->allocator, &median[g], fit->error);
	}
	pgaml_ml_release(fit->allocator, values);
	return status;
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

/* Has it a smaller mean absolute error than every baseline on the rows that it answers, of one size group or all (-1)? */
static bool
beats_baselines(const MlHeldOut *held, const double *p, double *const base[ML_BASE_COUNT], int group)
{
	for (int b = 0; b < ML_BASE_COUNT; b++)
	{
		double		ours = 0.0;
		double		theirs = 0.0;

		for (int64_t i = 0; i < held->n; i++)
		{
			if (!isfinite(p[i]) || (group >= 0 && pgaml_ml_size_group(p[i]) != group))
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
		const double *p = held->center[kind];
		const double *reference = pgaml_ml_stage_needs_lags(kind) ? own_mean : base[ML_BASE_COST_ONLY];

		for (int group = 0; group < ML_SIZE_GROUPS; group++)
		{
			int			of = group;
			int64_t		n;
			double		r2 = relative_r2(held, p, reference, of, &n);

			if (n < GROUP_MIN_ROWS)
			{
				of = -1;		/* too few to speak for themselves */
				r2 = relative_r2(held, p, reference, of, &n);
			}
			r2 = fmin(fmax(r2, 0.0), beats_baselines(held, p, base, of) ? ML_CONFIDENCE_CAP : NOT_BEST_CAP);
			fit->stages->confidence[kind][group] =
				fit->n[ML_PART_TRAIN] < ML_SMALL_TRAINING ? 0.8 * r2 : r2;
		}
	}
}

/* Answers of the stage that serves where the recent runs are known, of the other elsewhere. */
static MlStatus
score_mixture(MlFit *fit, const MlHeldOut *held, MlStageKind warm, MlStageKind cold, double *mixed, double *half,
			  MlStageScore *out)
{
	for (int64_t i = 0; i < held->n; i++)
	{
		MlStageKind kind = isfinite(held->center[warm][i]) ? warm :
			isfinite(held->center[ML_STAGE_HISTORY][i]) ? ML_STAGE_HISTORY : cold;

		mixed[i] = held->center[kind][i];
		half[i] = held->half[kind][i];
	}
	return score(fit, held, mixed, half, out);
}

/* Score each stage, then the mixtures that serve. */
static MlStatus
score_stages(MlFit *fit, const MlHeldOut *held, double *mixed, double *half)
{
	MlStageReport *report = fit->report;
	MlStageKind warm = report->warm_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_WARM : ML_STAGE_HISTORY;
	MlStageKind own = report->own_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_OWN : ML_STAGE_HISTORY;
	MlStageKind cold = report->cold_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_COLD : ML_STAGE_PLANNER;
	MlStatus	status = ML_OK;

	for (int kind = 0; kind < ML_STAGE_COUNT && status == ML_OK; kind++)
		status = score(fit, held, held->center[kind], held->half[kind], &report->stage[kind]);
	report->serving_cold = report->stage[cold];
	if (status == ML_OK)
		status = score_mixture(fit, held, warm, cold, mixed, half, &report->serving);
	return status == ML_OK ? score_mixture(fit, held, own, cold, mixed, half, &report->serving_own) : status;
}

/* One block of memory for all per-row arrays of the measurement. */
static MlStatus
measure_with(MlFit *fit, const MlHeldOut *held)
{
	int64_t		n = held->n > 0 ? held->n : 1;
	double	   *block = pgaml_ml_alloc(fit->allocator, n * (ML_BASE_COUNT + 3), sizeof(double));
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
		status = score_stages(fit, held, own_mean + n, own_mean + 2 * n);
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
	report->own_source = fit->stages->own_source;
	report->oob_rmse = pgaml_ml_model_oob_rmse(fit->stages->model);
	status = pgaml_ml_held_out(fit, ML_PART_TEST, &held);
	if (status != ML_OK)
		return status;
	status = measure_with(fit, &held);
	pgaml_ml_held_out_free(fit, &held);
	return status;
}
