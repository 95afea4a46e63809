/*-------------------------------------------------------------------------
 * what_if.h
 *		Plans as they would be with other indexes: some made up, some gone.
 *
 * Commands are those that would be run, CREATE INDEX and DROP INDEX; none is
 * run.  Made-up indexes exist for the planner only and for one planning only,
 * whatever becomes of it.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_WHAT_IF_H
#define PGAML_WHAT_IF_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

typedef struct PgamlWhatIf PgamlWhatIf;

/* What became of a command. */
typedef struct PgamlWhatIfIndex
{
	const char *name;			/* of the index; one without gets that which CREATE INDEX would choose */
	bool		removed;		/* DROP INDEX */
	bool		unique;			/* taken at its word: rows are not looked at */
	bool		used;			/* the plan scans it */
	double		bytes;			/* size right after it was built, over all partitions; removed: 0 */
} PgamlWhatIfIndex;

/*
 * Remember commands, in the current context.  They are looked at when a query
 * is planned with them, so that a search_path in force then holds for them.
 */
extern PgamlWhatIf *pgaml_what_if_create(const char *const *commands, int ncommands);

/*
 * pg_plan_query() with these indexes, as the current user, who must be allowed
 * to read what they are made of.  Raises what CREATE INDEX and DROP INDEX
 * would raise, ownership apart, and for what cannot be planned honestly.
 * The plan must not be executed: it names indexes that are not there.
 */
extern PlannedStmt *pgaml_what_if_plan(const PgamlWhatIf *what_if, Query *query, const char *text,
									   int cursor_options);

/* One per index named in the commands, in their order, after planning; *count may exceed the commands'. */
extern const PgamlWhatIfIndex *pgaml_what_if_indexes(const PgamlWhatIf *what_if, int *count);

#endif							/* PGAML_WHAT_IF_H */
