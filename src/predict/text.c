/*-------------------------------------------------------------------------
 * text.c
 *		SQL entry points of prediction by text.
 *
 * A text is planned as the caller (plan/replan.h) and never run; what its
 * plan and, where the caller may see it, the statement's past say is the
 * answer (by_plan.h).  What cannot be planned is an error; in a batch it is a
 * row with the reason, so that the others get their answers.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "base/attempt.h"
#include "base/export.h"
#include "base/guc.h"
#include "plan/replan.h"
#include "predict/by_plan.h"
#include "predict/known.h"
#include "predict/log.h"
#include "predict/sql_internal.h"
#include "predict/text.h"
#include "registry/registry.h"

PGAML_FUNCTION_INFO_V1(pgaml_predict_text_time);
PGAML_FUNCTION_INFO_V1(pgaml_predict_text_execution);
PGAML_FUNCTION_INFO_V1(pgaml_predict_text_executions);

void
pgaml_text_plan(const char *query, int64 *queryid, PgamlPlanFacts *facts)
{
	PgamlPlanRequest request = {.query = query};
	PgamlReplanned planned = {0};

	pgaml_replan_text(&request, &planned);
	*queryid = planned.queryid;
	*facts = planned.facts;
}

/* Returns what it took, in us. */
static float
predict(const text *query, bool want_reason, PgamlPrediction *out)
{
	PgamlPlanFacts facts;
	int64		queryid;
	instr_time	start;
	instr_time	took;

	INSTR_TIME_SET_CURRENT(start);
	pgaml_text_plan(text_to_cstring(query), &queryid, &facts);
	pgaml_predict_plan(&facts, queryid, pgaml_prediction_interval, want_reason, out);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	return (float) (INSTR_TIME_GET_DOUBLE(took) * 1e6);
}

/* predict_query_time(query text) RETURNS double precision, ms; NULL without an answer */
Datum
pgaml_predict_text_time(PG_FUNCTION_ARGS)
{
	PgamlPrediction prediction;
	float		latency_us = predict(PG_GETARG_TEXT_PP(0), false, &prediction);

	(void) pgaml_log_prediction(&prediction, 0, latency_us);
	if (prediction.source == ML_SOURCE_NONE)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(prediction.predicted_ms);
}

/* predict_query_execution(query text) RETURNS SETOF query_prediction, one row */
Datum
pgaml_predict_text_execution(PG_FUNCTION_ARGS)
{
	PgamlPrediction prediction;
	float		latency_us;

	InitMaterializedSRF(fcinfo, 0);
	latency_us = predict(PG_GETARG_TEXT_PP(0), true, &prediction);
	pgaml_put_prediction((ReturnSetInfo *) fcinfo->resultinfo, &prediction, latency_us);
	return (Datum) 0;
}

/* ---- many texts ---- */

/* One of them. */
typedef struct Element
{
	const char *query;
	int64		queryid;
	PgamlPlanFacts facts;
	const char *problem;		/* why there is no plan; NULL: there is one */
	double		planning_us;
} Element;

static void
plan_element(void *state)
{
	Element    *element = state;

	pgaml_text_plan(element->query, &element->queryid, &element->facts);
}

static void
plan_elements(Element *elements, int n)
{
	for (int i = 0; i < n; i++)
	{
		instr_time	start;
		instr_time	took;
		ErrorData  *error;

		INSTR_TIME_SET_CURRENT(start);
		error = pgaml_attempt(plan_element, &elements[i]);
		INSTR_TIME_SET_CURRENT(took);
		INSTR_TIME_SUBTRACT(took, start);
		elements[i].planning_us = INSTR_TIME_GET_DOUBLE(took) * 1e6;
		if (error != NULL)
			elements[i].problem = psprintf("cannot be planned: %s", error->message);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
put_element(ReturnSetInfo *rsinfo, const Element *element)
{
	PgamlPrediction prediction = {.reason = element->problem};
	instr_time	start;
	instr_time	took;

	if (element->problem != NULL)
	{
		prediction.predicted_ms = prediction.expected_ms = prediction.lower_ms = prediction.upper_ms =
			prediction.std_dev_ms = prediction.coverage = get_float8_nan();
		pgaml_put_prediction(rsinfo, &prediction, get_float4_nan());
		return;
	}
	INSTR_TIME_SET_CURRENT(start);
	pgaml_predict_plan(&element->facts, element->queryid, pgaml_prediction_interval, true, &prediction);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	pgaml_put_prediction(rsinfo, &prediction,
						 (float) (INSTR_TIME_GET_DOUBLE(took) * 1e6 + element->planning_us));
}

/* What is known of all that were planned, at once. */
static void
read_ahead(const Element *elements, int n)
{
	int64	   *queryids = palloc(sizeof(int64) * n);
	int			planned = 0;

	for (int i = 0; i < n; i++)
		if (elements[i].problem == NULL)
			queryids[planned++] = elements[i].queryid;
	if (planned > 0)
		pgaml_known_read_ahead(queryids, planned);
	pfree(queryids);
}

static void
put_elements(ReturnSetInfo *rsinfo, Element *elements, int n)
{
	plan_elements(elements, n);
	pgaml_registry_hold();
	PG_TRY();
	{
		read_ahead(elements, n);
		for (int i = 0; i < n; i++)
		{
			put_element(rsinfo, &elements[i]);
			CHECK_FOR_INTERRUPTS();
		}
	}
	PG_FINALLY();
	{
		pgaml_registry_release();
	}
	PG_END_TRY();
}

/* predict_query_executions(queries text[]) RETURNS SETOF query_prediction, in the order given */
Datum
pgaml_predict_text_executions(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			n = pgaml_batch_length(array, "queries");
	Element    *elements = palloc0(sizeof(Element) * n);
	Datum	   *texts;

	InitMaterializedSRF(fcinfo, 0);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &texts, NULL, &n);
	for (int i = 0; i < n; i++)
		elements[i].query = TextDatumGetCString(texts[i]);
	put_elements((ReturnSetInfo *) fcinfo->resultinfo, elements, n);
	return (Datum) 0;
}
