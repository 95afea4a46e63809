/*-------------------------------------------------------------------------
 * answer.c
 *		Chooses the stage that answers for a statement, and says why.
 *
 * With a model in production its stages decide (ml/stages.h).  Without one,
 * or when it cannot serve, the statement's own recent runs answer, then the
 * lifetime mean of pg_stat_statements; each time the reason says so.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/float.h"

#include "base/acl.h"
#include "base/guc.h"
#include "predict/known.h"
#include "predict/predict.h"
#include "registry/registry.h"

#define STEADIEST	0.02		/* log; least spread an interval without calibration assumes */
#define UNSURE		1.0			/* log; spread assumed when a single run or mean is all there is */
#define LOG_MAX		30.0		/* a time beyond exp(30) ms is no time */

static double
to_ms(double log_ms)
{
	return exp(Min(log_ms, LOG_MAX));
}

/* Standard deviation of a log-normal variable with this mean and log scale. */
static double
log_normal_std_dev(double mean, double scale)
{
	return mean * sqrt(Max(expm1(Min(scale * scale, LOG_MAX)), 0.0));
}

/* A parametric interval around a log-normal centre. */
static void
answer_parametric(PgamlPrediction *out, double center, double scale, double mean_ratio)
{
	double		half = scale * pgaml_ml_normal_quantile(0.5 + pgaml_prediction_interval / 2.0);

	out->source = ML_SOURCE_HISTORY;
	out->predicted_ms = to_ms(center);
	out->expected_ms = out->predicted_ms * mean_ratio;
	out->lower_ms = to_ms(center - half);
	out->upper_ms = to_ms(center + half);
	out->std_dev_ms = log_normal_std_dev(out->expected_ms, scale);
	out->confidence = 0.0;
	out->in_range = true;
}

/* The statement's own recent runs, without a model. */
static void
answer_runs(PgamlPrediction *out, const PgamlKnown *entry, const char *why, bool want_reason)
{
	double		scale = isnan(entry->runs.spread) ? UNSURE : Max(entry->runs.spread, STEADIEST);

	answer_parametric(out, entry->runs.center, scale, entry->runs.mean_ratio);
	if (want_reason)
		out->reason = psprintf("%s; median of the last %d %s; interval not calibrated", why, entry->runs.runs,
							   entry->captured ? "executions" : "buckets of history");
}

/* The mean since pg_stat_statements began counting. */
static void
answer_lifetime(PgamlPrediction *out, const PgamlKnown *entry, const char *why, bool want_reason)
{
	double		cv = entry->lifetime_std_dev / entry->lifetime_mean;
	double		scale = entry->lifetime_calls > 1 ? Max(sqrt(log1p(cv * cv)), STEADIEST) : UNSURE;

	answer_parametric(out, log(entry->lifetime_mean), scale, 1.0);
	out->std_dev_ms = entry->lifetime_std_dev;
	if (want_reason)
		out->reason = psprintf("%s; no difference of counters yet, so the lifetime mean of pg_stat_statements over %.0f calls; "
							   "interval not calibrated", why, entry->lifetime_calls);
}

/* The model's forecast, kept with the statement until model or coverage change. */
static const MlForecast *
forecast(PgamlKnown *entry, const PgamlServing *serving)
{
	float		scratch[PGAML_F_COUNT];
	uint64		generation = serving->generation + 1;

	if (entry->forecast_generation != generation || entry->forecast_coverage != pgaml_prediction_interval)
	{
		/* What a model learnt of single statements elsewhere is not that of ours with the same identifier. */
		MlStageQuery query = {
			.row = entry->row, .key = serving->restored ? 0 : entry->queryid, .plan = entry->plan_id, .coverage = pgaml_prediction_interval,
			.recent = entry->recent, .nrecent = entry->nrecent
		};

		pgaml_ml_stages_predict(serving->stages, &query, scratch, &entry->forecast);
		entry->forecast_generation = generation;
		entry->forecast_coverage = pgaml_prediction_interval;
	}
	return &entry->forecast;
}

/* False when the model has no answer for this statement. */
static bool
answer_model(PgamlPrediction *out, PgamlKnown *entry, const PgamlServing *serving)
{
	const MlForecast *answer = forecast(entry, serving);

	if (answer->source == ML_SOURCE_NONE)
		return false;
	out->by_model = true;
	out->source = answer->source;
	out->predicted_ms = to_ms(answer->center);
	out->lower_ms = to_ms(answer->lower);
	out->upper_ms = to_ms(answer->upper);
	/* How far its mean is above its median is the statement's own, where that is known. */
	out->expected_ms = out->predicted_ms *
		(entry->runs.runs >= ML_STAGE_MIN_RUNS || answer->source == ML_SOURCE_HISTORY ?
		 entry->runs.mean_ratio : answer->smear);
	out->std_dev_ms = log_normal_std_dev(out->expected_ms, answer->scale);
	out->confidence = answer->confidence;
	out->in_range = answer->in_range;
	out->novel = answer->novel;
	out->group = answer->group;
	if (!answer->calibrated)
		out->reason = "interval not calibrated: too few held-out executions";
	else if (!entry->captured && answer->source == ML_SOURCE_HISTORY)
		out->reason = "from buckets of history: no execution was captured";
	return true;
}

static void
no_answer(PgamlPrediction *out, const char *reason)
{
	out->source = ML_SOURCE_NONE;
	out->cache_hit = false;		/* who may not see a statement does not learn that it is here */
	out->predicted_ms = out->expected_ms = out->lower_ms = out->upper_ms = out->std_dev_ms = get_float8_nan();
	out->reason = reason;
}

static void
answer_known(PgamlPrediction *out, PgamlKnown *entry, bool want_reason)
{
	const PgamlServing *serving = pgaml_registry_serving();
	bool		counted = entry->lifetime_calls > 0 && entry->lifetime_mean > 0;
	const char *why = "no model in production yet";

	out->plan_id = entry->plan_id;
	out->plan_known = entry->plan_id != 0;
	if (serving->stages != NULL)
	{
		out->model_id = serving->model_id;
		out->model_version = serving->version;
		why = "no recent run";
	}
	else if (serving->model_id != 0)
		why = serving->problem;

	/* What was measured of the statement itself comes before what its plan suggests. */
	if (serving->stages != NULL && (entry->runs.runs > 0 || !counted) && answer_model(out, entry, serving))
		return;
	if (entry->runs.runs > 0)
		answer_runs(out, entry, why, want_reason);
	else if (counted)
		answer_lifetime(out, entry, why, want_reason);
	else
		no_answer(out, want_reason ? psprintf("%s, and nothing was recorded of this statement's time", why) : NULL);
}

void
pgaml_predict_queryid(int64 queryid, bool want_reason, PgamlPrediction *out)
{
	PgamlKnown *entry = NULL;

	memset(out, 0, sizeof(*out));
	out->queryid = queryid;
	out->coverage = get_float8_nan();
	if (queryid != 0)
	{
		(void) pgaml_registry_serving();	/* first, so that a change of models is seen before features are looked up */
		entry = pgaml_known_find(queryid, &out->cache_hit, &out->coverage);
	}
	if (entry != NULL && pgaml_acl_may_see(GetUserId(), entry->users, entry->nusers))
		answer_known(out, entry, want_reason);
	else if (pgaml_known_without_counters())
		no_answer(out, "unknown query identifier, and pg_stat_statements is not loaded: "
				  "set shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'");
	else if (pgaml_acl_reads_all(GetUserId()))
		no_answer(out, "unknown query identifier");
	else						/* who may not see a statement does not learn that it ran */
		no_answer(out, "unknown query identifier, or one that only other users ran (pg_read_all_stats sees all)");
}
