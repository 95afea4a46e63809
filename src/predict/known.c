/*-------------------------------------------------------------------------
 * known.c
 *		What this session knows of statements: features, ready to predict.
 *
 * Everything is read at once (features/load), reduced to one entry per
 * statement and kept for prediction_cache_ttl, so that predicting all of
 * pg_stat_statements reads each statement's features once.  A queryid that is
 * not there is looked for again, but seldom: pg_stat_statements also holds
 * those of other databases.  Works without preload and on standbys; writes
 * nothing.
 *
 * Who asks for the time of a plan needs the past of one statement, and gets it
 * by a few index scans (known_past.c).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "predict/known_internal.h"
#include "registry/registry.h"

#define MISSED_MAX		65536	/* remembered at once */
#define SINGLES_MAX		8		/* statements asked for before it is worth reading all of them */

static MemoryContext context = NULL;
static HTAB *known = NULL;
static HTAB *missed = NULL;		/* queryids that were looked for, and were not there */
static TimestampTz loaded_at = 0;
static int64 load_us = 0;		/* what reading everything took */
static uint64 loaded_generation = 0;
static uint64 loaded_collected = 0;
static double loaded_coverage = 1.0;
static bool without_counters = false;
static int	singles = 0;		/* answered one by one since everything was last outdated */

void
pgaml_known_reduce(const PgamlStatementSet *set, const PgamlStatement *statement, MemoryContext into,
				   PgamlKnown *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->queryid = statement->queryid;
	entry->nusers = statement->nusers;
	entry->users = MemoryContextAlloc(into, sizeof(Oid) * Max(statement->nusers, 1));
	if (statement->nusers > 0)
		memcpy(entry->users, statement->users, sizeof(Oid) * statement->nusers);
	entry->plannable = statement->plannable;
	entry->captured = statement->captured;
	entry->plan_id = statement->plan_id;
	entry->lifetime_calls = statement->lifetime_calls;
	entry->lifetime_mean = statement->lifetime_mean;
	entry->lifetime_std_dev = statement->lifetime_std_dev;
	pgaml_statement_row(set, statement, set->loaded_at, entry->row, &entry->runs);
	entry->nrecent = pgaml_runs_recent(&statement->runs, &entry->runs, entry->recent);
}

/* Forget what there is and read everything. */
static void
reload(void)
{
	PgamlStatementSet *set;
	PgamlStatement *statement;
	HASH_SEQ_STATUS scan;
	HASHCTL		info;
	PgamlSpi	spi;
	HTAB	   *table;

	known = NULL;				/* until everything is read, whatever fails */
	if (context != NULL)
		MemoryContextDelete(context);
	context = NULL;
	context = AllocSetContextCreate(CacheMemoryContext, "pganalytics_ml known statements",
									ALLOCSET_DEFAULT_SIZES);
	memset(&info, 0, sizeof(info));
	info.keysize = sizeof(int64);
	info.entrysize = sizeof(PgamlKnown);
	info.hcxt = context;

	pgaml_spi_open(&spi);
	set = pgaml_statements_load(CurrentMemoryContext, true);
	table = hash_create("pganalytics_ml known statements", 16384, &info,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	hash_seq_init(&scan, set->statements);
	while ((statement = hash_seq_search(&scan)) != NULL)
		pgaml_known_reduce(set, statement, context,
						   hash_search(table, &statement->queryid, HASH_ENTER, NULL));
	loaded_at = set->loaded_at;
	loaded_coverage = set->coverage;
	loaded_generation = pgaml_registry_generation();
	loaded_collected = pgaml_statements_collected_here();
	without_counters = set->pgss_missing;
	load_us = pgaml_clock_now() - loaded_at;
	known = table;
	pgaml_spi_close(&spi);
}

/* Old, from before a change of models or of the extension, or never read. */
static bool
outdated(TimestampTz now)
{
	return known == NULL || missed == NULL || loaded_generation != pgaml_registry_generation() ||
		loaded_collected != pgaml_statements_collected_here() ||
		(loaded_at < now && loaded_at + (int64) pgaml_prediction_cache_ttl * USECS_PER_SEC <= now);
}

static void
forget_missed(void)
{
	HASHCTL		info = {.keysize = sizeof(int64), .entrysize = sizeof(int64)};

	if (missed != NULL)
		hash_destroy(missed);
	missed = NULL;
	missed = hash_create("pganalytics_ml missed statements", 64, &info, HASH_ELEM | HASH_BLOBS);
}

/* CAUTION: reading again for one must not forget the others, or two asked for in turn read each time. */
static void
note_missed(int64 queryid)
{
	if (hash_get_num_entries(missed) >= MISSED_MAX)
		forget_missed();
	(void) hash_search(missed, &queryid, HASH_ENTER, NULL);
}

/* Is it worth reading again for a queryid that is not there? */
static bool
look_again(int64 queryid, TimestampTz now)
{
	return loaded_at < now &&
		(hash_search(missed, &queryid, HASH_FIND, NULL) == NULL || loaded_at + PGAML_MISS_PATIENCE * load_us < now);
}

/*
 * A session that asks for a few statements does not pay for all.  Of one that
 * did not run lately only pg_stat_statements knows, which is read as a whole.
 */
static PgamlKnown *
find_single(int64 queryid, bool *cache_hit, double *coverage)
{
	PgamlPast  *past;

	if (singles >= SINGLES_MAX || queryid == 0)
		return NULL;
	past = pgaml_known_past(queryid, cache_hit);
	if (!past->found || past->known.runs.runs == 0)
		return NULL;
	if (!*cache_hit)
		singles++;
	*coverage = past->coverage;
	return &past->known;
}

PgamlKnown *
pgaml_known_find(int64 queryid, bool *cache_hit, double *coverage)
{
	TimestampTz now = GetCurrentStatementStartTimestamp() + pgaml_fault_clock_us();
	PgamlKnown *entry = NULL;

	*cache_hit = !outdated(now);
	if (!*cache_hit)
	{
		entry = find_single(queryid, cache_hit, coverage);
		if (entry != NULL)
			return entry;
		*cache_hit = false;
		forget_missed();
		reload();
		singles = 0;
	}
	entry = hash_search(known, &queryid, HASH_FIND, NULL);
	if (entry == NULL && look_again(queryid, now))
	{
		*cache_hit = false;
		reload();
		entry = hash_search(known, &queryid, HASH_FIND, NULL);
	}
	if (entry == NULL)
		note_missed(queryid);
	*coverage = loaded_coverage;
	return entry;
}

bool
pgaml_known_without_counters(void)
{
	return without_counters;
}
