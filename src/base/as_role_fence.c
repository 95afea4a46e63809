/*-------------------------------------------------------------------------
 * as_role_fence.c
 *		What code that planning runs may not do.
 *
 * Two hooks, set at the first use in a process; while no bracket is open each
 * costs one test.
 *
 * CAUTION: code can catch the error of a cancel and go on.  So once the time
 * is up the cancel comes again every few ms, and at once when a handler has
 * undone its block: every handler is used up once.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/as_role_internal.h"

#define CANCEL_AGAIN_MS	5		/* between two cancels when the time is up */

static bool inside = false;
static bool volatile_allowed = false;
static volatile sig_atomic_t expired = false;
static bool timed = false;		/* this bracket has a time limit */

static bool installed = false;
static TimeoutId timeout;
static ProcessUtility_hook_type prev_process_utility = NULL;
static object_access_hook_type prev_object_access = NULL;

#define RANDOM_OID		1598	/* random(); its macro has two names */

/* Volatile, written in C, and without any effect that lasts. */
static const Oid harmless[] = {
	F_CLOCK_TIMESTAMP, F_TIMEOFDAY, RANDOM_OID, F_GEN_RANDOM_UUID,
};

bool
pgaml_as_role_inside(void)
{
	return inside;
}

bool
pgaml_as_role_expired(void)
{
	return expired;
}

void
pgaml_as_role_allow_volatile(bool allow)
{
	volatile_allowed = allow;
}

static void
fence_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					  ProcessUtilityContext context, ParamListInfo params,
					  QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (inside)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s while a statement is planned",
						GetCommandTagName(CreateCommandTag(pstmt->utilityStmt))),
				 errdetail("A function that planning runs has tried to.")));
	if (prev_process_utility)
		prev_process_utility(pstmt, query_string, read_only_tree, context, params,
							 environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								environment, dest, qc);
}

/* May what this function does outlive a rollback? */
static bool
reaches_out(Oid function)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	bool		result;

	for (int i = 0; i < lengthof(harmless); i++)
		if (function == harmless[i])
			return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	result = form->provolatile == PROVOLATILE_VOLATILE &&
		(form->prolang == INTERNALlanguageId || form->prolang == ClanguageId);
	ReleaseSysCache(tuple);
	return result;
}

static void
fence_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, class_id, object_id, sub_id, arg);
	if (inside && access == OAT_FUNCTION_EXECUTE && !volatile_allowed && reaches_out(object_id))
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot call the volatile function %s() while a statement is planned",
						get_func_name(object_id)),
				 errdetail("A function that planning runs has tried to.")));
}

/* A handler has caught the cancel: it comes again before the next handler stands. */
static void
fence_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && inside && expired)
	{
		InterruptPending = true;
		QueryCancelPending = true;
	}
}

/* Signal handler. */
static void
time_is_up(void)
{
	expired = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

void
pgaml_as_role_fence_install(void)
{
	if (installed)
		return;
	timeout = RegisterTimeout(USER_TIMEOUT, time_is_up);
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = fence_process_utility;
	prev_object_access = object_access_hook;
	object_access_hook = fence_object_access;
	RegisterSubXactCallback(fence_subtransaction, NULL);
	installed = true;
}

void
pgaml_as_role_fence_up(int time_limit)
{
	expired = false;
	volatile_allowed = false;
	inside = true;
	timed = time_limit > 0;
	if (timed)
		enable_timeout_every(timeout,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), time_limit),
							 CANCEL_AGAIN_MS);
}

void
pgaml_as_role_fence_down(void)
{
	if (timed)
		disable_timeout(timeout, false);
	/* What the last tick asked for is answered by an error of ours. */
	if (timed && expired)
		QueryCancelPending = false;
	timed = false;
	inside = false;
}
