/*-------------------------------------------------------------------------
 * shield.c
 *		Runs what a hook does for the few executions that are captured, so that
 *		an error of it is counted here and never seen by the user's query.
 *
 * Only work that may raise needs it: what every execution pays runs no code
 * that could.  FAILURES_MAX errors between two ticks switch capture off for
 * the whole server, with one line in the log; capture_reset() turns it on
 * again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "capture/capture_internal.h"

#define FAILURES_MAX	10

/* The message of the error that was just caught. */
static void
copy_message(char *out)
{
	ErrorData  *error;

	pgaml_copy_ascii(out, "out of memory");
	if (geterrcode() == ERRCODE_OUT_OF_MEMORY)
		return;
	error = CopyErrorData();
	pgaml_copy_ascii(out, error->message ? error->message : "");
	FreeErrorData(error);
}

/* Remember the error; the one that is too much switches capture off. */
static void
note_failure(const char *message)
{
	uint32		expected = 0;

	if (LWLockConditionalAcquire(pgaml_shared->facts_lock, LW_EXCLUSIVE))
	{
		pgaml_shared->capture_error_at = pgaml_clock_now();
		strlcpy(pgaml_shared->capture_error, message, PGAML_ERROR_LEN);
		LWLockRelease(pgaml_shared->facts_lock);
	}
	if (pg_atomic_add_fetch_u64(&pgaml_shared->failures, 1) < FAILURES_MAX ||
		!pg_atomic_compare_exchange_u32(&pgaml_shared->capture_off, &expected, 1))
		return;
	pg_atomic_write_u64(&pgaml_shared->capture_off_at, (uint64) pgaml_clock_now());
	ereport(LOG_SERVER_ONLY,
			(errmsg("pganalytics_ml has switched capture off after %d errors of its own", FAILURES_MAX),
			 errdetail("The last one was: %s", message),
			 errhint("Call capture_reset() in a database with the extension to turn capture on again.")));
}

bool
pgaml_shield_run(PgamlShieldedWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		holdoff = InterruptHoldoffCount;
	uint32		cancel_holdoff = QueryCancelHoldoffCount;
	volatile bool done = false;
	char		message[PGAML_ERROR_LEN];
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	PG_TRY();
	{
		work(arg);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		copy_message(message);
		FlushErrorState();
		/* Raising an error has zeroed them. */
		InterruptHoldoffCount = holdoff;
		QueryCancelHoldoffCount = cancel_holdoff;
	}
	PG_END_TRY();
	if (!done)
		note_failure(message);
	pgaml_budget_add_work(&start);
	return done;
}
