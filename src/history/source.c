/*-------------------------------------------------------------------------
 * source.c
 *		Reads pg_stat_statements, whatever its version, beside what was read last.
 *
 * One statement reads the view function without texts, joins it with
 * statement_counters, and returns only what differs, so that the cost of a
 * tick follows what changed.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/acl.h"
#include "base/spi_run.h"
#include "history/history_internal.h"

/* Columns of the reading, in the order of the SELECT below. */
enum
{
	COL_USERID,
	COL_QUERYID,
	COL_TOPLEVEL,
	COL_PRESENT,
	COL_COUNTED,
	COL_PLANNABLE,
	COL_KEPT,
	COL_SEEN_AT,
	COL_SINCE,
	COL_SINCE_WAS,
	COL_MEAN,
	COL_STDDEV,
	COL_IS_COUNTS,
	COL_IS_TIMES = COL_IS_COUNTS + HISTORY_COUNTS,
	COL_WAS_COUNTS = COL_IS_TIMES + HISTORY_TIMES - 1,
	COL_WAS_TIMES = COL_WAS_COUNTS + HISTORY_COUNTS,
	COL_COUNT = COL_WAS_TIMES + HISTORY_TIMES
};

/* The order of HistoryCount and HistoryTime; the sum of squares is computed. */
#define COUNTS(t) t ".calls, " t ".plans, " t ".rows, " t ".shared_blks_hit, " t ".shared_blks_read, " \
	t ".shared_blks_dirtied, " t ".shared_blks_written, " t ".temp_blks_read, " t ".temp_blks_written, " \
	t ".wal_bytes"
#define TIMES(t) t ".plan_ms, " t ".blk_read_ms, " t ".blk_write_ms"

static bool
bool_at(int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static void
report_missing(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pg_stat_statements is not loaded"),
			 errhint("Add this line to postgresql.conf and restart: shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'")));
}

/*
 * Raises OBJECT_NOT_IN_PREREQUISITE_STATE when pg_stat_statements cannot be
 * read, INSUFFICIENT_PRIVILEGE when the owner of the extension would not see
 * everybody's statements: history would hold a part and call it the whole.
 */
void
pgaml_history_source_open(HistorySource *source)
{
	Oid			type = TEXTOID;
	Datum		value;

	source->schema = pgaml_pgss_schema();
	if (source->schema == NULL)
		report_missing();
	if (!pgaml_acl_reads_all(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the owner of pganalytics_ml may not read everybody's statements"),
				 errhint("GRANT pg_read_all_stats TO the owner of the extension.")));

	value = CStringGetTextDatum(psprintf("%s.pg_stat_statements", source->schema));
	pgaml_spi_exec("SELECT bool_or(attname = 'total_exec_time'), bool_or(attname = 'toplevel'),"
				   " bool_or(attname = 'stats_since'), bool_or(attname = 'shared_blk_read_time'),"
				   " to_regclass($1 || '_info') IS NOT NULL"
				   " FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0",
				   1, &type, &value, NULL, true);
	if (!bool_at(1))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the installed version of pg_stat_statements is too old"),
				 errhint("Run ALTER EXTENSION pg_stat_statements UPDATE.")));
	source->has_toplevel = bool_at(2);
	source->has_stats_since = bool_at(3);
	source->has_shared_times = bool_at(4);
	source->has_info = bool_at(5);
}

/* Resets and evictions so far; zeros where the version does not tell. */
void
pgaml_history_source_info(const HistorySource *source, HistoryInfo *info)
{
	bool		isnull;
	HeapTuple	row;
	TupleDesc	desc;

	memset(info, 0, sizeof(HistoryInfo));
	if (!source->has_info)
		return;
	pgaml_spi_run(psprintf("SELECT dealloc, stats_reset FROM %s.pg_stat_statements_info()",
						   source->schema), false);
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	info->dealloc = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	info->stats_reset = DatumGetTimestampTz(SPI_getbinval(row, desc, 2, &isnull));
}

static char *
reading_sql(const HistorySource *source)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT coalesce(n.userid, c.userid), coalesce(n.queryid, c.queryid),"
					 " coalesce(n.toplevel, c.toplevel), n.queryid IS NOT NULL, c.queryid IS NOT NULL,"
					 " c.plannable, c.kept, c.seen_at, n.stats_since, c.stats_since, n.mean, n.stddev, "
					 COUNTS("n") ", n.total_ms, " TIMES("n") ", "
					 COUNTS("c") ", c.total_ms, c.sum_squares, " TIMES("c")
					 " FROM (SELECT userid, queryid, %s AS toplevel, %s AS stats_since,"
					 " mean_exec_time AS mean, stddev_exec_time AS stddev,"
					 " calls, plans, rows, shared_blks_hit, shared_blks_read, shared_blks_dirtied,"
					 " shared_blks_written, temp_blks_read, temp_blks_written, wal_bytes,"
					 " total_exec_time AS total_ms, total_plan_time AS plan_ms,"
					 " %s AS blk_read_ms, %s AS blk_write_ms"
					 " FROM %s.pg_stat_statements(false) WHERE dbid = $1 AND queryid <> 0) n"
					 " FULL JOIN pganalytics.statement_counters c"
					 " ON n.queryid = c.queryid AND n.userid = c.userid AND n.toplevel = c.toplevel"
					 " WHERE c.queryid IS NULL OR n.queryid IS NULL"
					 " OR (c.plannable IS DISTINCT FROM false AND ($2 OR n.calls <> c.calls"
					 " OR n.total_ms <> c.total_ms OR n.stats_since IS DISTINCT FROM c.stats_since))",
					 source->has_toplevel ? "toplevel" : "true",
					 source->has_stats_since ? "stats_since" : "NULL::timestamptz",
					 source->has_shared_times ? "shared_blk_read_time" : "blk_read_time",
					 source->has_shared_times ? "shared_blk_write_time" : "blk_write_time",
					 source->schema);
	return sql.data;
}

/* WAL bytes are numeric in the view, and never near the end of a bigint. */
static int64
count_value(HistoryCount which, Datum value, Oid type)
{
	if (which == HISTORY_WAL_BYTES && type == NUMERICOID)
		return DatumGetInt64(DirectFunctionCall1(numeric_int8, value));
	return DatumGetInt64(value);
}

static void
entry_counters(HistoryEntry *entry, const Datum *values, TupleDesc desc)
{
	if (entry->present)
	{
		int			t = COL_IS_TIMES;

		for (int i = 0; i < HISTORY_COUNTS; i++)
			entry->is.count[i] = count_value(i, values[COL_IS_COUNTS + i],
											 TupleDescAttr(desc, COL_IS_COUNTS + i)->atttypid);
		for (int i = 0; i < HISTORY_TIMES; i++)
			if (i != HISTORY_SUM_SQUARES)
				entry->is.time[i] = DatumGetFloat8(values[t++]);
		entry->is.time[HISTORY_SUM_SQUARES] =
			pgaml_history_core_sum_squares(entry->is.count[HISTORY_CALLS],
										   DatumGetFloat8(values[COL_MEAN]),
										   DatumGetFloat8(values[COL_STDDEV]));
	}
	if (entry->counted)
	{
		for (int i = 0; i < HISTORY_COUNTS; i++)
			entry->was.count[i] = DatumGetInt64(values[COL_WAS_COUNTS + i]);
		for (int i = 0; i < HISTORY_TIMES; i++)
			entry->was.time[i] = DatumGetFloat8(values[COL_WAS_TIMES + i]);
	}
}

static void
entry_from_row(HistoryEntry *entry, HeapTuple row, TupleDesc desc)
{
	Datum		values[COL_COUNT];
	bool		nulls[COL_COUNT];

	heap_deform_tuple(row, desc, values, nulls);
	entry->userid = DatumGetObjectId(values[COL_USERID]);
	entry->queryid = DatumGetInt64(values[COL_QUERYID]);
	entry->toplevel = DatumGetBool(values[COL_TOPLEVEL]);
	entry->present = DatumGetBool(values[COL_PRESENT]);
	entry->counted = DatumGetBool(values[COL_COUNTED]);
	entry->known = !nulls[COL_PLANNABLE];
	entry->plannable = entry->known && DatumGetBool(values[COL_PLANNABLE]);
	entry->kept = entry->counted && DatumGetBool(values[COL_KEPT]);
	if (entry->counted)
		entry->seen_at = DatumGetTimestampTz(values[COL_SEEN_AT]);
	if (!nulls[COL_SINCE])
		entry->stats_since = DatumGetTimestampTz(values[COL_SINCE]);
	entry->anew = !nulls[COL_SINCE] && !nulls[COL_SINCE_WAS] &&
		entry->stats_since != DatumGetTimestampTz(values[COL_SINCE_WAS]);
	entry_counters(entry, values, desc);
}

static int
by_queryid(const void *a, const void *b)
{
	const HistoryEntry *x = a;
	const HistoryEntry *y = b;

	if (x->queryid != y->queryid)
		return x->queryid < y->queryid ? -1 : 1;
	if (x->toplevel != y->toplevel)
		return x->toplevel ? 1 : -1;
	if (x->userid != y->userid)
		return x->userid < y->userid ? -1 : 1;
	return 0;
}

/*
 * Entries of this database that changed, appeared or vanished since
 * statement_counters was written, sorted by queryid, toplevel and userid; with all,
 * every entry that is not known to be a utility statement.  The array is in
 * the current memory context.
 */
HistoryEntry *
pgaml_history_source_read(const HistorySource *source, bool all, int *n)
{
	Oid			types[] = {OIDOID, BOOLOID};
	Datum		values[] = {ObjectIdGetDatum(MyDatabaseId), BoolGetDatum(all)};
	HistoryEntry *entries;
	uint64		rows = pgaml_spi_exec(reading_sql(source), 2, types, values, NULL, false);

	entries = palloc_extended(Max(rows, 1) * sizeof(HistoryEntry), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint64 i = 0; i < rows; i++)
		entry_from_row(&entries[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	SPI_freetuptable(SPI_tuptable);
	qsort(entries, rows, sizeof(HistoryEntry), by_queryid);
	*n = (int) rows;
	return entries;
}
