/*-------------------------------------------------------------------------
 * visit.c
 *		One visit to one database: connect, do what is due, leave.
 *
 * Runs in a dynamic background worker that the launcher starts.  A visit
 * first checks that the extension is there, in the version of this library.
 * Then each step runs in its own transaction and PG_TRY: a step that fails is
 * logged once per distinct message, noted in the directory of databases and
 * tried again after a growing delay, while the other steps go on.
 *
 * A session keeps DROP DATABASE and CREATE DATABASE ... TEMPLATE waiting, so
 * a visit waits for no lock longer than LOCK_TIMEOUT, looks between the steps
 * whether somebody wants the database, and leaves when the launcher cancels.
 * A step holds the extension itself before it touches a table of it: DROP
 * EXTENSION locks the extension first, so the two cannot deadlock.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/spi_run.h"
#include "capture/capture.h"
#include "history/history.h"
#include "registry/registry.h"
#include "registry/truth.h"
#include "watch/drift.h"
#include "worker/schedule_core.h"
#include "worker/worker.h"
#include "worker/worker_internal.h"

typedef struct VisitStep
{
	const char *activity;		/* shown in pg_stat_activity */
	const char *purpose;		/* "could not <purpose>" */
	void		(*run) (void);	/* inside an open transaction bracket */
	int			every;			/* s from one run to the next; 0: at every visit */
} VisitStep;

/* The visit that this process makes. */
typedef struct Visit
{
	PgamlTicket ticket;
	PgamlWorkerSlot slot;		/* as it was when entered */
	MemoryContext context;		/* lives as long as the process */
	char	   *dbname;
	PgamlDatabase entry;		/* of the directory, as it was at the start */
} Visit;

static Visit visit;

static void pay_visit(void);

/* before_shmem_exit callback */
static void
leave_slot(int code, Datum arg)
{
	pgaml_slot_leave(DatumGetInt32(arg));
}

void
pgaml_visit_main(Datum arg)
{
	memcpy(&visit.ticket, MyBgworkerEntry->bgw_extra, sizeof(PgamlTicket));
	if (!pgaml_slot_enter(&visit.ticket, &visit.slot))
		proc_exit(0);
	before_shmem_exit(leave_slot, Int32GetDatum(visit.ticket.slot));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pgaml_session_prepare(PGAML_WORKER_NAME, false);
	BackgroundWorkerUnblockSignals();
	visit.context = AllocSetContextCreate(TopMemoryContext, "pganalytics_ml visit",
										  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(visit.context);
	visit.dbname = psprintf("%u", visit.ticket.dbid);	/* until it is known */

	PGAML_FAULT("visit_connect");
	if (pgaml_session_connect(visit.ticket.dbid))
	{
		PGAML_FAULT("visit_begin");
		pay_visit();
	}
	proc_exit(0);
}

static void
collect_step(void)
{
	PgamlTick	tick;

	pgaml_history_collect(&tick);
}

static void
texts_step(void)
{
	pgaml_history_read_texts(false);
	pgaml_history_join();
}

static void
drain_step(void)
{
	(void) pgaml_history_drain();
}

static void
predictions_step(void)
{
	(void) pgaml_predictions_store();
}

static void
truth_step(void)
{
	(void) pgaml_truth_match();
}

static void
retire_step(void)
{
	if (pgaml_history_retire())
		(void) pgaml_registry_retire();
}

static void
drift_step(void)
{
	(void) pgaml_drift_check(NULL);
}

static void
jobs_step(void)
{
	pgaml_jobs_look();
}

static const VisitStep check_step = {
	"pganalytics_ml: looking for the extension", "begin a visit", NULL
};

#define SCHEDULE_EVERY	30		/* s; well under the period of visits, so that none is missed by a hair */

/* What a visit does, in this order.  A reload of the configuration makes all of it due. */
static const VisitStep steps[] = {
	{"pganalytics_ml: collecting statistics", "collect statistics", collect_step},
	{"pganalytics_ml: reading statement texts", "read statement texts", texts_step},
	{"pganalytics_ml: storing captured executions", "store captured executions", drain_step},
	{"pganalytics_ml: storing predictions", "store predictions", predictions_step},
	{"pganalytics_ml: comparing predictions with what happened", "match predictions", truth_step},
	{"pganalytics_ml: looking for jobs", "look for training jobs", jobs_step},
	{"pganalytics_ml: deleting what is too old", "delete what is too old", retire_step},
	{"pganalytics_ml: looking for drift", "look for drift", drift_step},
	{"pganalytics_ml: looking whether training is due", "look whether training is due", pgaml_schedule_visit, SCHEDULE_EVERY},
};

StaticAssertDecl(lengthof(steps) <= PGAML_VISIT_STEPS, "the directory must have room for every step");

/*
 * Note a failure in the directory, or of the check in the slot; true when its
 * message differs from the one logged before.
 */
static bool
note_failure(const VisitStep *step, const char *message)
{
	uint32		hash = string_hash(message, strlen(message) + 1) | 1;
	double		jitter = pg_prng_double(&pg_global_prng_state);
	TimestampTz now = pgaml_clock_now();
	PgamlDatabase *entry;
	bool		news = hash != visit.ticket.message_hash;

	if (step == &check_step)
		pgaml_slot_failed(visit.ticket.slot, hash);
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(visit.ticket.dbid);
	if (entry != NULL)
	{
		entry->error_at = now;
		pgaml_copy_ascii(entry->last_error, message);
		if (step != &check_step)
		{
			PgamlStepState *state = &entry->steps[step - steps];

			news = state->message_hash != hash;
			state->message_hash = hash;
			state->failures = Min(state->failures, INT_MAX - 1) + 1;
			state->next_at = now + pgaml_schedule_backoff(state->failures, jitter);
		}
	}
	LWLockRelease(pgaml_shared->lock);
	return news;
}

/* Note when a step is due again, and forget its failures; true when there were some. */
static bool
note_success(const VisitStep *step)
{
	PgamlStepState state = {.ran_at = GetCurrentTimestamp()};
	PgamlDatabase *entry;
	bool		news = false;

	if (step->every > 0)
		state.next_at = pgaml_clock_now() + step->every * USECS_PER_SEC;
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(visit.ticket.dbid);
	if (entry != NULL)
	{
		news = entry->steps[step - steps].failures > 0;
		entry->steps[step - steps] = state;
	}
	LWLockRelease(pgaml_shared->lock);
	return news;
}

/*
 * In a PG_CATCH: end the failed transaction, note and log the error.
 */
static void
handle_failure(const VisitStep *step)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(visit.context);
	error = CopyErrorData();
	FlushErrorState();
	pgaml_xact_abort();
	MemoryContextSwitchTo(visit.context);
	RESUME_INTERRUPTS();

	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && pgaml_session_wanted())
	{
		FreeErrorData(error);
		return;
	}
	if (note_failure(step, error->message))
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("pganalytics_ml could not %s in database \"%s\": %s",
						step->purpose, visit.dbname, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0,
				 error->context ? errcontext_msg("%s", error->context) : 0));
	FreeErrorData(error);
}

/*
 * Run a step in its own transaction.  It does nothing while somebody drops the
 * extension.
 */
static void
run_step(const VisitStep *step)
{
	PG_TRY();
	{
		PgamlSpi	spi;

		pgaml_xact_open(&spi, step->activity);
		PGAML_FAULT("visit_step");
		if (pgaml_extension_hold())
			step->run();
		PGAML_FAULT("visit_commit");
		pgaml_xact_close(&spi);
		MemoryContextSwitchTo(visit.context);
		if (note_success(step))
			ereport(LOG,
					(errmsg("pganalytics_ml can %s in database \"%s\" again",
							step->purpose, visit.dbname)));
	}
	PG_CATCH();
	{
		handle_failure(step);
	}
	PG_END_TRY();
}

/* Raise an error when the version of the extension is not that of the library. */
static void
check_version(void)
{
	char	   *version = pgaml_session_version();

	if (strcmp(version, PGAML_VERSION) == 0)
		return;

	/* Capturing for it makes no sense before it is updated. */
	pgaml_shmem_forget_database(visit.ticket.dbid, visit.slot.announcements);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the extension has version %s, the loaded library %s",
					version, PGAML_VERSION),
			 errhint("Run ALTER EXTENSION " PGAML_LIBRARY " UPDATE in this database, or restart the server when its library is the older one.")));
}

/* Is the extension in this database?  Raises an error when its version is wrong. */
static bool
look_for_extension(void)
{
	bool		found;

	pgaml_xact_begin();
	visit.dbname = MemoryContextStrdup(visit.context, get_database_name(MyDatabaseId));
	found = OidIsValid(pgaml_extension_oid());
	pgaml_xact_end();
	PGAML_FAULT("visit_check");
	if (found)
		check_version();
	return found;
}

/*
 * Check for the extension and keep the directory in step with the answer.
 * False when there is nothing to do here.
 */
static bool
find_extension(void)
{
	volatile bool found = false;
	volatile bool failed = false;

	PG_TRY();
	{
		found = look_for_extension();
	}
	PG_CATCH();
	{
		failed = true;
		handle_failure(&check_step);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(visit.context);
	if (failed)
		return false;

	if (!found)
	{
		pgaml_shmem_forget_database(visit.ticket.dbid, visit.slot.announcements);
		pgaml_slot_result(visit.ticket.slot, false, true);
		return false;
	}
	if (pgaml_shmem_database_known(visit.ticket.dbid) ||
		pgaml_shmem_register_database(visit.ticket.dbid))
		return true;

	/* The directory is full; the launcher says so. */
	pgaml_slot_result(visit.ticket.slot, true, true);
	return false;
}

/* Copy this database's entry of the directory; false when it has gone. */
static bool
copy_entry(void)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	entry = pgaml_shmem_find_database(visit.ticket.dbid);
	if (entry != NULL)
		visit.entry = *entry;
	LWLockRelease(pgaml_shared->lock);
	return entry != NULL;
}

/* The visit came to its end. */
static void
note_visit(void)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(visit.ticket.dbid);
	if (entry != NULL)
	{
		entry->last_visit = visit.slot.started_at;
		entry->failures = 0;
	}
	LWLockRelease(pgaml_shared->lock);
}

/*
 * Has the time of a step come?  After a reload of the configuration, yes:
 * the answer may be another one now.
 */
static bool
step_is_due(const VisitStep *step)
{
	const PgamlStepState *state = &visit.entry.steps[step - steps];
	int64		longest = Max(PGAML_BACKOFF_MAX_US, step->every * USECS_PER_SEC);

	if (state->failures == 0 && state->ran_at < PgReloadTime)
		return true;
	return pgaml_schedule_reached(state->next_at, pgaml_clock_now(), longest);
}

/*
 * Do what is due.
 */
static void
pay_visit(void)
{
	if (!find_extension() || !copy_entry())
		return;

	for (int i = 0; i < lengthof(steps); i++)
	{
		if (!step_is_due(&steps[i]))
			continue;
		if (pgaml_session_wanted())
			break;
		pgaml_slot_progress(visit.ticket.slot, (double) i / lengthof(steps));
		run_step(&steps[i]);
	}
	note_visit();
	pgaml_slot_result(visit.ticket.slot, true, true);
}
