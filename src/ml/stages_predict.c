/*-------------------------------------------------------------------------
 * stages_predict.c
 *		Answers one row from fitted stages.
 *
 * Const model, no allocation, no failure; see stages.h for the method.
 *-------------------------------------------------------------------------
 */
#include "ml/stages_internal.h"

#include <math.h>
#include <string.h>

static const char *const source_names[] = {"none", "history", "model", "planner"};
static const char *const stage_names[] = {"history", "model_warm", "model_cold", "planner"};
static const char *const baseline_names[] = {
	"global_median", "cost_only", "statement_median", "moving_average"
};

const char *
pgaml_ml_source_name(MlSource source)
{
	return source_names[source];
}

const char *
pgaml_ml_stage_name(MlStageKind kind)
{
	return stage_names[kind];
}

const char *
pgaml_ml_baseline_name(MlBaseline baseline)
{
	return baseline_names[baseline];
}

const MlStageLayout *
pgaml_ml_stages_layout(const MlStages *stages)
{
	return &stages->layout;
}

const MlModel *
pgaml_ml_stages_model(const MlStages *stages)
{
	return stages->model;
}

bool
pgaml_ml_stages_absolute(const MlStages *stages)
{
	return stages->absolute;
}

bool
pgaml_ml_stage_warm(const MlStageLayout *layout, const float *row)
{
	return row[layout->lag_runs] >= ML_STAGE_MIN_RUNS && isfinite(row[layout->lag_center]);
}

void
pgaml_ml_stage_hide(const MlStageLayout *layout, float *row)
{
	for (int i = 0; i < layout->nfeatures; i++)
		if (layout->roles[i] & ML_ROLE_PAST)
			row[i] = NAN;
}

void
pgaml_ml_stage_row_ahead(const MlStageLayout *layout, const MlStageData *data, int64_t i, float *row)
{
	int64_t		before = i > 0 && data->group[i - 1] == data->group[i] ? i - 1 : i;

	for (int j = 0; j < layout->nfeatures; j++)
		row[j] = data->columns[j][layout->roles[j] & ML_ROLE_PLAN ? before : i];
}

int
pgaml_ml_size_group(double log_ms)
{
	if (log_ms < 0.0)			/* 1 ms */
		return 0;
	return log_ms < 4.605170186 /* 100 ms */ ? 1 : 2;
}

/* Cost line, or the median of everything where no plan is known. */
static double
cost_line(const MlStages *stages, const float *row)
{
	double		x = row[stages->layout.cost];

	if (isnan(x))
		return stages->global_median;
	if (x < stages->line.x_min)
		x = stages->line.x_min;
	if (x > stages->line.x_max)
		x = stages->line.x_max;
	return stages->line.intercept + stages->line.slope * x;
}

/* Into the range of training, where there is one. */
static double
clamp(const MlStages *stages, double y)
{
	if (y < stages->y_min)
		return stages->y_min;
	return y > stages->y_max ? stages->y_max : y;
}

double
pgaml_ml_stage_scale(const MlStages *stages, MlStageKind kind, const float *row)
{
	double		spread;

	if (kind == ML_STAGE_MODEL_COLD || kind == ML_STAGE_PLANNER)
		return 1.0;
	spread = row[stages->layout.lag_spread];
	if (isnan(spread))
		spread = stages->default_spread;
	return spread > ML_SPREAD_FLOOR ? spread : ML_SPREAD_FLOOR;
}

MlStageTerms
pgaml_ml_stage_terms(const MlStages *stages, MlStageKind kind, const float *row)
{
	bool		warm = kind == ML_STAGE_HISTORY || kind == ML_STAGE_MODEL_WARM;
	bool		learner = kind == ML_STAGE_MODEL_WARM || kind == ML_STAGE_MODEL_COLD;
	MlStageTerms terms = {.hide = !warm, .clamped = kind != ML_STAGE_HISTORY};

	if (learner && stages->absolute)
	{
		terms.shrink = 1.0;
		return terms;
	}
	terms.start = warm ? row[stages->layout.lag_center] : cost_line(stages, row);
	if (learner)
		terms.shrink = warm ? stages->shrink_warm : stages->shrink_cold;
	return terms;
}

const float *
pgaml_ml_stage_row(const MlStages *stages, const MlStageTerms *terms, const float *row, float *scratch)
{
	if (!terms->hide)
		return row;
	memcpy(scratch, row, sizeof(float) * stages->layout.nfeatures);
	pgaml_ml_stage_hide(&stages->layout, scratch);
	return scratch;
}

double
pgaml_ml_stage_center(const MlStages *stages, MlStageKind kind, const float *row, float *scratch)
{
	MlStageTerms terms = pgaml_ml_stage_terms(stages, kind, row);
	double		y = terms.start;

	if (terms.shrink != 0.0)
		y += terms.shrink * pgaml_ml_predict(stages->model, pgaml_ml_stage_row(stages, &terms, row, scratch));
	return terms.clamped ? clamp(stages, y) : y;
}

bool
pgaml_ml_stage_choose(const MlStages *stages, const float *row, MlStageKind *kind)
{
	if (pgaml_ml_stage_warm(&stages->layout, row))
	{
		*kind = stages->warm_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_WARM : ML_STAGE_HISTORY;
		return true;
	}
	if (isfinite(row[stages->layout.lag_center]))
	{
		*kind = ML_STAGE_HISTORY;	/* a run or two, still better than a cost */
		return true;
	}
	*kind = stages->cold_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_COLD : ML_STAGE_PLANNER;
	return isfinite(row[stages->layout.cost]);
}

/* Features outside what training saw, by more than a twentieth of its range. */
static int
count_outside(const MlStages *stages, const float *row)
{
	int			outside = 0;

	for (int i = 0; i < stages->layout.nfeatures; i++)
	{
		float		margin = 0.05f * (stages->feature_max[i] - stages->feature_min[i]);

		if (isnan(row[i]) || isnan(stages->feature_min[i]) || (stages->layout.roles[i] & ML_ROLE_PAST))
			continue;
		if (row[i] < stages->feature_min[i] - margin || row[i] > stages->feature_max[i] + margin)
			outside++;
	}
	return outside;
}

static bool
plan_known(const MlStages *stages, int64_t plan)
{
	int32_t		low = 0;
	int32_t		high = stages->nplans;

	while (low < high)
	{
		int32_t		mid = low + (high - low) / 2;

		if (stages->plans[mid] == plan)
			return true;
		if (stages->plans[mid] < plan)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* Half-width of the interval: conformal where enough scores are kept. */
static double
half_width(const MlStages *stages, MlStageKind kind, double scale, double coverage, bool *calibrated)
{
	double		score;

	*calibrated = pgaml_ml_conformal_quantile(stages->scores[kind], stages->nscores[kind],
											  coverage, &score);
	if (*calibrated)
		return score * scale;
	if (kind == ML_STAGE_MODEL_COLD || kind == ML_STAGE_PLANNER)
		scale = stages->line.scale > stages->default_spread ? stages->line.scale : stages->default_spread;
	return pgaml_ml_normal_quantile(0.5 + coverage / 2.0) * scale;
}

void
pgaml_ml_stages_predict(const MlStages *stages, const float *row, int64_t plan, double coverage,
						float *scratch, MlForecast *out)
{
	static const MlSource source_of[] = {
		ML_SOURCE_HISTORY, ML_SOURCE_MODEL, ML_SOURCE_MODEL, ML_SOURCE_PLANNER
	};
	MlStageKind kind;
	double		scale;
	double		half;
	int			outside;

	memset(out, 0, sizeof(*out));
	if (!pgaml_ml_stage_choose(stages, row, &kind))
	{
		out->center = out->lower = out->upper = out->scale = out->smear = NAN;
		return;
	}
	scale = pgaml_ml_stage_scale(stages, kind, row);
	half = half_width(stages, kind, scale, coverage, &out->calibrated);
	outside = count_outside(stages, row);

	out->source = source_of[kind];
	out->center = pgaml_ml_stage_center(stages, kind, row, scratch);
	if (!isfinite(out->center))	/* absurd coefficients of an imported model */
		out->source = ML_SOURCE_NONE;
	out->lower = out->center - half;
	out->upper = out->center + half;
	out->scale = half / pgaml_ml_normal_quantile(0.5 + coverage / 2.0);
	out->smear = stages->nscores[kind] > 0 ? stages->smear[kind] :
		exp(fmin(out->scale * out->scale / 2.0, ML_SMEAR_MAX));	/* of a log-normal time */
	out->in_range = outside == 0;
	out->novel = plan != 0 && !plan_known(stages, plan);
	out->confidence = stages->confidence[kind][pgaml_ml_size_group(out->center)] * pow(0.5, outside);
}

double
pgaml_ml_stages_error(const MlStages *stages, const MlStageData *data, MlPart part, float *scratch)
{
	float	   *row = scratch + stages->layout.nfeatures;
	double		sum = 0.0;
	int64_t		n = 0;

	for (int64_t i = 0; i < data->nrows; i++)
	{
		MlForecast	forecast;

		if (data->part[i] != part)
			continue;
		pgaml_ml_stage_row_ahead(&stages->layout, data, i, row);
		pgaml_ml_stages_predict(stages, row, data->plan[i], 0.9, scratch, &forecast);
		sum += fabs(data->target[i] -
					(forecast.source == ML_SOURCE_NONE ? stages->global_median : forecast.center));
		n++;
	}
	return n > 0 ? sum / n : NAN;
}
