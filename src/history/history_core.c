/*-------------------------------------------------------------------------
 * history_core.c
 *		The arithmetic of history: growth of counters, buckets, coverage.
 *
 * Pure C, called by snapshot.c and the unit tests.  The rule that everything
 * here serves: history never holds more than ran, and nothing twice; what it
 * may miss is an event with its reason.
 *-------------------------------------------------------------------------
 */
#include "history_core.h"

#include <stddef.h>

#define USECS	INT64_C(1000000)

/* pg_stat_statements evicts the larger of 10 entries and 5 % in one round. */
#define EVICT_LEAST		10
#define EVICT_SHARE		0.05

/* A reset this close to the start of the server is that start, us. */
#define BOOT_SLACK		(10 * USECS)

const char *const pgaml_history_core_reasons[HISTORY_REASONS] = {
	"crash", "restart", "reset", "eviction", "gap"
};

double
pgaml_history_core_sum_squares(int64_t calls, double mean_ms, double stddev_ms)
{
	return (double) calls * (mean_ms * mean_ms + stddev_ms * stddev_ms);
}

/* Did any counter fall, or time pass without a call?  Either means a new entry. */
static bool
made_anew(const HistoryCounters *was, const HistoryCounters *is)
{
	for (int i = 0; i < HISTORY_COUNTS; i++)
		if (is->count[i] < was->count[i])
			return true;
	for (int i = 0; i < HISTORY_TIMES; i++)
		if (i != HISTORY_SUM_SQUARES && is->time[i] < was->time[i])
			return true;
	return is->count[HISTORY_CALLS] == was->count[HISTORY_CALLS] &&
		is->time[HISTORY_TOTAL_MS] != was->time[HISTORY_TOTAL_MS];
}

/*
 * A sum of n squares lies between total^2 / n and total^2.  Differences of
 * large sums leave that range by rounding only.
 */
static void
clamp_squares(HistoryCounters *growth)
{
	double		total = growth->time[HISTORY_TOTAL_MS];
	double		most = total * total;
	double		least = most / (double) growth->count[HISTORY_CALLS];
	double	   *squares = &growth->time[HISTORY_SUM_SQUARES];

	if (!(*squares >= least))
		*squares = least;
	if (*squares > most)
		*squares = most;
}

HistoryVerdict
pgaml_history_core_growth(const HistoryCounters *was, const HistoryCounters *is,
						  bool anew, HistoryCounters *growth)
{
	HistoryVerdict verdict = HISTORY_GREW;

	*growth = *is;
	if (was != NULL)
	{
		if (anew || made_anew(was, is))
			verdict = HISTORY_RESTARTED;
		else
		{
			for (int i = 0; i < HISTORY_COUNTS; i++)
				growth->count[i] -= was->count[i];
			for (int i = 0; i < HISTORY_TIMES; i++)
				growth->time[i] -= was->time[i];
		}
	}
	if (growth->count[HISTORY_CALLS] <= 0)
		return verdict == HISTORY_RESTARTED ? HISTORY_RESTARTED : HISTORY_SAME;
	clamp_squares(growth);
	return verdict;
}

void
pgaml_history_core_add(HistoryCounters *a, const HistoryCounters *b)
{
	for (int i = 0; i < HISTORY_COUNTS; i++)
		a->count[i] += b->count[i];
	for (int i = 0; i < HISTORY_TIMES; i++)
		a->time[i] += b->time[i];
}

static void
add_event(HistoryJudgement *out, HistoryReason reason, int64_t from, int64_t to, double share)
{
	HistoryEvent *event = &out->events[out->nevents++];

	event->reason = reason;
	event->from = from;
	event->to = to < from ? from : to;
	event->share = share;
}

double
pgaml_history_core_evicted_share(int64_t dealloc, int64_t max_entries)
{
	double		round = EVICT_SHARE * (double) max_entries;
	double		lost;

	if (dealloc <= 0)
		return 0;
	if (round < EVICT_LEAST)
		round = EVICT_LEAST;
	lost = (double) dealloc * round;
	return lost / (lost + (double) max_entries);
}

/* Counters set to zero: by a start of the server that lost them, or by hand. */
static HistoryReason
zeroed_by(const HistoryPast *past, const HistoryPresent *present)
{
	if (past->boot_at == present->boot_at ||
		present->stats_reset > present->boot_at + BOOT_SLACK)
		return HISTORY_RESET;
	return present->saved ? HISTORY_CRASH : HISTORY_RESTART;
}

/*
 * Counters of another server or database (a standby that was promoted, a
 * restored copy, a database made from a template) say nothing about growth:
 * they were set to zero before our last tick, yet not when we last looked.
 */
static bool
foreign(const HistoryPast *past, const HistoryPresent *present)
{
	return past->database != present->database ||
		(past->stats_reset != present->stats_reset && present->stats_reset < past->tick_at);
}

void
pgaml_history_core_judge(const HistoryPast *past, const HistoryPresent *present,
						 HistoryJudgement *out)
{
	int64_t		now = present->now;
	int64_t		dealloc;

	*out = (HistoryJudgement)
	{
		.grown_from = now
	};
	if (!past->any)
	{
		out->baseline = true;
		return;
	}
	if (past->tick_at < now)
		out->grown_from = past->tick_at;
	if (foreign(past, present))
	{
		out->baseline = true;
		add_event(out, past->boot_at == present->boot_at ? HISTORY_GAP : HISTORY_RESTART,
				  out->grown_from, now, 1);
		return;
	}

	dealloc = present->dealloc - past->dealloc;
	if (past->stats_reset != present->stats_reset)
	{
		int64_t		reset = present->stats_reset < now ? present->stats_reset : now;

		out->from_zero = true;
		add_event(out, zeroed_by(past, present), out->grown_from, reset, 1);
		out->grown_from = reset;
		dealloc = present->dealloc;
	}
	if (dealloc > 0)
		add_event(out, HISTORY_EVICTION, out->grown_from, now,
				  pgaml_history_core_evicted_share(dealloc, present->max_entries));
	if (now - out->grown_from > present->interval)
		add_event(out, past->boot_at == present->boot_at ? HISTORY_GAP : HISTORY_RESTART,
				  out->grown_from, now, 1);
}

static int64_t
floor_to(int64_t t, int64_t width)
{
	int64_t		rest = t % width;

	return t - (rest < 0 ? rest + width : rest);
}

int64_t
pgaml_history_core_bucket(int64_t t, int64_t width_s)
{
	return floor_to(t, width_s * USECS);
}

int64_t
pgaml_history_core_common_border(int64_t t, int64_t width_a, int64_t width_b)
{
	int64_t		a = width_a;
	int64_t		b = width_b;

	while (b != 0)
	{
		int64_t		rest = a % b;

		a = b;
		b = rest;
	}
	return floor_to(t, width_a / a * width_b * USECS);
}

int64_t
pgaml_history_core_next_due(int64_t last, int64_t interval_s, int64_t width_s)
{
	int64_t		due = last + interval_s * USECS;
	int64_t		border = pgaml_history_core_bucket(last, width_s) + width_s * USECS;

	return border < due ? border : due;
}

/* The last bucket that an event touches: it ends before a border it ends on. */
static int64_t
last_bucket(const HistoryEvent *event, int64_t width_s)
{
	int64_t		to = event->to > event->from ? event->to - 1 : event->to;

	return pgaml_history_core_bucket(to, width_s);
}

int
pgaml_history_core_slices(const HistoryEvent *event, int64_t width_s, int max)
{
	int64_t		first = pgaml_history_core_bucket(event->from, width_s);
	int64_t		n = (last_bucket(event, width_s) - first) / (width_s * USECS) + 1;

	return n > max ? max : (int) n;
}

int
pgaml_history_core_slice(const HistoryEvent *event, int64_t width_s, HistorySlice *out, int max)
{
	int64_t		width = width_s * USECS;
	int			n = pgaml_history_core_slices(event, width_s, max);
	int64_t		bucket = last_bucket(event, width_s) - (n - 1) * width;

	for (int i = 0; i < n; i++, bucket += width)
	{
		HistorySlice *slice = &out[i];

		slice->bucket = bucket;
		slice->from = event->from > bucket ? event->from : bucket;
		slice->to = event->to < bucket + width ? event->to : bucket + width;
		slice->loss = event->share * (double) (slice->to - slice->from) / (double) width;
	}
	return n;
}

/* Is the new side of a jump to be believed?  The clock is still ahead of where it came from. */
static bool
has_settled(HistoryClock *clock, int64_t last, int64_t now)
{
	bool		again = now > last + HISTORY_JUMP_US;
	bool		rare_looks = now - last <= HISTORY_RARE_US && clock->jump_at - clock->jump_from <= HISTORY_RARE_US;

	/* Set back part of the way, or another jump: wait anew. */
	if (now < clock->jump_at || (again && !rare_looks))
	{
		clock->jump_at = now;
		return false;
	}
	return now - clock->jump_at >= HISTORY_SETTLE_US;
}

int64_t
pgaml_history_core_settle(HistoryClock *clock, int64_t now)
{
	int64_t		last = clock->any ? clock->last : now;

	clock->any = true;
	clock->last = now;
	if (clock->jumped)
		clock->jumped = now > clock->jump_from + HISTORY_JUMP_US && !has_settled(clock, last, now);
	else if (now > last + HISTORY_JUMP_US)
	{
		clock->jumped = true;
		clock->jump_from = last;
		clock->jump_at = now;
	}
	return clock->jumped ? clock->jump_from : now;
}
