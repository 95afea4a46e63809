/*-------------------------------------------------------------------------
 * launcher.c
 *		The process that starts the visits: how it begins, waits and ends.
 *
 * One static background worker without a database: it reads shared catalogs
 * only, so no database ever waits for it.  What it does when it wakes is one
 * turn (turn.c).  An error in a turn is logged and delays the next one.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/spi_run.h"
#include "worker/schedule_core.h"
#include "worker/worker.h"
#include "worker/worker_internal.h"

#define RESTART_S	10			/* after the launcher ended */

static long guarded_turn(void);

void
pgaml_worker_install(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_S;
	strlcpy(worker.bgw_library_name, PGAML_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pgaml_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, PGAML_LAUNCHER_NAME, sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, PGAML_LAUNCHER_NAME, sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/* before_shmem_exit callback */
static void
leave_shared(int code, Datum arg)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->launcher_latch = NULL;
	pgaml_shared->launcher_pid = 0;
	LWLockRelease(pgaml_shared->lock);
}

static void
enter_shared(void)
{
	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	pgaml_shared->launcher_latch = MyLatch;
	pgaml_shared->launcher_pid = MyProcPid;
	LWLockRelease(pgaml_shared->lock);
	before_shmem_exit(leave_shared, (Datum) 0);
	pgaml_slots_adopt();
	pgaml_training_adopt();
}

void
pgaml_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname(PGAML_LAUNCHER_NAME);
	pgaml_turn_init();
	enter_shared();

	while (!ShutdownRequestPending)
	{
		long		wait_ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			pgaml_turn_forget_answers();
		}
		wait_ms = guarded_turn();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 wait_ms, PG_WAIT_EXTENSION);
	}

	/* Not 0: that would tell the postmaster never to start it again. */
	proc_exit(1);
}

/* Errors of the launcher say whose they are: it has no database and no user. */
static void
error_context(void *arg)
{
	errcontext("launcher of pganalytics_ml");
}

/*
 * One turn; returns the milliseconds to wait.  An error is logged, and the
 * turns after it come ever more slowly until one succeeds.
 */
static long
guarded_turn(void)
{
	static int	errors = 0;
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pganalytics_ml turn",
												  ALLOCSET_DEFAULT_SIZES);
	ErrorContextCallback callback = {error_context_stack, error_context, NULL};
	volatile long wait_ms = 0;

	MemoryContextSwitchTo(context);
	error_context_stack = &callback;
	PG_TRY();
	{
		wait_ms = pgaml_turn_take();
		errors = 0;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		EmitErrorReport();
		FlushErrorState();
		pgaml_xact_abort();
		RESUME_INTERRUPTS();
		errors = Min(errors, INT_MAX - 1) + 1;
		wait_ms = (long) (pgaml_schedule_backoff(errors, pg_prng_double(&pg_global_prng_state)) / 1000);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(context);
	return wait_ms;
}
