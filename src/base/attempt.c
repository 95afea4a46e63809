/*-------------------------------------------------------------------------
 * attempt.c
 *		Work that may fail without the transaction failing; see attempt.h.
 *
 * The order is that of an exception block in the server's PL/pgSQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/attempt.h"

bool
pgaml_can_attempt(void)
{
	return IsTransactionState() && !IsInParallelMode() && !IsParallelWorker();
}

static bool
about_work(int sqlerrcode)
{
	return sqlerrcode != ERRCODE_QUERY_CANCELED && sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE &&
		sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED;
}

ErrorData *
pgaml_attempt(PgamlAttempt work, void *state)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(state);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && !about_work(error->sqlerrcode))
		ReThrowError(error);
	return error;
}
