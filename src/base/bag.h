/*-------------------------------------------------------------------------
 * bag.h
 *		A bag of records in shared memory, without a lock.
 *
 * Backends put fixed-size records in and never wait; a worker takes those of
 * its database out, as part of its transaction.  Each slot has a state:
 *
 *		FREE -> WRITING		by the backend that wins the compare-and-exchange
 *		WRITING -> READY	by that backend, when the record is complete
 *		READY -> READING	by whoever takes it
 *		READING -> FREE		when the taker's transaction commits
 *		READING -> READY	when it, or a subtransaction that took, aborts
 *
 * So a record is stored once or is still here.  The owner of a slot publishes
 * with a barrier before the plain store that ends its ownership.  A writer
 * tries a few slots from a rising counter and drops the record when none of
 * them is free: it never waits.
 *-------------------------------------------------------------------------
 */
#ifndef PGAML_BAG_H
#define PGAML_BAG_H

#include "port/atomics.h"

#define PGAML_BAG_TRIES		4	/* slots a writer tries */

typedef enum PgamlSlotState
{
	PGAML_SLOT_FREE,
	PGAML_SLOT_WRITING,
	PGAML_SLOT_READY,
	PGAML_SLOT_READING
} PgamlSlotState;

typedef struct PgamlBag
{
	/* immutable */
	uint32		size;			/* slots */
	uint32		record_size;	/* bytes, a multiple of the cache line where that costs little */
	uint32		dbid_at;		/* where the record holds the oid of its database */
	char	   *records;		/* size * record_size */
	char		pad[PG_CACHE_LINE_SIZE];
	/* atomic */
	pg_atomic_uint64 next;		/* tickets ever drawn; a writer looks at the slot of its ticket */
	pg_atomic_uint64 skipped;	/* of them, those whose slot was not free */
	pg_atomic_uint64 dropped;	/* records lost because no slot was free */
	pg_atomic_uint64 freed;		/* records ever taken out for good */
	pg_atomic_uint32 state[FLEXIBLE_ARRAY_MEMBER];	/* PgamlSlotState */
} PgamlBag;

/* Shared memory for a bag of that many records. */
extern Size pgaml_bag_bytes(int size, Size record_size);

/* Make an empty bag of memory of that size. */
extern void pgaml_bag_init(PgamlBag *bag, int size, Size record_size, Size dbid_at);

static inline void *
pgaml_bag_record(PgamlBag *bag, uint32 slot)
{
	return bag->records + (Size) slot * bag->record_size;
}

/* Records ever put in.  Two counters are read, so it is exact only when nobody writes. */
static inline uint64
pgaml_bag_put(PgamlBag *bag)
{
	uint64		skipped = pg_atomic_read_u64(&bag->skipped);
	uint64		next = pg_atomic_read_u64(&bag->next);

	return next - Min(skipped, next);
}

/* Slots not free, likewise. */
static inline uint32
pgaml_bag_used(PgamlBag *bag)
{
	uint64		freed = pg_atomic_read_u64(&bag->freed);
	uint64		put = pgaml_bag_put(bag);

	return put > freed ? (uint32) Min(put - freed, bag->size) : 0;
}

/*
 * A slot to write a record into, which pgaml_bag_publish must follow at once;
 * NULL, and counted as dropped, when none was free.  Tickets rise, and no two
 * records of a bag have the same: the slot is the ticket modulo size.
 */
static inline void *
pgaml_bag_claim(PgamlBag *bag, uint64 *ticket)
{
	for (int i = 0; i < PGAML_BAG_TRIES && pgaml_bag_used(bag) < bag->size; i++)
	{
		uint64		drawn = pg_atomic_fetch_add_u64(&bag->next, 1);
		uint32		at = (uint32) (drawn % bag->size);
		uint32		expected = PGAML_SLOT_FREE;

		if (pg_atomic_read_u32(&bag->state[at]) == PGAML_SLOT_FREE &&
			pg_atomic_compare_exchange_u32(&bag->state[at], &expected, PGAML_SLOT_WRITING))
		{
			*ticket = drawn;
			return pgaml_bag_record(bag, at);
		}
		pg_atomic_fetch_add_u64(&bag->skipped, 1);
	}
	pg_atomic_fetch_add_u64(&bag->dropped, 1);
	return NULL;
}

static inline void
pgaml_bag_publish(PgamlBag *bag, uint64 ticket)
{
	pg_write_barrier();
	pg_atomic_write_u32(&bag->state[ticket % bag->size], PGAML_SLOT_READY);
}

/*
 * Take at most max records of a database into out, for this transaction.
 * *from is the slot to begin with, and moves on: 0 at first.  Returns how
 * many; 0 when the end is reached.  Never waits; raises only out of memory.
 */
extern int	pgaml_bag_take(PgamlBag *bag, Oid dbid, uint32 *from, void *out, int max);

typedef enum PgamlBagFound
{
	PGAML_BAG_NONE,				/* it is not here */
	PGAML_BAG_TAKEN,			/* it is this transaction's now */
	PGAML_BAG_BUSY				/* another transaction has taken it and may give it back */
} PgamlBagFound;

/* Is this the record looked for?  The record may be changing: it must only be read, in words. */
typedef bool (*PgamlBagMatch) (const void *record, const void *arg);

/* Take the one record of a database that matches. */
extern PgamlBagFound pgaml_bag_take_one(PgamlBag *bag, Oid dbid, PgamlBagMatch match,
										const void *arg, void *out);

/* Free, for good and at once, what belongs to other databases than these. */
extern void pgaml_bag_keep_only(PgamlBag *bag, const Oid *dbids, int n);

#endif							/* PGAML_BAG_H */
