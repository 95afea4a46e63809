/*-------------------------------------------------------------------------
 * turn.c
 *		One turn of the launcher: which database is visited now?
 *
 * A turn reads the results of finished visits, lists the databases, and
 * starts a visit to those that are due, the one due longest first.  A
 * database it has not seen before is visited once to find out whether the
 * extension is there; after that CREATE EXTENSION announces itself (see
 * announce.c), and a reload of the configuration asks again everywhere.
 *
 * What the launcher remembers of a database is its own (Watched); the
 * directory in shared memory holds the databases with the extension, for
 * capture and for worker_status().
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "capture/capture.h"
#include "history/history.h"
#include "worker/schedule_core.h"
#include "worker/worker_internal.h"

#define TURN_MAX_MS			60000L	/* databases that appear are found within this */
#define WATCH_MS			1000L	/* while a worker is at work or a database is locked */
#define REFUSED_RETRY_US	INT64CONST(3600000000)	/* directory full: ask again */

/* What the launcher remembers of a database. */
typedef struct Watched
{
	Oid			dbid;			/* key; must be first */
	bool		listed;			/* in this turn's list */
	bool		without;		/* visited: the extension is not there */
	int			failures;		/* visits that failed in a row */
	uint32		message_hash;	/* of the error logged last; 0: none */
	uint64		announced;		/* as last seen in the directory */
	TimestampTz due;			/* next visit, when unknown or after a failure */
} Watched;

/* A database to be visited in this turn. */
typedef struct Candidate
{
	Oid			dbid;
	TimestampTz due;
} Candidate;

/* One turn's view; lives in the turn's memory context. */
typedef struct Turn
{
	TimestampTz now;
	MemoryContext context;
	PgamlWorkerSlot slots[PGAML_WORKERS_MAX];
	PgamlKnownDatabase known[PGAML_MAX_DATABASES];
	int			nknown;
	PgamlDatabaseRow *rows;
	int			nrows;
	Candidate  *due;			/* sorted, the one due longest first */
	int			ndue;
	long		wait_ms;		/* until the next turn */
} Turn;

static HTAB *watched = NULL;	/* Watched by dbid */
static BackgroundWorkerHandle *handles[PGAML_WORKERS_MAX];
static int	start_failures = 0; /* registrations refused in a row */
static TimestampTz start_retry_at = 0;
static bool full_logged = false;

static void read_results(Turn *turn);
static void look_around(Turn *turn);
static void forget_vanished(Turn *turn);
static void start_visits(Turn *turn);

/* Called once in the life of a launcher. */
void
pgaml_turn_init(void)
{
	HASHCTL		info;

	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(Oid);
	info.entrysize = sizeof(Watched);
	info.hcxt = TopMemoryContext;
	watched = hash_create("pganalytics_ml databases", 64, &info,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * The administrator changed something: ask again where the answer was no, and
 * at once where a visit failed.
 */
void
pgaml_turn_forget_answers(void)
{
	HASH_SEQ_STATUS seq;
	Watched    *w;

	hash_seq_init(&seq, watched);
	while ((w = hash_seq_search(&seq)) != NULL)
	{
		w->without = false;
		w->due = 0;
	}
	start_retry_at = 0;
}

/*
 * Take a turn; returns the milliseconds after which the next one is needed.
 * The current memory context must be the turn's own.  Raises errors.
 */
long
pgaml_turn_take(void)
{
	Turn	   *turn = palloc0(sizeof(Turn));

	PGAML_FAULT("launcher_turn");
	turn->context = CurrentMemoryContext;
	turn->now = pgaml_clock_now();
	turn->wait_ms = Min(TURN_MAX_MS, (long) pgaml_collect_interval * 1000);

	/*
	 * The order matters.  A worker changes the directory before it leaves its
	 * slot; and a database that is in the directory but not in a list read
	 * afterwards has been dropped.
	 */
	pgaml_slots_copy(turn->slots);
	turn->nknown = pgaml_databases_known(turn->known);
	read_results(turn);
	look_around(turn);
	forget_vanished(turn);
	start_visits(turn);
	return pgaml_training_turn(turn->now, turn->wait_ms);
}

/* The next turn comes no later than after ms. */
static void
wake_within(Turn *turn, long ms)
{
	turn->wait_ms = Min(turn->wait_ms, ms);
}

static void
wake_at(Turn *turn, TimestampTz when)
{
	wake_within(turn, pgaml_schedule_wait_ms(when, turn->now, turn->wait_ms));
}

static TimestampTz
after_backoff(TimestampTz now, int failures)
{
	return now + pgaml_schedule_backoff(failures, pg_prng_double(&pg_global_prng_state));
}

/* Entry of the directory as copied for this turn, or NULL. */
static PgamlKnownDatabase *
find_known(Turn *turn, Oid dbid)
{
	for (int i = 0; i < turn->nknown; i++)
	{
		if (turn->known[i].dbid == dbid)
			return &turn->known[i];
	}
	return NULL;
}

/* Show in the directory what the launcher knows. */
static void
publish(Oid dbid, TimestampTz next_visit, int failures)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(dbid);
	if (entry != NULL)
	{
		entry->next_visit = next_visit;
		entry->failures = failures;
	}
	LWLockRelease(pgaml_shared->lock);
}

/* The extension is there, but the directory has no room for the database. */
static void
refuse_database(Turn *turn, Watched *w)
{
	w->due = turn->now + REFUSED_RETRY_US;
	if (!full_logged)
		ereport(LOG,
				(errmsg("pganalytics_ml cannot look after more than %d databases", PGAML_MAX_DATABASES),
				 errhint("Drop the extension in databases where it is not needed.")));
	full_logged = true;
}

/* Learn from a visit that has ended. */
static void
read_result(Turn *turn, const PgamlWorkerSlot *slot)
{
	Watched    *w = hash_search(watched, &slot->dbid, HASH_FIND, NULL);

	if (w == NULL)
		return;
	if (!slot->succeeded)
	{
		w->failures = Min(w->failures, INT_MAX - 1) + 1;
		w->due = after_backoff(turn->now, w->failures);
		if (slot->message_hash != 0)
			w->message_hash = slot->message_hash;
		return;
	}
	w->failures = 0;
	w->message_hash = 0;
	w->due = 0;
	w->without = !slot->has_extension;
	if (slot->has_extension && find_known(turn, slot->dbid) == NULL)
		refuse_database(turn, w);
}

/*
 * Free the slots of processes that have ended.  A worker without a handle was
 * started by the launcher before this one.
 */
static void
read_results(Turn *turn)
{
	for (int i = 0; i < PGAML_WORKERS_MAX; i++)
	{
		PgamlWorkerSlot *slot = &turn->slots[i];
		pid_t		pid;
		bool		ended;

		if (slot->state == PGAML_WORKER_FREE)
			continue;
		if (handles[i] != NULL)
			ended = GetBackgroundWorkerPid(handles[i], &pid) == BGWH_STOPPED;
		else
			ended = slot->state == PGAML_WORKER_DONE;
		if (!ended)
			continue;

		/* It may have ended after the slots were copied. */
		if (slot->state != PGAML_WORKER_DONE)
		{
			pgaml_slots_copy(turn->slots);
			turn->nknown = pgaml_databases_known(turn->known);
		}
		read_result(turn, slot);
		if (handles[i] != NULL)
			pfree(handles[i]);
		handles[i] = NULL;
		pgaml_slot_free(i);
		slot->state = PGAML_WORKER_FREE;
	}
}

static bool
is_being_visited(Turn *turn, Oid dbid)
{
	for (int i = 0; i < PGAML_WORKERS_MAX; i++)
	{
		if (turn->slots[i].state != PGAML_WORKER_FREE && turn->slots[i].dbid == dbid)
			return true;
	}
	return false;
}

/* When is a database with the extension due? */
static bool
known_is_due(Turn *turn, Watched *w, PgamlKnownDatabase *known, TimestampTz *due)
{
	int64		longest = (int64) pgaml_collect_interval * USECS_PER_SEC;

	if (w->announced != known->announced)
	{
		w->announced = known->announced;
		w->failures = 0;
		w->message_hash = 0;
	}
	if (w->failures > 0)
	{
		*due = w->due;
		longest = PGAML_BACKOFF_MAX_US;
	}
	else
		*due = known->last_visit == 0 ? 0 : pgaml_history_next_due(known->last_visit);

	if (known->next_visit != *due || known->failures != w->failures)
		publish(w->dbid, *due, w->failures);
	return pgaml_schedule_reached(*due, turn->now, longest);
}

/* Enter a database into the candidates if it is due. */
static void
consider(Turn *turn, Oid dbid)
{
	bool		found;
	Watched    *w = hash_search(watched, &dbid, HASH_ENTER, &found);
	PgamlKnownDatabase *known = find_known(turn, dbid);
	TimestampTz due;
	bool		reached;

	if (!found)
	{
		memset(w, 0, sizeof(Watched));
		w->dbid = dbid;
	}
	w->listed = true;
	if (is_being_visited(turn, dbid) || (known == NULL && w->without))
		return;

	if (known != NULL)
		reached = known_is_due(turn, w, known, &due);
	else
	{
		due = w->due;
		reached = pgaml_schedule_reached(due, turn->now, REFUSED_RETRY_US);
	}
	if (reached)
	{
		turn->due[turn->ndue].dbid = dbid;
		turn->due[turn->ndue++].due = due;
	}
	else
		wake_at(turn, due);
}

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->due != y->due)
		return x->due < y->due ? -1 : 1;
	return x->dbid < y->dbid ? -1 : x->dbid > y->dbid;
}

/*
 * Leave out databases that somebody is about to drop or copy: a worker could
 * not connect now.  Looks at no more than can be started.
 */
static void
leave_out_wanted(Turn *turn)
{
	int			kept = 0;

	for (int i = 0; i < turn->ndue && kept < pgaml_max_workers; i++)
	{
		if (pgaml_database_wanted(turn->due[i].dbid))
			wake_within(turn, WATCH_MS);
		else
			turn->due[kept++] = turn->due[i];
	}
	turn->ndue = kept;
}

/*
 * Cancel visits that take long while somebody waits for the database; the
 * worker then leaves.
 */
static void
watch_visits(Turn *turn)
{
	for (int i = 0; i < PGAML_WORKERS_MAX; i++)
	{
		PgamlWorkerSlot *slot = &turn->slots[i];

		if (slot->state == PGAML_WORKER_FREE)
			continue;
		wake_within(turn, WATCH_MS);
		if (slot->state == PGAML_WORKER_RUNNING &&
			turn->now - slot->started_at >= WATCH_MS * 1000 &&
			pgaml_database_wanted(slot->dbid))
			pgaml_slot_cancel(i, slot->serial);
	}
}

/* List the databases and find those that are due, in one short transaction. */
static void
look_around(Turn *turn)
{
	pgaml_xact_begin();
	turn->nrows = pgaml_databases_list(turn->context, &turn->rows);
	turn->due = MemoryContextAlloc(turn->context, Max(turn->nrows, 1) * sizeof(Candidate));
	for (int i = 0; i < turn->nrows; i++)
		consider(turn, turn->rows[i].dbid);
	qsort(turn->due, turn->ndue, sizeof(Candidate), compare_candidates);
	leave_out_wanted(turn);
	watch_visits(turn);
	pgaml_xact_end();
}

/* Forget databases that are not there any more, or let nobody in. */
static void
forget_vanished(Turn *turn)
{
	HASH_SEQ_STATUS seq;
	Watched    *w;
	uint64		version;
	static uint64 version_cleaned = 0;

	for (int i = 0; i < turn->nknown; i++)
	{
		w = hash_search(watched, &turn->known[i].dbid, HASH_FIND, NULL);
		if (w == NULL || !w->listed)
			pgaml_shmem_forget_database(turn->known[i].dbid, turn->known[i].announced);
	}
	hash_seq_init(&seq, watched);
	while ((w = hash_seq_search(&seq)) != NULL)
	{
		if (!w->listed)
			hash_search(watched, &w->dbid, HASH_REMOVE, NULL);
		else
			w->listed = false;
	}

	version = pg_atomic_read_u64(&pgaml_shared->directory_version);
	if (version != version_cleaned)
		pgaml_capture_forget_unknown();
	version_cleaned = version;
}

static bool
register_worker(const char *function, const char *name, const PgamlTicket *ticket, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	bool		registered;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, PGAML_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, name, sizeof(worker.bgw_type));
	StaticAssertStmt(sizeof(PgamlTicket) <= BGW_EXTRALEN, "a ticket must fit");
	memcpy(worker.bgw_extra, ticket, sizeof(PgamlTicket));

	registered = RegisterDynamicBackgroundWorker(&worker, handle);
	MemoryContextSwitchTo(caller);
	return registered;
}

/*
 * No worker could be had: say so once, and try again later.  While a visit is
 * at work it is enough to wait for its end.
 */
static void
note_start_failure(long *wait_ms)
{
	TimestampTz now = pgaml_clock_now();

	for (int i = 0; i < PGAML_WORKERS_MAX; i++)
	{
		if (handles[i] != NULL)
		{
			*wait_ms = Min(*wait_ms, WATCH_MS);
			return;
		}
	}
	if (start_failures == 0)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("pganalytics_ml could not start a worker"),
				 errdetail("All background worker processes are in use."),
				 errhint("Consider increasing the configuration parameter \"max_worker_processes\".")));
	start_failures = Min(start_failures, INT_MAX - 1) + 1;
	start_retry_at = after_backoff(now, start_failures);
	*wait_ms = Min(*wait_ms, pgaml_schedule_wait_ms(start_retry_at, now, *wait_ms));
}

bool
pgaml_turn_starting_waits(TimestampTz now, long *wait_ms)
{
	if (start_failures == 0 || pgaml_schedule_reached(start_retry_at, now, PGAML_BACKOFF_MAX_US))
		return false;
	*wait_ms = Min(*wait_ms, pgaml_schedule_wait_ms(start_retry_at, now, *wait_ms));
	return true;
}

bool
pgaml_turn_start(const char *function, const char *name, const PgamlTicket *ticket,
				 BackgroundWorkerHandle **handle, long *wait_ms)
{
	if (!register_worker(function, name, ticket, handle))
	{
		note_start_failure(wait_ms);
		return false;
	}
	if (start_failures > 0)
		ereport(LOG,
				(errmsg("pganalytics_ml can start workers again")));
	start_failures = 0;
	*wait_ms = Min(*wait_ms, WATCH_MS);
	return true;
}

/* Start visits to the candidates while there are free slots. */
static void
start_visits(Turn *turn)
{
	if (turn->ndue > 0 && pgaml_turn_starting_waits(turn->now, &turn->wait_ms))
		return;
	for (int i = 0; i < turn->ndue; i++)
	{
		Oid			dbid = turn->due[i].dbid;
		Watched    *w = hash_search(watched, &dbid, HASH_FIND, NULL);
		PgamlTicket ticket;

		if (!pgaml_slot_take(dbid, w ? w->message_hash : 0, turn->now, &ticket))
			return;
		if (!pgaml_turn_start("pgaml_visit_main", PGAML_WORKER_NAME, &ticket, &handles[ticket.slot], &turn->wait_ms))
		{
			pgaml_slot_free(ticket.slot);
			return;
		}
	}
}
