/*-------------------------------------------------------------------------
 * repeats_core.h
 *		Finds runs: one statement executed again and again in a session.
 *
 * Pure C; repeats.c feeds it from hooks.  A fixed table holds the statements
 * executed last, each with the number of its executions so far: an open run.
 * A statement that comes back while others were executed in between goes on
 * with its run, so a loop with several lookups per row is several runs.
 *
 * What precedes.  Each open run knows the run that was executed just before
 * it began: its parent.  The statement that came before a run is the nearest
 * ancestor that was not executed during the run (those that were belong to the
 * same loop), or one of up to PGAML_RUNS_FAR before it that returned as many
 * rows as the run is long: that is the list which the loop goes through.
 *
 * A run ends
 *	- when a statement that stands before it comes back (a loop inside a loop),
 *	  provided it has PGAML_RUN_MIN executions since; fewer are a loop's body
 *	- when its loop is through and it comes back after another list
 *	- at the end of a transaction with PGAML_RUN_MIN statements of the client
 *	  and more, which is a unit of its own; shorter transactions and single
 *	  statements form a burst
 *	- at the end of a burst: the pause before the next statement is longer than
 *	  PGAML_BURST_PAUSE_US and than the statement before it took
 *	- when the table is full and it was executed longest ago (counted)
 *
 * Statements inside functions are runs of their own, which end with the
 * transaction: a loop in a function is not an application's N+1.
 *
 * CAUTION: a client that sends one statement again and again without a
 * transaction is busy, not in a loop over a list.  So a run over several
 * transactions counts only when a list before it explains its length.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_REPEATS_CORE_H
#define PGAML_REPEATS_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PGAML_RUNS				32	/* open runs of a session, less than PGAML_RUN_NONE */
#define PGAML_RUNS_BUCKETS		64	/* of their hash, a power of two */
#define PGAML_RUNS_OPEN			32	/* executions under way that are followed */
#define PGAML_RUNS_FAR			4	/* statements before a run that may be its list */
#define PGAML_RUN_NONE			255
#define PGAML_BURST_PAUSE_US	100000

/*
 * Executions that make a run.  Two to four of a kind are common in code that
 * loops over nothing, and so small a list would match by chance.
 */
#define PGAML_RUN_MIN			5

/* A run that has ended. */
typedef struct PgamlRun
{
	int64_t		queryid;
	uint32_t	userid;
	bool		toplevel;		/* else inside a function */
	bool		burst;			/* over several transactions */
	bool		matched;		/* as long as the list before it, give or take a tenth or 1 */
	uint32_t	length;			/* executions */
	double		ms;				/* of those whose time is known */
	int64_t		previous_queryid;	/* statement before it; 0: none */
	int64_t		previous_rows;	/* that one returned; -1: not known */
	int64_t		first_at;		/* us */
	int64_t		last_at;		/* us, start of the last execution */
} PgamlRun;

/* A statement and its open run. */
typedef struct PgamlRunSlot
{
	int64_t		queryid;
	uint64_t	who;			/* userid * 2 + toplevel */
	const void *token;			/* its execution under way; NULL: ended */
	int64_t		rows;			/* of the last execution; -1: failed */
	double		ms;
	uint64_t	serial;			/* of its last execution */
	uint64_t	serial_before;	/* of the one before that; 0: none */
	int64_t		last_at;
	uint32_t	length;
	uint32_t	last_transaction;

	/* first execution of the run */
	uint64_t	first_serial;
	int64_t		first_at;
	uint32_t	first_transaction;

	/* the last turn of the loop around it: what was before, and its first execution */
	uint32_t	anchor_length;	/* 0: there was no turn */
	double		anchor_ms;
	int64_t		anchor_last_at;
	uint32_t	anchor_last_transaction;
	uint32_t	turn_transaction;
	uint64_t	turn_serial;	/* of the statement that came back */
	int64_t		turn_at;

	/* the list before it, when that was evicted */
	int64_t		evicted_queryid;	/* 0: none */
	int64_t		evicted_rows;

	/* indexes of slots, or PGAML_RUN_NONE */
	uint8_t		parent;
	uint8_t		first_child;
	uint8_t		next_sibling;
	uint8_t		hash_next;		/* of the bucket, or of the free slots */
	uint8_t		older;
	uint8_t		newer;
} PgamlRunSlot;

typedef struct PgamlRunOpen
{
	const void *token;
	uint8_t		slot;
} PgamlRunOpen;

typedef void (*PgamlRunDeliver) (const PgamlRun *run, void *arg);

typedef struct PgamlRuns
{
	PgamlRunDeliver deliver;
	void	   *arg;
	uint64_t	serial;			/* executions so far */
	uint64_t	evicted;		/* statements with 2 executions and more that lost their slot */
	uint64_t	unexplained;	/* runs over several transactions without a list before them */
	int64_t		idle_from;		/* us, end of the client's last statement as far as known */
	int64_t		pause;			/* us, longest pause after it within a burst */
	uint32_t	transaction;	/* number */
	uint32_t	transaction_top;	/* statements of the client in it */
	int			used;			/* slots */
	int			nested;			/* of them, inside functions */
	int			nopen;
	uint8_t		last[2];		/* slot executed last: of all, of the client's */
	uint8_t		newest;
	uint8_t		oldest;
	uint8_t		free;
	uint8_t		buckets[PGAML_RUNS_BUCKETS];
	PgamlRunOpen open[PGAML_RUNS_OPEN];
	PgamlRunSlot slots[PGAML_RUNS];
} PgamlRuns;

/* Empty; ended runs go to deliver. */
extern void pgaml_runs_init(PgamlRuns *runs, PgamlRunDeliver deliver, void *arg);

/* The slow half of pgaml_runs_start: another statement was executed before. */
extern void pgaml_runs_switch(PgamlRuns *runs, int64_t queryid, uint64_t who, int64_t now);

/* An execution under way has failed; unknown ones are ignored. */
extern void pgaml_runs_fail(PgamlRuns *runs, const void *token);

/* The transaction ends, with everything that is under way; the slow half: with runs that end. */
extern void pgaml_runs_end_units(PgamlRuns *runs);

static inline void
pgaml_runs_transaction_end(PgamlRuns *runs)
{
	runs->nopen = 0;
	if (runs->transaction_top >= PGAML_RUN_MIN || runs->nested > 0)
		pgaml_runs_end_units(runs);
}

/* End all runs. */
extern void pgaml_runs_close(PgamlRuns *runs);

/* The first execution of a transaction follows.  now in us. */
static inline void
pgaml_runs_transaction(PgamlRuns *runs, int64_t now)
{
	if (runs->used > 0 && now - runs->idle_from > runs->pause)
		pgaml_runs_close(runs);
	runs->transaction++;
	runs->transaction_top = 0;
}

/*
 * An execution starts; token tells it from others under way.  A statement
 * after itself costs a few loads and stores.
 */
static inline void
pgaml_runs_start(PgamlRuns *runs, const void *token, int64_t queryid, uint32_t userid,
				 bool toplevel, int64_t now)
{
	uint64_t	who = (uint64_t) userid * 2 + (toplevel ? 1 : 0);
	uint8_t		at = runs->last[toplevel];
	PgamlRunSlot *slot;

	runs->serial++;
	if (at == PGAML_RUN_NONE || at != runs->last[false] ||
		runs->slots[at].queryid != queryid || runs->slots[at].who != who)
	{
		pgaml_runs_switch(runs, queryid, who, now);
		at = runs->last[toplevel];
	}
	runs->last[false] = at;
	slot = &runs->slots[at];
	if (slot->length < UINT32_MAX)
		slot->length++;
	slot->serial_before = slot->serial;
	slot->serial = runs->serial;
	slot->token = token;
	slot->rows = 0;
	slot->last_at = now;
	slot->last_transaction = runs->transaction;
	if (toplevel)
	{
		runs->transaction_top++;
		runs->idle_from = now;
		runs->pause = PGAML_BURST_PAUSE_US;
	}
	if (runs->nopen < PGAML_RUNS_OPEN)
	{
		runs->open[runs->nopen].token = token;
		runs->open[runs->nopen++].slot = at;
	}
}

/* The execution under way with that token, or -1; other than the last one started. */
extern int	pgaml_runs_find_open(const PgamlRuns *runs, const void *token);

static inline int
pgaml_runs_open(const PgamlRuns *runs, const void *token)
{
	int			last = runs->nopen - 1;

	if (last < 0 || runs->open[last].token == token)
		return last;
	return pgaml_runs_find_open(runs, token);
}

/* The slot of an execution under way, NULL when the slot has another one since. */
static inline PgamlRunSlot *
pgaml_runs_slot(PgamlRuns *runs, int open)
{
	PgamlRunSlot *slot = &runs->slots[runs->open[open].slot];

	return slot->token == runs->open[open].token ? slot : NULL;
}

/* An execution under way leaves the list: all but the last one started. */
extern void pgaml_runs_drop_open(PgamlRuns *runs, int open);

/* An execution under way has given rows, or has ended; unknown ones are ignored. */
static inline void
pgaml_runs_rows(PgamlRuns *runs, const void *token, int64_t rows)
{
	int			open = pgaml_runs_open(runs, token);
	PgamlRunSlot *slot = open >= 0 ? pgaml_runs_slot(runs, open) : NULL;

	if (slot != NULL && slot->rows >= 0)
		slot->rows += rows;
}

static inline void
pgaml_runs_end(PgamlRuns *runs, const void *token, double ms)
{
	int			open = pgaml_runs_open(runs, token);
	PgamlRunSlot *slot;

	if (open < 0)
		return;
	slot = pgaml_runs_slot(runs, open);
	if (open == runs->nopen - 1)
		runs->nopen = open;
	else
		pgaml_runs_drop_open(runs, open);
	if (slot == NULL)
		return;
	slot->token = NULL;
	slot->ms += ms;
	if ((slot->who & 1) != 0)
	{
		int64_t		us = ms < 1e12 ? (int64_t) (ms * 1000.0) : INT64_C(1000000000000000);

		runs->idle_from = slot->last_at + us;
		if (us > PGAML_BURST_PAUSE_US)
			runs->pause = us;
	}
}

#endif							/* PGAML_REPEATS_CORE_H */
