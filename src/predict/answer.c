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
#include "predict/answer.h"

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
	double		half = scale * pgaml_ml_normal_quantile(0.5 + out->nominal / 2.0);

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
answer_runs(PgamlPrediction *out, const PgamlCase *asked, const char *why, bool want_reason)
{
	const PgamlRunsSummary *runs = asked->runs;
	double		scale = isnan(runs->spread) ? UNSURE : Max(runs->spread, STEADIEST);

	answer_parametric(out, runs->center, scale, runs->mean_ratio);
	if (want_reason)
		out->reason = psprintf("%s; median of the last %d %s; interval not calibrated", why, runs->runs,
							   asked->known->captured ? "executions" : "buckets of history");
}

/* The mean since pg_stat_statements began counting. */
static void
answer_lifetime(PgamlPrediction *out, const PgamlKnown *known, const char *why, bool want_reason)
{
	double		cv = known->lifetime_std_dev / known->lifetime_mean;
	double		scale = known->lifetime_calls > 1 ? Max(sqrt(log1p(cv * cv)), STEADIEST) : UNSURE;

	answer_parametric(out, log(known->lifetime_mean), scale, 1.0);
	out->std_dev_ms = known->lifetime_std_dev;
	if (want_reason)
		out->reason = psprintf("%s; no difference of counters yet, so the lifetime mean of pg_stat_statements over %.0f calls; "
							   "interval not calibrated", why, known->lifetime_calls);
}

/* False when the model has no answer for this statement. */
static bool
answer_model(PgamlPrediction *out, const PgamlCase *asked, const MlForecast *answer)
{
	bool		captured = asked->known != NULL && asked->known->captured;

	if (answer->source == ML_SOURCE_NONE)
		return false;
	out->by_model = true;
	out->source = answer->source;
	out->predicted_ms = to_ms(answer->center);
	out->lower_ms = to_ms(answer->lower);
	out->upper_ms = to_ms(answer->upper);
	/* How far its mean is above its median is the statement's own, where that is known ahead of the execution. */
	out->expected_ms = out->predicted_ms *
		((asked->runs->runs >= ML_STAGE_MIN_RUNS && !asked->own_plan) || answer->source == ML_SOURCE_HISTORY ?
		 asked->runs->mean_ratio : answer->smear);
	out->std_dev_ms = log_normal_std_dev(out->expected_ms, answer->scale);
	out->confidence = answer->confidence;
	out->in_range = answer->in_range;
	out->plan_in_range = answer->plan_in_range;
	out->novel = answer->novel;
	out->group = answer->group;
	if (!answer->calibrated)
		out->reason = "interval not calibrated: too few held-out executions";
	else if (!captured && answer->source == ML_SOURCE_HISTORY)
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

void
pgaml_answer_forecast(const PgamlServing *serving, const PgamlCase *asked, MlForecast *out)
{
	float		scratch[PGAML_F_COUNT];
	MlStageQuery query = {
		.row = asked->row, .plan = asked->plan_id, .own_plan = asked->own_plan, .coverage = asked->coverage,
		.recent = asked->recent, .nrecent = asked->nrecent
	};

	/* What a model learnt of single statements elsewhere is not that of ours with the same identifier. */
	if (!serving->restored && asked->known != NULL)
		query.key = asked->known->queryid;
	pgaml_ml_stages_predict(serving->stages, &query, scratch, out);
}

void
pgaml_answer(const PgamlServing *serving, const PgamlCase *asked, const MlForecast *forecast,
			 bool want_reason, PgamlPrediction *out)
{
	const PgamlKnown *known = asked->known;
	bool		counted = known != NULL && known->lifetime_calls > 0 && known->lifetime_mean > 0;
	const char *why = "no model in production yet";

	out->plan_id = asked->plan_id;
	out->plan_known = asked->plan_id != 0;
	out->nominal = asked->coverage;
	if (serving->stages != NULL)
	{
		out->model_id = serving->model_id;
		out->model_version = serving->version;
		why = "no recent run";
	}
	else if (serving->model_id != 0)
		why = serving->problem;

	/* What was measured of the statement itself comes before what its plan suggests. */
	if (forecast != NULL && (asked->runs->runs > 0 || !counted) && answer_model(out, asked, forecast))
		return;
	if (asked->runs->runs > 0)
		answer_runs(out, asked, why, want_reason);
	else if (counted)
		answer_lifetime(out, known, why, want_reason);
	else
		no_answer(out, want_reason ? psprintf("%s, and nothing was recorded of this statement's time", why) : NULL);
}

/* By query identifier the model's forecast is kept with the statement until model or coverage change. */
static void
answer_known(PgamlPrediction *out, PgamlKnown *entry, bool want_reason)
{
	const PgamlServing *serving = pgaml_registry_serving();
	uint64		generation = serving->generation + 1;
	PgamlCase	asked = {
		.known = entry, .row = entry->row, .runs = &entry->runs, .recent = entry->recent, .nrecent = entry->nrecent,
		.plan_id = entry->plan_id, .coverage = pgaml_prediction_interval
	};

	if (serving->stages != NULL &&
		(entry->forecast_generation != generation || entry->forecast_coverage != pgaml_prediction_interval))
	{
		pgaml_answer_forecast(serving, &asked, &entry->forecast);
		entry->forecast_generation = generation;
		entry->forecast_coverage = pgaml_prediction_interval;
	}
	pgaml_answer(serving, &asked, serving->stages != NULL ? &entry->forecast : NULL, want_reason, out);
}

void
pgaml_predict_queryid(int64 queryid, bool want_reason, PgamlPrediction *out)
{
	PgamlKnown *entry = NULL;

	memset(out, 0, sizeof(*out));
	out->queryid = queryid;
	out->coverage = get_float8_nan();
	out->nominal = pgaml_prediction_interval;
	out->plan_cost = get_float4_nan();
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
