/*-------------------------------------------------------------------------
 * explain.c
 *		explain_prediction(): a prediction taken apart into factors.
 *
 * ln of the predicted ms is where the answering stage starts (recent runs or
 * cost line), plus what the model's learner adds to any row (its base), plus
 * the exact Shapley value of each feature, plus what keeps the sum within the
 * range of training.  Without a model's answer the start is all there is.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "utils/builtins.h"

#include "base/export.h"
#include "base/guc.h"
#include "ml/stages_explain.h"
#include "predict/by_plan_internal.h"
#include "predict/text.h"
#include "registry/ml_adapter.h"

#define EXPLAIN_COLUMNS 9

PGAML_FUNCTION_INFO_V1(pgaml_explain_prediction);
PGAML_FUNCTION_INFO_V1(pgaml_explain_text);

/* Where rows go, and how far the product has come. */
typedef struct Rows
{
	ReturnSetInfo *rsinfo;
	int			rank;
	double		sum;			/* log ms */
} Rows;

/* A contribution of log; value NaN and unit, feature NULL where there is none. */
static void
put_part(Rows *rows, const char *part, const char *feature, double value, const char *unit,
		 double contribution, const char *meaning)
{
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS] = {false};

	rows->sum += contribution;
	values[0] = Int32GetDatum(++rows->rank);
	values[1] = CStringGetTextDatum(part);
	nulls[2] = feature == NULL;
	if (feature != NULL)
		values[2] = CStringGetTextDatum(feature);
	nulls[3] = !isfinite(value);
	values[3] = Float8GetDatum(value);
	nulls[4] = unit == NULL;
	if (unit != NULL)
		values[4] = CStringGetTextDatum(unit);
	values[5] = Float8GetDatum(contribution);
	values[6] = Float8GetDatum(exp(contribution));
	values[7] = Float8GetDatum(exp(rows->sum));
	values[8] = CStringGetTextDatum(meaning);
	tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, values, nulls);
}

/* The one row of a statement without a prediction: all NULL but the reason. */
static void
put_reason(Rows *rows, const char *reason)
{
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	values[8] = CStringGetTextDatum(reason);
	nulls[8] = false;
	tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, values, nulls);
}

static void
put_start(Rows *rows, const MlStageExplanation *explanation, const PgamlCase *asked)
{
	double		ms = exp(explanation->start);
	const char *line = isnan(asked->row[pgaml_feature_layout.cost]) ? "the median of all statements" :
		"what a plan of this cost usually takes (cost line)";
	char	   *runs = psprintf("median of the last %d %s", asked->runs->runs,
								asked->known != NULL && asked->known->captured ? "executions" : "buckets of history");

	if (explanation->from_history)
		put_part(rows, "start", NULL, ms, "ms", explanation->start,
				 explanation->learner ? psprintf("between %s and the %s", line, runs) : runs);
	else
		put_part(rows, "start", NULL, ms, "ms", explanation->start, line);
}

/* A feature's place in the order of presentation. */
typedef struct Place
{
	int			feature;
	double		contribution;
} Place;

/* Largest first, then in the order of the vector. */
static int
compare_places(const void *a, const void *b)
{
	const Place *x = a;
	const Place *y = b;

	if (fabs(x->contribution) != fabs(y->contribution))
		return fabs(x->contribution) > fabs(y->contribution) ? -1 : 1;
	return x->feature - y->feature;
}

static void
put_features(Rows *rows, const double *contributions, const float *seen)
{
	Place		places[PGAML_F_COUNT];
	int			n = 0;

	for (int i = 0; i < PGAML_F_COUNT; i++)
		if (contributions[i] != 0.0)
			places[n++] = (Place) {i, contributions[i]};
	qsort(places, n, sizeof(Place), compare_places);
	for (int i = 0; i < n; i++)
	{
		PgamlFeatureName name = pgaml_feature_name(places[i].feature);

		put_part(rows, "feature", name.name, seen[places[i].feature], name.unit, places[i].contribution, name.meaning);
	}
}

static void
put_explanation(Rows *rows, const PgamlServing *serving, const PgamlCase *asked)
{
	double		contributions[PGAML_F_COUNT];
	float		seen[PGAML_F_COUNT];
	MlStageExplanation explanation;
	PgamlMlMemory memory;
	MlError		error = {0};
	MlStatus	status;

	pgaml_ml_memory_init(&memory, CurrentMemoryContext, (Size) pgaml_training_memory * 1024);
	status = pgaml_ml_stages_explain(serving->stages, asked->row, asked->own_plan, &memory.allocator, &explanation,
									 contributions, seen, &error);
	if (status != ML_OK)
		pgaml_ml_raise(status, &error, "could not explain the prediction");
	if (!explanation.learner || !pgaml_ml_stages_absolute(serving->stages))
		put_start(rows, &explanation, asked);
	if (explanation.learner)
	{
		put_part(rows, "base", NULL, NAN, NULL, explanation.base,
				 pgaml_ml_stages_absolute(serving->stages) ? "what the model says of any statement" :
				 "what the model adds to any statement");
		put_features(rows, contributions, seen);
	}
	if (explanation.clamp != 0.0)
		put_part(rows, "limit", NULL, NAN, NULL, explanation.clamp,
				 "predictions stay within the times that training saw");
}

/* A prediction that no model made, or its reason; false: the model's stages made it. */
static bool
put_simple(Rows *rows, const PgamlPrediction *prediction)
{
	if (prediction->source == ML_SOURCE_NONE)
		put_reason(rows, prediction->reason);
	else if (!prediction->by_model)
		put_part(rows, "start", NULL, prediction->predicted_ms, "ms", log(prediction->predicted_ms), prediction->reason);
	else
		return false;
	return true;
}

static void
explain(Rows *rows, int64 queryid)
{
	PgamlPrediction prediction;
	const PgamlServing *serving;
	const PgamlKnown *entry;
	bool		cache_hit;
	double		coverage;

	pgaml_predict_queryid(queryid, true, &prediction);
	if (put_simple(rows, &prediction))
		return;
	serving = pgaml_registry_serving();
	entry = pgaml_known_find(queryid, &cache_hit, &coverage);
	if (serving->model_id == prediction.model_id && serving->stages != NULL && entry != NULL)
	{
		PgamlCase	asked = {.known = entry, .row = entry->row, .runs = &entry->runs};

		put_explanation(rows, serving, &asked);
	}
	else
		put_reason(rows, "the model changed meanwhile: ask again");
}

static void
explain_text(Rows *rows, const char *query)
{
	PgamlTextPlan plan;
	PgamlPrediction prediction;
	PgamlOwnCase own;

	pgaml_text_plan(query, &plan);
	pgaml_text_identify(query, &plan);
	pgaml_predict_own(&plan.facts, plan.queryid, plan.own_plan, pgaml_prediction_interval, true, &own, &prediction);
	if (!put_simple(rows, &prediction))
		put_explanation(rows, pgaml_registry_serving(), &own.asked);
}

/*
 * explain_prediction(queryid bigint)
 * RETURNS TABLE (rank, part, feature, value, unit, contribution_log, factor, running_ms, meaning)
 *
 * The same answer, by the same rule of visibility, as predict_query_execution().
 */
Datum
pgaml_explain_prediction(PG_FUNCTION_ARGS)
{
	Rows		rows = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	pgaml_registry_hold();
	PG_TRY();
	{
		explain(&rows, PG_GETARG_INT64(0));
	}
	PG_FINALLY();
	{
		pgaml_registry_release();
	}
	PG_END_TRY();
	return (Datum) 0;
}

/* explain_prediction(query text), likewise */
Datum
pgaml_explain_text(PG_FUNCTION_ARGS)
{
	Rows		rows = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};

	InitMaterializedSRF(fcinfo, 0);
	pgaml_registry_hold();
	PG_TRY();
	{
		explain_text(&rows, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	}
	PG_FINALLY();
	{
		pgaml_registry_release();
	}
	PG_END_TRY();
	return (Datum) 0;
}
