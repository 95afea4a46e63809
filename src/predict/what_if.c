/*-------------------------------------------------------------------------
 * what_if.c
 *		How long a statement would take with other settings or indexes.
 *
 * The statement is planned twice, as it would be run now and as it would be
 * run then, and never run.  Before is predicted as any text is: from its own
 * past, if it has one.  After is what is known before, moved by how far the
 * model takes the two plans to be apart; its interval is that of a statement
 * never seen, since this plan never ran.
 *
 * What cannot be said is not said.  A side is NULL, and the reason begins with
 * "do not know", when its plan lies outside what the model was trained on
 * (before, unless that very plan is what ran lately),
 * when it is of a new shape and nobody knows how far off such predictions
 * are, or when there is no model and the plan differs: then the past of the
 * statement does not speak for it.  Settings that only change what plans are
 * estimated to cost leave the time of the same plan as it is; of another plan
 * that they lead to, the estimates are not those that the model learnt from.
 *
 * Nothing is logged: no execution follows that could prove it right or wrong.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/export.h"
#include "base/guc.h"
#include "plan/plan_settings.h"
#include "plan/replan.h"
#include "plan/what_if.h"
#include "predict/answer.h"
#include "predict/by_plan_internal.h"

#define COLUMNS			18
#define COMMANDS_MAX	100
#define SAME_PLAN		0.1		/* ln; how far costs and rows of a plan may be off those of recent runs */

PGAML_FUNCTION_INFO_V1(pgaml_predict_with_settings);

/* One side of the comparison. */
typedef struct Side
{
	PgamlReplanned planned;
	PgamlPrediction prediction;
	bool		known;			/* the prediction may be shown */
	const char *unknown;		/* why not */
} Side;

/* Settings that say what work is estimated to cost, and change none of it. */
static const char *const cost_settings[] = {
	"cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost", "effective_cache_size",
	"parallel_setup_cost", "parallel_tuple_cost", "random_page_cost", "recursive_worktable_factor",
	"seq_page_cost"
};

/* ---- what was asked ---- */

static const PgamlWhatIf *
read_commands(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	const char **commands;
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("hypothetical_indexes must be a one-dimensional array")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	if (n > COMMANDS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("hypothetical_indexes must have at most %d elements", COMMANDS_MAX)));
	commands = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("hypothetical_indexes must not contain NULL")));
		commands[i] = TextDatumGetCString(elements[i]);
	}
	return n > 0 ? pgaml_what_if_create(commands, n) : NULL;
}

static bool
sets_costs(const PgamlPlanRequest *request)
{
	for (int i = 0; i < request->nsettings; i++)
		for (int j = 0; j < lengthof(cost_settings); j++)
			if (pg_strcasecmp(request->settings[i].name, cost_settings[j]) == 0)
				return true;
	return false;
}

/* ---- what is known ---- */

static const char *
why_unknown(const PgamlPrediction *prediction)
{
	if (prediction->source == ML_SOURCE_NONE)
		return prediction->reason != NULL ? prediction->reason : "nothing is known of such a plan";
	if (!prediction->by_model || prediction->source == ML_SOURCE_HISTORY)
		return NULL;
	if (!prediction->in_range)
		return "the plan is outside what the model was trained on";
	if (prediction->novel && prediction->group == ML_INTERVAL_PARAMETRIC)
		return "the plan is of a shape that the model never saw, and too few statements were left out "
			"of training to tell how far off it is then";
	return NULL;
}

static void
judge(Side *side)
{
	side->unknown = why_unknown(&side->prediction);
	side->known = side->unknown == NULL;
}

/* Are the statement's recent runs those of this plan, at these costs? */
static bool
ran_like_this(const PgamlOwnCase *own)
{
	return own->asked.known != NULL && own->asked.plan_id != 0 && own->asked.known->plan_id == own->asked.plan_id &&
		fabs(own->row[PGAML_F_LAG_COST_DEPARTURE]) < SAME_PLAN && fabs(own->row[PGAML_F_LAG_ROWS_DEPARTURE]) < SAME_PLAN;
}

/* A statement that came after training may be outside of it, and its own runs still tell how long it takes. */
static void
predict_before(Side *before)
{
	PgamlPrediction *prediction = &before->prediction;
	PgamlServing past;
	PgamlOwnCase own;

	pgaml_predict_own(&before->planned.facts, before->planned.queryid, true, pgaml_prediction_interval, true, &own,
					  prediction);
	judge(before);
	if (before->known || !ran_like_this(&own))
		return;
	past = *pgaml_registry_serving();
	past.stages = NULL;
	strlcpy(past.problem, before->unknown, sizeof(past.problem));
	prediction->by_model = false;
	pgaml_answer(&past, &own.asked, NULL, true, prediction);
	prediction->in_range = false;
	judge(before);
}

/* What the model says of a plan, whoever's it is. */
static void
predict_plan_alone(const Side *of, Side *out)
{
	*out = *of;
	pgaml_predict_plan(&of->planned.facts, 0, pgaml_prediction_interval, true, &out->prediction);
	judge(out);
}

static void
move(PgamlPrediction *prediction, double factor)
{
	prediction->predicted_ms *= factor;
	prediction->expected_ms *= factor;
	prediction->lower_ms *= factor;
	prediction->upper_ms *= factor;
}

/* What is known before, moved by the model's distance between the plans. */
static void
predict_departure(const Side *before, Side *after)
{
	Side		alone_before;
	Side		alone_after;

	predict_plan_alone(before, &alone_before);
	predict_plan_alone(after, &alone_after);
	after->prediction = alone_after.prediction;
	after->known = alone_after.known;
	after->unknown = alone_after.unknown;
	if (!after->known || !before->known)
		return;
	if (!alone_before.known)
	{
		/* From outside of what it knows, the model cannot tell a distance. */
		after->known = false;
		after->unknown = psprintf("of the plan before: %s", alone_before.unknown);
		return;
	}
	move(&after->prediction, before->prediction.predicted_ms / alone_before.prediction.predicted_ms);
}

static bool
same_facts(const PgamlPlanFacts *a, const PgamlPlanFacts *b)
{
	return a->plan_id == b->plan_id && memcmp(a->values, b->values, sizeof(a->values)) == 0;
}

static const char *
predict_after(const PgamlPlanRequest *request, const Side *before, Side *after)
{
	bool		costs = sets_costs(request);

	if (same_facts(&before->planned.facts, &after->planned.facts) ||
		(costs && before->planned.facts.plan_id == after->planned.facts.plan_id))
	{
		after->prediction = before->prediction;
		after->known = before->known;
		after->unknown = before->unknown;
		return request->nsettings > 0 ?
			"the plan is the same; what the settings change while it runs is not predicted" : "the plan is the same";
	}
	if (costs)
	{
		after->unknown = "cost settings lead to another plan, whose estimates are not those that the model learnt from";
		return NULL;
	}
	predict_departure(before, after);
	return NULL;
}

/* ---- the answer ---- */

static void
add_reason(StringInfo reason, const char *side, const char *text)
{
	if (text == NULL)
		return;
	if (reason->len > 0)
		appendStringInfoString(reason, "; ");
	appendStringInfo(reason, "%s%s", side, text);
}

static double
spill_kb(const Side *side)
{
	return expm1(side->planned.facts.values[PGAML_PF_LOG_SPILL_KB]);
}

static char *
make_reason(const Side *before, const Side *after, const char *note, const PgamlWhatIf *what_if)
{
	StringInfoData reason;
	int			nindexes = 0;
	const PgamlWhatIfIndex *indexes = what_if != NULL ? pgaml_what_if_indexes(what_if, &nindexes) : NULL;

	initStringInfo(&reason);
	if (!before->known && !after->known && strcmp(before->unknown, after->unknown) == 0)
		add_reason(&reason, "do not know: ", before->unknown);
	else
	{
		add_reason(&reason, "do not know before: ", before->unknown);
		add_reason(&reason, "do not know after: ", after->unknown);
	}
	add_reason(&reason, "", note);
	if (before->known)
		add_reason(&reason, "before: ", before->prediction.reason);
	if (after->known && note == NULL)
		add_reason(&reason, "after: ", after->prediction.reason);
	if (fabs(spill_kb(before) - spill_kb(after)) >= 1.0)
		add_reason(&reason, "", psprintf("sorts and hashes are estimated to spill %.0f kB before, %.0f kB after",
										 spill_kb(before), spill_kb(after)));
	for (int i = 0; i < nindexes; i++)
		if (indexes[i].unique && indexes[i].used)
			add_reason(&reason, "", psprintf("whether \"%s\" could be unique was not checked", indexes[i].name));
	return reason.len > 0 ? reason.data : NULL;
}

static void
set_number(Datum *values, bool *nulls, int column, bool known, double value)
{
	nulls[column] = !known || !isfinite(value);
	values[column] = Float8GetDatum(value);
}

/* ms, bounds, source, in range: five columns. */
static void
set_side(Datum *values, bool *nulls, int column, const Side *side)
{
	const PgamlPrediction *prediction = &side->prediction;
	bool		answered = prediction->source != ML_SOURCE_NONE;

	set_number(values, nulls, column, side->known, prediction->predicted_ms);
	set_number(values, nulls, column + 1, side->known, prediction->lower_ms);
	set_number(values, nulls, column + 2, side->known, prediction->upper_ms);
	nulls[column + 3] = !side->known;
	if (side->known)
		values[column + 3] = CStringGetTextDatum(pgaml_ml_source_name(prediction->source));
	nulls[column + 4] = !answered;
	values[column + 4] = BoolGetDatum(prediction->in_range);
}

/* Names of those that the plan scans, and sizes of all that were made up. */
static void
set_indexes(Datum *values, bool *nulls, int column, const PgamlWhatIf *what_if)
{
	int			n = 0;
	int			nused = 0;
	const PgamlWhatIfIndex *indexes = what_if != NULL ? pgaml_what_if_indexes(what_if, &n) : NULL;
	Datum	   *used = palloc(sizeof(Datum) * Max(n, 1));
	JsonbParseState *state = NULL;
	JsonbValue	value;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		if (indexes[i].removed)
			continue;
		if (indexes[i].used)
			used[nused++] = CStringGetTextDatum(indexes[i].name);
		value.type = jbvString;
		value.val.string.val = unconstify(char *, indexes[i].name);
		value.val.string.len = strlen(indexes[i].name);
		(void) pushJsonbValue(&state, WJB_KEY, &value);
		value.type = jbvNumeric;
		value.val.numeric = DatumGetNumeric(DirectFunctionCall1(int8_numeric,
																Int64GetDatum((int64) indexes[i].bytes)));
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	values[column] = PointerGetDatum(construct_array(used, nused, TEXTOID, -1, false, TYPALIGN_INT));
	values[column + 1] = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	nulls[column] = nulls[column + 1] = false;
}

static void
put_answer(ReturnSetInfo *rsinfo, const Side *before, const Side *after, const char *note,
		   const PgamlWhatIf *what_if)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS] = {false};
	char	   *reason = make_reason(before, after, note, what_if);

	nulls[0] = before->planned.queryid == 0;
	values[0] = Int64GetDatum(before->planned.queryid);
	set_side(values, nulls, 1, before);
	set_side(values, nulls, 6, after);
	set_number(values, nulls, 11, before->known && after->known,
			   100.0 * (1.0 - after->prediction.predicted_ms / before->prediction.predicted_ms));
	set_number(values, nulls, 12, true, before->planned.stmt->planTree->total_cost);
	set_number(values, nulls, 13, true, after->planned.stmt->planTree->total_cost);
	values[14] = BoolGetDatum(before->planned.facts.plan_id != after->planned.facts.plan_id);
	set_indexes(values, nulls, 15, what_if);
	nulls[17] = reason == NULL;
	if (reason != NULL)
		values[17] = CStringGetTextDatum(reason);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* predict_with_settings(query text, settings jsonb, hypothetical_indexes text[]) RETURNS TABLE (...), one row */
Datum
pgaml_predict_with_settings(PG_FUNCTION_ARGS)
{
	PgamlPlanRequest now = {0};
	PgamlPlanRequest then = {0};
	Side		before = {0};
	Side		after = {0};
	const char *note;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	now.query = then.query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!PG_ARGISNULL(1))
		pgaml_plan_settings_read(PG_GETARG_JSONB_P(1), &then);
	if (!PG_ARGISNULL(2))
		then.what_if = read_commands(PG_GETARG_ARRAYTYPE_P(2));
	pgaml_replan_text(&now, &before.planned);
	pgaml_replan_text(&then, &after.planned);
	predict_before(&before);
	note = predict_after(&then, &before, &after);
	put_answer((ReturnSetInfo *) fcinfo->resultinfo, &before, &after, note, then.what_if);
	return (Datum) 0;
}
