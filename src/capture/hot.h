/*-------------------------------------------------------------------------
 * hot.h
 *		What every execution of a statement pays for capture.
 *
 * Its data stand together in few cache lines, its code is inline: four hooks
 * run for a statement that takes 5 us.  Nothing here raises, waits or reads a
 * clock, except in the hook calls that the meter times.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_HOT_H
#define PGAML_HOT_H

#include "access/parallel.h"
#include "common/pg_prng.h"
#include "portability/instr_time.h"

#include "base/guc.h"
#include "base/shmem.h"
#include "base/spi_run.h"
#include "compat/compat.h"

/* Reached without the indirection that symbols of other libraries need. */
#pragma GCC visibility push(hidden)

/* Where this session is; changed by every watched execution. */
typedef struct PgamlSession
{
	int64		id;				/* 0 until asked for */
	LocalTransactionId lxid;	/* of the current transaction */
	int64		transaction_no;
	int32		place;			/* statements started in the transaction */
	int64		previous_queryid;
	int64		previous_rows;
} PgamlSession;

/* State of this backend, changed by statements. */
typedef struct PgamlHot
{
	int			depth;			/* as pg_stat_statements counts it; 0 is a statement of the client */
	int			until_timed;	/* hook calls until one is timed */
	int			skip;			/* executions to pass by before one is looked at */
	uint32		executions;		/* since the last flush, like the next three */
	uint32		thinned;
	uint32		skipped;		/* of them, those not even looked at */
	uint32		pending;		/* counted towards the next flush */
	bool		looked_up;		/* the settings of pg_stat_statements were looked for */
	struct PgamlFollowed *followed; /* executions that are captured, see record.c */
	volatile uint8 *active;		/* this backend's entry in pgaml_active */
	const int  *track;			/* pg_stat_statements.track, and its values */
	int			track_top;
	int			track_all;
	double		hook_ns;		/* time of hook calls since the last flush, estimated */
	double		work_ns;		/* time of shielded work since the last flush */
	float		gate;			/* share of executions that is looked at, when skip was drawn */
	LocalTransactionId runs_lxid;	/* transaction that repeats.c follows; invalid: none */
	int			planned;		/* plannings not yet followed by an execution, or more; 0: none */
	PgamlSession session;
} PgamlHot;

extern PgamlHot pgaml_hot;

/* ---- what counts ---- */

/* Find the settings of pg_stat_statements. */
extern void pgaml_watch_look_up(void);

/* Register for the end of this backend. */
extern void pgaml_watch_arrive(void);

/* Does pg_stat_statements count a statement at this depth? */
static inline bool
pgaml_watch_counted(void)
{
	if (unlikely(!pgaml_hot.looked_up))
		pgaml_watch_look_up();
	return *pgaml_hot.track == pgaml_hot.track_all ||
		(*pgaml_hot.track == pgaml_hot.track_top && pgaml_hot.depth == 0);
}

/* And do we watch it? */
static inline bool
pgaml_watch_on(void)
{
	return pgaml_capture && pgaml_watch_counted() &&
		pg_atomic_read_u32(&pgaml_shared->capture_off) == 0 &&
		pgaml_shmem_here() && !pgaml_spi_inside();
}

/* One level deeper, and back.  The outermost level marks the backend active. */
static inline void
pgaml_watch_enter(void)
{
	if (pgaml_hot.depth++ > 0)
		return;
	if (unlikely(pgaml_hot.active == NULL))
		pgaml_watch_arrive();
	*pgaml_hot.active = 1;
}

static inline void
pgaml_watch_leave(void)
{
	if (--pgaml_hot.depth == 0)
		*pgaml_hot.active = 0;
}

/* A watched execution starts: where is it in its transaction? */
static inline void
pgaml_session_advance(void)
{
	LocalTransactionId lxid = PGAML_MY_LXID;

	if (pgaml_hot.session.lxid != lxid)
	{
		pgaml_hot.session.lxid = lxid;
		pgaml_hot.session.transaction_no++;
		pgaml_hot.session.place = 0;
	}
	pgaml_hot.session.place++;
}

#define PGAML_FLUSH_EVERY	256 /* executions counted here before they are flushed */

/* Counts and cost of this session so far to shared memory; also in capture.h. */
extern void pgaml_capture_flush(void);

/* An execution that is not captured, or was not even looked at. */
static inline void
pgaml_watch_thinned(bool skipped)
{
	pgaml_hot.executions++;
	pgaml_hot.thinned++;
	pgaml_hot.skipped += skipped;
	if (unlikely(++pgaml_hot.pending >= PGAML_FLUSH_EVERY))
		pgaml_capture_flush();
}

/* ---- the meter: one hook call in PGAML_TIMED_EVERY is timed ---- */

#define PGAML_TIMED_EVERY	64

/* A call of a hook, apart from what it calls in between. */
typedef struct PgamlSpan
{
	bool		on;				/* this one is timed */
	instr_time	start;
	instr_time	before;			/* the call in between */
	instr_time	after;
	double		work_ns;		/* shielded work in the own part, which counts elsewhere */
} PgamlSpan;

/* What a timed call does at the four places; cold. */
extern void pgaml_span_started(PgamlSpan *span);
extern void pgaml_span_left(PgamlSpan *span);
extern void pgaml_span_back(PgamlSpan *span);
extern void pgaml_span_ended(PgamlSpan *span);

static inline void
pgaml_span_begin(PgamlSpan *span)
{
	span->on = --pgaml_hot.until_timed <= 0;
	if (unlikely(span->on))
		pgaml_span_started(span);
}

static inline void
pgaml_span_pause(PgamlSpan *span)
{
	if (unlikely(span->on))
		pgaml_span_left(span);
}

static inline void
pgaml_span_resume(PgamlSpan *span)
{
	if (unlikely(span->on))
		pgaml_span_back(span);
}

static inline void
pgaml_span_end(PgamlSpan *span)
{
	if (unlikely(span->on))
		pgaml_span_ended(span);
}

#pragma GCC visibility pop

#endif							/* PGAML_HOT_H */
