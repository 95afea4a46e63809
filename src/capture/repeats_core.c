/*-------------------------------------------------------------------------
 * repeats_core.c
 *		Finds runs: one statement executed again and again in a session.
 *
 * Slots are linked four ways: by the hash of the statement, by the time of
 * their last execution (a statement that follows itself keeps its place), as
 * a tree of what preceded what, and free ones in a list.  A slot that is
 * removed leaves with all that follow it in the tree, or hands its children
 * to its parent, so every link is to a slot in use.
 *-------------------------------------------------------------------------
 */
#include "capture/repeats_core.h"

#include <string.h>

#define LISTED		(PGAML_RUN_MIN - 1) /* rows that make a list */

/* ---- lists of slots ---- */

static uint8_t *
bucket_of(PgamlRuns *runs, int64_t queryid, uint64_t who)
{
	uint64_t	hash = ((uint64_t) queryid ^ (who << 32 | who >> 32)) * UINT64_C(0x9e3779b97f4a7c15);

	return &runs->buckets[hash >> 58];
}

static uint8_t
find(PgamlRuns *runs, int64_t queryid, uint64_t who)
{
	uint8_t		at = *bucket_of(runs, queryid, who);

	while (at != PGAML_RUN_NONE && (runs->slots[at].queryid != queryid || runs->slots[at].who != who))
		at = runs->slots[at].hash_next;
	return at;
}

static void
unlink_age(PgamlRuns *runs, uint8_t at)
{
	PgamlRunSlot *slot = &runs->slots[at];

	if (slot->newer != PGAML_RUN_NONE)
		runs->slots[slot->newer].older = slot->older;
	else
		runs->newest = slot->older;
	if (slot->older != PGAML_RUN_NONE)
		runs->slots[slot->older].newer = slot->newer;
	else
		runs->oldest = slot->newer;
}

static void
link_newest(PgamlRuns *runs, uint8_t at)
{
	PgamlRunSlot *slot = &runs->slots[at];

	slot->newer = PGAML_RUN_NONE;
	slot->older = runs->newest;
	if (runs->newest != PGAML_RUN_NONE)
		runs->slots[runs->newest].newer = at;
	else
		runs->oldest = at;
	runs->newest = at;
}

static void
set_parent(PgamlRuns *runs, uint8_t at, uint8_t parent)
{
	PgamlRunSlot *slot = &runs->slots[at];

	slot->parent = parent;
	slot->next_sibling = PGAML_RUN_NONE;
	if (parent != PGAML_RUN_NONE)
	{
		slot->next_sibling = runs->slots[parent].first_child;
		runs->slots[parent].first_child = at;
	}
}

static void
leave_parent(PgamlRuns *runs, uint8_t at)
{
	PgamlRunSlot *slot = &runs->slots[at];
	uint8_t    *link;

	if (slot->parent == PGAML_RUN_NONE)
		return;
	link = &runs->slots[slot->parent].first_child;
	while (*link != at)
		link = &runs->slots[*link].next_sibling;
	*link = slot->next_sibling;
	slot->parent = PGAML_RUN_NONE;
	slot->next_sibling = PGAML_RUN_NONE;
}

/* Free a slot that has no children. */
static void
remove_slot(PgamlRuns *runs, uint8_t at)
{
	PgamlRunSlot *slot = &runs->slots[at];
	uint8_t    *link = bucket_of(runs, slot->queryid, slot->who);

	leave_parent(runs, at);
	unlink_age(runs, at);
	while (*link != at)
		link = &runs->slots[*link].hash_next;
	*link = slot->hash_next;
	slot->token = NULL;
	slot->hash_next = runs->free;
	runs->free = at;
	runs->used--;
	if ((slot->who & 1) == 0)
		runs->nested--;
	for (int i = 0; i < 2; i++)
	{
		if (runs->last[i] == at)
			runs->last[i] = PGAML_RUN_NONE;
	}
}

/* Nothing is in use; the free slots are in their list. */
static void
empty(PgamlRuns *runs)
{
	memset(runs->buckets, PGAML_RUN_NONE, sizeof(runs->buckets));
	runs->used = runs->nested = runs->nopen = 0;
	runs->newest = runs->oldest = PGAML_RUN_NONE;
	runs->last[0] = runs->last[1] = PGAML_RUN_NONE;
}

/* ---- what came before ---- */

static bool
matches(int64_t rows, uint32_t length)
{
	int64_t		off = rows > length ? rows - length : length - rows;

	return rows >= LISTED && (off <= 1 || off * 10 <= rows);
}

/* A run between two executions of its slot, and what is known of the statement before it. */
typedef struct Before
{
	uint32_t	length;
	int64_t		queryid;		/* 0: none */
	int64_t		rows;
	bool		matched;
	bool		explained;		/* it returned at least so many rows */
	int			seen;
} Before;

/* Look at one statement before a run, the nearest first; false when that is enough. */
static bool
consider(Before *before, int64_t queryid, int64_t rows)
{
	bool		matched = matches(rows, before->length);
	bool		explained = matched || rows > before->length;

	if (before->seen == 0 || matched || (explained && !before->explained))
	{
		before->queryid = queryid;
		before->rows = rows;
		before->matched = matched;
		before->explained = explained;
	}
	return ++before->seen < PGAML_RUNS_FAR && !matched;
}

/* The statement before a run of that length that began at this execution. */
static void
look_before(const PgamlRuns *runs, const PgamlRunSlot *slot, uint32_t length, uint64_t began,
			Before *before)
{
	bool		more = true;

	memset(before, 0, sizeof(*before));
	before->length = length;
	before->rows = -1;
	while (more)
	{
		if (slot->evicted_queryid != 0)
			more = consider(before, slot->evicted_queryid, slot->evicted_rows);
		if (!more || slot->parent == PGAML_RUN_NONE)
			return;
		slot = &runs->slots[slot->parent];

		/* What was executed meanwhile belongs to the same loop. */
		if (slot->serial <= began)
			more = consider(before, slot->queryid, slot->rows);
	}
}

/* ---- the end of runs ---- */

typedef struct Part
{
	uint32_t	length;
	double		ms;
	uint64_t	began;			/* serial */
	int64_t		first_at;
	int64_t		last_at;
	bool		burst;
} Part;

static void
deliver_part(PgamlRuns *runs, const PgamlRunSlot *slot, const Part *part)
{
	Before		before;
	PgamlRun	run;

	if (part->length < PGAML_RUN_MIN)
		return;
	look_before(runs, slot, part->length, part->began, &before);
	if (part->burst && !before.explained)
	{
		runs->unexplained++;
		return;
	}
	memset(&run, 0, sizeof(run));
	run.queryid = slot->queryid;
	run.userid = (uint32_t) (slot->who >> 1);
	run.toplevel = (slot->who & 1) != 0;
	run.burst = part->burst;
	run.matched = before.matched;
	run.length = part->length;
	run.ms = part->ms;
	run.previous_queryid = before.queryid;
	run.previous_rows = before.rows;
	run.first_at = part->first_at;
	run.last_at = part->last_at > part->first_at ? part->last_at : part->first_at;
	runs->deliver(&run, runs->arg);
}

/* Executions since the last turn of the loop around it, when they are a run of their own; else 0. */
static uint32_t
last_turn(const PgamlRunSlot *slot)
{
	uint32_t	length = slot->length - slot->anchor_length;

	return slot->anchor_length > 0 && length >= PGAML_RUN_MIN ? length : 0;
}

/* All of its executions; the last turn of the loop around it and what was before it apart. */
static void
deliver_parts(PgamlRuns *runs, const PgamlRunSlot *slot)
{
	Part		part = {slot->length, slot->ms, slot->first_serial, slot->first_at, slot->last_at,
	slot->first_transaction != slot->last_transaction};

	if (last_turn(slot) > 0)
	{
		Part		turn = {last_turn(slot), slot->ms - slot->anchor_ms, slot->turn_serial,
			slot->turn_at, slot->last_at, slot->turn_transaction != slot->last_transaction};

		deliver_part(runs, slot, &turn);
		part.length = slot->anchor_length;
		part.ms = slot->anchor_ms;
		part.last_at = slot->anchor_last_at;
		part.burst = slot->first_transaction != slot->anchor_last_transaction;
	}
	deliver_part(runs, slot, &part);
}

static inline void
deliver_slot(PgamlRuns *runs, const PgamlRunSlot *slot)
{
	if (slot->length >= PGAML_RUN_MIN)
		deliver_parts(runs, slot);
}

/* End a run and all that follow it in the tree: what precedes them is still there while they leave. */
static void
close_tree(PgamlRuns *runs, uint8_t top)
{
	uint8_t		tree[PGAML_RUNS];
	int			count = 1;

	tree[0] = top;
	for (int i = 0; i < count; i++)
	{
		uint8_t		child = runs->slots[tree[i]].first_child;

		for (; child != PGAML_RUN_NONE; child = runs->slots[child].next_sibling)
			tree[count++] = child;
	}
	for (int i = 0; i < count; i++)
		deliver_slot(runs, &runs->slots[tree[i]]);
	for (int i = count - 1; i >= 0; i--)
		remove_slot(runs, tree[i]);
}

/*
 * A statement comes back: runs that have followed it end, and those that are
 * shorter go on, as parts of the loop that it is in itself.
 */
static void
end_followers(PgamlRuns *runs, uint8_t at)
{
	uint8_t		child = runs->slots[at].first_child;

	while (child != PGAML_RUN_NONE)
	{
		PgamlRunSlot *slot = &runs->slots[child];
		uint8_t		next = slot->next_sibling;

		if (slot->length - slot->anchor_length >= PGAML_RUN_MIN)
			close_tree(runs, child);
		else
		{
			end_followers(runs, child);
			slot->anchor_length = slot->length;
			slot->anchor_ms = slot->ms;
			slot->anchor_last_at = slot->last_at;
			slot->anchor_last_transaction = slot->last_transaction;
			slot->turn_serial = runs->serial;
		}
		child = next;
	}
}

/*
 * Does a list, returned just before this statement comes back, begin another
 * loop with it?  Not while the loop over an earlier one is under way: then it
 * is a part of that loop.
 */
static bool
begins_loop(const PgamlRuns *runs, const PgamlRunSlot *slot, const PgamlRunSlot *list)
{
	uint32_t	turn = last_turn(slot);
	uint32_t	length = turn > 0 ? turn : slot->length;
	uint64_t	began = turn > 0 ? slot->turn_serial : slot->first_serial;
	Before		before;

	if (list->rows < LISTED || length < PGAML_RUN_MIN || list->serial_before > began)
		return false;
	look_before(runs, slot, length, began, &before);
	return before.matched || !before.explained;
}

/* Make room: the run executed longest ago ends, and its followers follow what it followed. */
static void
evict(PgamlRuns *runs)
{
	uint8_t		at = runs->oldest;
	PgamlRunSlot *slot = &runs->slots[at];

	if (slot->length > 1)
		runs->evicted++;
	deliver_slot(runs, slot);
	while (slot->first_child != PGAML_RUN_NONE)
	{
		uint8_t		child = slot->first_child;
		PgamlRunSlot *follower = &runs->slots[child];

		if (slot->serial <= follower->first_serial)
		{
			follower->evicted_queryid = slot->queryid;
			follower->evicted_rows = slot->rows;
		}
		leave_parent(runs, child);
		set_parent(runs, child, slot->parent);
	}
	remove_slot(runs, at);
}

static void
open_run(PgamlRuns *runs, int64_t queryid, uint64_t who, uint8_t parent, int64_t now)
{
	uint8_t		at = runs->free;
	PgamlRunSlot *slot = &runs->slots[at];
	uint8_t    *bucket = bucket_of(runs, queryid, who);

	runs->free = slot->hash_next;
	memset(slot, 0, sizeof(*slot));
	slot->queryid = queryid;
	slot->who = who;
	slot->first_at = now;
	slot->first_transaction = runs->transaction;
	slot->first_serial = runs->serial;
	slot->first_child = PGAML_RUN_NONE;
	slot->hash_next = *bucket;
	*bucket = at;
	set_parent(runs, at, parent);
	link_newest(runs, at);
	runs->used++;
	if ((who & 1) == 0)
		runs->nested++;
	runs->last[who & 1] = at;
}

void
pgaml_runs_switch(PgamlRuns *runs, int64_t queryid, uint64_t who, int64_t now)
{
	bool		toplevel = (who & 1) != 0;
	uint8_t		before = runs->last[toplevel];
	uint8_t		at = find(runs, queryid, who);

	if (at != PGAML_RUN_NONE && before != PGAML_RUN_NONE && at != before &&
		begins_loop(runs, &runs->slots[at], &runs->slots[before]))
	{
		leave_parent(runs, before);
		close_tree(runs, at);
		at = PGAML_RUN_NONE;
	}
	if (at == PGAML_RUN_NONE)
	{
		if (runs->free == PGAML_RUN_NONE)
		{
			evict(runs);
			before = runs->last[toplevel];
		}
		open_run(runs, queryid, who, before, now);
		return;
	}
	if (runs->slots[at].first_child != PGAML_RUN_NONE)
		end_followers(runs, at);
	if (runs->slots[at].length == runs->slots[at].anchor_length)
	{
		runs->slots[at].turn_transaction = runs->transaction;
		runs->slots[at].turn_at = now;
	}
	unlink_age(runs, at);
	link_newest(runs, at);
	runs->last[toplevel] = at;
}

/* ---- from the outside ---- */

void
pgaml_runs_init(PgamlRuns *runs, PgamlRunDeliver deliver, void *arg)
{
	memset(runs, 0, sizeof(*runs));
	runs->deliver = deliver;
	runs->arg = arg;
	for (int i = 0; i < PGAML_RUNS; i++)
		runs->slots[i].hash_next = i + 1 < PGAML_RUNS ? i + 1 : PGAML_RUN_NONE;
	empty(runs);
}

int
pgaml_runs_find_open(const PgamlRuns *runs, const void *token)
{
	int			i = runs->nopen - 1;

	while (i >= 0 && runs->open[i].token != token)
		i--;
	return i;
}

void
pgaml_runs_drop_open(PgamlRuns *runs, int open)
{
	runs->nopen--;
	if (open < runs->nopen)
		memmove(&runs->open[open], &runs->open[open + 1],
				(runs->nopen - open) * sizeof(runs->open[0]));
}

void
pgaml_runs_fail(PgamlRuns *runs, const void *token)
{
	int			open = pgaml_runs_open(runs, token);
	PgamlRunSlot *slot;

	if (open < 0)
		return;
	slot = pgaml_runs_slot(runs, open);
	pgaml_runs_drop_open(runs, open);
	if (slot == NULL)
		return;
	slot->token = NULL;
	slot->rows = -1;
}

/* Runs inside functions end; the client's go on. */
static void
close_nested(PgamlRuns *runs)
{
	uint8_t		at;
	uint8_t		next;

	for (at = runs->newest; at != PGAML_RUN_NONE; at = runs->slots[at].older)
	{
		if ((runs->slots[at].who & 1) == 0)
			deliver_slot(runs, &runs->slots[at]);
	}
	for (at = runs->newest; at != PGAML_RUN_NONE; at = next)
	{
		PgamlRunSlot *slot = &runs->slots[at];

		next = slot->older;
		if ((slot->who & 1) != 0)
			continue;
		/* Whatever follows it is inside a function too, and leaves as well. */
		while (slot->first_child != PGAML_RUN_NONE)
			leave_parent(runs, slot->first_child);
		remove_slot(runs, at);
	}
	runs->last[false] = runs->last[true];
}

void
pgaml_runs_end_units(PgamlRuns *runs)
{
	if (runs->transaction_top >= PGAML_RUN_MIN)
		pgaml_runs_close(runs);
	else
		close_nested(runs);
}

void
pgaml_runs_close(PgamlRuns *runs)
{
	uint8_t		at;

	if (runs->used == 0)
		return;
	for (at = runs->newest; at != PGAML_RUN_NONE; at = runs->slots[at].older)
		deliver_slot(runs, &runs->slots[at]);
	for (at = runs->newest; at != PGAML_RUN_NONE; at = runs->slots[at].older)
	{
		runs->slots[at].token = NULL;
		runs->slots[at].hash_next = runs->free;
		runs->free = at;
	}
	empty(runs);
}
