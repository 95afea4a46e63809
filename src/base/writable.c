/*-------------------------------------------------------------------------
 * writable.c
 *		May this transaction write?
 *
 * The server's own PreventCommandIfReadOnly does not say what to do.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"

#include "base/writable.h"

void
pgaml_require_writable(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery", function),
				 errhint("Call it on the primary; a standby answers from what it got from there, and writes nothing.")));
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s in a read-only transaction", function),
				 errhint("Call it in a transaction that is READ WRITE.")));
}
