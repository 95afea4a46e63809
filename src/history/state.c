/*-------------------------------------------------------------------------
 * state.c
 *		Where the collector stands: the one row of collector_state.
 *
 * LOCKING.  Whoever collects, reads texts, drains or retires locks that row first and
 * holds it until the end of the transaction: two collectors never work at
 * the same time, and the second one sees what the first one committed.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "base/clock.h"
#include "base/os.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "history/history.h"
#include "history/history_internal.h"

static Datum
value_at(int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, isnull);
}

static TimestampTz
time_at(int column, TimestampTz unknown)
{
	bool		isnull;
	Datum		value = value_at(column, &isnull);

	return isnull ? unknown : DatumGetTimestampTz(value);
}

static int64
int_at(int column)
{
	bool		isnull;
	Datum		value = value_at(column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

void
pgaml_history_lock(void)
{
	if (pgaml_spi_run("SELECT FROM pganalytics.collector_state FOR UPDATE", false) == 0)
		pgaml_spi_run("INSERT INTO pganalytics.collector_state DEFAULT VALUES"
					  " ON CONFLICT (only_row) DO NOTHING", false);
}

/* Locks the row, which is made anew if someone deleted it, and reads it. */
void
pgaml_history_state_lock(CollectorState *state)
{
	bool		isnull;

	pgaml_history_lock();
	if (pgaml_spi_run("SELECT i.origin, s.last_tick, s.boot_at, s.stats_reset, s.dealloc,"
					  " s.database::int8, s.bucket_width::int8, s.bucket_start, s.entries, s.last_text_read, s.last_join"
					  " FROM pganalytics.collector_state s, pganalytics.installation i", false) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the state of pganalytics_ml in this database is damaged"),
				 errdetail("pganalytics.installation must hold one row."),
				 errhint("Run DROP EXTENSION and CREATE EXTENSION pganalytics_ml.")));

	memset(state, 0, sizeof(CollectorState));
	memcpy(&state->origin, DatumGetUUIDP(value_at(1, &isnull)), sizeof(pg_uuid_t));
	state->past.tick_at = time_at(2, 0);
	(void) value_at(2, &isnull);
	state->past.any = !isnull;
	state->past.boot_at = time_at(3, 0);
	state->past.stats_reset = time_at(4, 0);
	state->past.dealloc = int_at(5);
	state->past.database = (Oid) int_at(6);
	state->bucket_width = (int) int_at(7);
	state->bucket_start = time_at(8, 0);
	state->entries = int_at(9);
	state->last_text_read = time_at(10, DT_NOBEGIN);
	state->last_join = time_at(11, DT_NOBEGIN);
}

void
pgaml_history_state_store(const CollectorState *state, const HistoryPresent *present, double tick_ms)
{
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, OIDOID,
	INT4OID, TIMESTAMPTZOID, INT8OID, FLOAT8OID};
	Datum		values[] = {
		TimestampTzGetDatum(present->now), TimestampTzGetDatum(present->boot_at),
		TimestampTzGetDatum(present->stats_reset), Int64GetDatum(present->dealloc),
		ObjectIdGetDatum(present->database), Int32GetDatum(state->bucket_width),
		TimestampTzGetDatum(state->bucket_start), Int64GetDatum(state->entries),
		Float8GetDatum(tick_ms)
	};

	pgaml_spi_exec("UPDATE pganalytics.collector_state SET last_tick = $1, boot_at = $2,"
				   " stats_reset = $3, dealloc = $4, database = $5, bucket_width = $6,"
				   " bucket_start = $7, entries = $8, tick_ms = $9",
				   lengthof(types), types, values, NULL, false);
}

/*
 * When the server last started or restarted after a crash.  Without preload
 * the checkpointer tells: it lives exactly as long as shared memory does.
 */
TimestampTz
pgaml_history_boot_at(void)
{
	if (pgaml_shared != NULL)
		return pgaml_shared->boot_at;
	pgaml_spi_run("SELECT coalesce((SELECT backend_start FROM pg_stat_activity"
				  " WHERE backend_type = 'checkpointer'), pg_postmaster_start_time())", false);
	return time_at(1, 0);
}

/* Backends at work now, this one excepted. */
static double
active_backends(void)
{
	if (pgaml_shared != NULL)
		return pgaml_shmem_active();
	pgaml_spi_run("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
				  " AND backend_type = 'client backend' AND pid <> pg_backend_pid()", false);
	return (double) int_at(1);
}

/* Add one look at the machine to the means of this bucket. */
void
pgaml_history_store_system(TimestampTz bucket, int width)
{
	Oid			types[] = {TIMESTAMPTZOID, INT4OID, FLOAT8OID, FLOAT8OID};
	double		memory = pgaml_os_available_memory_pct();
	double		active = active_backends();
	Datum		values[] = {
		TimestampTzGetDatum(bucket), Int32GetDatum(width),
		Float8GetDatum(memory), Float8GetDatum(active)
	};
	char		nulls[] = {' ', ' ', isnan(memory) ? 'n' : ' ', ' '};

	pgaml_spi_exec("INSERT INTO pganalytics.system_history AS s"
				   " (bucket_start, bucket_width, ticks, available_memory_pct, active_backends)"
				   " VALUES ($1, $2, 1, $3, $4) ON CONFLICT (bucket_start, bucket_width) DO UPDATE SET"
				   " ticks = s.ticks + 1,"
				   " available_memory_pct = coalesce(s.available_memory_pct"
				   " + (excluded.available_memory_pct - s.available_memory_pct) / (s.ticks + 1),"
				   " excluded.available_memory_pct, s.available_memory_pct),"
				   " active_backends = s.active_backends"
				   " + (excluded.active_backends - s.active_backends) / (s.ticks + 1)",
				   lengthof(types), types, values, nulls, false);
}
