/*-------------------------------------------------------------------------
 * history_core.h
 *		The arithmetic of history: growth of counters, buckets, coverage.
 *
 * Pure C: no server header, no allocation, no state.  Times are
 * microseconds since an epoch that is a midnight UTC; widths of buckets are
 * seconds and divide a day.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_HISTORY_CORE_H
#define PGAML_HISTORY_CORE_H

#include <stdbool.h>
#include <stdint.h>

/* Whole-number counters of one entry, all of which only rise. */
typedef enum HistoryCount
{
	HISTORY_CALLS,
	HISTORY_PLANS,
	HISTORY_ROWS,
	HISTORY_SHARED_HIT,
	HISTORY_SHARED_READ,
	HISTORY_SHARED_DIRTIED,
	HISTORY_SHARED_WRITTEN,
	HISTORY_TEMP_READ,
	HISTORY_TEMP_WRITTEN,
	HISTORY_WAL_BYTES,
	HISTORY_COUNTS
} HistoryCount;

/* Times of one entry in ms; the sum of squares in ms * ms. */
typedef enum HistoryTime
{
	HISTORY_TOTAL_MS,
	HISTORY_SUM_SQUARES,
	HISTORY_PLAN_MS,
	HISTORY_BLK_READ_MS,
	HISTORY_BLK_WRITE_MS,
	HISTORY_TIMES
} HistoryTime;

typedef struct HistoryCounters
{
	int64_t		count[HISTORY_COUNTS];
	double		time[HISTORY_TIMES];
} HistoryCounters;

typedef enum HistoryVerdict
{
	HISTORY_SAME,				/* no call was added */
	HISTORY_GREW,				/* the difference is the growth */
	HISTORY_RESTARTED			/* the entry was made anew: its whole value is the growth */
} HistoryVerdict;

/* Sum of squared times of calls executions with this mean and population deviation. */
extern double pgaml_history_core_sum_squares(int64_t calls, double mean_ms, double stddev_ms);

/*
 * Growth of one entry.  was is NULL when the entry did not exist at the last
 * tick (its whole value is growth: HISTORY_GREW); anew says that it is known
 * to have been counted from zero since.
 */
extern HistoryVerdict pgaml_history_core_growth(const HistoryCounters *was, const HistoryCounters *is,
												bool anew, HistoryCounters *growth);

/* Add b to a. */
extern void pgaml_history_core_add(HistoryCounters *a, const HistoryCounters *b);

/* Why a bucket may be incomplete. */
typedef enum HistoryReason
{
	HISTORY_CRASH,
	HISTORY_RESTART,
	HISTORY_RESET,
	HISTORY_EVICTION,
	HISTORY_GAP,
	HISTORY_REASONS
} HistoryReason;

extern const char *const pgaml_history_core_reasons[HISTORY_REASONS];

/* What the collector knew at the last tick. */
typedef struct HistoryPast
{
	bool		any;			/* false: there was no tick */
	uint32_t	database;
	int64_t		tick_at;
	int64_t		boot_at;
	int64_t		stats_reset;
	int64_t		dealloc;
} HistoryPast;

/* What it sees now. */
typedef struct HistoryPresent
{
	uint32_t	database;
	int64_t		now;
	int64_t		boot_at;
	int64_t		stats_reset;
	int64_t		dealloc;
	bool		saved;			/* counters survive a clean restart */
	int64_t		max_entries;	/* pg_stat_statements.max */
	int64_t		interval;		/* longest time between ticks that is no gap, us */
} HistoryPresent;

/* A stretch of time of which history may miss a share. */
typedef struct HistoryEvent
{
	HistoryReason reason;
	int64_t		from;
	int64_t		to;				/* >= from */
	double		share;			/* 0..1 of what ran then, at most, is missing or misplaced */
} HistoryEvent;

#define HISTORY_MAX_EVENTS 3

typedef struct HistoryJudgement
{
	bool		baseline;		/* take the counters as a starting point: no growth */
	bool		from_zero;		/* every counter was set to zero since the last tick */
	int64_t		grown_from;		/* growth belongs to (grown_from, now] */
	int			nevents;
	HistoryEvent events[HISTORY_MAX_EVENTS];
} HistoryJudgement;

/* What happened to the counters as a whole between two ticks. */
extern void pgaml_history_core_judge(const HistoryPast *past, const HistoryPresent *present,
									 HistoryJudgement *out);

/* Largest share of entries that dealloc rounds of eviction removed from a table of max_entries. */
extern double pgaml_history_core_evicted_share(int64_t dealloc, int64_t max_entries);

/* Start of the bucket that holds t. */
extern int64_t pgaml_history_core_bucket(int64_t t, int64_t width_s);

/* The last border at or before t that buckets of both widths share. */
extern int64_t pgaml_history_core_common_border(int64_t t, int64_t width_a, int64_t width_b);

/* When the tick after last is due: one interval later, or at the end of its bucket. */
extern int64_t pgaml_history_core_next_due(int64_t last, int64_t interval_s, int64_t width_s);

/* The part of an event that falls into one bucket. */
typedef struct HistorySlice
{
	int64_t		bucket;			/* start */
	int64_t		from;
	int64_t		to;
	double		loss;			/* of the bucket's coverage, 0..1 */
} HistorySlice;

/*
 * Cut an event into its buckets, newest max first given up on the old end.
 * Returns how many slices were written to out, oldest first.
 */
extern int	pgaml_history_core_slice(const HistoryEvent *event, int64_t width_s,
									 HistorySlice *out, int max);

/* How many slices an event has, at most max. */
extern int	pgaml_history_core_slices(const HistoryEvent *event, int64_t width_s, int max);

/*
 * What deletion for age knows of the clock.  A clock that jumps ahead would
 * make everything too old at once.  So after a jump the time before it
 * counts, until the clock has stayed on the new side for a day: then it was an
 * outage, or the clock is right now.  A clock set back to where it came from
 * ends the wait; one set back part of the way, or ahead again, begins it anew.
 * Two jumps of a month at most are taken for rare looks, which must not keep
 * things for ever.
 */
#define HISTORY_JUMP_US		INT64_C(86400000000)	/* more than this since the last look is a jump */
#define HISTORY_SETTLE_US	INT64_C(86400000000)	/* until a new side is believed */
#define HISTORY_RARE_US		INT64_C(2678400000000)	/* 31 days: from one look to the next, where nobody looks often */

typedef struct HistoryClock
{
	bool		any;			/* there was a look before */
	int64_t		last;			/* of that look */
	bool		jumped;
	int64_t		jump_from;		/* the last look before the jump */
	int64_t		jump_at;		/* the first one after it */
} HistoryClock;

/* Take note of the time; returns the moment from which ages may be counted, not after now. */
extern int64_t pgaml_history_core_settle(HistoryClock *clock, int64_t now);

#endif							/* PGAML_HISTORY_CORE_H */
