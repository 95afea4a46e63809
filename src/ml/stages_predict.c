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

#include "ml/adaptive_internal.h"

#define SIZE_MIN_STATEMENTS 30	/* left out, that a size needs to speak for itself */
#define FEW_RUNS_CAP	0.49	/* confidence in one or two runs */

static const char *const source_names[] = {"none", "history", "model", "planner"};
static const char *const stage_names[] = {"history", "model_warm", "model_own", "model_cold", "planner"};
static const char *const baseline_names[] = {
	"global_median", "cost_only", "statement_median", "moving_average"
};
static const char *const interval_names[] = {
	"parametric", "pooled", "size", "statement", "few_runs", "novel"
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

const char *
pgaml_ml_interval_name(MlIntervalGroup group)
{
	return interval_names[group];
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

bool
pgaml_ml_stage_needs_lags(MlStageKind kind)
{
	return (int) kind < ML_STAGE_WARM_COUNT;
}

void
pgaml_ml_stage_hide_own(const MlStageLayout *layout, float *row)
{
	for (int i = 0; i < layout->nfeatures; i++)
		if (layout->roles[i] == ML_ROLE_ALL)
			row[i] = NAN;
}

const float *
pgaml_ml_stage_view(const MlStageLayout *layout, MlStageKind kind, const float *row, float *scratch)
{
	if (kind == ML_STAGE_MODEL_OWN || kind == ML_STAGE_HISTORY)
		return row;
	memcpy(scratch, row, sizeof(float) * layout->nfeatures);
	if (!pgaml_ml_stage_needs_lags(kind))
		pgaml_ml_stage_hide(layout, scratch);
	else
		pgaml_ml_stage_hide_own(layout, scratch);
	return scratch;
}

void
pgaml_ml_stage_row_ahead(const MlStageLayout *layout, const MlStageData *data, int64_t i, float *row)
{
	int64_t		before = i > 0 && data->group[i - 1] == data->group[i] ? i - 1 : i;

	for (int j = 0; j < layout->nfeatures; j++)
		row[j] = layout->roles[j] == ML_ROLE_ALL ? NAN :
			data->columns[j][layout->roles[j] & ML_ROLE_PLAN ? before : i];
}

int
pgaml_ml_size_group(double log_ms)
{
	if (log_ms < 0.0)			/* 1 ms */
		return 0;
	return log_ms < 4.605170186 /* 100 ms */ ? 1 : 2;
}

int
pgaml_ml_spread_group(const MlStageLayout *layout, const float *row)
{
	float		spread = row[layout->lag_spread];

	if (spread < 0.25f)
		return spread < 0.1f ? 0 : 1;
	return spread < 0.6f ? 2 : 3;
}

double
pgaml_ml_line_at(const MlLine *line, double otherwise, float cost)
{
	double		x = cost;

	if (isnan(x))
		return otherwise;
	if (x < line->x_min)
		x = line->x_min;
	if (x > line->x_max)
		x = line->x_max;
	return line->intercept + line->slope * x;
}

static double
cost_line(const MlStages *stages, const float *row)
{
	return pgaml_ml_line_at(&stages->line, stages->global_median, row[stages->layout.cost]);
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

	if (!pgaml_ml_stage_needs_lags(kind))
		return 1.0;
	spread = row[stages->layout.lag_spread];
	if (isnan(spread))
		spread = stages->default_spread;
	/* The plan tells most of what parameters do: how far they spread a statement says little of what is left. */
	if (kind == ML_STAGE_MODEL_OWN && spread > ML_SPREAD_OWN_MAX)
		spread = ML_SPREAD_OWN_MAX;
	return spread > ML_SPREAD_FLOOR ? spread : ML_SPREAD_FLOOR;
}

/* More than a twentieth of a range, or of its values, beyond it counts as outside. */
double
pgaml_ml_stage_outside(const MlStageLayout *layout, const float *low, const float *high, const float *row)
{
	double		inside = 1.0;

	for (int i = 0; i < layout->nfeatures; i++)
	{
		float		range = high[i] - low[i];
		float		margin = 0.05f * fmaxf(range, fmaxf(fabsf(low[i]), fabsf(high[i])));
		double		beyond = fmax((double) low[i] - row[i], (double) row[i] - high[i]) - margin;

		/* also where either is NaN */
		if (!(beyond > 0.0) || (layout->roles[i] & ML_ROLE_PAST))
			continue;
		if (!(range > 0.0f))
			range = fmaxf(fabsf(low[i]), 1.0f); /* it never changed */
		inside *= 0.5 - 0.5 * fmin(beyond / range, 1.0);
	}
	return 1.0 - inside;
}

/* Is what its plan says within what training saw? */
static bool
plan_inside(const MlStages *stages, const float *row)
{
	for (int i = 0; i < stages->layout.nfeatures; i++)
	{
		float		slack = 0.05f * (stages->feature_max[i] - stages->feature_min[i]);

		if (stages->layout.roles[i] == ML_ROLE_PLAN &&
			(row[i] < stages->feature_min[i] - slack || row[i] > stages->feature_max[i] + slack))
			return false;
	}
	return true;
}

/* The less training saw that is like a row, the less its learner is believed. */
static double
cold_shrink(const MlStages *stages, const float *row)
{
	float		scratch[ML_STAGE_MAX_FEATURES];
	double		seen;

	if (stages->shrink_new == stages->shrink_cold)
		return stages->shrink_cold;
	seen = 1.0 - pgaml_ml_stage_outside(&stages->layout, stages->feature_min, stages->feature_max, row);
	if (stages->novelty.nsets > 0)
		seen *= 1.0 - pgaml_ml_novelty_unseen(&stages->novelty, stages->model,
											  pgaml_ml_stage_view(&stages->layout, ML_STAGE_MODEL_COLD, row, scratch));
	return stages->shrink_new + seen * (stages->shrink_cold - stages->shrink_new);
}

MlStageTerms
pgaml_ml_stage_terms(const MlStages *stages, MlStageKind kind, const float *row)
{
	MlStageTerms terms = {.kind = kind, .clamped = kind != ML_STAGE_HISTORY};

	if (kind == ML_STAGE_MODEL_COLD)
		terms.shrink = cold_shrink(stages, row);
	else if (kind == ML_STAGE_MODEL_WARM || kind == ML_STAGE_MODEL_OWN)
		terms.shrink = (kind == ML_STAGE_MODEL_WARM ? stages->shrink_warm :
						stages->shrink_own)[pgaml_ml_spread_group(&stages->layout, row)];
	if (stages->absolute && terms.shrink > 0.0)
		terms.shrink = 1.0;
	else if (pgaml_ml_stage_needs_lags(kind))
		terms.start = (1.0 - terms.shrink) * row[stages->layout.lag_center] + terms.shrink * cost_line(stages, row);
	else
		terms.start = cost_line(stages, row);
	return terms;
}

const float *
pgaml_ml_stage_row(const MlStages *stages, const MlStageTerms *terms, const float *row, float *scratch)
{
	return pgaml_ml_stage_view(&stages->layout, terms->kind, row, scratch);
}

double
pgaml_ml_stage_center(const MlStages *stages, MlStageKind kind, const float *row, float *scratch)
{
	MlStageTerms terms = pgaml_ml_stage_terms(stages, kind, row);
	double		y = terms.start;

	if (terms.shrink != 0.0)
		y += terms.shrink * pgaml_ml_predict(stages->model, pgaml_ml_stage_view(&stages->layout, kind, row, scratch));
	return terms.clamped ? clamp(stages, y) : y;
}

bool
pgaml_ml_stage_choose(const MlStages *stages, const float *row, bool own_plan, MlStageKind *kind)
{
	*kind = ML_STAGE_HISTORY;	/* a run or two, still better than a cost */
	if (pgaml_ml_stage_warm(&stages->layout, row))
	{
		MlSource	source = own_plan ? stages->own_source : stages->warm_source;
		const double *shrink = own_plan ? stages->shrink_own : stages->shrink_warm;

		if (source == ML_SOURCE_MODEL && shrink[pgaml_ml_spread_group(&stages->layout, row)] > 0.0)
			*kind = own_plan ? ML_STAGE_MODEL_OWN : ML_STAGE_MODEL_WARM;
		return true;
	}
	if (isfinite(row[stages->layout.lag_center]))
		return true;
	*kind = stages->cold_source == ML_SOURCE_MODEL ? ML_STAGE_MODEL_COLD : ML_STAGE_PLANNER;
	return isfinite(row[stages->layout.cost]);
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

/* The group that speaks for an answer. */
static MlScores
find_scores(const MlStages *stages, MlStageKind kind, const MlStageQuery *query, double center, MlIntervalGroup *group)
{
	int			size = pgaml_ml_size_group(center);
	const MlScores *sized = &stages->sized[kind][size];

	if (!pgaml_ml_stage_needs_lags(kind))
	{
		*group = ML_INTERVAL_NOVEL;
		return sized->each > 0 && sized->n / sized->each >= SIZE_MIN_STATEMENTS ? *sized : stages->pooled[kind];
	}
	if (!pgaml_ml_stage_warm(&stages->layout, query->row))
	{
		*group = ML_INTERVAL_FEW_RUNS;
		return stages->few;
	}
	*group = ML_INTERVAL_STATEMENT;
	if (stages->own[kind].n > 0)
	{
		MlScores	own = pgaml_ml_own_scores(&stages->own[kind], query->key);

		if (own.n >= ML_SCORES_MIN)
			return own;
	}
	*group = sized->n >= ML_SCORES_MIN ? ML_INTERVAL_SIZE : ML_INTERVAL_POOLED;
	return sized->n >= ML_SCORES_MIN ? *sized : stages->pooled[kind];
}

/*
 * Half of a calibrated interval, in units of the stage's scale; false when
 * too few scores are kept.  Where drift asks for more than any finite width,
 * the largest error of all has to do.
 */
static bool
calibrated_half(const MlStages *stages, MlStageKind kind, const MlStageQuery *query, double center,
				MlIntervalGroup *group, double *half)
{
	MlScores	scores = find_scores(stages, kind, query, center, group);
	double		share = 1.0 - query->coverage;

	if (!pgaml_ml_scores_quantile(&scores, query->coverage, half))
		return false;
	if (kind != ML_STAGE_HISTORY || query->nrecent == 0 || *group == ML_INTERVAL_FEW_RUNS)
		return true;
	share = pgaml_ml_adapted_share(&scores, query->recent, query->nrecent, ML_SPREAD_FLOOR, share);
	if (share >= 1.0)
		share = 1.0 - 1.0 / (scores.n + 1.0);
	if (!pgaml_ml_scores_quantile(&scores, 1.0 - share, half))
		*half = fmax(pgaml_ml_scores_largest(&scores), pgaml_ml_scores_largest(&stages->pooled[kind]));
	return true;
}

/* Half-width of the interval, log. */
static double
half_width(const MlStages *stages, MlStageKind kind, const MlStageQuery *query, double center, bool novel,
		   MlForecast *out)
{
	double		scale = pgaml_ml_stage_scale(stages, kind, query->row);
	double		half;
	double		left_out;

	out->calibrated = calibrated_half(stages, kind, query, center, &out->group, &half);
	if (!out->calibrated)
	{
		out->group = ML_INTERVAL_PARAMETRIC;
		if (!pgaml_ml_stage_needs_lags(kind))
			scale = fmax(stages->line.scale, stages->default_spread);
		return pgaml_ml_normal_quantile(0.5 + query->coverage / 2.0) * scale;
	}

	/* A plan that the statement never had may leave its history as far behind as a new statement does. */
	if (kind == ML_STAGE_MODEL_OWN && novel &&
		pgaml_ml_scores_quantile(&stages->pooled[ML_STAGE_MODEL_COLD], query->coverage, &left_out) &&
		left_out > half * scale)
	{
		out->group = ML_INTERVAL_NOVEL;
		return left_out;
	}
	return half * scale;
}

/* How much of the stage's held-out confidence this row deserves, given its novelty. */
static double
confidence_in(const MlStages *stages, MlStageKind kind, const float *row, double center, double novelty)
{
	double		held_out = stages->confidence[kind][pgaml_ml_size_group(center)];
	double		runs = row[stages->layout.lag_runs];

	if (pgaml_ml_stage_needs_lags(kind) && !pgaml_ml_stage_warm(&stages->layout, row))
		held_out = fmin(held_out, FEW_RUNS_CAP) * (runs > 0.0 ? fmin(runs / ML_STAGE_MIN_RUNS, 1.0) : 0.0);
	return held_out * (1.0 - novelty);
}

void
pgaml_ml_stage_forecast(const MlStages *stages, MlStageKind kind, const MlStageQuery *query, float *scratch,
						MlForecast *out)
{
	static const MlSource source_of[] = {
		ML_SOURCE_HISTORY, ML_SOURCE_MODEL, ML_SOURCE_MODEL, ML_SOURCE_MODEL, ML_SOURCE_PLANNER
	};
	double		outside = pgaml_ml_stage_outside(&stages->layout, stages->feature_min, stages->feature_max,
												 query->row);
	double		half;

	out->stage = kind;
	out->source = source_of[kind];
	out->center = pgaml_ml_stage_center(stages, kind, query->row, scratch);
	if (!isfinite(out->center)) /* absurd coefficients of an imported model */
		out->source = ML_SOURCE_NONE;
	out->novel = query->plan != 0 && !plan_known(stages, query->plan);
	half = half_width(stages, kind, query, out->center, out->novel, out);
	out->lower = out->center - half;
	out->upper = out->center + half;
	out->scale = half / pgaml_ml_normal_quantile(0.5 + query->coverage / 2.0);
	out->smear = stages->pooled[kind].n > 0 ? stages->smear[kind] :
		exp(fmin(out->scale * out->scale / 2.0, ML_SMEAR_MAX));	/* of a log-normal time */
	out->in_range = outside == 0.0;
	out->plan_in_range = plan_inside(stages, query->row);
	out->novelty = outside;
	if (stages->novelty.nsets > 0)
		out->novelty = 1.0 - (1.0 - outside) *
			(1.0 - pgaml_ml_novelty(&stages->novelty, stages->model,
									pgaml_ml_stage_view(&stages->layout, ML_STAGE_MODEL_COLD, query->row, scratch)));
	out->confidence = confidence_in(stages, kind, query->row, out->center, out->novelty);
}

void
pgaml_ml_stages_predict(const MlStages *stages, const MlStageQuery *query, float *scratch, MlForecast *out)
{
	MlStageKind kind;

	memset(out, 0, sizeof(*out));
	if (pgaml_ml_stage_choose(stages, query->row, query->own_plan, &kind))
		pgaml_ml_stage_forecast(stages, kind, query, scratch, out);
	else
		out->center = out->lower = out->upper = out->scale = out->smear = NAN;
}
