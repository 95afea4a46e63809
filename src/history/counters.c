/*-------------------------------------------------------------------------
 * counters.c
 *		The table statement_counters: what was read last.
 *
 * A tick looks at every row and rewrites those that changed.  Rows are read
 * in physical order straight from the table: of most, only the first columns
 * are needed.  Those that vanished are deleted by their place; the lock on
 * collector_state keeps everybody else from moving them in between, and the
 * table lock keeps VACUUM FULL away until the transaction ends.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/batch.h"
#include "base/spi_run.h"
#include "history/history_internal.h"

/* Columns of statement_counters, by place. */
enum
{
	ATT_USERID = 1,
	ATT_QUERYID,
	ATT_TOPLEVEL,
	ATT_PLANNABLE,
	ATT_KEPT,
	ATT_SEEN_AT,
	ATT_STATS_SINCE,
	ATT_COUNTS,
	ATT_TIMES = ATT_COUNTS + HISTORY_COUNTS,
	ATT_LAST = ATT_TIMES + HISTORY_TIMES - 1
};

#define COUNTER_COLUMNS	ATT_LAST

/* The order of HistoryCount and HistoryTime. */
#define COUNTER_NAMES "calls, plans, rows, shared_blks_hit, shared_blks_read, shared_blks_dirtied," \
	" shared_blks_written, temp_blks_read, temp_blks_written, wal_bytes," \
	" total_ms, sum_squares, plan_ms, blk_read_ms, blk_write_ms"

static const Oid counter_types[COUNTER_COLUMNS] = {
	OIDOID, INT8OID, BOOLOID, BOOLOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID
};

/*
 * READING
 */

static Datum
value_of(TupleTableSlot *slot, int attribute)
{
	return slot->tts_values[attribute - 1];
}

static void
key_of(TupleTableSlot *slot, HistoryCounterKey *key)
{
	slot_getsomeattrs(slot, ATT_COUNTS);
	key->userid = DatumGetObjectId(value_of(slot, ATT_USERID));
	key->queryid = DatumGetInt64(value_of(slot, ATT_QUERYID));
	key->toplevel = DatumGetBool(value_of(slot, ATT_TOPLEVEL));
	key->known = !slot->tts_isnull[ATT_PLANNABLE - 1];
	key->plannable = key->known && DatumGetBool(value_of(slot, ATT_PLANNABLE));
	key->stats_since = slot->tts_isnull[ATT_STATS_SINCE - 1] ? 0 :
		DatumGetTimestampTz(value_of(slot, ATT_STATS_SINCE));
	key->calls = DatumGetInt64(value_of(slot, ATT_COUNTS + HISTORY_CALLS));
	slot_getsomeattrs(slot, ATT_TIMES + HISTORY_TOTAL_MS);
	key->total_ms = DatumGetFloat8(value_of(slot, ATT_TIMES + HISTORY_TOTAL_MS));
}

static void
fill_entry(TupleTableSlot *slot, const HistoryCounterKey *key, HistoryEntry *entry)
{
	slot_getsomeattrs(slot, ATT_LAST);
	entry->userid = key->userid;
	entry->queryid = key->queryid;
	entry->toplevel = key->toplevel;
	entry->counted = true;
	entry->known = key->known;
	entry->plannable = key->plannable;
	entry->kept = DatumGetBool(value_of(slot, ATT_KEPT));
	entry->seen_at = DatumGetTimestampTz(value_of(slot, ATT_SEEN_AT));
	entry->tid = slot->tts_tid;
	for (int i = 0; i < HISTORY_COUNTS; i++)
		entry->was.count[i] = DatumGetInt64(value_of(slot, ATT_COUNTS + i));
	for (int i = 0; i < HISTORY_TIMES; i++)
		entry->was.time[i] = DatumGetFloat8(value_of(slot, ATT_TIMES + i));
}

/* Show every row to visit.  Must run under the lock on collector_state. */
void
pgaml_history_counters_scan(HistoryCounterVisitor visit, void *state)
{
	Oid			relid = get_relname_relid("statement_counters", get_namespace_oid("pganalytics", false));
	Relation	rel = table_open(relid, RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;

	if (RelationGetDescr(rel)->natts < COUNTER_COLUMNS)
		elog(ERROR, "statement_counters has %d columns", RelationGetDescr(rel)->natts);
	PushActiveSnapshot(GetTransactionSnapshot());
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		HistoryCounterKey key;
		HistoryEntry *entry;

		CHECK_FOR_INTERRUPTS();
		key_of(slot, &key);
		entry = visit(&key, state);
		if (entry != NULL)
			fill_entry(slot, &key, entry);
	}
	table_endscan(scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/*
 * WRITING
 */

static void
add_row(PgamlBatch *batch, const HistoryEntry *entry, TimestampTz now)
{
	Datum		row[COUNTER_COLUMNS];
	bool		nulls[COUNTER_COLUMNS] = {0};
	int			c = 0;

	row[c++] = ObjectIdGetDatum(entry->userid);
	row[c++] = Int64GetDatum(entry->queryid);
	row[c++] = BoolGetDatum(entry->toplevel);
	nulls[c] = !entry->known;
	row[c++] = BoolGetDatum(entry->plannable);
	row[c++] = BoolGetDatum(entry->kept);
	row[c++] = TimestampTzGetDatum(entry->touch || !entry->counted ? now : entry->seen_at);
	nulls[c] = entry->stats_since == 0;
	row[c++] = TimestampTzGetDatum(entry->stats_since);
	for (int i = 0; i < HISTORY_COUNTS; i++)
		row[c++] = Int64GetDatum(entry->is.count[i]);
	for (int i = 0; i < HISTORY_TIMES; i++)
		row[c++] = Float8GetDatum(entry->is.time[i]);
	pgaml_batch_add(batch, row, nulls);
}

static void
delete_vanished(const HistoryEntry *entries, int n)
{
	static const Oid types[] = {TIDOID};
	PgamlBatch	batch;

	pgaml_batch_init(&batch, lengthof(types), types);
	for (int i = 0; i < n; i++)
	{
		Datum		tid = PointerGetDatum(&entries[i].tid);

		if (!entries[i].present)
			pgaml_batch_add(&batch, &tid, NULL);
	}
	pgaml_batch_exec(&batch, "DELETE FROM pganalytics.statement_counters WHERE ctid = ANY ($1)",
					 0, NULL, NULL);
}

/* What was read becomes what the next tick compares with. */
void
pgaml_history_counters_store(const HistoryEntry *entries, int n, TimestampTz now)
{
	PgamlBatch	batch;

	pgaml_batch_init(&batch, COUNTER_COLUMNS, counter_types);
	for (int i = 0; i < n; i++)
		if (entries[i].present)
			add_row(&batch, &entries[i], now);
	/* By key, whatever the statistics of the table say. */
	pgaml_batch_exec(&batch,
					 "INSERT INTO pganalytics.statement_counters AS c (userid, queryid, toplevel, plannable,"
					 " kept, seen_at, stats_since, " COUNTER_NAMES ")"
					 " SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
					 " $15, $16, $17, $18, $19, $20, $21, $22)"
					 " ON CONFLICT (queryid, userid, toplevel) DO UPDATE SET "
					 "plannable = excluded.plannable,"
					 " kept = excluded.kept,"
					 " seen_at = excluded.seen_at,"
					 " stats_since = excluded.stats_since,"
					 " calls = excluded.calls,"
					 " plans = excluded.plans,"
					 " rows = excluded.rows,"
					 " shared_blks_hit = excluded.shared_blks_hit,"
					 " shared_blks_read = excluded.shared_blks_read,"
					 " shared_blks_dirtied = excluded.shared_blks_dirtied,"
					 " shared_blks_written = excluded.shared_blks_written,"
					 " temp_blks_read = excluded.temp_blks_read,"
					 " temp_blks_written = excluded.temp_blks_written,"
					 " wal_bytes = excluded.wal_bytes,"
					 " total_ms = excluded.total_ms,"
					 " sum_squares = excluded.sum_squares,"
					 " plan_ms = excluded.plan_ms,"
					 " blk_read_ms = excluded.blk_read_ms,"
					 " blk_write_ms = excluded.blk_write_ms", 0, NULL, NULL);
	delete_vanished(entries, n);
}
