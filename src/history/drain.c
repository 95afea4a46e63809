/*-------------------------------------------------------------------------
 * drain.c
 *		Empties shared memory into execution_samples, statement_users and
 *		statement_recent; statement_repeats is written by repeats.c.
 *
 * One statement per batch of records; a record's fields travel as one array
 * per column.  Samples leave shared memory when the transaction commits; when
 * it fails they are still there.  Facts that were taken are gone then, and
 * backends offer them again after PGAML_FACTS_REFRESH ticks.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/fault.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "capture/capture.h"
#include "history/history.h"
#include "history/history_internal.h"

#define BATCH		1024		/* records per statement */

/* How a field is turned into a value. */
typedef enum Kind
{
	KIND_TIME,
	KIND_INT8,
	KIND_INT8_FROM_0,			/* negative: NULL */
	KIND_INT8_NOT_0,			/* 0: NULL */
	KIND_FLOAT8,				/* NaN: NULL */
	KIND_FLOAT4,
	KIND_INT4,
	KIND_INT4_FROM_0,			/* negative: NULL */
	KIND_INT2,
	KIND_OID,
	KIND_BOOL,
	KIND_OUTCOME
} Kind;

typedef struct Column
{
	Oid			type;
	Kind		kind;
	size_t		offset;			/* in the record */
} Column;

#define SAMPLE_COLUMNS \
	"sampled_at, queryid, plan_id, execution_ms, planning_ms, rows, top_rows_estimated, " \
	"top_rows_true, worst_rows_estimated, worst_rows_true, shared_blks_hit, shared_blks_read, " \
	"shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, " \
	"blk_write_ms, wal_bytes, sort_memory_kb, hash_memory_kb, session_id, transaction_no, " \
	"previous_queryid, previous_rows, userid, batches, worst_node, place, application_hash, " \
	"weight, active_backends, toplevel, outcome, jit_ms, sort_disk_kb, nodes_counted"

#define FIELD(type, kind, name) {type, kind, offsetof(PgamlSample, name)}

/* In the order of SAMPLE_COLUMNS. */
static const Column sample_columns[] = {
	FIELD(TIMESTAMPTZOID, KIND_TIME, sampled_at),
	FIELD(INT8OID, KIND_INT8, queryid),
	FIELD(INT8OID, KIND_INT8, plan_id),
	FIELD(FLOAT8OID, KIND_FLOAT8, execution_ms),
	FIELD(FLOAT8OID, KIND_FLOAT8, planning_ms),
	FIELD(INT8OID, KIND_INT8, rows),
	FIELD(FLOAT8OID, KIND_FLOAT8, top_rows_estimated),
	FIELD(FLOAT8OID, KIND_FLOAT8, top_rows_true),
	FIELD(FLOAT8OID, KIND_FLOAT8, worst_rows_estimated),
	FIELD(FLOAT8OID, KIND_FLOAT8, worst_rows_true),
	FIELD(INT8OID, KIND_INT8_FROM_0, shared_blks_hit),
	FIELD(INT8OID, KIND_INT8_FROM_0, shared_blks_read),
	FIELD(INT8OID, KIND_INT8_FROM_0, shared_blks_dirtied),
	FIELD(INT8OID, KIND_INT8_FROM_0, shared_blks_written),
	FIELD(INT8OID, KIND_INT8_FROM_0, temp_blks_read),
	FIELD(INT8OID, KIND_INT8_FROM_0, temp_blks_written),
	FIELD(FLOAT8OID, KIND_FLOAT8, blk_read_ms),
	FIELD(FLOAT8OID, KIND_FLOAT8, blk_write_ms),
	FIELD(INT8OID, KIND_INT8_FROM_0, wal_bytes),
	FIELD(INT8OID, KIND_INT8_FROM_0, sort_memory_kb),
	FIELD(INT8OID, KIND_INT8_FROM_0, hash_memory_kb),
	FIELD(INT8OID, KIND_INT8, session_id),
	FIELD(INT8OID, KIND_INT8, transaction_no),
	FIELD(INT8OID, KIND_INT8_NOT_0, previous_queryid),
	FIELD(INT8OID, KIND_INT8_FROM_0, previous_rows),
	FIELD(OIDOID, KIND_OID, userid),
	FIELD(INT4OID, KIND_INT4_FROM_0, batches),
	FIELD(INT4OID, KIND_INT4_FROM_0, worst_node),
	FIELD(INT4OID, KIND_INT4, place),
	FIELD(INT4OID, KIND_INT4, application_hash),
	FIELD(FLOAT4OID, KIND_FLOAT4, weight),
	FIELD(INT2OID, KIND_INT2, active_backends),
	FIELD(BOOLOID, KIND_BOOL, toplevel),
	FIELD(TEXTOID, KIND_OUTCOME, outcome),
	FIELD(FLOAT8OID, KIND_FLOAT8, jit_ms),
	FIELD(INT8OID, KIND_INT8_FROM_0, sort_disk_kb),
	FIELD(BOOLOID, KIND_BOOL, nodes_counted),
};

/* unnest of several arrays is syntax and takes no schema; the parser reads pg_catalog's. */
static const char insert_samples[] =
"INSERT INTO pganalytics.execution_samples (" SAMPLE_COLUMNS ", plan_facts) "
"SELECT " SAMPLE_COLUMNS ", ($38)[(i - 1) * $39 + 1 : i * $39] "
"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "
" $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, "
" $35, $36, $37) "
"WITH ORDINALITY AS c(" SAMPLE_COLUMNS ", i)";

/*
 * Facts are kept of statements that are known, or will be at the next tick:
 * while there is room under max_statements.
 */
#define WITH_ROOM \
	"WITH room AS MATERIALIZED (SELECT pg_catalog.count(*) < $1 AS left " \
	"FROM (SELECT 1 FROM pganalytics.statements LIMIT $1) s) "
#define STORED \
	"((SELECT room.left FROM room) OR EXISTS " \
	"(SELECT 1 FROM pganalytics.statements s WHERE s.queryid = n.queryid)) "

/* The newest 32 (PGAML_RECENT_RUNS) completed executions of the statements in $2. */
static const char update_recent[] =
WITH_ROOM
"INSERT INTO pganalytics.statement_recent AS old (queryid, last_at, recent_ms, recent_plans, "
" recent_costs, recent_plan_rows, active_backends, rows_per_call, hit_ratio) "
"SELECT n.queryid, r.last_at, r.ms, r.plans, r.costs, r.plan_rows, r.active, r.rows, r.hits "
"FROM (SELECT DISTINCT q FROM pg_catalog.unnest($2) AS q) n(queryid), "
"LATERAL (SELECT pg_catalog.max(x.sampled_at) AS last_at, "
"  pg_catalog.array_agg(x.ms) AS ms, pg_catalog.array_agg(x.plan_id) AS plans, "
"  pg_catalog.array_agg(x.cost) AS costs, pg_catalog.array_agg(x.plan_rows) AS plan_rows, "
"  pg_catalog.avg(x.active_backends)::real AS active, pg_catalog.avg(x.rows)::real AS rows, "
"  (pg_catalog.sum(x.hit) / NULLIF(pg_catalog.sum(x.hit + x.read), 0))::real AS hits "
" FROM (SELECT * FROM ("
/* PGAML_PF_LOG_COST and PGAML_PF_LOG_ROWS */
"   SELECT e.sampled_at, e.execution_ms::real AS ms, e.plan_id, e.plan_facts[1] AS cost, "
"    e.plan_facts[3] AS plan_rows, e.active_backends, e.rows, e.shared_blks_hit AS hit, "
"    e.shared_blks_read AS read FROM pganalytics.execution_samples e "
"   WHERE e.queryid = n.queryid AND e.outcome = 'done' "
"   ORDER BY e.sampled_at DESC LIMIT 32) y ORDER BY y.sampled_at) x) r "
"WHERE r.last_at IS NOT NULL AND " STORED
"ON CONFLICT (queryid) DO UPDATE SET last_at = excluded.last_at, "
" recent_ms = excluded.recent_ms, recent_plans = excluded.recent_plans, "
" recent_costs = excluded.recent_costs, recent_plan_rows = excluded.recent_plan_rows, "
" active_backends = excluded.active_backends, rows_per_call = excluded.rows_per_call, "
" hit_ratio = excluded.hit_ratio";

/* Parameters of the two statements below. */
#define FACTS_COLUMNS \
	"userid, queryid, search_path_hash, seen_at, search_path, list_at, list_length, plan_id"
#define FROM_FACTS \
	"FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY AS n(" FACTS_COLUMNS ", i) "

/* What parse analysis saw: $10 holds the parameter types of all records. */
static const char upsert_parameters[] =
WITH_ROOM
"INSERT INTO pganalytics.statement_users AS old (userid, queryid, search_path_hash, first_seen, "
" last_seen, search_path, parameter_types) "
"SELECT n.userid, n.queryid, n.search_path_hash, n.seen_at, n.seen_at, n.search_path, "
" CASE WHEN n.list_length >= 0 THEN ($10)[n.list_at + 1 : n.list_at + n.list_length] END "
FROM_FACTS
"WHERE n.plan_id = 0 AND " STORED
"ON CONFLICT (queryid, userid, search_path_hash) DO UPDATE "
"SET last_seen = GREATEST(old.last_seen, excluded.last_seen), "
" search_path = excluded.search_path, parameter_types = excluded.parameter_types";

/* What the planner made: $10 holds the relations, $11 the $12 values of each plan. */
static const char upsert_plans[] =
WITH_ROOM
"INSERT INTO pganalytics.statement_users AS old (userid, queryid, search_path_hash, first_seen, "
" last_seen, search_path, relations, plan_id, plan_facts, plan_seen) "
"SELECT DISTINCT ON (n.queryid, n.userid, n.search_path_hash) n.userid, n.queryid, "
" n.search_path_hash, n.seen_at, n.seen_at, n.search_path, "
" ($10)[n.list_at + 1 : n.list_at + n.list_length], n.plan_id, "
" ($11)[(n.i - 1) * $12 + 1 : n.i * $12], n.seen_at "
FROM_FACTS
"WHERE n.plan_id <> 0 AND " STORED
"ORDER BY n.queryid, n.userid, n.search_path_hash, n.seen_at DESC "
"ON CONFLICT (queryid, userid, search_path_hash) DO UPDATE "
"SET last_seen = GREATEST(old.last_seen, excluded.last_seen), "
" search_path = excluded.search_path, relations = excluded.relations, "
" plan_id = excluded.plan_id, plan_facts = excluded.plan_facts, plan_seen = excluded.plan_seen "
"WHERE old.plan_seen IS NULL OR old.plan_seen <= excluded.plan_seen";

static const char *
outcome_name(char outcome)
{
	switch (outcome)
	{
		case PGAML_OUTCOME_DONE:
			return "done";
		case PGAML_OUTCOME_CANCELLED:
			return "cancelled";
		case PGAML_OUTCOME_EXPLAINED:
			return "explained";
		default:
			return "error";
	}
}

/* One field as a value; *isnull when it stands for "not known". */
static Datum
field_value(const char *field, Kind kind, bool *isnull)
{
	*isnull = false;
	switch (kind)
	{
		case KIND_TIME:
			return TimestampTzGetDatum(*(const TimestampTz *) field);
		case KIND_INT8:
			return Int64GetDatum(*(const int64 *) field);
		case KIND_INT8_FROM_0:
			*isnull = *(const int64 *) field < 0;
			return Int64GetDatum(*(const int64 *) field);
		case KIND_INT8_NOT_0:
			*isnull = *(const int64 *) field == 0;
			return Int64GetDatum(*(const int64 *) field);
		case KIND_FLOAT8:
			*isnull = isnan(*(const double *) field);
			return Float8GetDatum(*(const double *) field);
		case KIND_FLOAT4:
			return Float4GetDatum(*(const float *) field);
		case KIND_INT4:
			return Int32GetDatum(*(const int32 *) field);
		case KIND_INT4_FROM_0:
			*isnull = *(const int32 *) field < 0;
			return Int32GetDatum(*(const int32 *) field);
		case KIND_INT2:
			return Int16GetDatum(*(const int16 *) field);
		case KIND_OID:
			return ObjectIdGetDatum(*(const Oid *) field);
		case KIND_BOOL:
			return BoolGetDatum(*(const bool *) field);
		case KIND_OUTCOME:
			return CStringGetTextDatum(outcome_name(*field));
	}
	pg_unreachable();
}

/* An array of n values of a type; nulls may be NULL. */
static Datum
array_of(Datum *values, bool *nulls, int n, Oid type)
{
	int			dims[1];
	int			bounds[1] = {1};
	int16		typlen;
	bool		typbyval;
	char		typalign;

	dims[0] = n;
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, bounds, type,
											  typlen, typbyval, typalign));
}

/* One column of an array of records. */
static Datum
column_array(const Column *column, const void *records, size_t record_size, int n)
{
	Datum	   *values = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc(n * sizeof(bool));

	for (int i = 0; i < n; i++)
		values[i] = field_value((const char *) records + i * record_size + column->offset,
								column->kind, &nulls[i]);
	return array_of(values, nulls, n, column->type);
}

/* The plan facts of many records as one flat array, PGAML_PF_COUNT each. */
static Datum
plan_values_array(const char *first, size_t record_size, int n)
{
	Datum	   *values = palloc(n * PGAML_PF_COUNT * sizeof(Datum));

	for (int i = 0; i < n; i++)
	{
		const float *facts = (const float *) (first + i * record_size);

		for (int f = 0; f < PGAML_PF_COUNT; f++)
			values[i * PGAML_PF_COUNT + f] = Float4GetDatum(facts[f]);
	}
	return array_of(values, NULL, n * PGAML_PF_COUNT, FLOAT4OID);
}

static void
store_samples(const PgamlSample *samples, int n)
{
	Oid			types[lengthof(sample_columns) + 2];
	Datum		values[lengthof(sample_columns) + 2];
	int			ncolumns = lengthof(sample_columns);

	for (int c = 0; c < ncolumns; c++)
	{
		types[c] = get_array_type(sample_columns[c].type);
		values[c] = column_array(&sample_columns[c], samples, sizeof(PgamlSample), n);
	}
	types[ncolumns] = FLOAT4ARRAYOID;
	values[ncolumns] = plan_values_array((const char *) samples[0].plan_values,
										 sizeof(PgamlSample), n);
	types[ncolumns + 1] = INT4OID;
	values[ncolumns + 1] = Int32GetDatum(PGAML_PF_COUNT);
	(void) pgaml_spi_exec(insert_samples, ncolumns + 2, types, values, NULL, false);
}

/*
 * The index gives the newest executions of a statement one by one; a bitmap
 * would read them all, and there can be many.
 */
static void
store_recent(Datum *queryids, int n)
{
	Oid			types[2] = {INT8OID, INT8ARRAYOID};
	Datum		values[2];
	int			nest = NewGUCNestLevel();

	(void) set_config_option("enable_bitmapscan", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	values[0] = Int64GetDatum(pgaml_max_statements);
	values[1] = array_of(queryids, NULL, n, INT8OID);
	(void) pgaml_spi_exec(update_recent, 2, types, values, NULL, false);
	AtEOXact_GUC(true, nest);
}

/*
 * Lists of different length as one flat array of oid, and where each begins.
 * Parameter types for what parse analysis saw, relations for plans.
 */
static Datum
lists_array(const PgamlStatementFacts *facts, int n, Datum *list_at, Datum *list_length)
{
	int			most = Max(PGAML_MAX_PARAMS, PGAML_MAX_RELATIONS);
	Datum	   *all = palloc(n * most * sizeof(Datum));
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		bool		is_plan = facts[i].plan.plan_id != 0;
		const Oid  *list = is_plan ? facts[i].plan.relations : facts[i].param_types;
		int			length = is_plan ? facts[i].plan.nrelations : facts[i].nparams;

		list_at[i] = Int32GetDatum(count);
		list_length[i] = Int32GetDatum(length);
		for (int k = 0; k < length; k++)
			all[count++] = ObjectIdGetDatum(list[k]);
	}
	return array_of(all, NULL, count, OIDOID);
}

static Datum
search_paths_array(const PgamlStatementFacts *facts, int n)
{
	Datum	   *values = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc(n * sizeof(bool));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = facts[i].search_path_cut;
		values[i] = CStringGetTextDatum(facts[i].search_path);
	}
	return array_of(values, nulls, n, TEXTOID);
}

#define FACT(type, kind, name) {type, kind, offsetof(PgamlStatementFacts, name)}

static void
store_facts(const PgamlStatementFacts *facts, int n)
{
	static const Column scalars[] = {
		FACT(OIDOID, KIND_OID, userid),
		FACT(INT8OID, KIND_INT8, queryid),
		FACT(INT8OID, KIND_INT8, search_path_hash),
		FACT(TIMESTAMPTZOID, KIND_TIME, seen_at),
	};
	static const Column plan_id = FACT(INT8OID, KIND_INT8, plan.plan_id);
	Oid			types[12] = {INT8OID, OIDARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
		TIMESTAMPTZARRAYOID, TEXTARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT8ARRAYOID,
	OIDARRAYOID, FLOAT4ARRAYOID, INT4OID};
	Datum		values[12];
	Datum	   *list_at = palloc(n * sizeof(Datum));
	Datum	   *list_length = palloc(n * sizeof(Datum));

	values[0] = Int64GetDatum(pgaml_max_statements);
	for (int c = 0; c < lengthof(scalars); c++)
		values[c + 1] = column_array(&scalars[c], facts, sizeof(PgamlStatementFacts), n);
	values[5] = search_paths_array(facts, n);
	values[9] = lists_array(facts, n, list_at, list_length);
	values[6] = array_of(list_at, NULL, n, INT4OID);
	values[7] = array_of(list_length, NULL, n, INT4OID);
	values[8] = column_array(&plan_id, facts, sizeof(PgamlStatementFacts), n);
	(void) pgaml_spi_exec(upsert_parameters, 10, types, values, NULL, false);

	values[10] = plan_values_array((const char *) facts[0].plan.values,
								   sizeof(PgamlStatementFacts), n);
	values[11] = Int32GetDatum(PGAML_PF_COUNT);
	(void) pgaml_spi_exec(upsert_plans, 12, types, values, NULL, false);
}

/* A context for one batch, emptied after each. */
static MemoryContext
batch_context(void)
{
	return AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml drain batch",
								 ALLOCSET_DEFAULT_SIZES);
}

static void
drain_facts(void)
{
	PgamlStatementFacts *facts = palloc(BATCH * sizeof(PgamlStatementFacts));
	MemoryContext scratch = batch_context();
	int			n;

	/* What comes in meanwhile is for the next tick. */
	for (int rounds = 0; rounds <= PGAML_FACTS_ENTRIES / BATCH; rounds++)
	{
		MemoryContext old;

		n = pgaml_capture_take_facts(MyDatabaseId, facts, BATCH);
		if (n == 0)
			break;
		old = MemoryContextSwitchTo(scratch);
		store_facts(facts, n);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	pfree(facts);
}

static int64
drain_samples(void)
{
	PgamlSample *samples = palloc(BATCH * sizeof(PgamlSample));
	Datum	   *queryids = palloc_extended(pgaml_sample_bag->size * sizeof(Datum), MCXT_ALLOC_HUGE);
	MemoryContext scratch = batch_context();
	uint32		from = 0;
	int64		stored = 0;
	int			done = 0;
	int			n;

	while ((n = pgaml_capture_take_samples(MyDatabaseId, &from, samples, BATCH)) > 0)
	{
		MemoryContext old;

		for (int i = 0; i < n; i++)
		{
			if (samples[i].outcome == PGAML_OUTCOME_DONE)
				queryids[done++] = Int64GetDatum(samples[i].queryid);
		}
		old = MemoryContextSwitchTo(scratch);
		store_samples(samples, n);
		PGAML_FAULT("drain_batch");
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
		stored += n;
	}
	MemoryContextDelete(scratch);
	if (done > 0)
		store_recent(queryids, done);
	pfree(samples);
	pfree(queryids);
	return stored;
}

int64
pgaml_history_drain(void)
{
	int64		stored;

	if (pgaml_shared == NULL)
		return 0;
	pgaml_history_lock();
	drain_facts();
	stored = drain_samples();
	pgaml_history_store_repeats();
	pgaml_capture_tell_off();
	pgaml_capture_next_tick();
	return stored;
}
