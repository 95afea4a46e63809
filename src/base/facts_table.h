/*-------------------------------------------------------------------------
 * facts_table.h
 *		The shared table of what is known of statements.
 *
 * One entry per (dbid, userid, queryid, search_path_hash, plan_id).  Hooks
 * insert or refresh under facts_lock taken conditionally; history/drain copies the
 * entries of its database that changed and removes those it has stored for
 * a while.  A full table drops the newcomer and counts it.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_FACTS_TABLE_H
#define PGAML_FACTS_TABLE_H

#include "base/sample.h"

#define PGAML_FACTS_ENTRIES 8192

typedef struct PgamlFactsKey
{
	Oid			dbid;
	Oid			userid;
	int64		queryid;
	int64		search_path_hash;
	int64		plan_id;
} PgamlFactsKey;

typedef struct PgamlFactsEntry
{
	PgamlFactsKey key;			/* must be first */
	bool		changed;		/* since the last drain of its database */
	PgamlStatementFacts facts;
} PgamlFactsEntry;

#endif							/* PGAML_FACTS_TABLE_H */
