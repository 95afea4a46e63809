/*-------------------------------------------------------------------------
 * status.c
 *		How does the extension do?  SQL function service_status().
 *
 * One row.  What shared memory knows is NULL without the preload, and the
 * reason says so; what tables know is read in one statement, on a standby too.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/export.h"
#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "base/training.h"
#include "capture/capture.h"

PGAML_FUNCTION_INFO_V1(pgaml_service_status);

/* Columns of service_status(), in the order of src/sql/80_status.sql. */
enum
{
	COL_VERSION,
	COL_PRELOADED,
	COL_CAPTURE_STATE,
	COL_REASON,
	COL_OVERHEAD,
	COL_OVERHEAD_BUDGET,
	COL_CAPTURE_LEVEL,
	COL_EFFECTIVE_RATE,
	COL_NS_PER_EXECUTION,
	COL_NS_PER_SAMPLE,
	COL_EXECUTIONS,
	COL_SAMPLES,
	COL_THINNED,
	COL_SKIPPED,
	COL_DROPPED,
	COL_ERRORS,
	COL_UNFINISHED,
	COL_FACTS_SKIPPED,
	COL_REPEATS,
	COL_REPEATS_DROPPED,
	COL_GUARD_CHECKED,
	COL_GUARD_WARNED,
	COL_GUARD_CANCELLED,
	COL_RING_SIZE,
	COL_RING_USED,
	COL_ACTIVE_BACKENDS,
	COL_LAST_COLLECTION,
	COL_COVERAGE,
	COL_MODEL,
	COL_MODEL_AGE,
	COL_JOBS_PENDING,
	COL_JOBS_RUNNING,
	COL_LAUNCHER_PID,
	COL_WORKERS,
	COL_TRAINING_WORKERS,
	COL_LAST_ERROR,
	COL_LAST_ERROR_AT,
	COL_COUNT
};

typedef struct Row
{
	Datum		values[COL_COUNT];
	bool		nulls[COL_COUNT];
} Row;

static void
set(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_text(Row *row, int column, const char *value)
{
	if (value != NULL)
		set(row, column, CStringGetTextDatum(value));
}

static void
set_count(Row *row, int column, pg_atomic_uint64 *counter)
{
	set(row, column, Int64GetDatum((int64) pg_atomic_read_u64(counter)));
}

static void
set_ratio(Row *row, int column, double part, double whole)
{
	if (whole > 0)
		set(row, column, Float8GetDatum(part / whole));
}

/* The newest error wins; both are as long as shared memory keeps them. */
static void
set_error(Row *row, const char *message, TimestampTz at)
{
	if (at == 0 || (!row->nulls[COL_LAST_ERROR_AT] &&
					DatumGetTimestampTz(row->values[COL_LAST_ERROR_AT]) >= at))
		return;
	set_text(row, COL_LAST_ERROR, message);
	set(row, COL_LAST_ERROR_AT, TimestampTzGetDatum(at));
}

/* Is anything captured here?  *reason, if any, is palloc'd or a constant. */
static const char *
capture_state(double level, const char **reason)
{
	const char *track = GetConfigOption("pg_stat_statements.track", true, false);

	*reason = NULL;
	if (pg_atomic_read_u32(&pgaml_shared->capture_off) != 0)
	{
		*reason = "capture failed too often; see last_error, then call capture_reset()";
		return "off after errors";
	}
	if (RecoveryInProgress())
		*reason = "a standby captures nothing";
	else if (!pgaml_capture)
		*reason = "pganalytics_ml.capture is off";
	else if (pgaml_capture_rate <= 0.0)
		*reason = "pganalytics_ml.capture_rate is 0";
	else if (pgaml_overhead_budget <= 0.0)
		*reason = "pganalytics_ml.overhead_budget is 0";
	else if (track == NULL)
		*reason = "pg_stat_statements is not loaded";
	else if (strcmp(track, "none") == 0)
		*reason = "pg_stat_statements.track is none";
	if (*reason != NULL)
		return "off";
	if (!pgaml_shmem_database_known(MyDatabaseId))
	{
		*reason = "the launcher has not yet found the extension in this database";
		return "waiting for the launcher";
	}
	if (level < 1.0 && pgaml_overhead_budget < 1.0)
		*reason = psprintf("lowered to %.2g %% of what the settings allow, to stay within overhead_budget",
						   100.0 * level);
	return "on";
}

static void
describe_capture(Row *row)
{
	PgamlSpending recent;
	double		level;
	const char *reason;

	pgaml_capture_flush();
	pgaml_capture_spending(&recent, &level);
	set_text(row, COL_CAPTURE_STATE, capture_state(level, &reason));
	set_text(row, COL_REASON, reason);
	set_ratio(row, COL_OVERHEAD, recent.hook_ns + recent.work_ns, recent.cpu_ns);
	set(row, COL_CAPTURE_LEVEL, Float8GetDatum(level));
	set_ratio(row, COL_EFFECTIVE_RATE, Min(recent.samples, recent.executions), recent.executions);
	set_ratio(row, COL_NS_PER_EXECUTION, recent.hook_ns, recent.executions);
	set_ratio(row, COL_NS_PER_SAMPLE, recent.work_ns, recent.samples);
	set_count(row, COL_EXECUTIONS, &pgaml_shared->executions);
	set(row, COL_SAMPLES, Int64GetDatum((int64) pgaml_bag_put(pgaml_sample_bag)));
	set_count(row, COL_THINNED, &pgaml_shared->thinned);
	set_count(row, COL_SKIPPED, &pgaml_shared->skipped);
	set_count(row, COL_DROPPED, &pgaml_sample_bag->dropped);
	set_count(row, COL_ERRORS, &pgaml_shared->errors);
	set_count(row, COL_UNFINISHED, &pgaml_shared->unfinished);
	set_count(row, COL_FACTS_SKIPPED, &pgaml_shared->facts_skipped);
	set(row, COL_REPEATS, Int64GetDatum((int64) pgaml_bag_put(pgaml_repeat_bag)));
	set_count(row, COL_REPEATS_DROPPED, &pgaml_repeat_bag->dropped);
	set_count(row, COL_GUARD_CHECKED, &pgaml_shared->guard.checked);
	set_count(row, COL_GUARD_WARNED, &pgaml_shared->guard.warned);
	set_count(row, COL_GUARD_CANCELLED, &pgaml_shared->guard.cancelled);
	set(row, COL_RING_SIZE, Int32GetDatum((int32) pgaml_sample_bag->size));
	set(row, COL_RING_USED, Int32GetDatum((int32) pgaml_bag_used(pgaml_sample_bag)));
	set(row, COL_ACTIVE_BACKENDS, Int32GetDatum(pgaml_shmem_active()));
}

static bool
alive(PgamlWorkerState state)
{
	return state == PGAML_WORKER_STARTING || state == PGAML_WORKER_RUNNING;
}

/* Copied out under the locks, made into columns after them. */
static void
describe_workers(Row *row)
{
	PgamlTrainingSlot training[PGAML_TRAINING_MAX];
	PgamlDatabase *entry;
	char		visit_error[PGAML_ERROR_LEN] = "";
	char		capture_error[PGAML_ERROR_LEN];
	TimestampTz visit_error_at = 0;
	TimestampTz capture_error_at;
	int			launcher_pid;
	int			workers = 0;
	int			training_workers = 0;

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	launcher_pid = pgaml_shared->launcher_pid;
	for (int i = 0; i < lengthof(pgaml_shared->workers); i++)
		workers += alive(pgaml_shared->workers[i].state);
	entry = pgaml_shmem_find_database(MyDatabaseId);
	if (entry != NULL && entry->error_at != 0)
	{
		visit_error_at = entry->error_at;
		strlcpy(visit_error, entry->last_error, sizeof(visit_error));
	}
	LWLockRelease(pgaml_shared->lock);
	LWLockAcquire(pgaml_shared->facts_lock, LW_SHARED);
	capture_error_at = pgaml_shared->capture_error_at;
	strlcpy(capture_error, pgaml_shared->capture_error, sizeof(capture_error));
	LWLockRelease(pgaml_shared->facts_lock);
	pgaml_training_copy(training);
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
		training_workers += alive(training[i].state);

	if (launcher_pid != 0)
		set(row, COL_LAUNCHER_PID, Int32GetDatum(launcher_pid));
	set(row, COL_WORKERS, Int32GetDatum(workers));
	set(row, COL_TRAINING_WORKERS, Int32GetDatum(training_workers));
	set_error(row, visit_error, visit_error_at);
	set_error(row, capture_error, capture_error_at);
}

/*
 * Of the last 24 hours, or the time since the installation, history is covered
 * up to the last collection, but for what history_windows says was lost.  The
 * bucket of the installation lacks what was before it: that is no loss.
 */
static const char tables_sql[] =
"SELECT c.last_tick, "
"       least(1, greatest(0, extract(epoch FROM c.last_tick - d.since)::float8 "
"         - coalesce((SELECT sum(greatest(0, (1 - b.coverage) * least(b.bucket_width, extract(epoch FROM c.last_tick - b.bucket_start)::float8) "
"                                          - greatest(0, extract(epoch FROM d.since - b.bucket_start)::float8))) "
"                       FROM pganalytics.bucket_coverage b WHERE b.origin = i.origin AND b.bucket_start <= c.last_tick "
"                        AND b.bucket_start + make_interval(secs => b.bucket_width) > d.since), 0)) "
"       / nullif(extract(epoch FROM $1 - d.since)::float8, 0)), "
"       m.model_id, $1 - m.activated_at, j.pending, j.running, f.error, f.finished_at "
"  FROM pganalytics.collector_state c CROSS JOIN pganalytics.installation i "
" CROSS JOIN LATERAL (SELECT greatest($1 - interval '24 hours', i.installed_at) AS since) d "
" CROSS JOIN (SELECT count(*) FILTER (WHERE t.status = 'pending') AS pending, "
"                    count(*) FILTER (WHERE t.status = 'training') AS running FROM pganalytics.training_jobs t) j "
"  LEFT JOIN pganalytics.models m ON m.stage = 'production' "
"  LEFT JOIN (SELECT t.error, t.finished_at FROM pganalytics.training_jobs t "
"              WHERE t.status = 'failed' AND t.finished_at IS NOT NULL ORDER BY t.finished_at DESC LIMIT 1) f ON true";

/* Copies the columns of its one row, in the order of the enum, into memory that outlives the bracket. */
static void
describe_tables(Row *row)
{
	static const int columns[] = {COL_LAST_COLLECTION, COL_COVERAGE, COL_MODEL, COL_MODEL_AGE, COL_JOBS_PENDING, COL_JOBS_RUNNING};
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {TIMESTAMPTZOID};
	Datum		values[] = {TimestampTzGetDatum(pgaml_clock_now())};
	PgamlSpi	spi;
	MemoryContext inside;
	bool		null;

	pgaml_spi_open(&spi);
	if (pgaml_spi_exec(tables_sql, lengthof(types), types, values, NULL, true) == 0)
		elog(ERROR, "the state of the extension has no row");
	inside = MemoryContextSwitchTo(caller);
	for (int i = 0; i < lengthof(columns); i++)
	{
		Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &null);

		if (null)
			continue;
		if (columns[i] == COL_MODEL_AGE)
			value = PointerGetDatum(memcpy(palloc(sizeof(Interval)), DatumGetPointer(value), sizeof(Interval)));
		set(row, columns[i], value);
	}
	{
		Datum		at = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, lengthof(columns) + 2, &null);

		if (!null)
			set_error(row, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, lengthof(columns) + 1),
					  DatumGetTimestampTz(at));
	}
	MemoryContextSwitchTo(inside);
	pgaml_spi_close(&spi);
}

/* SQL: service_status(), one row. */
Datum
pgaml_service_status(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Row			row;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != COL_COUNT)
		elog(ERROR, "return type must be a row of %d columns", COL_COUNT);
	memset(row.nulls, true, sizeof(row.nulls));
	set_text(&row, COL_VERSION, PGAML_VERSION);
	set(&row, COL_PRELOADED, BoolGetDatum(pgaml_shared != NULL));
	set(&row, COL_OVERHEAD_BUDGET, Float8GetDatum(pgaml_overhead_budget));
	if (pgaml_shared != NULL)
	{
		describe_capture(&row);
		describe_workers(&row);
	}
	else
	{
		set_text(&row, COL_CAPTURE_STATE, "not preloaded");
		set_text(&row, COL_REASON, "add to postgresql.conf and restart: shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'");
	}
	describe_tables(&row);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), row.values, row.nulls)));
}
