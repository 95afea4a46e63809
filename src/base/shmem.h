/*-------------------------------------------------------------------------
 * shmem.h
 *		Layout of every shared structure, and the order of locks.
 *
 * LOCK ORDER.  There are two LWLocks and they are never held together:
 *	1. PgamlShared.lock		the directory of databases, worker slots and
 *							training slots
 *	2. PgamlShared.facts_lock	the table of statement facts; hooks take it
 *							conditionally and give up when it is not free
 * Hold either over copying only: no palloc of unknown size, no ereport, no
 * SPI, no catalog access.  The bags of records have no lock (base/bag.h).
 *
 * All pointers are NULL when the library was not preloaded; callers test
 * pgaml_shared first.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_SHMEM_H
#define PGAML_SHMEM_H

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/hsearch.h"

#include "base/bag.h"
#include "base/budget_core.h"
#include "base/guard.h"
#include "base/prediction.h"
#include "base/repeat.h"
#include "base/sample.h"

/* Reached without the indirection that symbols of other libraries need. */
#pragma GCC visibility push(hidden)

#define PGAML_PREDICTION_BAG_SIZE 8192	/* predictions that wait to be stored */
#define PGAML_MAX_DATABASES 256 /* databases with the extension whose statements are captured */

#define PGAML_VISIT_STEPS	12	/* room for steps of a visit that are due, fail and back off apart */
#define PGAML_TRAINING_MAX	16	/* training workers that a server may have at once */
#define PGAML_JOB_KIND_LEN	16	/* bytes of the kind of a job, with the terminating zero */
#define PGAML_ERROR_LEN		192 /* bytes kept of an error message, with the terminating zero */

/* How one step of the visits to a database fares. */
typedef struct PgamlStepState
{
	int32		failures;		/* in a row */
	uint32		message_hash;	/* of the message logged last: the same one is not logged again */
	TimestampTz next_at;		/* not before; 0: at the next visit */
	TimestampTz ran_at;			/* when it ended well, on the real clock; 0 */
} PgamlStepState;

/* A database that is known to have the extension. */
typedef struct PgamlDatabase
{
	Oid			dbid;			/* InvalidOid: free */
	uint64		announced;		/* value of announcements when it was entered last */
	TimestampTz last_visit;		/* start of the last completed visit; 0 */
	TimestampTz next_visit;		/* when the next one is due */
	int32		failures;		/* visits that failed in a row */
	PgamlStepState steps[PGAML_VISIT_STEPS];
	TimestampTz error_at;		/* of last_error; 0: never failed */
	char		last_error[PGAML_ERROR_LEN];	/* ASCII */

	/* its training jobs; see base/training.h */
	TimestampTz jobs_due;		/* when one that nobody has taken may start; 0: there is none */
	uint64		jobs_serial;	/* changes with every job that is announced */
	TimestampTz jobs_served;	/* when a worker took or left one last; 0: never */
	int32		jobs_failures;	/* training workers in a row that did not come to their end */
	TimestampTz jobs_retry_at;	/* after such a failure: no worker before */
	int64		jobs_overdue;	/* job whose worker the launcher ended because of its time; 0 */
} PgamlDatabase;

typedef enum PgamlWorkerState
{
	PGAML_WORKER_FREE,
	PGAML_WORKER_STARTING,
	PGAML_WORKER_RUNNING,
	PGAML_WORKER_DONE			/* left; the launcher has not looked yet */
} PgamlWorkerState;

/* A visiting worker. */
typedef struct PgamlWorkerSlot
{
	PgamlWorkerState state;
	Oid			dbid;
	int			pid;			/* 0 until it runs */
	uint32		serial;			/* tells this use of the slot from an earlier one */
	uint64		announcements;	/* value of announcements at the start */
	uint32		message_hash;	/* of the error that kept the visit from its steps; 0: none */
	bool		has_extension;	/* result of the visit */
	bool		succeeded;		/* it came to its end */
	double		progress;		/* 0..1 */
	TimestampTz started_at;
} PgamlWorkerSlot;

/* Why a training worker was interrupted. */
typedef enum PgamlJobStop
{
	PGAML_STOP_NONE,
	PGAML_STOP_WANTED,			/* somebody waits for the database to be left, or the extension has gone */
	PGAML_STOP_CANCELLED		/* cancel_training() */
} PgamlJobStop;

/* A training worker and the job it is at. */
typedef struct PgamlTrainingSlot
{
	PgamlWorkerState state;
	Oid			dbid;
	int			pid;			/* 0 until it runs */
	uint32		serial;			/* tells this use of the slot from an earlier one */
	bool		succeeded;		/* it left by itself, having done what was to do */
	bool		ended;			/* the launcher has ended it because of its time */
	TimestampTz started_at;		/* of the process */
	int64		job_id;			/* 0: between two jobs */
	Oid			extension;		/* whose job: one that is created again counts from 1 again */
	char		kind[PGAML_JOB_KIND_LEN];
	PgamlJobStop stop;
	TimestampTz job_started_at; /* real clock, like deadline */
	TimestampTz deadline;		/* when the launcher ends the process */
	double		progress;		/* 0..1 */
	int64		rows_read;
	int32		trees_grown;
} PgamlTrainingSlot;

#define PGAML_LEVEL_ONE		65536	/* capture_level when all that the settings allow is captured */

typedef struct PgamlShared
{
	/* immutable after start */
	TimestampTz boot_at;		/* when this shared memory was made: start, or restart after a crash */
	LWLock	   *lock;
	LWLock	   *facts_lock;

	/* protected by facts_lock */
	TimestampTz capture_error_at;	/* of capture_error; 0: none yet */
	char		capture_error[PGAML_ERROR_LEN]; /* the last error in a hook, ASCII */

	/* protected by lock */
	Latch	   *launcher_latch; /* NULL while no launcher runs */
	int			launcher_pid;
	uint64		announcements;	/* databases ever entered into the directory */
	PgamlDatabase databases[PGAML_MAX_DATABASES];
	PgamlWorkerSlot workers[16];	/* PGAML_WORKERS_MAX */
	PgamlTrainingSlot training[PGAML_TRAINING_MAX];
	uint64		jobs_announced; /* transactions that queued jobs */

	/* atomic, read by every statement */
	char		pad1[PG_CACHE_LINE_SIZE];
	pg_atomic_uint64 directory_version; /* rises with every change of databases */
	pg_atomic_uint64 tick;		/* rises with every drain; restarts thinning */
	pg_atomic_uint32 capture_off;	/* 1: off after errors of its own, until capture_reset() */
	pg_atomic_uint32 capture_level; /* share of what the settings allow that is captured, in 1/PGAML_LEVEL_ONE */

	/* atomic, written now and then */
	char		pad2[PG_CACHE_LINE_SIZE];
	pg_atomic_uint64 executions;	/* executions that capture looked at, as flushed by backends */
	pg_atomic_uint64 thinned;	/* executions not sampled on purpose, as flushed by backends */
	pg_atomic_uint64 skipped;	/* of them, those not even looked at */
	pg_atomic_uint64 facts_skipped; /* statement facts not stored: lock busy or table full */
	pg_atomic_uint64 repeats_evicted;	/* statements that a session's table of runs had no room for */
	pg_atomic_uint64 repeats_unexplained;	/* runs over several transactions without a list before them */
	pg_atomic_uint64 errors;	/* executions whose sample was lost to an error in a hook */
	pg_atomic_uint64 unfinished;	/* executions that were dropped before their outcome was known */
	pg_atomic_uint64 failures;	/* errors in hooks since the last tick */
	pg_atomic_uint64 capture_off_at;	/* TimestampTz, when it was switched off last */
	pg_atomic_uint64 hook_ns;	/* what hooks took, captured or not, as flushed by backends */
	pg_atomic_uint64 work_ns;	/* what capturing took on top, likewise */
	pg_atomic_uint64 cpu_ns;	/* CPU time of the backends, likewise */
	pg_atomic_uint64 budget_due;	/* value of cpu_ns at which the level is set again */
	pg_atomic_uint32 budget_taken;	/* 1 while a backend sets it: capture/budget.c */
	PgamlGuardCounters guard;
	PgamlBudget budget;			/* owned by whoever set budget_taken to 1, like the next */
	PgamlSpending budget_until; /* the counters when the last window ended */
} PgamlShared;

extern PgamlShared *pgaml_shared;
extern PgamlBag *pgaml_sample_bag;	/* of PgamlSample, capture_ring_size of them */
extern PgamlBag *pgaml_repeat_bag;	/* of PgamlRepeat */
extern PgamlBag *pgaml_prediction_bag;	/* of PgamlPredictionRecord */
extern HTAB *pgaml_facts;		/* PgamlFactsEntry by its key */

/*
 * One byte per backend, 1 while it executes a statement.  Only its owner
 * writes it, with a plain store, and it has a cache line of its own: no bus
 * lock and no line that others write on the path of every statement.
 */
#define PGAML_ACTIVE_STRIDE	PG_CACHE_LINE_SIZE
extern volatile uint8 *pgaml_active;	/* MaxBackends entries, that far apart */

/* Backends executing a statement now; 0 when not preloaded. */
extern int	pgaml_shmem_active(void);

/* Install the request and startup hooks; called from _PG_init under preload. */
extern void pgaml_shmem_install(void);

/* Does this database have the extension, as far as the launcher knows? */
extern bool pgaml_shmem_database_known(Oid dbid);

/*
 * The same for hooks: never waits.  Returns false, and leaves *known alone,
 * when the lock is not free at once.
 */
extern bool pgaml_shmem_database_try(Oid dbid, bool *known);

/*
 * Is this session's database in the directory?  Never waits: while somebody
 * changes the directory the old answer stands.
 */
extern uint64 pgaml_directory_seen; /* directory_version of pgaml_directory_here */
extern bool pgaml_directory_here;

static inline bool
pgaml_shmem_here(void)
{
	uint64		version = pg_atomic_read_u64(&pgaml_shared->directory_version);

	if (unlikely(version != pgaml_directory_seen) &&
		pgaml_shmem_database_try(MyDatabaseId, &pgaml_directory_here))
		pgaml_directory_seen = version;
	return pgaml_directory_here;
}

/*
 * Enter a database into the directory and wake the launcher: its next visit is
 * due at once.  Entering it again forgets past failures, makes it due and
 * counts as a new announcement.  Returns false when the directory is full.
 */
extern bool pgaml_shmem_register_database(Oid dbid);

/*
 * Take a database out of the directory, unless it was announced again after
 * announcements had the given value: who looked before that saw the past.
 */
extern void pgaml_shmem_forget_database(Oid dbid, uint64 announcements);

/* Entry of a database, or NULL.  The caller holds the lock. */
extern PgamlDatabase *pgaml_shmem_find_database(Oid dbid);

/* Copy an error message of PGAML_ERROR_LEN into shared memory: ASCII only, for readers may have another encoding. */
extern void pgaml_copy_ascii(char *out, const char *message);

/* Raise OBJECT_NOT_IN_PREREQUISITE_STATE with the line to add. */
extern void pgaml_require_preload(const char *what);

#pragma GCC visibility pop

#endif							/* PGAML_SHMEM_H */
