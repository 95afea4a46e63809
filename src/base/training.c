/*-------------------------------------------------------------------------
 * training.c
 *		What shared memory knows of training jobs; see training.h.
 *
 * PgamlShared.lock guards all of it.  At the end of a transaction nothing may
 * fail: the callbacks assign, set a latch and send a signal, no more.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "base/training.h"

#define SHOW_EVERY_US	(200 * 1000)

StaticAssertDecl(PGAML_TRAINING_MAX >= PGAML_CONCURRENT_MAX,
				 "there must be a slot for every worker that the settings allow");

/* A job to be stopped when the transaction commits; in TopTransactionContext. */
typedef struct Cancelled
{
	int64		job_id;
	SubTransactionId subid;		/* that asked for it */
	struct Cancelled *next;
} Cancelled;

int			pgaml_training_slot = -1;

static bool announced = false;	/* this transaction has queued a job */
static Cancelled *cancelled = NULL;

/* Tell the launcher, unless it knows that the database has work. */
static void
announce_jobs(void)
{
	TimestampTz now = pgaml_clock_now();
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(MyDatabaseId);
	if (entry != NULL)
	{
		bool		news = entry->jobs_due == 0 || entry->jobs_due > now;

		entry->jobs_serial = ++pgaml_shared->jobs_announced;
		if (news)
			entry->jobs_due = now;
		if (news && pgaml_shared->launcher_latch != NULL)
			SetLatch(pgaml_shared->launcher_latch);
	}
	LWLockRelease(pgaml_shared->lock);
}

/* The lock keeps the worker from ending meanwhile, so the pid is its own. */
static void
stop_jobs(void)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	for (Cancelled *c = cancelled; c != NULL; c = c->next)
	{
		for (int i = 0; i < PGAML_TRAINING_MAX; i++)
		{
			PgamlTrainingSlot *slot = &pgaml_shared->training[i];

			if (slot->state != PGAML_WORKER_RUNNING || slot->dbid != MyDatabaseId || slot->job_id != c->job_id)
				continue;
			slot->stop = PGAML_STOP_CANCELLED;
			kill(slot->pid, SIGINT);
		}
	}
	LWLockRelease(pgaml_shared->lock);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
	{
		if (announced)
			announce_jobs();
		if (cancelled != NULL)
			stop_jobs();
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		announced = false;
		cancelled = NULL;
	}
}

/*
 * What a subtransaction asked for and then took back does not happen.  An
 * announcement in vain is harmless: the worker finds nothing.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	Cancelled **link = &cancelled;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (*link != NULL)
	{
		Cancelled  *c = *link;

		if (c->subid == subid && event == SUBXACT_EVENT_ABORT_SUB)
		{
			*link = c->next;
			continue;
		}
		if (c->subid == subid)
			c->subid = parent;
		link = &c->next;
	}
}

static void
watch_transactions(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	registered = true;
}

void
pgaml_training_announce(void)
{
	if (pgaml_shared == NULL)
		return;
	watch_transactions();
	announced = true;
}

void
pgaml_training_cancel(int64 job_id)
{
	Cancelled  *c;

	if (pgaml_shared == NULL)
		return;
	watch_transactions();
	c = MemoryContextAlloc(TopTransactionContext, sizeof(Cancelled));
	c->job_id = job_id;
	c->subid = GetCurrentSubTransactionId();
	c->next = cancelled;
	cancelled = c;
}

void
pgaml_training_copy(PgamlTrainingSlot *copy)
{
	if (pgaml_shared == NULL)
	{
		memset(copy, 0, sizeof(PgamlTrainingSlot) * PGAML_TRAINING_MAX);
		return;
	}
	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	memcpy(copy, pgaml_shared->training, sizeof(pgaml_shared->training));
	LWLockRelease(pgaml_shared->lock);
}

const PgamlTrainingSlot *
pgaml_training_find(const PgamlTrainingSlot *slots, int64 job_id)
{
	Oid			extension = pgaml_extension_oid();

	for (int i = 0; i < PGAML_TRAINING_MAX; i++)
	{
		if (slots[i].state == PGAML_WORKER_RUNNING && slots[i].dbid == MyDatabaseId && slots[i].job_id == job_id &&
			slots[i].extension == extension)
			return &slots[i];
	}
	return NULL;
}

void
pgaml_training_progress(double progress, int64 rows_read, int32 trees_grown)
{
	static TimestampTz shown_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	PgamlTrainingSlot *slot;

	if (pgaml_training_slot < 0 || (now >= shown_at && now - shown_at < SHOW_EVERY_US))
		return;
	shown_at = now;
	slot = &pgaml_shared->training[pgaml_training_slot];
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	slot->progress = Max(slot->progress, Min(progress, 1.0));
	slot->rows_read = Max(slot->rows_read, rows_read);
	slot->trees_grown = Max(slot->trees_grown, trees_grown);
	LWLockRelease(pgaml_shared->lock);
}
