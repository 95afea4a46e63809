/*-------------------------------------------------------------------------
 * source.c
 *		Reads pg_stat_statements, whatever its version, beside what was read last.
 *
 * The view's function is called directly and its rows stay in the tuple
 * store it returns.  Pass 1 takes the key, calls and time of every row; pass
 * 2 looks at statement_counters and marks what changed or vanished; pass 3
 * goes back for all columns of the rows that changed or are new.  So a tick
 * costs little more than the reading itself plus what changed.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "base/acl.h"
#include "base/spi_run.h"
#include "history/history_internal.h"

/* What the columns of the view are called; the second name is that of 17 and later. */
typedef enum SourceColumn
{
	SRC_USERID,
	SRC_DBID,
	SRC_TOPLEVEL,
	SRC_QUERYID,
	SRC_STATS_SINCE,
	SRC_MEAN,
	SRC_STDDEV,
	SRC_COUNTS,
	SRC_TOTAL_MS = SRC_COUNTS + HISTORY_COUNTS,
	SRC_PLAN_MS,
	SRC_BLK_READ_MS,
	SRC_BLK_WRITE_MS,
	SRC_COLUMNS
} SourceColumn;

static const char *const column_names[SRC_COLUMNS][2] = {
	{"userid"}, {"dbid"}, {"toplevel"}, {"queryid"}, {"stats_since"},
	{"mean_exec_time"}, {"stddev_exec_time"},
	{"calls"}, {"plans"}, {"rows"}, {"shared_blks_hit"}, {"shared_blks_read"},
	{"shared_blks_dirtied"}, {"shared_blks_written"}, {"temp_blks_read"}, {"temp_blks_written"},
	{"wal_bytes"}, {"total_exec_time"}, {"total_plan_time"},
	{"blk_read_time", "shared_blk_read_time"}, {"blk_write_time", "shared_blk_write_time"}
};

typedef struct EntryKey
{
	int64		queryid;
	Oid			userid;
	uint32		toplevel;		/* a whole word: keys are compared as bytes */
} EntryKey;

/* One row of the view, as pass 1 sees it. */
typedef struct SeenRow
{
	int64		calls;
	double		total_ms;
	TimestampTz stats_since;
	int			entry;			/* index into entries, or one of those below */
} SeenRow;

#define NEW_ROW		(-1)		/* not found in statement_counters */
#define SAME_ROW	(-2)		/* found, and of no further interest */
#define FOREIGN_ROW (-3)		/* of another database, or hidden */

/* Finds a row by its key. */
typedef struct SeenKey
{
	EntryKey	key;			/* must be first */
	int			row;
} SeenKey;

typedef struct Reading
{
	bool		all;
	ReturnSetInfo result;
	int			attributes[SRC_COLUMNS];	/* attribute numbers; 0: not in this version */
	int			last_key_attribute; /* the highest that pass 1 needs */
	SeenRow    *rows;			/* in the order of the tuple store */
	int			nrows;
	HTAB	   *keys;			/* SeenKey */
	HistoryEntry *entries;
	int			n;
	int			size;
} Reading;

/*
 * OPENING
 */

/*
 * A function of pg_stat_statements, or InvalidOid.  CAUTION: whoever may
 * create functions in its schema can make one that an older version lacks, so
 * only a member of the extension will do.
 */
static Oid
source_function(const char *schema, const char *name, int nargs, const Oid *args)
{
	List	   *names = list_make2(makeString(pstrdup(schema)), makeString(pstrdup(name)));
	Oid			function = LookupFuncName(names, nargs, args, true);

	if (!OidIsValid(function) ||
		getExtensionOfObject(ProcedureRelationId, function) != get_extension_oid(PGAML_PGSS_NAME, true))
		return InvalidOid;
	return function;
}

/*
 * Raises OBJECT_NOT_IN_PREREQUISITE_STATE when pg_stat_statements cannot be
 * read, INSUFFICIENT_PRIVILEGE when the owner of the extension would not see
 * everybody's statements: history would hold a part and call it the whole.
 */
void
pgaml_history_source_open(HistorySource *source)
{
	Oid			args[] = {BOOLOID};
	char	   *schema;

	source->schema = pgaml_pgss_schema();
	if (source->schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_stat_statements is not loaded"),
				 errhint("Add this line to postgresql.conf and restart: shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'")));
	if (!pgaml_acl_reads_all(GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the owner of pganalytics_ml may not read everybody's statements"),
				 errhint("GRANT pg_read_all_stats TO the owner of the extension.")));
	schema = get_namespace_name(pgaml_pgss_namespace());
	source->view_function = source_function(schema, "pg_stat_statements", 1, args);
	source->info_function = source_function(schema, "pg_stat_statements_info", 0, NULL);
	if (!OidIsValid(source->view_function))
		elog(ERROR, "pg_stat_statements(boolean) does not exist");
}

/* Resets and evictions so far; zeros where the version does not tell. */
void
pgaml_history_source_info(const HistorySource *source, HistoryInfo *info)
{
	HeapTupleHeader row;
	bool		isnull;

	memset(info, 0, sizeof(HistoryInfo));
	if (!OidIsValid(source->info_function))
		return;
	row = DatumGetHeapTupleHeader(OidFunctionCall0(source->info_function));
	info->dealloc = DatumGetInt64(GetAttributeByName(row, "dealloc", &isnull));
	info->stats_reset = DatumGetTimestampTz(GetAttributeByName(row, "stats_reset", &isnull));
}

/* Call pg_stat_statements(false); its tuple store lives in the current context. */
static void
call_view(const HistorySource *source, ReturnSetInfo *result)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	function;

	fmgr_info(source->view_function, &function);
	memset(result, 0, sizeof(ReturnSetInfo));
	result->type = T_ReturnSetInfo;
	result->econtext = CreateStandaloneExprContext();
	result->allowedModes = SFRM_Materialize | SFRM_Materialize_Random;
	result->returnMode = SFRM_Materialize;
	InitFunctionCallInfoData(*fcinfo, &function, 1, InvalidOid, NULL, (Node *) result);
	fcinfo->args[0].value = BoolGetDatum(false);
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
	if (result->setResult == NULL || result->setDesc == NULL)
		elog(ERROR, "pg_stat_statements(boolean) returned no set");
}

static void
find_columns(Reading *reading)
{
	TupleDesc	desc = reading->result.setDesc;

	for (int c = 0; c < SRC_COLUMNS; c++)
	{
		reading->attributes[c] = 0;
		for (int i = 0; i < desc->natts; i++)
		{
			const char *name = NameStr(TupleDescAttr(desc, i)->attname);

			if (strcmp(name, column_names[c][0]) == 0 ||
				(column_names[c][1] != NULL && strcmp(name, column_names[c][1]) == 0))
				reading->attributes[c] = i + 1;
		}
		if (reading->attributes[c] == 0 && c != SRC_STATS_SINCE)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the installed version of pg_stat_statements is too old"),
					 errdetail("It has no column \"%s\".", column_names[c][0]),
					 errhint("Run ALTER EXTENSION pg_stat_statements UPDATE.")));
	}
	reading->last_key_attribute = reading->attributes[SRC_TOTAL_MS];
	if (reading->attributes[SRC_STATS_SINCE] > 0)
		reading->last_key_attribute = Max(reading->last_key_attribute,
										  reading->attributes[SRC_STATS_SINCE]);
}

/*
 * PASSES
 */

static Datum
column_of(const Reading *reading, TupleTableSlot *slot, int column)
{
	return slot->tts_values[reading->attributes[column] - 1];
}

/* Is this row a statement of this database that we may see?  Fills its key. */
static bool
key_of(const Reading *reading, TupleTableSlot *slot, EntryKey *key)
{
	if (DatumGetObjectId(column_of(reading, slot, SRC_DBID)) != MyDatabaseId ||
		slot->tts_isnull[reading->attributes[SRC_QUERYID] - 1])
		return false;
	key->queryid = DatumGetInt64(column_of(reading, slot, SRC_QUERYID));
	key->userid = DatumGetObjectId(column_of(reading, slot, SRC_USERID));
	key->toplevel = DatumGetBool(column_of(reading, slot, SRC_TOPLEVEL));
	return key->queryid != 0;
}

static void
read_key(Reading *reading, TupleTableSlot *slot, SeenRow *row)
{
	EntryKey	key;
	SeenKey    *place;

	slot_getsomeattrs(slot, reading->last_key_attribute);
	row->entry = FOREIGN_ROW;
	if (!key_of(reading, slot, &key))
		return;
	row->calls = DatumGetInt64(column_of(reading, slot, SRC_COUNTS + HISTORY_CALLS));
	row->total_ms = DatumGetFloat8(column_of(reading, slot, SRC_TOTAL_MS));
	row->stats_since = reading->attributes[SRC_STATS_SINCE] == 0 ? 0 :
		DatumGetTimestampTz(column_of(reading, slot, SRC_STATS_SINCE));
	row->entry = NEW_ROW;
	place = hash_search(reading->keys, &key, HASH_ENTER, NULL);
	place->row = (int) (row - reading->rows);
}

/* Pass 1: key, calls and time of every row. */
static void
read_keys(Reading *reading, TupleTableSlot *slot)
{
	int64		most = tuplestore_tuple_count(reading->result.setResult);
	HASHCTL		info = {
		.keysize = sizeof(EntryKey),.entrysize = sizeof(SeenKey),.hcxt = CurrentMemoryContext
	};

	reading->rows = palloc_extended(sizeof(SeenRow) * Max(most, 1), MCXT_ALLOC_HUGE);
	reading->keys = hash_create("pganalytics_ml statements", Max(most, 16), &info,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	while (reading->nrows < most &&
		   tuplestore_gettupleslot(reading->result.setResult, true, false, slot))
		read_key(reading, slot, &reading->rows[reading->nrows++]);
}

static int
new_entry(Reading *reading)
{
	if (reading->n == reading->size)
	{
		reading->size *= 2;
		reading->entries = repalloc_huge(reading->entries, sizeof(HistoryEntry) * reading->size);
	}
	memset(&reading->entries[reading->n], 0, sizeof(HistoryEntry));
	return reading->n++;
}

/* Pass 2, for one row of statement_counters. */
static HistoryEntry *
visit_counter(const HistoryCounterKey *counter, void *state)
{
	Reading    *reading = state;
	EntryKey	key = {counter->queryid, counter->userid, counter->toplevel};
	SeenKey    *place = hash_search(reading->keys, &key, HASH_FIND, NULL);
	SeenRow    *row = place == NULL ? NULL : &reading->rows[place->row];
	int			i;

	if (row != NULL)
	{
		bool		followed = !counter->known || counter->plannable;
		bool		changed = row->calls != counter->calls || row->total_ms != counter->total_ms ||
			row->stats_since != counter->stats_since;

		row->entry = SAME_ROW;
		if (!followed || !(changed || reading->all))
			return NULL;
	}
	i = new_entry(reading);
	if (row != NULL)
	{
		row->entry = i;
		reading->entries[i].anew = row->stats_since != counter->stats_since &&
			counter->stats_since != 0;
	}
	return &reading->entries[i];
}

/* WAL bytes are numeric in the view, and never near the end of a bigint. */
static int64
count_of(const Reading *reading, TupleTableSlot *slot, HistoryCount which)
{
	int			attribute = reading->attributes[SRC_COUNTS + which];
	Datum		value = slot->tts_values[attribute - 1];

	if (TupleDescAttr(reading->result.setDesc, attribute - 1)->atttypid == NUMERICOID)
		return DatumGetInt64(DirectFunctionCall1(numeric_int8, value));
	return DatumGetInt64(value);
}

static void
fill_present(const Reading *reading, TupleTableSlot *slot, HistoryEntry *entry)
{
	EntryKey	key;

	(void) key_of(reading, slot, &key);
	entry->present = true;
	entry->queryid = key.queryid;
	entry->userid = key.userid;
	entry->toplevel = key.toplevel != 0;
	if (reading->attributes[SRC_STATS_SINCE] > 0)
		entry->stats_since = DatumGetTimestampTz(column_of(reading, slot, SRC_STATS_SINCE));
	for (int i = 0; i < HISTORY_COUNTS; i++)
		entry->is.count[i] = count_of(reading, slot, i);
	entry->is.time[HISTORY_TOTAL_MS] = DatumGetFloat8(column_of(reading, slot, SRC_TOTAL_MS));
	entry->is.time[HISTORY_PLAN_MS] = DatumGetFloat8(column_of(reading, slot, SRC_PLAN_MS));
	entry->is.time[HISTORY_BLK_READ_MS] = DatumGetFloat8(column_of(reading, slot, SRC_BLK_READ_MS));
	entry->is.time[HISTORY_BLK_WRITE_MS] = DatumGetFloat8(column_of(reading, slot, SRC_BLK_WRITE_MS));
	entry->is.time[HISTORY_SUM_SQUARES] =
		pgaml_history_core_sum_squares(entry->is.count[HISTORY_CALLS],
									   DatumGetFloat8(column_of(reading, slot, SRC_MEAN)),
									   DatumGetFloat8(column_of(reading, slot, SRC_STDDEV)));
}

/* Pass 3: all columns of what changed or is new. */
static void
read_values(Reading *reading, TupleTableSlot *slot)
{
	tuplestore_rescan(reading->result.setResult);
	for (int i = 0; i < reading->nrows &&
		 tuplestore_gettupleslot(reading->result.setResult, true, false, slot); i++)
	{
		int			entry = reading->rows[i].entry;

		if (entry == SAME_ROW || entry == FOREIGN_ROW)
			continue;
		if (entry == NEW_ROW)
			entry = new_entry(reading);
		slot_getallattrs(slot);
		fill_present(reading, slot, &reading->entries[entry]);
	}
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
 * statement_counters was written, sorted by queryid, toplevel and userid;
 * with all, every entry that is not known to be a utility statement.  The
 * array is in the current memory context.
 */
HistoryEntry *
pgaml_history_source_read(const HistorySource *source, bool all, int *n)
{
	Reading		reading = {.all = all,.size = 256};
	MemoryContext keep = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(keep, "pganalytics_ml reading", ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot;

	reading.entries = palloc(sizeof(HistoryEntry) * reading.size);
	MemoryContextSwitchTo(context);
	call_view(source, &reading.result);
	find_columns(&reading);
	slot = MakeSingleTupleTableSlot(reading.result.setDesc, &TTSOpsMinimalTuple);
	read_keys(&reading, slot);
	pgaml_history_counters_scan(visit_counter, &reading);
	read_values(&reading, slot);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(reading.result.setResult);
	FreeExprContext(reading.result.econtext, true);
	MemoryContextSwitchTo(keep);
	MemoryContextDelete(context);

	qsort(reading.entries, reading.n, sizeof(HistoryEntry), by_queryid);
	*n = reading.n;
	return reading.entries;
}
