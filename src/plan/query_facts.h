/*-------------------------------------------------------------------------
 * query_facts.h
 *		What an analyzed query touches: rights it needs, temporary objects.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_QUERY_FACTS_H
#define PGAML_QUERY_FACTS_H

#include "nodes/parsenodes.h"

/*
 * Raise what execution of this rewritten query as the current user would
 * raise for want of a right on a relation, a column or a function.  Relations
 * in views are asked for as the views' owners.
 */
extern void pgaml_query_check_rights(Query *query);

/*
 * Name an object in a temporary schema that this query, analyzed and not
 * rewritten, uses: relation, function, operator or type.  NULL: none.
 */
extern const char *pgaml_query_temporary(Query *query);

#endif							/* PGAML_QUERY_FACTS_H */
