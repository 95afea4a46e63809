/*-------------------------------------------------------------------------
 * stored_sql.c
 *		explain_stored() and stored_plans(): plans of stored statements.
 *
 * Plans hold what planning computed from functions of the role they are made
 * as.  So whoever is no member of that role is shown the nodes and not the
 * conditions.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/export.h"
#include "base/spi_run.h"
#include "plan/plan_settings.h"
#include "plan/replan_internal.h"

#define EXPLAIN_COLUMNS	4
#define LIST_COLUMNS	4
#define MAX_ROWS		100000

PGAML_FUNCTION_INFO_V1(pgaml_explain_stored);
PGAML_FUNCTION_INFO_V1(pgaml_stored_plans);

/* Only the lines of nodes: every one of them shows its cost. */
static char *
without_conditions(const char *plan)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*plan != '\0')
	{
		int			length = (int) strcspn(plan, "\n");
		char	   *line = pnstrdup(plan, length);

		if (strstr(line, "(cost=") != NULL)
			appendStringInfo(&out, "%s\n", line);
		pfree(line);
		plan += length + (plan[length] == '\n' ? 1 : 0);
	}
	return out.data;
}

static Datum
role_name(Oid role)
{
	NameData   *name = palloc0(sizeof(NameData));

	namestrcpy(name, GetUserNameFromId(role, true) ? GetUserNameFromId(role, true) : "");
	return NameGetDatum(name);
}

/* Columns that the two functions share: planned_as and total_cost at these places. */
static void
fill_common(const PgamlStoredPlan *plan, int at, Datum *values, bool *nulls)
{
	nulls[at] = !OidIsValid(plan->userid);
	if (!nulls[at])
		values[at] = role_name(plan->userid);
	nulls[at + 1] = plan->problem != NULL;
	if (!nulls[at + 1])
		values[at + 1] = Float8GetDatum(plan->replanned.stmt->planTree->total_cost);
}

/*
 * explain_stored(queryid bigint, settings jsonb) RETURNS (planned_as, total_cost, query_plan, reason)
 */
Datum
pgaml_explain_stored(PG_FUNCTION_ARGS)
{
	PgamlPlanRequest how = {0};
	PgamlStoredPlan plan;
	TupleDesc	desc;
	Datum		values[EXPLAIN_COLUMNS] = {0};
	bool		nulls[EXPLAIN_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgaml_plan_settings_read(PG_GETARG_JSONB_P(1), &how);
	(void) pgaml_stored_plan(PG_GETARG_INT64(0), true, true, &how, &plan);

	fill_common(&plan, 0, values, nulls);
	nulls[2] = plan.problem != NULL;
	if (!nulls[2])
	{
		bool		member = has_privs_of_role(GetUserId(), plan.userid);
		char	   *text = member ? plan.plan : without_conditions(plan.plan);
		int			length = (int) strlen(text);

		while (length > 0 && text[length - 1] == '\n')
			length--;
		values[2] = PointerGetDatum(cstring_to_text_with_len(text, length));
	}
	nulls[3] = plan.problem == NULL;
	if (!nulls[3])
		values[3] = CStringGetTextDatum(plan.problem);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* ---- all of them ---- */

static const char read_queryids[] =
"SELECT s.queryid FROM pganalytics.statements s "
"WHERE s.plannable AND s.origin = (SELECT i.origin FROM pganalytics.installation i) "
"ORDER BY s.last_seen DESC, s.queryid LIMIT $1";

/* Statements seen last first, in the current context. */
static int64 *
known_queryids(int max_rows, int *n)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(max_rows)};
	PgamlSpi	spi;
	int64	   *queryids;

	pgaml_spi_open(&spi);
	*n = (int) pgaml_spi_exec(read_queryids, 1, types, values, NULL, true);
	queryids = MemoryContextAllocHuge(context, sizeof(int64) * (*n + 1));
	for (int i = 0; i < *n; i++)
		queryids[i] = pgaml_row_int8(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, 0);
	pgaml_spi_close(&spi);
	return queryids;
}

/*
 * stored_plans(max_rows int) RETURNS TABLE (queryid, planned_as, total_cost, reason)
 *
 * As a worker would plan them: the caller has named none of them.
 */
Datum
pgaml_stored_plans(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			max_rows = PG_GETARG_INT32(0);
	MemoryContext scratch;
	int64	   *queryids;
	int			n;

	if (max_rows < 1 || max_rows > MAX_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be between 1 and %d", MAX_ROWS)));
	InitMaterializedSRF(fcinfo, 0);
	queryids = known_queryids(max_rows, &n);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml stored plans",
									ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);
		PgamlPlanRequest how = {0};
		PgamlStoredPlan plan;
		Datum		values[LIST_COLUMNS] = {Int64GetDatum(queryids[i])};
		bool		nulls[LIST_COLUMNS] = {false};

		CHECK_FOR_INTERRUPTS();
		(void) pgaml_stored_plan(queryids[i], false, false, &how, &plan);
		fill_common(&plan, 1, values, nulls);
		nulls[3] = plan.problem == NULL;
		if (!nulls[3])
			values[3] = CStringGetTextDatum(plan.problem);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	return (Datum) 0;
}
