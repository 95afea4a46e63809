/*-------------------------------------------------------------------------
 * shmem.c
 *		Requests and initialises the shared memory described in shmem.h.
 *
 * Called from _PG_init under shared_preload_libraries only.  After a crash
 * the postmaster makes shared memory anew: boot_at tells which one this is.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/facts_table.h"
#include "base/guc.h"
#include "base/shmem.h"

#define TRANCHE_NAME	"pganalytics_ml"

PgamlShared *pgaml_shared = NULL;
PgamlBag   *pgaml_sample_bag = NULL;
PgamlBag   *pgaml_repeat_bag = NULL;
PgamlBag   *pgaml_prediction_bag = NULL;
HTAB	   *pgaml_facts = NULL;
volatile uint8 *pgaml_active = NULL;
uint64		pgaml_directory_seen = 0;
bool		pgaml_directory_here = false;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size
sample_bag_bytes(void)
{
	return pgaml_bag_bytes(pgaml_capture_ring_size, sizeof(PgamlSample));
}

static Size
repeat_bag_bytes(void)
{
	return pgaml_bag_bytes(PGAML_REPEAT_BAG_SIZE, sizeof(PgamlRepeat));
}

static Size
prediction_bag_bytes(void)
{
	return pgaml_bag_bytes(PGAML_PREDICTION_BAG_SIZE, sizeof(PgamlPredictionRecord));
}

static Size
active_bytes(void)
{
	return mul_size(MaxBackends, PGAML_ACTIVE_STRIDE);
}

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();

	RequestAddinShmemSpace(MAXALIGN(sizeof(PgamlShared)));
	RequestAddinShmemSpace(MAXALIGN(sample_bag_bytes()));
	RequestAddinShmemSpace(MAXALIGN(repeat_bag_bytes()));
	RequestAddinShmemSpace(MAXALIGN(prediction_bag_bytes()));
	RequestAddinShmemSpace(active_bytes());
	RequestAddinShmemSpace(hash_estimate_size(PGAML_FACTS_ENTRIES, sizeof(PgamlFactsEntry)));
	RequestNamedLWLockTranche(TRANCHE_NAME, 2);
}

static void
init_shared(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE_NAME);

	memset(pgaml_shared, 0, sizeof(PgamlShared));
	pgaml_shared->boot_at = GetCurrentTimestamp();
	pgaml_shared->lock = &locks[0].lock;
	pgaml_shared->facts_lock = &locks[1].lock;
	pg_atomic_init_u64(&pgaml_shared->directory_version, 1);
	pg_atomic_init_u64(&pgaml_shared->tick, 1);
	pg_atomic_init_u64(&pgaml_shared->executions, 0);
	pg_atomic_init_u32(&pgaml_shared->capture_off, 0);
	pg_atomic_init_u32(&pgaml_shared->capture_level, PGAML_LEVEL_ONE);
	pg_atomic_init_u64(&pgaml_shared->thinned, 0);
	pg_atomic_init_u64(&pgaml_shared->skipped, 0);
	pg_atomic_init_u64(&pgaml_shared->facts_skipped, 0);
	pg_atomic_init_u64(&pgaml_shared->repeats_evicted, 0);
	pg_atomic_init_u64(&pgaml_shared->repeats_unexplained, 0);
	pg_atomic_init_u64(&pgaml_shared->errors, 0);
	pg_atomic_init_u64(&pgaml_shared->unfinished, 0);
	pg_atomic_init_u64(&pgaml_shared->failures, 0);
	pg_atomic_init_u64(&pgaml_shared->capture_off_at, 0);
	pg_atomic_init_u64(&pgaml_shared->hook_ns, 0);
	pg_atomic_init_u64(&pgaml_shared->work_ns, 0);
	pg_atomic_init_u64(&pgaml_shared->cpu_ns, 0);
	pg_atomic_init_u64(&pgaml_shared->budget_due, 0);
	pg_atomic_init_u32(&pgaml_shared->budget_taken, 0);
	pg_atomic_init_u64(&pgaml_shared->guard.checked, 0);
	pg_atomic_init_u64(&pgaml_shared->guard.warned, 0);
	pg_atomic_init_u64(&pgaml_shared->guard.repeated, 0);
	pg_atomic_init_u64(&pgaml_shared->guard.cancelled, 0);
	for (int i = 0; i < PGAML_OPEN_COUNT; i++)
		pg_atomic_init_u64(&pgaml_shared->guard.open[i], 0);
	pgaml_budget_init(&pgaml_shared->budget);
}

static void
shmem_startup(void)
{
	bool		found;
	HASHCTL		info;
	uint8	   *active;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	/* Reset in case this is a restart within the postmaster. */
	pgaml_shared = NULL;
	pgaml_sample_bag = NULL;
	pgaml_repeat_bag = NULL;
	pgaml_prediction_bag = NULL;
	pgaml_facts = NULL;
	pgaml_active = NULL;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	pgaml_shared = ShmemInitStruct("pganalytics_ml", sizeof(PgamlShared), &found);
	if (!found)
		init_shared();
	pgaml_sample_bag = ShmemInitStruct("pganalytics_ml samples", sample_bag_bytes(), &found);
	if (!found)
		pgaml_bag_init(pgaml_sample_bag, pgaml_capture_ring_size, sizeof(PgamlSample),
					   offsetof(PgamlSample, dbid));
	pgaml_repeat_bag = ShmemInitStruct("pganalytics_ml repeats", repeat_bag_bytes(), &found);
	if (!found)
		pgaml_bag_init(pgaml_repeat_bag, PGAML_REPEAT_BAG_SIZE, sizeof(PgamlRepeat),
					   offsetof(PgamlRepeat, dbid));
	pgaml_prediction_bag = ShmemInitStruct("pganalytics_ml predictions", prediction_bag_bytes(), &found);
	if (!found)
		pgaml_bag_init(pgaml_prediction_bag, PGAML_PREDICTION_BAG_SIZE, sizeof(PgamlPredictionRecord),
					   offsetof(PgamlPredictionRecord, dbid));
	active = ShmemInitStruct("pganalytics_ml active", active_bytes(), &found);
	if (!found)
		memset(active, 0, active_bytes());
	pgaml_active = active;
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(PgamlFactsKey);
	info.entrysize = sizeof(PgamlFactsEntry);
	pgaml_facts = ShmemInitHash("pganalytics_ml facts", PGAML_FACTS_ENTRIES,
								PGAML_FACTS_ENTRIES, &info,
								HASH_ELEM | HASH_BLOBS | HASH_FIXED_SIZE);
	LWLockRelease(AddinShmemInitLock);
}

void
pgaml_shmem_install(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}

PgamlDatabase *
pgaml_shmem_find_database(Oid dbid)
{
	for (int i = 0; i < PGAML_MAX_DATABASES; i++)
	{
		if (pgaml_shared->databases[i].dbid == dbid)
			return &pgaml_shared->databases[i];
	}
	return NULL;
}

bool
pgaml_shmem_database_known(Oid dbid)
{
	bool		known;

	if (pgaml_shared == NULL)
		return false;
	LWLockAcquire(pgaml_shared->lock, LW_SHARED);
	known = pgaml_shmem_find_database(dbid) != NULL;
	LWLockRelease(pgaml_shared->lock);
	return known;
}

bool
pgaml_shmem_database_try(Oid dbid, bool *known)
{
	if (pgaml_shared == NULL || !LWLockConditionalAcquire(pgaml_shared->lock, LW_SHARED))
		return false;
	*known = pgaml_shmem_find_database(dbid) != NULL;
	LWLockRelease(pgaml_shared->lock);
	return true;
}

bool
pgaml_shmem_register_database(Oid dbid)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(dbid);
	if (entry == NULL)
	{
		entry = pgaml_shmem_find_database(InvalidOid);
		if (entry != NULL)
			pg_atomic_fetch_add_u64(&pgaml_shared->directory_version, 1);
	}
	if (entry != NULL)
	{
		memset(entry, 0, sizeof(PgamlDatabase));
		entry->dbid = dbid;
		entry->announced = ++pgaml_shared->announcements;
	}
	if (pgaml_shared->launcher_latch != NULL)
		SetLatch(pgaml_shared->launcher_latch);
	LWLockRelease(pgaml_shared->lock);
	return entry != NULL;
}

void
pgaml_shmem_forget_database(Oid dbid, uint64 announcements)
{
	PgamlDatabase *entry;

	LWLockAcquire(pgaml_shared->lock, LW_EXCLUSIVE);
	entry = pgaml_shmem_find_database(dbid);
	if (entry != NULL && entry->announced <= announcements)
	{
		memset(entry, 0, sizeof(PgamlDatabase));
		pg_atomic_fetch_add_u64(&pgaml_shared->directory_version, 1);
	}
	LWLockRelease(pgaml_shared->lock);
}

int
pgaml_shmem_active(void)
{
	int			count = 0;

	for (int i = 0; pgaml_active != NULL && i < MaxBackends; i++)
		count += pgaml_active[(Size) i * PGAML_ACTIVE_STRIDE];
	return count;
}

void
pgaml_copy_ascii(char *out, const char *message)
{
	strlcpy(out, message, PGAML_ERROR_LEN);
	for (char *c = out; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	}
}

void
pgaml_require_preload(const char *what)
{
	if (pgaml_shared != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s needs pganalytics_ml to be preloaded", what),
			 errhint("Add this line to postgresql.conf and restart: shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'")));
}
