/*-------------------------------------------------------------------------
 * training_turn.c
 *		The launcher's part in training jobs: which database gets a worker, and
 *		which worker must stop?
 *
 * Part of a turn (turn.c).  Databases say in the directory when their next job
 * may start (base/training.h); max_concurrent_training workers are shared
 * among them fairly (jobs_core.c).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "common/pg_prng.h"
#include "postmaster/bgworker.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "base/training.h"
#include "worker/jobs_core.h"
#include "worker/schedule_core.h"
#include "worker/worker_internal.h"

#define WATCH_MS	1000L		/* while a worker is at work */

static BackgroundWorkerHandle *handles[PGAML_TRAINING_MAX];

static long
sooner(long wait_ms, TimestampTz when, TimestampTz now)
{
	return Min(wait_ms, pgaml_schedule_wait_ms(when, now, wait_ms));
}

/*
 * A worker has left.  When it did not get to the jobs the next one comes
 * later; when it left a job behind the next one comes to settle that.
 */
static void
note_end(const PgamlTrainingSlot *slot, TimestampTz now)
{
	double		jitter = pg_prng_double(&pg_global_prng_state);
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(slot->dbid);
	if (entry != NULL && !slot->succeeded)
	{
		entry->jobs_failures = Min(entry->jobs_failures, INT_MAX - 1) + 1;
		entry->jobs_retry_at = now + pgaml_schedule_backoff(entry->jobs_failures, jitter);
	}
	if (entry != NULL && slot->job_id != 0)
		entry->jobs_due = now;
	LWLockRelease(pgaml_shared->lock);
}

/* Free the slots of processes that have ended; see read_results() of turn.c. */
static void
free_ended(PgamlTrainingSlot *slots, TimestampTz now)
{
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		pid_t		pid;

		if (slots[i].state == PGAML_WORKER_FREE)
			continue;
		if (handles[i] != NULL ? GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED :
			slots[i].state != PGAML_WORKER_DONE)
			continue;
		pgaml_training_copy(slots);
		note_end(&slots[i], now);
		if (handles[i] != NULL)
			pfree(handles[i]);
		handles[i] = NULL;
		pgaml_training_free(i);
		slots[i].state = PGAML_WORKER_FREE;
	}
}

/* End a worker whose job is beyond every limit. */
static void
end_overdue(int i, const PgamlTrainingSlot *slot)
{
	if (slot->ended || slot->job_id == 0 || GetCurrentTimestamp() < slot->deadline)
		return;
	ereport(LOG,
			(errmsg("pganalytics_ml ends the worker of job " INT64_FORMAT " (%s) in database \"%s\"",
					slot->job_id, slot->kind, get_database_name(slot->dbid)),
			 errdetail("It did not stop by itself after pganalytics_ml.training_time_limit.")));
	pgaml_training_terminate(i, slot->serial);
}

/* In a transaction: stop those who are in somebody's way or take too long. */
static void
watch(const PgamlTrainingSlot *slots)
{
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		if (slots[i].state != PGAML_WORKER_RUNNING)
			continue;
		/* A database that was forgotten has no extension any more: nobody will want the model. */
		if (slots[i].stop == PGAML_STOP_NONE &&
			(pgaml_database_wanted(slots[i].dbid) || !pgaml_shmem_database_known(slots[i].dbid)))
			pgaml_training_interrupt(i, slots[i].serial);
		end_overdue(i, &slots[i]);
	}
}

/* Who sits in the database of this turn? */
static void
count_workers(const PgamlTrainingSlot *slots, PgamlJobsTurn *turn)
{
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		if (slots[i].state == PGAML_WORKER_FREE || slots[i].dbid != turn->dbid)
			continue;
		turn->workers++;
		turn->looking = turn->looking || slots[i].job_id == 0;
	}
}

/* Databases with a job that may start; lowers wait_ms to when the next one may. */
static int
list_turns(const PgamlTrainingSlot *slots, TimestampTz now, PgamlJobsTurn *turns, long *wait_ms)
{
	int			n = 0;

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	for (int i = 0; i < PGAML_MAX_DATABASES; i++)
	{
		const PgamlDatabase *entry = &pgaml_shared->databases[i];

		if (!OidIsValid(entry->dbid) || entry->jobs_due == 0)
			continue;
		if (!pgaml_schedule_reached(entry->jobs_due, now, PGAML_JOB_RETRY_MAX_US))
			*wait_ms = sooner(*wait_ms, entry->jobs_due, now);
		else if (!pgaml_schedule_reached(entry->jobs_retry_at, now, PGAML_BACKOFF_MAX_US))
			*wait_ms = sooner(*wait_ms, entry->jobs_retry_at, now);
		else
			turns[n++] = (PgamlJobsTurn) {.served = entry->jobs_served, .due = entry->jobs_due, .dbid = entry->dbid};
	}
	LWLockRelease(pgaml_shared->lock);
	for (int i = 0; i < n; i++)
		count_workers(slots, &turns[i]);
	return n;
}

/* In a transaction: give the free slots to the databases whose turn it is. */
static void
start_workers(PgamlJobsTurn *turns, int n, TimestampTz now, long *wait_ms)
{
	if (n > 0 && pgaml_turn_starting_waits(now, wait_ms))
		return;
	for (;;)
	{
		int			next = pgaml_jobs_next_turn(turns, n);
		PgamlTicket ticket;

		if (next < 0)
			return;
		/* One worker a turn: it says itself whether there is more to do. */
		turns[next].looking = true;
		if (pgaml_database_wanted(turns[next].dbid))
		{
			*wait_ms = Min(*wait_ms, WATCH_MS);
			continue;
		}
		if (!pgaml_training_take(turns[next].dbid, GetCurrentTimestamp(), &ticket))
			return;
		if (!pgaml_turn_start("pgaml_training_main", PGAML_TRAINING_NAME, &ticket, &handles[ticket.slot], wait_ms))
		{
			pgaml_training_free(ticket.slot);
			return;
		}
	}
}

/* Returns wait_ms, or less when training needs the launcher sooner. */
long
pgaml_training_turn(TimestampTz now, long wait_ms)
{
	PgamlTrainingSlot slots[PGAML_TRAINING_MAX];
	PgamlJobsTurn *turns = palloc(sizeof(PgamlJobsTurn) * PGAML_MAX_DATABASES);
	int			n;
	bool		busy = false;

	pgaml_training_copy(slots);
	free_ended(slots, now);
	n = list_turns(slots, now, turns, &wait_ms);
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
		busy = busy || slots[i].state != PGAML_WORKER_FREE;
	if (busy)
		wait_ms = Min(wait_ms, WATCH_MS);
	if (busy || n > 0)
	{
		pgaml_xact_begin();
		watch(slots);
		start_workers(turns, n, now, &wait_ms);
		pgaml_xact_end();
	}
	return wait_ms;
}
