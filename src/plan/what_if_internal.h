/*-------------------------------------------------------------------------
 * what_if_internal.h
 *		A made-up index between its text, its size and the planner.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WHAT_IF_INTERNAL_H
#define PGAML_WHAT_IF_INTERNAL_H

#include "access/amapi.h"
#include "nodes/parsenodes.h"
#include "nodes/pathnodes.h"
#include "storage/block.h"
#include "utils/rel.h"

/* The index on one table: the one named, or a partition of it. */
typedef struct MadeUpLeaf
{
	Oid			relid;
	Oid			indexoid;		/* of no relation */
	AttrNumber	keys[INDEX_MAX_KEYS];	/* columns of this table; 0: the next expression */
	List	   *exprs;			/* over varno 1 */
	List	   *pred;			/* over varno 1, implicit AND */
	BlockNumber pages;
	double		tuples;			/* rows that the predicate lets in */
	int			height;			/* -1: the planner guesses */
} MadeUpLeaf;

/* What CREATE INDEX would put into the catalog. */
typedef struct MadeUpIndex
{
	char	   *name;
	Oid			relid;			/* the table that the command names */
	Oid			am;
	const IndexAmRoutine *routine;
	Oid			tablespace;
	bool		unique;
	int			ncolumns;		/* included ones are the last */
	int			nkeys;
	AttrNumber	keys[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];	/* stored types, keys and included columns */
	int32		typmods[INDEX_MAX_KEYS];
	Oid			collations[INDEX_MAX_KEYS]; /* from here on of keys only */
	Oid			opfamilies[INDEX_MAX_KEYS];
	Oid			opcintypes[INDEX_MAX_KEYS];
	bool		reverse[INDEX_MAX_KEYS];
	bool		nulls_first[INDEX_MAX_KEYS];
	bool		canreturn[INDEX_MAX_KEYS];	/* of keys and included columns */
	List	   *exprs;
	List	   *pred;
	int			fillfactor;		/* percent; 0: the access method has none */
	bool		deduplicate;
	List	   *leaves;			/* MadeUpLeaf, one per table that holds rows */
} MadeUpIndex;

/* what_if_index.c: as CREATE INDEX would understand it; leaves are still empty. */
extern MadeUpIndex *pgaml_made_up_index(IndexStmt *stmt, const char *text);

/* what_if_size.c: fill pages, tuples and height of a leaf, whose table is open. */
extern void pgaml_made_up_size(const MadeUpIndex *index, MadeUpLeaf *leaf, Relation table);

#endif							/* PGAML_WHAT_IF_INTERNAL_H */
