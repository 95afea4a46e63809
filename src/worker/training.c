/*-------------------------------------------------------------------------
 * training.c
 *		The process that runs the training jobs of a database.
 *
 * A dynamic background worker that the launcher starts when a job may start
 * and a training slot is free.  It settles what a crash left behind, then
 * takes job after job, until none is left, somebody wants the database, or
 * other databases wait for a slot and it has had its share of time.
 *
 * SIGINT interrupts the job (the slot says why), SIGTERM ends the process.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/spi_run.h"
#include "base/training.h"
#include "train/job.h"
#include "worker/worker.h"
#include "worker/worker_internal.h"

/*
 * While others wait, a worker begins no job after this time: processes cost
 * more than small jobs, and large ones take longer than this anyway.
 */
#define SHARE_US	(2 * USECS_PER_SEC)

static volatile sig_atomic_t interrupted = false;
static MemoryContext process_context;

/* SIGINT: as for any backend, and remembered. */
static void
interrupt_job(SIGNAL_ARGS)
{
	interrupted = true;
	StatementCancelHandler(postgres_signal_arg);
}

/* before_shmem_exit callback */
static void
leave_slot(int code, Datum arg)
{
	pgaml_training_leave(DatumGetInt32(arg));
}

/* In a PG_CATCH: the error, copied, after its transaction was ended. */
static ErrorData *
take_error(void)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(process_context);
	error = CopyErrorData();
	FlushErrorState();
	disable_timeout(STATEMENT_TIMEOUT, false);
	pgaml_xact_abort();
	MemoryContextSwitchTo(process_context);
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
	return error;
}

/* Run a job that was taken; false when its end could not be recorded. */
static bool
run_job(PgamlJob *job)
{
	ErrorData  *volatile error = NULL;
	volatile bool recorded = true;

	PG_TRY();
	{
		PGAML_FAULT("job_begin");
		pgaml_jobs_run(job);
	}
	PG_CATCH();
	{
		error = take_error();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job->context);
	if (error == NULL || job->finished)
	{
		(void) pgaml_training_end();
		return true;
	}

	PG_TRY();
	{
		pgaml_jobs_settle(job, pgaml_shared->training[pgaml_training_slot].stop, interrupted, error);
	}
	PG_CATCH();
	{
		ErrorData  *second = take_error();

		/* It stays marked as under way, and is found as one that was left behind. */
		recorded = false;
		ereport(LOG,
				(errcode(second->sqlerrcode),
				 errmsg("pganalytics_ml could not record the end of job " INT64_FORMAT ": %s",
						job->job_id, second->message)));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(job->context);
	(void) pgaml_training_end();
	return recorded;
}

/* Take the next job and run it; false when there is none, or this process should leave. */
static bool
serve_one(void)
{
	MemoryContext context = AllocSetContextCreate(process_context, "pganalytics_ml job", ALLOCSET_DEFAULT_SIZES);
	PgamlJob	job;
	bool		served;

	MemoryContextSwitchTo(context);
	interrupted = false;
	served = pgaml_jobs_take(context, &job) && run_job(&job);
	MemoryContextSwitchTo(process_context);
	MemoryContextDelete(context);
	return served;
}

/* Is the extension here, in the version of this library?  A visit says what is wrong if not. */
static bool
has_extension(void)
{
	bool		found;

	pgaml_xact_begin();
	found = OidIsValid(pgaml_extension_oid());
	pgaml_xact_end();
	return found && strcmp(pgaml_session_version(), PGAML_VERSION) == 0;
}

/* Settle jobs that a worker left behind; false when the extension is about to go. */
static bool
look_for_orphans(void)
{
	PgamlSpi	spi;

	if (!pgaml_session_open(&spi, "pganalytics_ml: looking for jobs"))
		return false;
	pgaml_jobs_look();
	pgaml_session_close(&spi);
	return true;
}

/* An error here ends the process; the launcher then waits before it starts another. */
static void
serve(void)
{
	TimestampTz began = GetCurrentTimestamp();

	if (!has_extension() || !look_for_orphans())
		return;
	while (!pgaml_session_wanted() && serve_one())
	{
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (GetCurrentTimestamp() - began >= SHARE_US && pgaml_training_others_wait(pgaml_clock_now()))
			break;
	}
	pgaml_training_succeeded();
}

void
pgaml_training_main(Datum arg)
{
	PgamlTicket ticket;

	memcpy(&ticket, MyBgworkerEntry->bgw_extra, sizeof(PgamlTicket));
	if (!pgaml_training_enter(&ticket))
		proc_exit(0);
	before_shmem_exit(leave_slot, Int32GetDatum(ticket.slot));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, interrupt_job);
	pgaml_session_prepare(PGAML_TRAINING_NAME, true);
	BackgroundWorkerUnblockSignals();
	process_context = AllocSetContextCreate(TopMemoryContext, "pganalytics_ml training worker",
											ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(process_context);

	if (pgaml_session_connect(ticket.dbid))
		serve();
	proc_exit(0);
}
