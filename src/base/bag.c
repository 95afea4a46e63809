/*-------------------------------------------------------------------------
 * bag.c
 *		The way out of a bag of records; see bag.h.
 *
 * What this backend has taken is listed here until the end of its
 * transaction, each slot with the subtransaction that took it, the newest at
 * the end.  A backend that exits inside a transaction aborts it, so the list
 * is always settled; a crash makes shared memory anew.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/bag.h"

#define TAKEN_FIRST		1024	/* entries of the list at first */

/* A slot that belongs to this transaction. */
typedef struct Taken
{
	PgamlBag   *bag;
	uint32		slot;
	SubTransactionId subid;
} Taken;

static Taken *taken = NULL;
static int	ntaken = 0;
static int	taken_size = 0;

Size
pgaml_bag_bytes(int size, Size record_size)
{
	Size		states = add_size(offsetof(PgamlBag, state), mul_size(size, sizeof(pg_atomic_uint32)));

	return add_size(CACHELINEALIGN(states), mul_size(size, record_size));
}

void
pgaml_bag_init(PgamlBag *bag, int size, Size record_size, Size dbid_at)
{
	bag->size = size;
	bag->record_size = (uint32) record_size;
	bag->dbid_at = (uint32) dbid_at;
	bag->records = (char *) bag +
		CACHELINEALIGN(offsetof(PgamlBag, state) + (Size) size * sizeof(pg_atomic_uint32));
	pg_atomic_init_u64(&bag->next, 0);
	pg_atomic_init_u64(&bag->skipped, 0);
	pg_atomic_init_u64(&bag->dropped, 0);
	pg_atomic_init_u64(&bag->freed, 0);
	for (int i = 0; i < size; i++)
		pg_atomic_init_u32(&bag->state[i], PGAML_SLOT_FREE);
}

static bool
move_slot(PgamlBag *bag, uint32 slot, uint32 from, uint32 to)
{
	return pg_atomic_read_u32(&bag->state[slot]) == from &&
		pg_atomic_compare_exchange_u32(&bag->state[slot], &from, to);
}

static Oid
dbid_of(PgamlBag *bag, uint32 slot)
{
	return *(volatile Oid *) ((char *) pgaml_bag_record(bag, slot) + bag->dbid_at);
}

static void
free_slot(PgamlBag *bag, uint32 slot)
{
	/* CAUTION: counted before it is free, so that nobody sees more records than slots. */
	pg_atomic_fetch_add_u64(&bag->freed, 1);	/* a full barrier */
	pg_atomic_write_u32(&bag->state[slot], PGAML_SLOT_FREE);
}

static void
give_back(PgamlBag *bag, uint32 slot)
{
	pg_memory_barrier();
	pg_atomic_write_u32(&bag->state[slot], PGAML_SLOT_READY);
}

static void
forget_list(void)
{
	ntaken = 0;
	if (taken_size > TAKEN_FIRST)
	{
		pfree(taken);
		taken = NULL;
		taken_size = 0;
	}
}

static void
end_transaction(XactEvent event, void *arg)
{
	bool		committed = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PARALLEL_COMMIT;

	if (ntaken == 0)
		return;
	if (event == XACT_EVENT_PRE_PREPARE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has stored captured executions or predictions")));
	if (!committed && event != XACT_EVENT_ABORT && event != XACT_EVENT_PARALLEL_ABORT)
		return;
	for (int i = 0; i < ntaken; i++)
	{
		if (committed)
			free_slot(taken[i].bag, taken[i].slot);
		else
			give_back(taken[i].bag, taken[i].slot);
	}
	forget_list();
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (ntaken > 0 && taken[ntaken - 1].subid == mine)
		{
			ntaken--;
			give_back(taken[ntaken].bag, taken[ntaken].slot);
		}
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = ntaken - 1; i >= 0 && taken[i].subid == mine; i--)
			taken[i].subid = parent;
	}
}

/* Room in the list for more slots, before any is claimed. */
static void
make_room(int more)
{
	static bool registered = false;
	int			size = Max(taken_size, TAKEN_FIRST);

	if (!registered)
	{
		RegisterXactCallback(end_transaction, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		registered = true;
	}
	while (size < ntaken + more)
		size *= 2;
	if (taken == NULL)
		taken = MemoryContextAlloc(TopMemoryContext, sizeof(Taken) * size);
	else if (size > taken_size)
		taken = repalloc_huge(taken, sizeof(Taken) * size);
	taken_size = size;
}

/* The slot is READING by us: copy it out and note it. */
static void
note_taken(PgamlBag *bag, uint32 slot, void *out)
{
	memcpy(out, pgaml_bag_record(bag, slot), bag->record_size);
	taken[ntaken].bag = bag;
	taken[ntaken].slot = slot;
	taken[ntaken].subid = GetCurrentSubTransactionId();
	ntaken++;
}

int
pgaml_bag_take(PgamlBag *bag, Oid dbid, uint32 *from, void *out, int max)
{
	int			n = 0;

	make_room(max);
	for (; *from < bag->size && n < max; (*from)++)
	{
		/* Most slots are free or another database's: look before claiming. */
		if (pg_atomic_read_u32(&bag->state[*from]) != PGAML_SLOT_READY ||
			dbid_of(bag, *from) != dbid ||
			!move_slot(bag, *from, PGAML_SLOT_READY, PGAML_SLOT_READING))
			continue;
		if (dbid_of(bag, *from) == dbid)
			note_taken(bag, *from, (char *) out + (Size) n++ * bag->record_size);
		else
			give_back(bag, *from);
	}
	return n;
}

PgamlBagFound
pgaml_bag_take_one(PgamlBag *bag, Oid dbid, PgamlBagMatch match, const void *arg, void *out)
{
	PgamlBagFound found = PGAML_BAG_NONE;

	make_room(1);
	for (uint32 slot = 0; slot < bag->size; slot++)
	{
		uint32		state = pg_atomic_read_u32(&bag->state[slot]);

		if ((state != PGAML_SLOT_READY && state != PGAML_SLOT_READING) ||
			dbid_of(bag, slot) != dbid || !match(pgaml_bag_record(bag, slot), arg))
			continue;
		if (!move_slot(bag, slot, PGAML_SLOT_READY, PGAML_SLOT_READING))
		{
			found = PGAML_BAG_BUSY;
			continue;
		}
		if (dbid_of(bag, slot) == dbid && match(pgaml_bag_record(bag, slot), arg))
		{
			note_taken(bag, slot, out);
			return PGAML_BAG_TAKEN;
		}
		give_back(bag, slot);
	}
	return found;
}

static bool
listed(const Oid *dbids, int n, Oid dbid)
{
	for (int i = 0; i < n; i++)
	{
		if (dbids[i] == dbid)
			return true;
	}
	return false;
}

void
pgaml_bag_keep_only(PgamlBag *bag, const Oid *dbids, int n)
{
	for (uint32 slot = 0; slot < bag->size; slot++)
	{
		if (pg_atomic_read_u32(&bag->state[slot]) != PGAML_SLOT_READY ||
			listed(dbids, n, dbid_of(bag, slot)) ||
			!move_slot(bag, slot, PGAML_SLOT_READY, PGAML_SLOT_READING))
			continue;
		if (listed(dbids, n, dbid_of(bag, slot)))
			give_back(bag, slot);
		else
			free_slot(bag, slot);
	}
}
