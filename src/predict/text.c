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

#include <ctype.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "base/acl.h"
#include "base/attempt.h"
#include "base/export.h"
#include "base/guc.h"
#include "plan/replan.h"
#include "predict/by_plan_internal.h"
#include "predict/log.h"
#include "predict/sql_internal.h"
#include "predict/text.h"
#include "registry/registry.h"

PGAML_FUNCTION_INFO_V1(pgaml_predict_text_time);
PGAML_FUNCTION_INFO_V1(pgaml_predict_text_execution);
PGAML_FUNCTION_INFO_V1(pgaml_predict_text_executions);

void
pgaml_text_plan(const char *query, PgamlTextPlan *out)
{
	PgamlPlanRequest request = {.query = query};
	PgamlReplanned planned = {0};

	pgaml_replan_text(&request, &planned);
	out->queryid = planned.queryid;
	out->own_plan = planned.nparams == 0;
	out->facts = planned.facts;
}

/* The text without what stands around it in a script. */
static char *
bare(const char *query)
{
	char	   *text;
	int			length;

	while (isspace((unsigned char) *query))
		query++;
	text = pstrdup(query);
	for (length = strlen(text); length > 0; length--)
		if (!isspace((unsigned char) text[length - 1]) && text[length - 1] != ';')
			break;
	text[length] = '\0';
	return text;
}

void
pgaml_text_identify(const char *query, PgamlTextPlan *plan)
{
	PgamlPast  *past;
	bool		cache_hit;
	int64		queryid;

	if (plan->own_plan || pgaml_known_past(plan->queryid, &cache_hit)->found)
		return;
	queryid = pgaml_known_by_text(bare(query));
	if (queryid == 0)
		return;
	past = pgaml_known_past(queryid, &cache_hit);
	if (past->found && pgaml_acl_may_see(GetUserId(), past->known.users, past->known.nusers))
		plan->queryid = queryid;
}

/* Returns what it took, in us. */
static float
predict(const char *query, bool want_reason, PgamlPrediction *out)
{
	PgamlTextPlan plan;
	PgamlOwnCase own;
	instr_time	start;
	instr_time	took;

	INSTR_TIME_SET_CURRENT(start);
	pgaml_text_plan(query, &plan);
	pgaml_text_identify(query, &plan);
	pgaml_predict_own(&plan.facts, plan.queryid, plan.own_plan, pgaml_prediction_interval, want_reason, &own, out);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	return (float) (INSTR_TIME_GET_DOUBLE(took) * 1e6);
}

/* predict_query_time(query text) RETURNS double precision, ms; NULL without an answer */
Datum
pgaml_predict_text_time(PG_FUNCTION_ARGS)
{
	PgamlPrediction prediction;
	float		latency_us = predict(text_to_cstring(PG_GETARG_TEXT_PP(0)), false, &prediction);

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
	latency_us = predict(text_to_cstring(PG_GETARG_TEXT_PP(0)), true, &prediction);
	pgaml_put_prediction((ReturnSetInfo *) fcinfo->resultinfo, &prediction, latency_us);
	return (Datum) 0;
}

/* ---- many texts ---- */

/* One of them. */
typedef struct Element
{
	const char *query;
	PgamlTextPlan plan;
	const char *problem;		/* why there is no plan; NULL: there is one */
	double		planning_us;
} Element;

static void
plan_element(void *state)
{
	Element    *element = state;

	pgaml_text_plan(element->query, &element->plan);
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
put_element(ReturnSetInfo *rsinfo, Element *element)
{
	PgamlPrediction prediction = {.reason = element->problem};
	PgamlOwnCase own;
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
	pgaml_text_identify(element->query, &element->plan);
	pgaml_predict_own(&element->plan.facts, element->plan.queryid, element->plan.own_plan, pgaml_prediction_interval,
					  true, &own, &prediction);
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
			queryids[planned++] = elements[i].plan.queryid;
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
