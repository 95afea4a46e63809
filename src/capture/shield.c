/*-------------------------------------------------------------------------
 * shield.c
 *		Runs what a hook does for the few executions that are captured, so that
 *		an error of it is counted here and never seen by the user's query.
 *
 * Only work that may raise needs it: what every execution pays runs no code
 * that could.  PGAML_FAILURES_MAX errors between two ticks switch capture off
 * for the whole server, with one line in the log; capture_reset() turns it on
 * again.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "capture/capture_internal.h"

bool
pgaml_shield_run(PgamlShieldedWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		holdoff = InterruptHoldoffCount;
	uint32		cancel_holdoff = QueryCancelHoldoffCount;
	volatile bool done = false;

	PG_TRY();
	{
		work(arg);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		/* Raising an error has zeroed them. */
		InterruptHoldoffCount = holdoff;
		QueryCancelHoldoffCount = cancel_holdoff;
	}
	PG_END_TRY();
	return done;
}
