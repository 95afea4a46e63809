/*-------------------------------------------------------------------------
 * explain_line.c
 *		EXPLAIN shows the predicted time of the plan.
 *
 * The prediction is made between planning and running, where EXPLAIN measures
 * no time.  Where somebody else's hook plans, or nobody's is called (EXPLAIN
 * EXECUTE), the plan is met when EXPLAIN starts it, its facts are noted, and
 * the prediction follows when it is to be printed.
 *
 * From 18 on fields are printed by the server's hook for each plan; before,
 * the output of the query is opened again for them, and EXPLAIN EXECUTE is met
 * as a utility statement (explain_execute.c).
 *
 * Nothing is done unless the setting, or the option of 18, asks for it; the
 * executor's hook is there from the first time on.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"

#include "base/guc.h"
#include "base/spi_run.h"
#include "compat/explain.h"
#include "plan/plan.h"
#include "predict/by_plan.h"
#include "predict/explain_line.h"
#include "predict/explain_line_internal.h"

static ExplainOneQuery_hook_type prev_explain_one_query = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;
static bool started_hook = false;
static PgamlExplained *explained = NULL;	/* innermost statement that is being explained */

/* ---- prediction ---- */

static void
meet(PgamlExplained *what, const PlannedStmt *plan)
{
	what->met = true;
	what->queryid = (int64) plan->queryId;
	pgaml_plan_facts(plan, &what->facts);
}

static void
predict(PgamlExplained *what)
{
	what->predicted = true;
	if (!OidIsValid(pgaml_extension_oid()))
		what->problem = "extension \"pganalytics_ml\" is not installed in this database";
	else if (!pgaml_predict_plan_try(&what->facts, what->queryid, pgaml_prediction_interval, true, &what->prediction))
		what->problem = "what is needed could not be read now";
	else if (what->prediction.source == ML_SOURCE_NONE)
		what->problem = what->prediction.reason;
}

/* EXPLAIN has just planned it. */
static void
planned(const PlannedStmt *plan, void *state)
{
	meet(state, plan);
	predict(state);
}

/* The plan that is explained, and not one that runs while it is made. */
static void
explain_executor_start(QueryDesc *queryDesc, int eflags)
{
	if (explained != NULL && !explained->met && queryDesc->sourceText == explained->source)
		meet(explained, queryDesc->plannedstmt);
	if (prev_executor_start)
		prev_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

PgamlExplained *
pgaml_explained_begin(PgamlExplained *what, const char *source)
{
	PgamlExplained *outer = explained;

	if (!started_hook)
	{
		prev_executor_start = ExecutorStart_hook;
		ExecutorStart_hook = explain_executor_start;
		started_hook = true;
	}
	memset(what, 0, sizeof(*what));
	what->source = source;
	explained = what;
	return outer;
}

void
pgaml_explained_end(PgamlExplained *outer)
{
	explained = outer;
}

/* ---- output ---- */

/* 12.3, or with more digits where there is nothing before the point. */
static char *
ms_text(double ms)
{
	return psprintf(ms >= 1.0 ? "%.1f" : "%.3f", ms);
}

/* Then the answer is clamped to what was seen, and may be far off. */
static bool
plan_is_strange(const PgamlPrediction *p)
{
	return p->by_model && !p->plan_in_range;
}

char *
pgaml_explained_text(PgamlExplained *what)
{
	const PgamlPrediction *p = &what->prediction;

	if (!what->predicted)
		predict(what);
	if (what->problem != NULL)
		return psprintf("unknown (%s)", what->problem);
	return psprintf("%s ms (%g%% %s..%s, source %s%s)", ms_text(p->predicted_ms), p->nominal * 100.0,
					ms_text(p->lower_ms), ms_text(p->upper_ms), pgaml_ml_source_name(p->source),
					plan_is_strange(p) ? ", plan outside the training range" : "");
}

void
pgaml_explained_print(ExplainState *es, PgamlExplained *what)
{
	const PgamlPrediction *p = &what->prediction;

	if (!what->predicted)
		predict(what);
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyText(PGAML_EXPLAIN_TIME, pgaml_explained_text(what), es);
		return;
	}
	if (what->problem != NULL)
	{
		ExplainPropertyText(PGAML_EXPLAIN_SOURCE, "none", es);
		ExplainPropertyText(PGAML_EXPLAIN_REASON, what->problem, es);
		return;
	}
	ExplainPropertyFloat(PGAML_EXPLAIN_TIME, "ms", p->predicted_ms, 3, es);
	ExplainPropertyFloat(PGAML_EXPLAIN_LOWER, "ms", p->lower_ms, 3, es);
	ExplainPropertyFloat(PGAML_EXPLAIN_UPPER, "ms", p->upper_ms, 3, es);
	ExplainPropertyFloat(PGAML_EXPLAIN_COVERAGE, NULL, p->nominal, 2, es);
	ExplainPropertyText(PGAML_EXPLAIN_SOURCE, pgaml_ml_source_name(p->source), es);
	ExplainPropertyBool(PGAML_EXPLAIN_IN_RANGE, !plan_is_strange(p), es);
}

/* From 18 on: within the output of a plan.  EXPLAIN EXECUTE comes here without having been met. */
static void
explain_plan(ExplainState *es, PlannedStmt *plan)
{
	PgamlExplained late;

	if (!pgaml_explain_option(es, pgaml_explain_predicted_time))
		return;
	if (explained != NULL && explained->es == es && explained->met)
	{
		pgaml_explained_print(es, explained);
		return;
	}
	memset(&late, 0, sizeof(late));
	meet(&late, plan);
	pgaml_explained_print(es, &late);
}

/* Does the output so far end in this, with what is indented before it?  Then it is taken away. */
static bool
cut_end(StringInfo str, int indent, const char *before, const char *end)
{
	char	   *whole = psprintf("%s%*s%s", before, indent * 2, "", end);
	int			length = strlen(whole);
	bool		there = str->len >= length && memcmp(str->data + str->len - length, whole, length) == 0;

	if (there)
	{
		str->len -= length;
		str->data[str->len] = '\0';
	}
	pfree(whole);
	return there;
}

/* Before 18: open the group of the query again, which was just closed. */
static bool
reopen_query(ExplainState *es)
{
	switch (es->format)
	{
		case EXPLAIN_FORMAT_TEXT:
			return true;
		case EXPLAIN_FORMAT_XML:
			if (!cut_end(es->str, es->indent, "", "</Query>\n"))
				return false;
			break;
		case EXPLAIN_FORMAT_JSON:
			if (!cut_end(es->str, es->indent, "\n", "}"))
				return false;
			es->grouping_stack = lcons_int(1, es->grouping_stack);
			break;
		case EXPLAIN_FORMAT_YAML:
			es->grouping_stack = lcons_int(1, es->grouping_stack);
			break;
	}
	es->indent++;
	return true;
}

static void
print_after(ExplainState *es, PgamlExplained *what)
{
	if (!what->met || !reopen_query(es))
		return;
	pgaml_explained_print(es, what);
	if (es->format != EXPLAIN_FORMAT_TEXT)
		ExplainCloseGroup("Query", NULL, true, es);
}

static void
explain_one_query(Query *query, int cursor_options, IntoClause *into, ExplainState *es, const char *query_string,
				  ParamListInfo params, QueryEnvironment *environment)
{
	bool		wanted = pgaml_explain_option(es, pgaml_explain_predicted_time);
	PgamlExplained what = {0};
	PgamlExplained *outer = NULL;

	if (wanted)
		outer = pgaml_explained_begin(&what, query_string);
	what.es = es;
	PG_TRY();
	{
		if (prev_explain_one_query)
			prev_explain_one_query(query, cursor_options, into, es, query_string, params, environment);
		else
			pgaml_explain_standard(query, cursor_options, into, es, query_string, params, environment,
								   wanted ? planned : NULL, &what);
	}
	PG_FINALLY();
	{
		if (wanted)
			pgaml_explained_end(outer);
	}
	PG_END_TRY();
	if (wanted && !PGAML_EXPLAIN_HAS_PLAN_HOOK)
		print_after(es, &what);
}

void
pgaml_explain_line_install(void)
{
	prev_explain_one_query = ExplainOneQuery_hook;
	ExplainOneQuery_hook = explain_one_query;
	pgaml_explain_register("predicted_time", explain_plan);
	if (!PGAML_EXPLAIN_HAS_PLAN_HOOK)
		pgaml_explain_execute_install();
}
