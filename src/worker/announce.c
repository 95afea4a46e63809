/*-------------------------------------------------------------------------
 * announce.c
 *		CREATE EXTENSION tells the launcher that there is a database to visit.
 *
 * The install script calls the function; the announcement is made when its
 * transaction commits.  Without the preload nobody listens.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "base/export.h"
#include "base/shmem.h"

static bool pending = false;	/* this transaction has something to announce */

PGAML_FUNCTION_INFO_V1(pgaml_announce_database);

/* An error here would be a PANIC: register_database raises none. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && pending && pgaml_shared != NULL)
		(void) pgaml_shmem_register_database(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		pending = false;
}

/*
 * SQL: announce_database() returns void.
 */
Datum
pgaml_announce_database(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (pgaml_shared != NULL)
	{
		if (!registered)
			RegisterXactCallback(at_transaction_end, NULL);
		registered = true;
		pending = true;
	}
	PG_RETURN_VOID();
}
