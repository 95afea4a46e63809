/*-------------------------------------------------------------------------
 * mailbox.c
 *		Hands samples and facts from backends to the worker.
 *
 * Samples: a bag of slots without a lock.  A slot belongs to whoever moved
 * its state by compare-and-exchange (a full barrier): FREE -> WRITING by a
 * backend, READY -> READING by a worker.  The owner publishes with a barrier
 * before the plain store that ends its ownership.  A writer tries
 * SLOTS_TRIED slots and then drops the sample.
 *
 * Facts: a hash table under facts_lock, which hooks take conditionally.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/shmem.h"
#include "capture/capture.h"
#include "capture/capture_internal.h"

#define SLOTS_TRIED		4

/* Move a slot from one state to another; false when it is not in the first. */
static bool
move_slot(int slot, uint32 from, uint32 to)
{
	return pg_atomic_read_u32(&pgaml_ring->state[slot]) == from &&
		pg_atomic_compare_exchange_u32(&pgaml_ring->state[slot], &from, to);
}

void
pgaml_mailbox_put_sample(const PgamlSample *sample)
{
	for (int i = 0; i < SLOTS_TRIED; i++)
	{
		int			slot = (int) (pg_atomic_fetch_add_u64(&pgaml_ring->next, 1) % pgaml_ring->size);

		if (!move_slot(slot, PGAML_SLOT_FREE, PGAML_SLOT_WRITING))
			continue;
		pgaml_ring_samples[slot] = *sample;
		pg_atomic_fetch_add_u32(&pgaml_ring->used, 1);
		pg_write_barrier();
		pg_atomic_write_u32(&pgaml_ring->state[slot], PGAML_SLOT_READY);
		pg_atomic_fetch_add_u64(&pgaml_shared->samples, 1);
		return;
	}
	pg_atomic_fetch_add_u64(&pgaml_shared->dropped, 1);
}

static void
free_slot(int slot)
{
	pg_memory_barrier();
	pg_atomic_fetch_sub_u32(&pgaml_ring->used, 1);
	pg_atomic_write_u32(&pgaml_ring->state[slot], PGAML_SLOT_FREE);
}

int
pgaml_capture_take_samples(Oid dbid, PgamlSample *out, int max)
{
	int			taken = 0;

	for (int slot = 0; slot < pgaml_ring->size && taken < max; slot++)
	{
		/* Most slots are free or another database's: look before claiming. */
		if (pg_atomic_read_u32(&pgaml_ring->state[slot]) != PGAML_SLOT_READY ||
			pgaml_ring_samples[slot].dbid != dbid ||
			!move_slot(slot, PGAML_SLOT_READY, PGAML_SLOT_READING))
			continue;
		if (pgaml_ring_samples[slot].dbid == dbid)
		{
			out[taken++] = pgaml_ring_samples[slot];
			free_slot(slot);
		}
		else
			pg_atomic_write_u32(&pgaml_ring->state[slot], PGAML_SLOT_READY);
	}
	return taken;
}

static void
key_of(const PgamlStatementFacts *facts, PgamlFactsKey *key)
{
	memset(key, 0, sizeof(PgamlFactsKey));
	key->dbid = facts->dbid;
	key->userid = facts->userid;
	key->queryid = facts->queryid;
	key->search_path_hash = facts->search_path_hash;
	key->plan_id = facts->plan.plan_id;
}

bool
pgaml_mailbox_put_facts(const PgamlStatementFacts *facts)
{
	PgamlFactsKey key;
	PgamlFactsEntry *entry = NULL;

	key_of(facts, &key);
	if (LWLockConditionalAcquire(pgaml_shared->facts_lock, LW_EXCLUSIVE))
	{
		entry = hash_search(pgaml_facts, &key, HASH_ENTER_NULL, NULL);
		if (entry != NULL)
			entry->facts = *facts;
		LWLockRelease(pgaml_shared->facts_lock);
	}
	if (entry == NULL)
		pg_atomic_fetch_add_u64(&pgaml_shared->facts_skipped, 1);
	return entry != NULL;
}

int
pgaml_capture_take_facts(Oid dbid, PgamlStatementFacts *out, int max)
{
	HASH_SEQ_STATUS scan;
	PgamlFactsEntry *entry;
	int			taken = 0;

	LWLockAcquire(pgaml_shared->facts_lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, pgaml_facts);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->key.dbid != dbid)
			continue;
		out[taken++] = entry->facts;
		hash_search(pgaml_facts, &entry->key, HASH_REMOVE, NULL);
		if (taken == max)
		{
			hash_seq_term(&scan);
			break;
		}
	}
	LWLockRelease(pgaml_shared->facts_lock);
	return taken;
}

static bool
listed(const Oid *known, int count, Oid dbid)
{
	for (int i = 0; i < count; i++)
	{
		if (known[i] == dbid)
			return true;
	}
	return false;
}

/* Databases in the directory; returns how many. */
static int
list_databases(Oid *known)
{
	int			count = 0;

	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	for (int i = 0; i < PGAML_MAX_DATABASES; i++)
	{
		if (OidIsValid(pgaml_shared->databases[i].dbid))
			known[count++] = pgaml_shared->databases[i].dbid;
	}
	LWLockRelease(pgaml_shared->lock);
	return count;
}

void
pgaml_capture_forget_unknown(void)
{
	Oid			known[PGAML_MAX_DATABASES];
	int			count = list_databases(known);
	HASH_SEQ_STATUS scan;
	PgamlFactsEntry *entry;

	for (int slot = 0; slot < pgaml_ring->size; slot++)
	{
		if (!move_slot(slot, PGAML_SLOT_READY, PGAML_SLOT_READING))
			continue;
		if (listed(known, count, pgaml_ring_samples[slot].dbid))
			pg_atomic_write_u32(&pgaml_ring->state[slot], PGAML_SLOT_READY);
		else
			free_slot(slot);
	}

	LWLockAcquire(pgaml_shared->facts_lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, pgaml_facts);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (!listed(known, count, entry->key.dbid))
			hash_search(pgaml_facts, &entry->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(pgaml_shared->facts_lock);
}

void
pgaml_capture_next_tick(void)
{
	pg_atomic_fetch_add_u64(&pgaml_shared->tick, 1);
}
