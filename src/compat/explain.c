/*-------------------------------------------------------------------------
 * explain.c
 *		Differences between server majors in EXPLAIN; see explain.h.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "tcop/tcopprot.h"

#include "compat/explain.h"

#if PG_VERSION_NUM >= 180000

static int	extension_id = -1;
static PgamlExplainPlan explain_plan = NULL;
static explain_per_plan_hook_type prev_per_plan = NULL;

static void
set_option(ExplainState *es, DefElem *option, ParseState *pstate)
{
	bool	   *wanted = palloc(sizeof(bool));

	*wanted = defGetBoolean(option);
	SetExplainExtensionState(es, extension_id, wanted);
}

static void
per_plan(PlannedStmt *plan, IntoClause *into, ExplainState *es, const char *query_string,
		 ParamListInfo params, QueryEnvironment *environment)
{
	if (prev_per_plan)
		prev_per_plan(plan, into, es, query_string, params, environment);
	explain_plan(es, plan);
}

void
pgaml_explain_register(const char *option, PgamlExplainPlan plan)
{
	extension_id = GetExplainExtensionId("pganalytics_ml");
	explain_plan = plan;
	/* 19: the option may be checked as a setting, too. */
#if PG_VERSION_NUM >= 190000
	RegisterExtensionExplainOption(option, set_option, GUCCheckBooleanExplainOption);
#else
	RegisterExtensionExplainOption(option, set_option);
#endif
	prev_per_plan = explain_per_plan_hook;
	explain_per_plan_hook = per_plan;
}

bool
pgaml_explain_option(ExplainState *es, bool otherwise)
{
	bool	   *wanted = GetExplainExtensionState(es, extension_id);

	return wanted != NULL ? *wanted : otherwise;
}

#else

void
pgaml_explain_register(const char *option, PgamlExplainPlan plan)
{
}

bool
pgaml_explain_option(ExplainState *es, bool otherwise)
{
	return otherwise;
}

#endif

/* 17: the planner's memory may be shown. */
#if PG_VERSION_NUM >= 170000
#define SHOWS_MEMORY(es)	((es)->memory)
#define EXPLAIN_STANDARD(...)	standard_ExplainOneQuery(__VA_ARGS__)
#define EXPLAIN_PLAN(...)	ExplainOnePlan(__VA_ARGS__, NULL)
#else
#define SHOWS_MEMORY(es)	false
#define EXPLAIN_STANDARD(...)	((void) 0)
#define EXPLAIN_PLAN(...)	ExplainOnePlan(__VA_ARGS__)
#endif

void
pgaml_explain_standard(Query *query, int cursor_options, IntoClause *into, ExplainState *es,
					   const char *query_string, ParamListInfo params, QueryEnvironment *environment,
					   PgamlExplainPlanned planned, void *state)
{
	PlannedStmt *plan;
	BufferUsage before = pgBufferUsage;
	BufferUsage used = {0};
	instr_time	start;
	instr_time	took;

	if (SHOWS_MEMORY(es))
	{
		EXPLAIN_STANDARD(query, cursor_options, into, es, query_string, params, environment);
		return;
	}
	INSTR_TIME_SET_CURRENT(start);
	plan = pg_plan_query(query, query_string, cursor_options, params);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	if (es->buffers)
		BufferUsageAccumDiff(&used, &pgBufferUsage, &before);
	if (planned != NULL)
		planned(plan, state);
	EXPLAIN_PLAN(plan, into, es, query_string, params, environment, &took, es->buffers ? &used : NULL);
}

/* 18: what is ruled out when execution starts stands beside the plan tree. */
#if PG_VERSION_NUM >= 180000
#define NO_PRUNING				(-1)
#define PRUNING(node)			((node)->part_prune_index)
#define FORGET_PRUNED(plan) \
	((plan)->partPruneInfos = NIL, \
	 (plan)->unprunableRelids = bms_add_range(NULL, 1, list_length((plan)->rtable)))
#else
#define NO_PRUNING				NULL
#define PRUNING(node)			((node)->part_prune_info)
#define FORGET_PRUNED(plan)		((void) 0)
#endif

static void forget_pruning(Plan *plan);

static void
forget_pruning_in(List *plans)
{
	ListCell   *cell;

	foreach(cell, plans)
		forget_pruning(lfirst(cell));
}

static void
forget_pruning(Plan *plan)
{
	if (plan == NULL)
		return;
	check_stack_depth();
	if (IsA(plan, Append))
	{
		PRUNING((Append *) plan) = NO_PRUNING;
		forget_pruning_in(((Append *) plan)->appendplans);
	}
	else if (IsA(plan, MergeAppend))
	{
		PRUNING((MergeAppend *) plan) = NO_PRUNING;
		forget_pruning_in(((MergeAppend *) plan)->mergeplans);
	}
	else if (IsA(plan, SubqueryScan))
		forget_pruning(((SubqueryScan *) plan)->subplan);
	else if (IsA(plan, CustomScan))
		forget_pruning_in(((CustomScan *) plan)->custom_plans);
	forget_pruning(plan->lefttree);
	forget_pruning(plan->righttree);
}

char *
pgaml_explain_finished(PlannedStmt *plan, const char *query_string)
{
	ExplainState *es = NewExplainState();

	FORGET_PRUNED(plan);
	forget_pruning(plan->planTree);
	forget_pruning_in(plan->subplans);
	ExplainBeginOutput(es);
	EXPLAIN_PLAN(plan, NULL, es, query_string, NULL, NULL, NULL, NULL);
	ExplainEndOutput(es);
	return es->str->data;
}
