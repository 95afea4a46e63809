/*-------------------------------------------------------------------------
 * replan.c
 *		From a text to a plan that is never run.
 *
 * Parse, analyze, rewrite, ask for the rights that execution would need,
 * plan: all inside the role bracket (base/as_role.h), because each of these
 * may call functions.  Without values for its parameters a statement is
 * planned generically, as PREPARE does after a while.
 *
 * Position and text of an error are the statement's, not those of the call.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"

#include "base/as_role.h"
#include "compat/compat.h"
#include "plan/plan.h"
#include "plan/query_facts.h"
#include "plan/replan_internal.h"
#include "plan/what_if.h"

#define NUMBER_SHOWN	32		/* bytes of a text that is no statement */

/* ---- what has no plan ---- */

/* What to pass instead of a utility statement that holds a plannable one. */
static const struct
{
	NodeTag		tag;
	const char *hint;
}			instead[] = {
	{T_ExplainStmt, "Pass the statement behind EXPLAIN."},
	{T_DeclareCursorStmt, "Pass the query behind FOR."},
	{T_CreateTableAsStmt, "Pass the query behind AS."},
	{T_ViewStmt, "Pass the query behind AS."},
	{T_PrepareStmt, "Pass the statement behind AS; its parameters may stay."},
	{T_ExecuteStmt, "Pass the text of the prepared statement; its parameters may stay."},
	{T_CopyStmt, "Pass the query in parentheses, if it has one."},
	{T_CallStmt, "Pass a statement of the procedure."},
	{T_DoStmt, "Pass a statement of the block."},
};

static const char *
hint_for(const Node *stmt)
{
	for (int i = 0; i < lengthof(instead); i++)
		if (nodeTag(stmt) == instead[i].tag)
			return instead[i].hint;
	return NULL;
}

pg_noreturn static void
raise_no_plan(const char *tag, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s has no plan", tag),
			 errdetail("Only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES are planned."),
			 hint != NULL ? errhint("%s", hint) : 0));
}

/* SELECT ... INTO at the top of a statement, or of the first branch of a UNION. */
static bool
selects_into(const Node *stmt)
{
	const SelectStmt *select = (const SelectStmt *) stmt;

	if (!IsA(stmt, SelectStmt))
		return false;
	while (select->larg != NULL)
		select = select->larg;
	return select->intoClause != NULL;
}

static void
check_plannable(const Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_SelectStmt:
			if (selects_into(stmt))
				raise_no_plan("SELECT INTO", "Pass the query without INTO.");
			break;
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			break;
		default:
			raise_no_plan(CreateCommandName((Node *) stmt), hint_for(stmt));
	}
}

/* Does the text look like a queryid? */
static bool
is_integer(const char *text)
{
	while (isspace((unsigned char) *text))
		text++;
	if (*text == '-' || *text == '+')
		text++;
	if (!isdigit((unsigned char) *text))
		return false;
	while (isdigit((unsigned char) *text))
		text++;
	while (isspace((unsigned char) *text) || *text == ';')
		text++;
	return *text == '\0';
}

/* ---- from text to plan ---- */

static RawStmt *
parse_one(const char *text)
{
	List	   *list;

	if (is_integer(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("query text is only a number: \"%.*s\"", NUMBER_SHOWN, text),
				 errhint("To name a statement by its queryid, cast it: queryid::bigint.")));
	list = raw_parser(text, RAW_PARSE_DEFAULT);
	if (list == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query text holds no statement")));
	if (list_length(list) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query text holds %d statements", list_length(list)),
				 errhint("Pass one statement at a time.")));
	return linitial_node(RawStmt, list);
}

static Query *
analyze(RawStmt *raw, const PgamlPlanning *planning)
{
	int			n = planning->param_types != NULL ? planning->nparams : 0;
	Oid		   *types = palloc0(sizeof(Oid) * (n + 1));
	Query	   *query;

	if (n > 0)
		memcpy(types, planning->param_types, sizeof(Oid) * n);
	query = parse_analyze_varparams(raw, planning->text, &types, &n, NULL);
	planning->out->nparams = n;
	return query;
}

/* The one query that the rules of the statement's tables make of it. */
static Query *
rewrite(Query *query)
{
	List	   *list = pg_rewrite_query(query);
	Query	   *result;

	if (list == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the statement has no plan"),
				 errdetail("A rule makes nothing of it.")));
	if (list_length(list) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the statement has more than one plan"),
				 errdetail("Rules make %d statements of it.", list_length(list)),
				 errhint("Pass what each of them runs.")));
	result = linitial_node(Query, list);
	if (result->commandType == CMD_UTILITY)
		raise_no_plan(CreateCommandName(result->utilityStmt), NULL);
	return result;
}

/* Positions in the text that is planned are not positions in the caller's own. */
static void
move_position(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

/* In the bracket. */
static void
plan_text(void *state)
{
	PgamlPlanning *planning = state;
	PgamlReplanned *out = planning->out;
	PlannedStmt *stmt;
	ErrorContextCallback position = {
		.previous = error_context_stack,.callback = move_position,.arg = (void *) planning->text
	};
	RawStmt    *raw;
	Query	   *query;
	MemoryContext inside;

	planning->begun = true;
	error_context_stack = &position;
	raw = parse_one(planning->text);
	check_plannable(raw->stmt);
	query = analyze(raw, planning);
	if (planning->analyzed != NULL)
		planning->analyzed(query, planning);
	planning->understood = true;
	out->queryid = (int64) query->queryId;
	query = rewrite(query);
	pgaml_query_check_rights(query);
	if (planning->request->what_if != NULL)
		stmt = pgaml_what_if_plan(planning->request->what_if, query, planning->text, CURSOR_OPT_PARALLEL_OK);
	else
		stmt = pg_plan_query(query, planning->text, CURSOR_OPT_PARALLEL_OK, NULL);
	/* Functions in FROM may have been replaced by what they read. */
	PGAML_CHECK_PLANNED_RELATIONS(stmt);
	pgaml_plan_facts(stmt, &out->facts);
	if (planning->planned != NULL)
		planning->planned(stmt, planning);
	inside = MemoryContextSwitchTo(planning->context);
	out->stmt = copyObject(stmt);
	MemoryContextSwitchTo(inside);
	error_context_stack = position.previous;
}

void
pgaml_replan_run(PgamlPlanning *planning, const PgamlRole *role)
{
	planning->context = CurrentMemoryContext;
	planning->begun = false;
	planning->understood = false;
	pgaml_as_role_run(role, plan_text, planning);
}

void
pgaml_replan_text(const PgamlPlanRequest *request, PgamlReplanned *out)
{
	PgamlPlanning planning = {
		.request = request,.text = request->query,.param_types = request->param_types,
		.nparams = request->nparams,.out = out
	};
	PgamlRole	role = {
		.settings = request->settings,.nsettings = request->nsettings,
		.time_limit = StatementTimeout
	};

	pgaml_replan_run(&planning, &role);
}
