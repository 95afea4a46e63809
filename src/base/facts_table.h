/*-------------------------------------------------------------------------
 * facts_table.h
 *		The shared table of what is known of statements.
 *
 * A mailbox: hooks put entries in under facts_lock taken conditionally,
 * history/drain takes those of its database out.  What parse analysis saw has
 * plan_id 0 and nparams >= 0; what the planner made has its plan_id and
 * nparams -1.  A full table drops the newcomer and counts it; every backend
 * offers what it knows again after PGAML_FACTS_REFRESH ticks.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_FACTS_TABLE_H
#define PGAML_FACTS_TABLE_H

#include "base/sample.h"

#define PGAML_FACTS_ENTRIES 8192
#define PGAML_FACTS_REFRESH 60	/* ticks */

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
	PgamlStatementFacts facts;
} PgamlFactsEntry;

#endif							/* PGAML_FACTS_TABLE_H */
