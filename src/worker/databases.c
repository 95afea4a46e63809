/*-------------------------------------------------------------------------
 * databases.c
 *		Which databases are there, which are known to have the extension, and
 *		does somebody want to drop or copy one?
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/rel.h"

#include "worker/worker_internal.h"

/* Copy the directory; returns the number of entries. */
int
pgaml_databases_known(PgamlKnownDatabase *out)
{
	int			n = 0;

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	for (int i = 0; i < PGAML_MAX_DATABASES; i++)
	{
		const PgamlDatabase *entry = &pgaml_shared->databases[i];

		if (!OidIsValid(entry->dbid))
			continue;
		out[n].dbid = entry->dbid;
		out[n].announced = entry->announced;
		out[n].last_visit = entry->last_visit;
		out[n].next_visit = entry->next_visit;
		out[n].failures = entry->failures;
		n++;
	}
	LWLockRelease(pgaml_shared->lock);
	return n;
}

/* Can and may a worker connect? */
static bool
can_visit(Form_pg_database form)
{
	return form->datallowconn && form->oid != Template0DbOid && !database_is_invalid_form(form);
}

/*
 * List the databases that a worker can visit, allocated in context; returns
 * their number.  Needs a transaction, but no database: pg_database is shared.
 */
int
pgaml_databases_list(MemoryContext context, PgamlDatabaseRow **out)
{
	Relation	rel = table_open(DatabaseRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	HeapTuple	tuple;
	int			n = 0;
	int			room = 64;
	PgamlDatabaseRow *rows = MemoryContextAlloc(context, room * sizeof(PgamlDatabaseRow));

	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (!can_visit(form))
			continue;
		if (n == room)
		{
			room *= 2;
			rows = repalloc_huge(rows, room * sizeof(PgamlDatabaseRow));
		}
		rows[n].dbid = form->oid;
		strlcpy(rows[n].name, NameStr(form->datname), NAMEDATALEN);
		n++;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	*out = rows;
	return n;
}

/*
 * Does somebody hold or await the lock that DROP DATABASE, CREATE DATABASE ...
 * TEMPLATE, RENAME or SET TABLESPACE takes on this database?  They wait 5 s
 * for its sessions to leave, then fail.  Needs a transaction; never waits.
 */
bool
pgaml_database_wanted(Oid dbid)
{
	LOCKTAG		tag;

	/* A session that connects takes this lock, so it conflicts with the same. */
	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, dbid, 0);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, false);
	return false;
}
