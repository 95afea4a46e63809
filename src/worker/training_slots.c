/*-------------------------------------------------------------------------
 * training_slots.c
 *		The life of a training slot in shared memory, seen from the worker's
 *		and from the launcher's side.
 *
 * FREE -> STARTING -> RUNNING -> DONE -> FREE, as the slots of visits; while
 * it runs, a job begins and ends in it many times.  Every function holds
 * PgamlShared.lock for a few assignments.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/training.h"
#include "train/job.h"
#include "worker/worker_internal.h"

/* Launcher: reserve a slot.  False when max_concurrent_training are at work. */
bool
pgaml_training_take(Oid dbid, TimestampTz now, PgamlTicket *ticket)
{
	bool		taken = false;

	memset(ticket, 0, sizeof(*ticket));
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < pgaml_max_concurrent_training && !taken; i++)
	{
		PgamlTrainingSlot *slot = &pgaml_shared->training[i];
		uint32		serial = slot->serial + 1;

		if (slot->state != PGAML_WORKER_FREE)
			continue;
		memset(slot, 0, sizeof(*slot));
		slot->state = PGAML_WORKER_STARTING;
		slot->dbid = dbid;
		slot->serial = serial;
		slot->started_at = now;
		ticket->slot = i;
		ticket->serial = serial;
		ticket->dbid = dbid;
		taken = true;
	}
	LWLockRelease(pgaml_shared->lock);
	return taken;
}

/* Worker: false when the ticket is not good any more. */
bool
pgaml_training_enter(const PgamlTicket *ticket)
{
	PgamlTrainingSlot *slot = &pgaml_shared->training[ticket->slot];
	bool		good;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	good = slot->state == PGAML_WORKER_STARTING && slot->serial == ticket->serial;
	if (good)
	{
		slot->state = PGAML_WORKER_RUNNING;
		slot->pid = MyProcPid;
		pgaml_training_slot = ticket->slot;
	}
	LWLockRelease(pgaml_shared->lock);
	return good;
}

/* Worker, at the end of its process; the postmaster then wakes the launcher. */
void
pgaml_training_leave(int slot)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->training[slot].state = PGAML_WORKER_DONE;
	pgaml_shared->training[slot].pid = 0;
	LWLockRelease(pgaml_shared->lock);
}

void
pgaml_training_free(int slot)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->training[slot].state = PGAML_WORKER_FREE;
	pgaml_shared->training[slot].pid = 0;
	LWLockRelease(pgaml_shared->lock);
}

/* A launcher that begins; see pgaml_slots_adopt(). */
void
pgaml_training_adopt(void)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		if (pgaml_shared->training[i].state == PGAML_WORKER_STARTING)
			pgaml_shared->training[i].state = PGAML_WORKER_FREE;
	}
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Worker: it is at this job now.  Must come before the job is marked as taken
 * in the table: a job marked so that stands in no slot was left behind.
 */
void
pgaml_training_begin(const PgamlJob *job, int64 hard_limit)
{
	PgamlTrainingSlot *slot = &pgaml_shared->training[pgaml_training_slot];
	TimestampTz now = GetCurrentTimestamp();
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	slot->job_id = job->job_id;
	slot->extension = job->extension;
	strlcpy(slot->kind, job->kind, sizeof(slot->kind));
	slot->stop = PGAML_STOP_NONE;
	slot->job_started_at = now;
	slot->deadline = now + hard_limit;
	slot->progress = 0;
	slot->rows_read = 0;
	slot->trees_grown = 0;
	entry = pgaml_shmem_find_database(slot->dbid);
	if (entry != NULL)
		entry->jobs_served = now;
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Worker: it is at no job any more, and nobody interrupts it because of the
 * one it was at.  Returns why it was, if it was.
 */
PgamlJobStop
pgaml_training_end(void)
{
	PgamlTrainingSlot *slot = &pgaml_shared->training[pgaml_training_slot];
	PgamlDatabase *entry;
	PgamlJobStop stop;
	sigset_t	pending;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	stop = slot->stop;
	slot->job_id = 0;
	entry = pgaml_shmem_find_database(slot->dbid);
	if (entry != NULL)
		entry->jobs_served = GetCurrentTimestamp();
	LWLockRelease(pgaml_shared->lock);

	/*
	 * Whoever interrupts sends the signal under the lock, so it is on its way
	 * by now: a call into the kernel lets it arrive before it is forgotten.
	 */
	(void) sigpending(&pending);
	QueryCancelPending = false;
	return stop;
}

/* Worker: it did what was to do; failures of those before are forgotten. */
void
pgaml_training_succeeded(void)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->training[pgaml_training_slot].succeeded = true;
	entry = pgaml_shmem_find_database(MyDatabaseId);
	if (entry != NULL)
	{
		entry->jobs_failures = 0;
		entry->jobs_retry_at = 0;
	}
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Somebody wants the database, or nobody wants the job any more.  The lock
 * keeps the worker from ending meanwhile, so the pid is its own.
 */
void
pgaml_training_interrupt(int slot, uint32 serial)
{
	PgamlTrainingSlot *s = &pgaml_shared->training[slot];

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	if (s->state == PGAML_WORKER_RUNNING && s->serial == serial && s->stop == PGAML_STOP_NONE)
	{
		s->stop = PGAML_STOP_WANTED;
		kill(s->pid, SIGINT);
	}
	LWLockRelease(pgaml_shared->lock);
}

/* Launcher: the job did not stop in time. */
void
pgaml_training_terminate(int slot, uint32 serial)
{
	PgamlTrainingSlot *s = &pgaml_shared->training[slot];

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	if (s->state == PGAML_WORKER_RUNNING && s->serial == serial && s->job_id != 0)
	{
		PgamlDatabase *entry = pgaml_shmem_find_database(s->dbid);

		if (entry != NULL)
			entry->jobs_overdue = s->job_id;
		s->ended = true;
		kill(s->pid, SIGTERM);
	}
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Before the queue of this database is read: what to hand to
 * pgaml_training_due(), and the job whose worker was ended because of its time.
 */
uint64
pgaml_training_serial(int64 *overdue)
{
	PgamlDatabase *entry;
	uint64		serial = 0;

	*overdue = 0;
	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	entry = pgaml_shmem_find_database(MyDatabaseId);
	if (entry != NULL)
	{
		serial = entry->jobs_serial;
		*overdue = entry->jobs_overdue;
	}
	LWLockRelease(pgaml_shared->lock);
	return serial;
}

/*
 * When the next job of this database that nobody has taken may start (0: there
 * is none), as read from the table after serial was; a job announced since
 * then counts more.
 */
void
pgaml_training_due(uint64 serial, TimestampTz due)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(MyDatabaseId);
	if (entry != NULL && entry->jobs_serial == serial && entry->jobs_due != due)
	{
		entry->jobs_due = due;
		if (due != 0 && pgaml_shared->launcher_latch != NULL)
			SetLatch(pgaml_shared->launcher_latch);
	}
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Worker: are there more databases that wait for a first worker than free
 * slots?
 */
bool
pgaml_training_others_wait(TimestampTz now)
{
	int			unserved = 0;

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	for (int i = 0; i < PGAML_MAX_DATABASES; i++)
	{
		const PgamlDatabase *entry = &pgaml_shared->databases[i];
		bool		served = false;

		if (!OidIsValid(entry->dbid) || entry->dbid == MyDatabaseId || entry->jobs_due == 0 ||
			entry->jobs_due > now || entry->jobs_retry_at > now)
			continue;
		for (int j = 0; j < pgaml_max_concurrent_training; j++)
			served = served || (pgaml_shared->training[j].state != PGAML_WORKER_FREE &&
								pgaml_shared->training[j].dbid == entry->dbid);
		unserved += !served;
	}
	for (int j = 0; j < pgaml_max_concurrent_training; j++)
		unserved -= pgaml_shared->training[j].state == PGAML_WORKER_FREE;
	LWLockRelease(pgaml_shared->lock);
	return unserved > 0;
}
