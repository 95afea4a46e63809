/*-------------------------------------------------------------------------
 * stored.c
 *		A stored statement planned as the role that ran it, or why it is not.
 *
 * What is known of the statement is read as the owner of the extension; who
 * may see it is decided for the current user; then the role bracket opens.
 * Not planned are statements of a role that is gone or was cut off from its
 * search_path, those that touch temporary objects, and a superuser's unless a
 * superuser's session named that very one.
 *
 * There is one text per queryid, whoever ran it first.  Under another role's
 * search_path its names may mean other objects, so where several roles run a
 * statement the text must turn out to have that queryid as this role
 * understands it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/acl.h"
#include "base/as_role.h"
#include "base/sample.h"
#include "base/spi_run.h"
#include "compat/compat.h"
#include "compat/explain.h"
#include "plan/query_facts.h"
#include "plan/replan_internal.h"

#define BULK_LIMIT_MS		5000	/* time for planning one of many, in a worker for example */
#define NAMED_LIMIT_MS		60000	/* time for planning the one that a session has named */

/* A role that ran the statement, under one search_path. */
typedef struct Run
{
	Oid			userid;
	bool		exists;
	bool		superuser;
	bool		captured;		/* search_path and types were seen */
	char	   *search_path;	/* NULL: too long to be kept, or not captured */
	Oid		   *types;
	int			ntypes;
} Run;

typedef struct Statement
{
	bool		known;
	bool		plannable;
	char	   *tag;			/* NULL: the text was not read yet */
	char	   *text;
	Run		   *runs;			/* newest first */
	int			nruns;
} Statement;

/* ---- what is known ---- */

static const char read_statement[] =
"SELECT s.plannable, s.command_tag, s.query, u.userid, u.search_path_hash <> 0, u.search_path, "
" u.parameter_types "
"FROM pganalytics.statements s "
"LEFT JOIN pganalytics.statement_users u ON u.queryid = s.queryid "
"WHERE s.queryid = $1 AND s.origin = (SELECT i.origin FROM pganalytics.installation i) "
"ORDER BY u.last_seen DESC, u.userid, u.search_path_hash";

static char *
text_at(HeapTuple tuple, int column)
{
	return SPI_getvalue(tuple, SPI_tuptable->tupdesc, column);
}

static bool
bool_at(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* In the context for results. */
static void
read_run(HeapTuple tuple, Run *run)
{
	bool		isnull;
	void	   *types;

	memset(run, 0, sizeof(Run));
	run->userid = DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 4, &isnull));
	run->exists = SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(run->userid));
	run->superuser = run->exists && superuser_arg(run->userid);
	run->captured = bool_at(tuple, 5);
	run->search_path = text_at(tuple, 6);
	run->ntypes = pgaml_row_array(tuple, SPI_tuptable->tupdesc, 7, OIDOID, &types);
	run->types = palloc(sizeof(Oid) * (run->ntypes + 1));
	for (int i = 0; i < run->ntypes; i++)
	{
		Oid			type = ((Oid *) types)[i];

		/* It may have been dropped since. */
		run->types[i] = SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)) ? type : InvalidOid;
	}
}

static void
read_known(int64 queryid, Statement *statement)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext inside;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(queryid)};
	PgamlSpi	spi;
	uint64		n;

	memset(statement, 0, sizeof(Statement));
	pgaml_spi_open(&spi);
	n = pgaml_spi_exec(read_statement, 1, types, values, NULL, true);
	inside = MemoryContextSwitchTo(context);
	statement->known = n > 0;
	statement->runs = palloc(sizeof(Run) * (n + 1));
	for (uint64 i = 0; i < n; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		nobody;

		if (i == 0)
		{
			statement->plannable = bool_at(tuple, 1);
			statement->tag = text_at(tuple, 2);
			statement->text = text_at(tuple, 3);
		}
		(void) SPI_getbinval(tuple, SPI_tuptable->tupdesc, 4, &nobody);
		if (!nobody)
			read_run(tuple, &statement->runs[statement->nruns++]);
	}
	MemoryContextSwitchTo(inside);
	pgaml_spi_close(&spi);
}

static bool
may_see(const Statement *statement, Oid caller)
{
	Oid		   *users = palloc(sizeof(Oid) * (statement->nruns + 1));

	for (int i = 0; i < statement->nruns; i++)
		users[i] = statement->runs[i].userid;
	return pgaml_acl_may_see(caller, users, statement->nruns);
}

/* ---- as whom ---- */

/* A superuser's statement only for a superuser who asks for it in person. */
static bool
superuser_allowed(bool named)
{
	Oid			current;
	int			context;

	GetUserIdAndSecContext(&current, &context);
	return named && superuser_arg(GetSessionUserId()) && superuser_arg(current) &&
		(context & (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION)) == 0;
}

/* Was it seen by the collector only, while capture saw more of the same role? */
static bool
is_outdone(const Statement *statement, const Run *run)
{
	for (int i = 0; i < statement->nruns && !run->captured; i++)
		if (statement->runs[i].captured && statement->runs[i].userid == run->userid)
			return true;
	return false;
}

/* Why the statement is not planned as it was run here; NULL: it may be. */
static const char *
refusal(const Run *run, bool superusers)
{
	if (!run->exists)
		return "the role that ran it is gone";
	if (run->superuser && !superusers)
		return "a superuser ran it: only a superuser who names it in a session has it planned";
	if (run->captured && run->search_path == NULL)
		return "its search_path was too long to be kept";
	return NULL;
}

/* Is a a better choice than b, which was seen later? */
static bool
is_better(const Run *a, const Run *b, Oid caller)
{
	if ((a->userid == caller) != (b->userid == caller))
		return a->userid == caller;
	if (a->superuser != b->superuser)
		return b->superuser;
	return a->captured && !b->captured;
}

/* The run to plan the statement as, or NULL and why not. */
static const Run *
choose_run(const Statement *statement, Oid caller, bool superusers, const char **problem)
{
	const Run  *best = NULL;

	*problem = NULL;
	for (int i = 0; i < statement->nruns; i++)
	{
		const Run  *run = &statement->runs[i];
		const char *why = refusal(run, superusers);

		if (is_outdone(statement, run))
			continue;
		if (why == NULL && (best == NULL || is_better(run, best, caller)))
			best = run;
		else if (why != NULL && *problem == NULL)
			*problem = why;
	}
	if (statement->nruns == 0)
		*problem = "it is not known who ran it";
	return best;
}

/* Do others run it who could have written the text that is kept? */
static bool
is_shared(const Statement *statement, const Run *run)
{
	for (int i = 0; i < statement->nruns; i++)
		if (statement->runs[i].userid != run->userid && !statement->runs[i].superuser)
			return true;
	return false;
}

/* ---- is it that statement? ---- */

/* Parameters above kept become constants of their types. */
static Node *
with_constants(Node *node, void *context)
{
	int			kept = *(int *) context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, with_constants, context, 0);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
		((Param *) node)->paramid > kept)
	{
		const Param *param = (const Param *) node;
		Const	   *constant = makeNullConst(param->paramtype, param->paramtypmod, param->paramcollid);

		constant->location = param->location;
		return (Node *) constant;
	}
	return expression_tree_mutator(node, with_constants, context);
}

static bool
find_last_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_last_param, context, 0);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		*(int *) context = Max(*(int *) context, ((Param *) node)->paramid);
	return expression_tree_walker(node, find_last_param, context);
}

/*
 * Has the query the queryid under which its text is kept?  The first
 * parameters may have been parameters when it ran, the others were constants.
 */
static bool
has_queryid(Query *query, const char *text, int64 queryid)
{
	int			last = 0;

	if (!PGAML_QUERYID_MEANS_OBJECTS)
		return false;
	(void) find_last_param((Node *) query, &last);
	for (int kept = 0; kept <= Min(last, PGAML_MAX_PARAMS); kept++)
	{
		Query	   *variant = (Query *) with_constants((Node *) query, &kept);

		(void) PGAML_JUMBLE(variant, text);
		if ((int64) variant->queryId == queryid)
			return true;
	}
	return false;
}

/* In the bracket, before anything that the names stand for is touched. */
static void
check_analyzed(Query *query, PgamlPlanning *planning)
{
	const char *temporary = pgaml_query_temporary(query);

	if (temporary != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("it uses \"%s\" of a temporary schema", temporary)));
	if (planning->shared_text && !has_queryid(query, planning->text, planning->stored_queryid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("several roles run it, and the text that is kept may mean something else to this one")));
}

/* ---- planning ---- */

static void
print_plan(PlannedStmt *stmt, PgamlPlanning *planning)
{
	PgamlStoredPlan *out = planning->state;
	char	   *printed;

	pgaml_as_role_allow_volatile(true);
	printed = pgaml_explain_finished(copyObject(stmt), planning->text);
	pgaml_as_role_allow_volatile(false);
	out->plan = MemoryContextStrdup(planning->context, printed);
}

/* Plan as run; bulk: nobody waits for this very one. */
static bool
plan_as(int64 queryid, const Run *run, const Statement *statement, bool bulk, bool print,
		const PgamlPlanRequest *how, PgamlStoredPlan *out)
{
	PgamlPlanning planning = {
		.request = how,.text = statement->text,.param_types = run->types,.nparams = run->ntypes,
		.out = &out->replanned,.stored_queryid = queryid,.shared_text = is_shared(statement, run),
		.analyzed = check_analyzed,.planned = print ? print_plan : NULL,.state = out
	};
	PgamlRole	role = {
		.userid = run->userid,.search_path = run->search_path,
		.settings = how->settings,.nsettings = how->nsettings,
		.time_limit = bulk ? BULK_LIMIT_MS : NAMED_LIMIT_MS
	};

	out->userid = run->userid;
	if (!pgaml_repair_and_plan(&planning, &role, &out->problem))
		return false;
	out->replanned.queryid = queryid;
	return true;
}

bool
pgaml_stored_plan(int64 queryid, bool named, bool print, const PgamlPlanRequest *how,
				  PgamlStoredPlan *out)
{
	Oid			caller = GetUserId();
	Statement	statement;
	const Run  *run;

	memset(out, 0, sizeof(PgamlStoredPlan));
	read_known(queryid, &statement);
	if (!statement.known || !may_see(&statement, caller))
		out->problem = "no statement with this queryid is known, or it is another role's";
	else if (statement.tag == NULL)
		out->problem = "its text was not read yet";
	else if (!statement.plannable || statement.text == NULL)
		out->problem = psprintf("%s has no plan", statement.tag);
	if (out->problem != NULL)
		return false;
	run = choose_run(&statement, caller, superuser_allowed(named), &out->problem);
	if (run == NULL)
		return false;
	out->problem = NULL;
	if (how->what_if != NULL && !has_privs_of_role(caller, run->userid))
	{
		/* An expression of an index is code, and would run as that role. */
		out->problem = "hypothetical indexes are for members of the role that ran it";
		return false;
	}
	return plan_as(queryid, run, &statement, !named, print, how, out);
}

bool
pgaml_replan_stored(int64 queryid, bool named, const PgamlPlanRequest *how, PgamlReplanned *out,
					const char **problem)
{
	PgamlStoredPlan stored;
	bool		planned = pgaml_stored_plan(queryid, named, false, how, &stored);

	*out = stored.replanned;
	*problem = stored.problem;
	return planned;
}
