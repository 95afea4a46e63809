/*-------------------------------------------------------------------------
 * repeat.h
 *		The record that repeated statements are in shared memory.
 *
 * Pure data, fixed size, no pointers.  capture/repeats adds up runs of one
 * kind that a session has ended, history/repeats writes them to
 * statement_repeats.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REPEAT_H
#define PGAML_REPEAT_H

#include "datatype/timestamp.h"

#define PGAML_REPEAT_BAG_SIZE	2048	/* records that wait to be stored */

typedef struct PgamlRepeat
{
	Oid			dbid;
	Oid			userid;
	int64		queryid;		/* never 0 */
	int64		previous_queryid;	/* statement before the runs; 0: none */
	bool		toplevel;		/* else inside a function */
	bool		burst;			/* over several transactions, else in one */
	char		application[NAMEDATALEN];	/* application_name */
	int64		session_id;		/* as in PgamlSample */

	/* sums over the runs */
	int64		runs;
	int64		executions;
	int64		longest;		/* executions of the longest run */
	int64		known;			/* runs whose previous rows are known */
	int64		previous_rows;	/* of those */
	int64		matched;		/* runs as long as their list */
	double		ms;				/* of the executions */
	TimestampTz first_at;
	TimestampTz last_at;
} PgamlRepeat;

#endif							/* PGAML_REPEAT_H */
