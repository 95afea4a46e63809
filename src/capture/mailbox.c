/*-------------------------------------------------------------------------
 * mailbox.c
 *		Hands samples and facts from backends to the worker.
 *
 * Samples: a bag without a lock (base/bag.h).
 *
 * Facts: a hash table under facts_lock, which hooks take conditionally.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/shmem.h"
#include "capture/capture.h"
#include "capture/capture_internal.h"

void
pgaml_mailbox_put_sample(const PgamlSample *sample)
{
	uint64		ticket;
	PgamlSample *place = pgaml_bag_claim(pgaml_sample_bag, &ticket);

	if (place == NULL)
		return;
	*place = *sample;
	pgaml_bag_publish(pgaml_sample_bag, ticket);
}

int
pgaml_capture_take_samples(Oid dbid, uint32 *from, PgamlSample *out, int max)
{
	return pgaml_bag_take(pgaml_sample_bag, dbid, from, out, max);
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

	pgaml_bag_keep_only(pgaml_sample_bag, known, count);
	pgaml_bag_keep_only(pgaml_repeat_bag, known, count);
	pgaml_bag_keep_only(pgaml_prediction_bag, known, count);

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
	pg_atomic_write_u64(&pgaml_shared->failures, 0);
}
