/*-------------------------------------------------------------------------
 * texts.c
 *		Reads the texts of statements that are not known yet.
 *
 * pg_stat_statements gives texts only all at once, so they are read when
 * unknown ids wait and text_interval has passed.  A utility statement keeps
 * its command tag and loses what history holds of it; any other text is
 * stored without literals and comments (normalize.c).
 *
 * CAUTION: one queryid can have several texts.  The query inside EXPLAIN,
 * DECLARE CURSOR or CREATE TABLE AS has the queryid of the same query run
 * by itself, and an entry of its own, not at top level, with the text of the
 * whole statement.  So it is the entry that is a utility statement or not;
 * the queryid is plannable when any of its entries is.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/batch.h"
#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history.h"
#include "history/history_internal.h"
#include "history/normalize.h"

#define FETCH_ROWS	1000
#define LONGEST_TEXT "262144"	/* bytes; longer texts are not kept */
#define CUT_TEXT	"16384"		/* characters of them that are looked at */

enum
{
	TEXT_QUERYID,
	TEXT_USERID,
	TEXT_TOPLEVEL,
	TEXT_TAG,
	TEXT_PLANNABLE,
	TEXT_QUERY,
	TEXT_COLUMNS
};

static const Oid text_types[TEXT_COLUMNS] = {INT8OID, OIDOID, BOOLOID, TEXTOID, BOOLOID, TEXTOID};

#define TEXT_ROWS "unnest($1, $2, $3, $4, $5, $6) AS e(queryid, userid, toplevel, tag, plannable, query)"

static bool
any_unknown(void)
{
	return pgaml_spi_run("SELECT FROM pganalytics.statement_counters WHERE plannable IS NULL LIMIT 1",
						 false) > 0;
}

static bool
is_due(const CollectorState *state, TimestampTz now)
{
	return state->last_text_read == DT_NOBEGIN || now < state->last_text_read ||
		now - state->last_text_read >= pgaml_text_interval * USECS_PER_SEC;
}

/* One text: judged in scratch, its result copied to the batch's context. */
static void
add_text(PgamlBatch *batch, MemoryContext scratch, HeapTuple row, TupleDesc desc)
{
	MemoryContext keep = MemoryContextSwitchTo(scratch);
	NormalizedText result;
	bool		isnull;
	Datum		values[TEXT_COLUMNS];
	bool		nulls[TEXT_COLUMNS] = {0};

	pgaml_history_normalize(TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull)),
							DatumGetBool(SPI_getbinval(row, desc, 5, &isnull)), &result);
	MemoryContextSwitchTo(keep);
	values[TEXT_QUERYID] = SPI_getbinval(row, desc, 1, &isnull);
	values[TEXT_USERID] = SPI_getbinval(row, desc, 2, &isnull);
	values[TEXT_TOPLEVEL] = SPI_getbinval(row, desc, 3, &isnull);
	values[TEXT_TAG] = CStringGetTextDatum(result.tag);
	values[TEXT_PLANNABLE] = BoolGetDatum(result.plannable);
	nulls[TEXT_QUERY] = result.text == NULL;
	values[TEXT_QUERY] = result.text == NULL ? (Datum) 0 : CStringGetTextDatum(result.text);
	pgaml_batch_add(batch, values, nulls);
	MemoryContextReset(scratch);
}

static void
store_texts(const CollectorState *state, const PgamlBatch *batch)
{
	Oid			type = UUIDOID;
	Datum		origin = UUIDPGetDatum(&state->origin);

	pgaml_batch_exec(batch,
					 "UPDATE pganalytics.statement_counters c SET plannable = e.plannable FROM " TEXT_ROWS
					 " WHERE c.queryid = e.queryid AND c.userid = e.userid AND c.toplevel = e.toplevel",
					 0, NULL, NULL);
	pgaml_batch_exec(batch,
					 "UPDATE pganalytics.statements s SET command_tag = e.tag, plannable = e.plannable,"
					 " query = e.query FROM (SELECT DISTINCT ON (e.queryid) e.* FROM " TEXT_ROWS
					 " ORDER BY e.queryid, e.plannable DESC, e.toplevel DESC) e"
					 " WHERE s.queryid = e.queryid AND s.origin = $7 AND s.plannable IS NOT TRUE",
					 1, &type, &origin);
	pgaml_batch_exec(batch,
					 "DELETE FROM pganalytics.statement_history h USING " TEXT_ROWS
					 " WHERE NOT e.plannable AND h.queryid = e.queryid AND h.toplevel = e.toplevel"
					 " AND h.origin = $7 AND NOT EXISTS (SELECT FROM pganalytics.statement_counters c"
					 " WHERE c.queryid = e.queryid AND c.toplevel = e.toplevel AND c.plannable)",
					 1, &type, &origin);
}

static Portal
open_texts(const HistorySource *source)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(MyDatabaseId)};

	return SPI_cursor_open_with_args(NULL,
									 psprintf("SELECT s.queryid, s.userid, s.toplevel,"
											  " CASE WHEN octet_length(s.query) <= " LONGEST_TEXT
											  " THEN s.query ELSE left(s.query, " CUT_TEXT ") END,"
											  " octet_length(s.query) > " LONGEST_TEXT
											  " FROM %s.pg_stat_statements(true) s"
											  " JOIN pganalytics.statement_counters c"
											  " USING (queryid, userid, toplevel)"
											  " WHERE s.dbid = $1 AND c.plannable IS NULL"
											  " AND s.query <> '<insufficient privilege>'",
											  source->schema),
									 1, types, values, NULL, false, CURSOR_OPT_NO_SCROLL);
}

static void
read_all(const CollectorState *state, const HistorySource *source)
{
	Portal		portal = open_texts(source);
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext batch_context = AllocSetContextCreate(outer, "pganalytics_ml texts", ALLOCSET_DEFAULT_SIZES);
	MemoryContext scratch = AllocSetContextCreate(outer, "pganalytics_ml text", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		PgamlBatch	batch;
		SPITupleTable *rows;

		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		rows = SPI_tuptable;
		MemoryContextSwitchTo(batch_context);
		pgaml_batch_init(&batch, lengthof(text_types), text_types);
		for (uint64 i = 0; i < rows->numvals; i++)
		{
			CHECK_FOR_INTERRUPTS();
			add_text(&batch, scratch, rows->vals[i], rows->tupdesc);
		}
		store_texts(state, &batch);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(batch_context);
		SPI_freetuptable(rows);
	}
	SPI_cursor_close(portal);
	MemoryContextDelete(scratch);
	MemoryContextDelete(batch_context);
}

/* Until the bracket closes: texts are cut into tokens the same way everywhere. */
static void
set_scanner(void)
{
	static const char *const names[] = {"standard_conforming_strings", "backslash_quote"};

	for (int i = 0; i < lengthof(names); i++)
		(void) set_config_option(names[i], "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

void
pgaml_history_read_texts(bool force)
{
	HistorySource source;
	CollectorState state;
	TimestampTz now = pgaml_clock_now();
	Oid			type = TIMESTAMPTZOID;
	Datum		value = TimestampTzGetDatum(now);

	pgaml_history_state_lock(&state);
	if (!any_unknown() || !(force || is_due(&state, now)))
		return;
	set_scanner();
	pgaml_history_source_open(&source);
	read_all(&state, &source);
	pgaml_spi_exec("UPDATE pganalytics.collector_state SET last_text_read = $1",
				   1, &type, &value, NULL, false);
}
