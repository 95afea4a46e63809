/*-------------------------------------------------------------------------
 * history.h
 *		Turns counters and captured records into rows, exactly once.
 *
 * Every function runs inside an open pgaml_spi bracket of a read-write
 * transaction and raises errors; callers decide what an error means.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_HISTORY_H
#define PGAML_HISTORY_H

#include "utils/timestamp.h"

typedef struct PgamlTick
{
	int64		entries;		/* counters read */
	int64		grown;			/* counters that grew */
	int64		calls;			/* calls added to history */
	int64		unknown;		/* queryids whose text is not read yet */
	bool		first;			/* the first reading: a baseline, no differences */
	const char *reason;			/* of the history_windows row it wrote, or NULL */
} PgamlTick;

/*
 * Serialise with every other collector of this database until the end of the
 * transaction: locks collector_state.  Waits; set lock_timeout where that
 * must end.  The functions below take it themselves where they need it.
 */
extern void pgaml_history_lock(void);

/* Read pg_stat_statements once and add its growth to history. */
extern void pgaml_history_collect(PgamlTick *tick);

/* How often this backend has called pgaml_history_collect. */
extern uint64 pgaml_history_ticks_here(void);

/* Read texts when unknown ids wait and text_interval has passed, or force. */
extern void pgaml_history_read_texts(bool force);

/* Find the own statements that restored ones are, when texts were read or text_interval has passed. */
extern void pgaml_history_join(void);

/* Empty this database's share of the shared records into tables; returns samples stored. */
extern int64 pgaml_history_drain(void);

/* Delete what is older or more than the settings allow; at most once a minute: true when it was time. */
extern bool pgaml_history_retire(void);

/*
 * The moment from which ages are counted when something is deleted for its
 * age: now, or before a jump of the clock that need not be true.  Writes nothing.
 */
extern TimestampTz pgaml_history_settled_now(void);

/* When the tick after last_tick is due: a collect_interval later, or at the end of its bucket. */
extern TimestampTz pgaml_history_next_due(TimestampTz last_tick);

#endif							/* PGAML_HISTORY_H */
