/*-------------------------------------------------------------------------
 * guard.h
 *		What the admission guard counts in shared memory.
 *
 * predict/guard.c writes it, predict/guard_sql.c and observe read it.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_GUARD_H
#define PGAML_GUARD_H

#include "port/atomics.h"

/* Why an execution was let through although it might have been stopped. */
typedef enum PgamlGuardOpen
{
	PGAML_OPEN_NO_PREDICTION,	/* nothing is known of it */
	PGAML_OPEN_NOT_CALIBRATED,	/* the interval promises nothing */
	PGAML_OPEN_OUT_OF_RANGE,	/* outside of what the model was trained on */
	PGAML_OPEN_NOT_READ,		/* a lock was not free, or something failed */
	PGAML_OPEN_PARALLEL,		/* within a parallel query */
	PGAML_OPEN_RECOVERY,		/* on a standby */
	PGAML_OPEN_COUNT
} PgamlGuardOpen;

/* Each execution that is looked at counts in checked, and in one of the others or, within the limit, in none. */
typedef struct PgamlGuardCounters
{
	pg_atomic_uint64 checked;	/* flushed by backends now and then, like open */
	pg_atomic_uint64 warned;
	pg_atomic_uint64 repeated;	/* over the limit, in a client's statement that was warned already */
	pg_atomic_uint64 cancelled;
	pg_atomic_uint64 open[PGAML_OPEN_COUNT];
} PgamlGuardCounters;

#endif							/* PGAML_GUARD_H */
