/*-------------------------------------------------------------------------
 * status.c
 *		What do the launcher and its workers do?  SQL function worker_status().
 *
 * Copies shared memory out under the lock, then makes rows of the copy.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/export.h"
#include "base/guc.h"
#include "base/training.h"
#include "worker/worker_internal.h"

PGAML_FUNCTION_INFO_V1(pgaml_worker_status);

/* Columns of worker_status() */
enum
{
	COL_COMPONENT,
	COL_PID,
	COL_DATID,
	COL_DATNAME,
	COL_STATE,
	COL_PROGRESS,
	COL_STARTED_AT,
	COL_LAST_VISIT,
	COL_NEXT_VISIT,
	COL_FAILURES,
	COL_ERROR_AT,
	COL_LAST_ERROR,
	COL_COUNT
};

typedef struct Row
{
	Datum		values[COL_COUNT];
	bool		nulls[COL_COUNT];
} Row;

static void
start_row(Row *row, const char *component, const char *state)
{
	memset(row->nulls, true, sizeof(row->nulls));
	row->values[COL_COMPONENT] = CStringGetTextDatum(component);
	row->values[COL_STATE] = CStringGetTextDatum(state);
	row->nulls[COL_COMPONENT] = row->nulls[COL_STATE] = false;
}

static void
set(Row *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_pid(Row *row, int pid)
{
	if (pid != 0)
		set(row, COL_PID, Int32GetDatum(pid));
}

static void
set_time(Row *row, int column, TimestampTz t)
{
	if (t != 0)
		set(row, column, TimestampTzGetDatum(t));
}

static void
set_database(Row *row, Oid dbid)
{
	char	   *name = get_database_name(dbid);

	set(row, COL_DATID, ObjectIdGetDatum(dbid));
	if (name != NULL)
		set(row, COL_DATNAME, DirectFunctionCall1(namein, CStringGetDatum(name)));
}

static void
database_row(Row *row, const PgamlDatabase *db)
{
	int			failures = db->failures;

	for (int i = 0; i < PGAML_VISIT_STEPS; i++)
		failures = Max(failures, db->steps[i].failures);
	start_row(row, "database", failures > 0 ? "failing" : db->last_visit == 0 ? "new" : "visited");
	set_database(row, db->dbid);
	set_time(row, COL_LAST_VISIT, db->last_visit);
	set_time(row, COL_NEXT_VISIT, db->next_visit);
	set(row, COL_FAILURES, Int32GetDatum(failures));
	set_time(row, COL_ERROR_AT, db->error_at);
	if (db->error_at != 0)
		set(row, COL_LAST_ERROR, CStringGetTextDatum(db->last_error));
}

static void
worker_row(Row *row, const PgamlWorkerSlot *slot)
{
	start_row(row, "worker", slot->state == PGAML_WORKER_STARTING ? "starting" :
			  slot->state == PGAML_WORKER_RUNNING ? "running" : "leaving");
	set_pid(row, slot->pid);
	set_database(row, slot->dbid);
	set(row, COL_PROGRESS, Float8GetDatum(slot->progress));
	set_time(row, COL_STARTED_AT, slot->started_at);
}

static void
training_row(Row *row, const PgamlTrainingSlot *slot)
{
	start_row(row, "training", slot->state == PGAML_WORKER_STARTING ? "starting" :
			  slot->state == PGAML_WORKER_RUNNING ? "running" : "leaving");
	set_pid(row, slot->pid);
	set_database(row, slot->dbid);
	set(row, COL_PROGRESS, Float8GetDatum(slot->progress));
	set_time(row, COL_STARTED_AT, slot->started_at);
}

static void
put_row(ReturnSetInfo *rsinfo, Row *row)
{
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->values, row->nulls);
}

/*
 * SQL: worker_status() returns one row for the launcher, one per database that
 * is looked after, one per visit under way, one per training worker.
 */
Datum
pgaml_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PgamlDatabase *databases = palloc(sizeof(pgaml_shared->databases));
	PgamlWorkerSlot slots[PGAML_WORKERS_MAX];
	PgamlTrainingSlot training[PGAML_TRAINING_MAX];
	int			launcher_pid;
	Row			row;

	pgaml_require_preload("worker_status()");
	InitMaterializedSRF(fcinfo, 0);

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	launcher_pid = pgaml_shared->launcher_pid;
	memcpy(databases, pgaml_shared->databases, sizeof(pgaml_shared->databases));
	LWLockRelease(pgaml_shared->lock);
	pgaml_slots_copy(slots);
	pgaml_training_copy(training);

	start_row(&row, "launcher", launcher_pid != 0 ? "running" : "not running");
	set_pid(&row, launcher_pid);
	put_row(rsinfo, &row);
	for (int i = 0; i < PGAML_MAX_DATABASES; i++)
	{
		if (!OidIsValid(databases[i].dbid))
			continue;
		database_row(&row, &databases[i]);
		put_row(rsinfo, &row);
	}
	for (int i = 0; i < PGAML_WORKERS_MAX; i++)
	{
		if (slots[i].state == PGAML_WORKER_FREE)
			continue;
		worker_row(&row, &slots[i]);
		put_row(rsinfo, &row);
	}
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		if (training[i].state == PGAML_WORKER_FREE)
			continue;
		training_row(&row, &training[i]);
		put_row(rsinfo, &row);
	}
	return (Datum) 0;
}
