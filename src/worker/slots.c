/*-------------------------------------------------------------------------
 * slots.c
 *		The life of a worker slot in shared memory.
 *
 * Legal transitions: FREE -> STARTING -> RUNNING -> DONE -> FREE, and back to
 * FREE from STARTING when the process never came.  Every function holds
 * PgamlShared.lock for a few assignments.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"

#include "base/guc.h"
#include "worker/worker_internal.h"

StaticAssertDecl(lengthof(((PgamlShared *) 0)->workers) == PGAML_WORKERS_MAX,
				 "there must be a slot for every worker that the settings allow");

/*
 * Launcher: reserve a slot for a visit.  False when max_workers are at work.
 */
bool
pgaml_slot_take(Oid dbid, uint32 message_hash, TimestampTz now, PgamlTicket *ticket)
{
	bool		taken = false;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < pgaml_max_workers && !taken; i++)
	{
		PgamlWorkerSlot *slot = &pgaml_shared->workers[i];

		if (slot->state != PGAML_WORKER_FREE)
			continue;
		slot->state = PGAML_WORKER_STARTING;
		slot->dbid = dbid;
		slot->pid = 0;
		slot->serial++;
		slot->announcements = pgaml_shared->announcements;
		slot->message_hash = 0;
		slot->has_extension = false;
		slot->succeeded = false;
		slot->progress = 0;
		slot->started_at = now;
		ticket->slot = i;
		ticket->serial = slot->serial;
		ticket->dbid = dbid;
		ticket->message_hash = message_hash;
		taken = true;
	}
	LWLockRelease(pgaml_shared->lock);
	return taken;
}

/*
 * Worker: begin with the slot of the ticket and copy it.  False when the
 * ticket is not good any more: the launcher that wrote it is gone.
 */
bool
pgaml_slot_enter(const PgamlTicket *ticket, PgamlWorkerSlot *copy)
{
	PgamlWorkerSlot *slot = &pgaml_shared->workers[ticket->slot];
	bool		good;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	good = slot->state == PGAML_WORKER_STARTING && slot->serial == ticket->serial;
	if (good)
	{
		slot->state = PGAML_WORKER_RUNNING;
		slot->pid = MyProcPid;
		*copy = *slot;
	}
	LWLockRelease(pgaml_shared->lock);
	return good;
}

void
pgaml_slot_progress(int slot, double progress)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->workers[slot].progress = progress;
	LWLockRelease(pgaml_shared->lock);
}

void
pgaml_slot_result(int slot, bool has_extension, bool succeeded)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->workers[slot].has_extension = has_extension;
	pgaml_shared->workers[slot].succeeded = succeeded;
	LWLockRelease(pgaml_shared->lock);
}

void
pgaml_slot_failed(int slot, uint32 message_hash)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->workers[slot].message_hash = message_hash;
	LWLockRelease(pgaml_shared->lock);
}

/* Worker, at the end of its process; the postmaster then wakes the launcher. */
void
pgaml_slot_leave(int slot)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->workers[slot].state = PGAML_WORKER_DONE;
	pgaml_shared->workers[slot].pid = 0;
	LWLockRelease(pgaml_shared->lock);
}

void
pgaml_slot_free(int slot)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->workers[slot].state = PGAML_WORKER_FREE;
	pgaml_shared->workers[slot].pid = 0;
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Launcher: cancel what the worker does just now.  The lock keeps the worker
 * from ending meanwhile, so the pid is its own.
 */
void
pgaml_slot_cancel(int slot, uint32 serial)
{
	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	if (pgaml_shared->workers[slot].state == PGAML_WORKER_RUNNING &&
		pgaml_shared->workers[slot].serial == serial)
		kill(pgaml_shared->workers[slot].pid, SIGINT);
	LWLockRelease(pgaml_shared->lock);
}

void
pgaml_slots_copy(PgamlWorkerSlot *copy)
{
	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	memcpy(copy, pgaml_shared->workers, sizeof(pgaml_shared->workers));
	LWLockRelease(pgaml_shared->lock);
}

/*
 * A launcher that begins: workers of the one before are left to finish, those
 * that have not begun find their ticket void.
 */
void
pgaml_slots_adopt(void)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < PGAML_WORKERS_MAX; i++)
	{
		if (pgaml_shared->workers[i].state == PGAML_WORKER_STARTING)
			pgaml_shared->workers[i].state = PGAML_WORKER_FREE;
	}
	LWLockRelease(pgaml_shared->lock);
}
