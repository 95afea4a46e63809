/*-------------------------------------------------------------------------
 * repeats.c
 *		Repeated statements: from shared memory into statement_repeats, and
 *		back to the reader.
 *
 * What sessions ended since the last look is added up per hour, statement,
 * statement before, user, application and kind, in one SQL statement per
 * batch.  Called under the lock on collector_state.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/batch.h"
#include "base/export.h"
#include "base/fault.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "capture/capture.h"
#include "history/history_internal.h"

#define BATCH		512			/* records per statement */
#define MOST_ROWS	1000

PGAML_FUNCTION_INFO_V1(pgaml_repeated_statements);

#define INPUT \
	"queryid, previous_queryid, userid, application_name, toplevel, kind, runs, executions, longest, " \
	"previous_runs, previous_rows, matched_runs, total_ms, first_seen, last_seen, last_session"

static const Oid input_types[] = {
	INT8OID, INT8OID, OIDOID, TEXTOID, BOOLOID, TEXTOID, INT8OID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID, FLOAT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID
};

/* Hours in UTC, as buckets of history are counted. */
static const char add_repeats[] =
"INSERT INTO pganalytics.statement_repeats AS old (bucket_start, " INPUT ") "
"SELECT date_bin('1 hour', n.last_seen, '2000-01-01 00:00:00+00'::timestamptz), "
" n.queryid, n.previous_queryid, n.userid, n.application_name, n.toplevel, n.kind, "
" sum(n.runs)::bigint, sum(n.executions)::bigint, max(n.longest), sum(n.previous_runs)::bigint, "
" sum(n.previous_rows)::bigint, sum(n.matched_runs)::bigint, sum(n.total_ms), min(n.first_seen), "
" max(n.last_seen), (array_agg(n.last_session ORDER BY n.last_seen DESC))[1] "
"FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) AS n(" INPUT ") "
"GROUP BY 1, 2, 3, 4, 5, 6, 7 "
"ON CONFLICT (queryid, bucket_start, previous_queryid, userid, application_name, toplevel, kind) DO UPDATE SET "
" runs = old.runs + excluded.runs, executions = old.executions + excluded.executions, "
" longest = greatest(old.longest, excluded.longest), "
" previous_runs = old.previous_runs + excluded.previous_runs, "
" previous_rows = old.previous_rows + excluded.previous_rows, "
" matched_runs = old.matched_runs + excluded.matched_runs, total_ms = old.total_ms + excluded.total_ms, "
" first_seen = least(old.first_seen, excluded.first_seen), "
" last_seen = greatest(old.last_seen, excluded.last_seen), last_session = excluded.last_session";

/*
 * A burst is shown only when it follows its list at least every second time:
 * a busy session comes to one by chance.  The time of the whole workload is
 * that of the client's statements; what ran in functions is a part of it.
 */
static const char read_repeats[] =
"WITH r AS (SELECT r.queryid, r.previous_queryid, r.userid, r.application_name, r.toplevel, r.kind, "
"  sum(r.runs)::bigint AS runs, sum(r.executions)::bigint AS executions, max(r.longest) AS longest, "
"  sum(r.previous_runs)::float8 AS previous_runs, sum(r.previous_rows)::float8 AS previous_rows, "
"  sum(r.matched_runs)::float8 AS matched_runs, sum(r.total_ms) AS total_ms, "
"  min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen, min(r.bucket_start) AS since "
" FROM pganalytics.statement_repeats r GROUP BY 1, 2, 3, 4, 5, 6), "
"shown AS (SELECT * FROM r WHERE r.runs >= $1 AND (r.kind = 'transaction' OR r.matched_runs >= 0.5 * r.runs) "
" ORDER BY r.total_ms DESC, r.queryid, r.previous_queryid, r.userid, r.application_name, r.toplevel, r.kind LIMIT $2), "
"workload AS (SELECT sum(h.total_ms) AS ms FROM pganalytics.statement_history h "
" WHERE h.toplevel AND h.origin = (SELECT i.origin FROM pganalytics.installation i) "
"  AND h.bucket_start >= (SELECT min(s.since) FROM shown s)) "
"SELECT s.queryid, nullif(s.previous_queryid, 0), t.query, p.query, s.application_name, s.userid, "
" (SELECT a.rolname FROM pg_roles a WHERE a.oid = s.userid), "
" CASE WHEN NOT s.toplevel THEN 'loop_in_function' WHEN s.matched_runs >= 0.5 * s.runs THEN 'n_plus_one' "
"  ELSE 'repetition' END, "
" NOT s.toplevel, s.kind, s.runs, s.executions, s.executions::float8 / s.runs, s.longest, "
" s.previous_rows / nullif(s.previous_runs, 0), s.matched_runs / s.runs, s.total_ms, "
" least(s.total_ms / nullif((SELECT sum(h.total_ms) FROM pganalytics.statement_history h "
"  WHERE h.queryid = s.queryid AND h.toplevel = s.toplevel AND h.bucket_start >= s.since "
"   AND h.origin = i.origin), 0), 1), "
" least(s.total_ms / nullif((SELECT w.ms FROM workload w), 0), 1), "
" s.first_seen, s.last_seen "
"FROM shown s CROSS JOIN pganalytics.installation i "
"LEFT JOIN pganalytics.statements t ON t.queryid = s.queryid AND t.origin = i.origin "
"LEFT JOIN pganalytics.statements p ON p.queryid = s.previous_queryid AND p.origin = i.origin "
"ORDER BY s.total_ms DESC, s.queryid, s.previous_queryid, s.userid, s.application_name, s.toplevel, s.kind";

static void
add_record(PgamlBatch *batch, const PgamlRepeat *repeat)
{
	Datum		values[] = {
		Int64GetDatum(repeat->queryid), Int64GetDatum(repeat->previous_queryid),
		ObjectIdGetDatum(repeat->userid), CStringGetTextDatum(repeat->application),
		BoolGetDatum(repeat->toplevel), CStringGetTextDatum(repeat->burst ? "burst" : "transaction"),
		Int64GetDatum(repeat->runs), Int64GetDatum(repeat->executions), Int64GetDatum(repeat->longest),
		Int64GetDatum(repeat->known), Int64GetDatum(repeat->previous_rows), Int64GetDatum(repeat->matched),
		Float8GetDatum(repeat->ms), TimestampTzGetDatum(repeat->first_at),
		TimestampTzGetDatum(repeat->last_at), Int64GetDatum(repeat->session_id)
	};

	StaticAssertStmt(lengthof(values) == lengthof(input_types), "one value for each column");
	pgaml_batch_add(batch, values, NULL);
}

/* Empty this database's share of the bag into statement_repeats. */
void
pgaml_history_store_repeats(void)
{
	PgamlRepeat *repeats;
	MemoryContext scratch;
	uint32		from = 0;
	int			n;

	pgaml_capture_give_repeats();
	if (pgaml_bag_used(pgaml_repeat_bag) == 0)
		return;
	repeats = palloc(BATCH * sizeof(PgamlRepeat));
	scratch = AllocSetContextCreate(CurrentMemoryContext, "pganalytics_ml repeats", ALLOCSET_DEFAULT_SIZES);
	while ((n = pgaml_capture_take_repeats(MyDatabaseId, &from, repeats, BATCH)) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);
		PgamlBatch	batch;

		pgaml_batch_init(&batch, lengthof(input_types), input_types);
		for (int i = 0; i < n; i++)
			add_record(&batch, &repeats[i]);
		pgaml_batch_exec(&batch, add_repeats, 0, NULL, NULL);
		PGAML_FAULT("repeats_stored");
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	pfree(repeats);
}

/* repeated_statements(min_runs integer, max_rows integer) RETURNS TABLE (...) */
Datum
pgaml_repeated_statements(PG_FUNCTION_ARGS)
{
	int32		min_runs = PG_GETARG_INT32(0);
	int32		max_rows = PG_GETARG_INT32(1);
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(min_runs), Int32GetDatum(max_rows)};
	PgamlSpi	spi;

	if (min_runs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("min_runs must be at least 1, not %d", min_runs)));
	if (max_rows < 1 || max_rows > MOST_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be from 1 to %d, not %d", MOST_ROWS, max_rows)));
	InitMaterializedSRF(fcinfo, 0);
	pgaml_spi_open(&spi);
	pgaml_spi_into(read_repeats, lengthof(types), types, values, NULL, (ReturnSetInfo *) fcinfo->resultinfo);
	pgaml_spi_close(&spi);
	return (Datum) 0;
}
