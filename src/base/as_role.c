/*-------------------------------------------------------------------------
 * as_role.c
 *		The one bracket for planning, and running, as somebody; see as_role.h.
 *
 * User id, security context, settings, read-only mode, snapshots, locks and
 * memory belong to the subtransaction, whose abort gives all of them back;
 * the fence is taken down before, on both ways out.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/as_role_internal.h"
#include "base/spi_run.h"

/* In the subtransaction: become the role. */
static void
enter(const PgamlRole *role)
{
	Oid			current;
	int			context;
	bool		another = OidIsValid(role->userid);

	pgaml_as_role_set(role);
	GetUserIdAndSecContext(&current, &context);
	if (another)
		context = 0;
	SetUserIdAndSecContext(another ? role->userid : current,
						   context | SECURITY_RESTRICTED_OPERATION | SECURITY_LOCAL_USERID_CHANGE);
	XactReadOnly = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	pgaml_as_role_fence_up(role->time_limit);
}

static void
leave(MemoryContext context, ResourceOwner owner)
{
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

static void
raise_expired(int time_limit)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("planning took longer than %d ms", time_limit),
			 errdetail("Planning runs functions that are marked immutable or stable.")));
}

void
pgaml_as_role_run(const PgamlRole *role, PgamlRoleWork work, void *state)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (pgaml_as_role_inside())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a statement cannot be planned while another one is")));
	/* CAUTION: in there the current user is the owner of the extension, not the caller. */
	if (pgaml_spi_inside())
		elog(ERROR, "role bracket inside of the SPI bracket");
	pgaml_as_role_fence_install();

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		enter(role);
		work(state);
		pgaml_as_role_fence_down();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		pgaml_as_role_fence_down();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		leave(context, owner);
		if (pgaml_as_role_expired())
			raise_expired(role->time_limit);
		ReThrowError(error);
	}
	PG_END_TRY();
	leave(context, owner);
	if (pgaml_as_role_expired())
		raise_expired(role->time_limit);
}
