/*-------------------------------------------------------------------------
 * known_past.c
 *		The past of single statements, for predictions by plan.
 *
 * EXPLAIN, the guard and a text ask for one statement at a time: it is read by
 * index, in less than a millisecond, and kept for prediction_cache_ttl like
 * what is read at once (known.c).  A statement that was not there is looked
 * for again soon, but seldom: it may have run meanwhile.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "predict/known_internal.h"
#include "registry/registry.h"

#define PASTS_MAX		1024	/* statements kept; 3 kB each */

static MemoryContext context = NULL;
static HTAB *pasts = NULL;
static uint64 loaded_generation = 0;
static uint64 loaded_collected = 0;

/* From before a change of models or of the extension, from before a collection, or too many. */
static void
prepare(int room_for)
{
	HASHCTL		info = {.keysize = sizeof(int64), .entrysize = sizeof(PgamlPast)};

	if (pasts != NULL && loaded_generation == pgaml_registry_generation() &&
		loaded_collected == pgaml_statements_collected_here() &&
		hash_get_num_entries(pasts) + room_for <= PASTS_MAX)
		return;
	pasts = NULL;				/* until it is made, whatever fails */
	if (context != NULL)
		MemoryContextDelete(context);
	context = NULL;
	context = AllocSetContextCreate(CacheMemoryContext, "pganalytics_ml past of statements",
									ALLOCSET_DEFAULT_SIZES);
	info.hcxt = context;
	pasts = hash_create("pganalytics_ml past of statements", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	loaded_generation = pgaml_registry_generation();
	loaded_collected = pgaml_statements_collected_here();
}

/* Is what is kept of a statement still good? */
static bool
fresh(const PgamlPast *past, TimestampTz now)
{
	int64		age = now - past->loaded_at;

	if (age <= 0)
		return true;
	if (age >= (int64) pgaml_prediction_cache_ttl * USECS_PER_SEC)
		return false;
	return past->found || past->queryid == 0 || age < PGAML_MISS_PATIENCE * past->load_us;
}

static void
keep(int64 queryid, const PgamlStatementSet *set, int64 load_us)
{
	bool		there;
	PgamlPast  *past = hash_search(pasts, &queryid, HASH_ENTER, &there);
	PgamlStatement *statement = pgaml_statement_find(set, queryid);

	if (there && past->known.users != NULL)
		pfree(past->known.users);
	memset(past, 0, sizeof(*past));
	past->queryid = queryid;
	past->loaded_at = set->loaded_at;
	past->load_us = load_us;
	past->coverage = set->coverage;
	past->memory_pct = set->memory_pct;
	past->bucket_width = set->bucket_width;
	if (statement == NULL || queryid == 0)
		return;
	past->runs = statement->runs;
	past->calls = statement->calls;
	pgaml_known_reduce(set, statement, context, &past->known);
	past->found = true;
}

static void
read_pasts(const int64 *queryids, int n)
{
	PgamlStatementSet *set;
	PgamlSpi	spi;
	int64		load_us;

	prepare(n);
	pgaml_spi_open(&spi);
	set = pgaml_statements_load_few(CurrentMemoryContext, queryids, n, true);
	load_us = (pgaml_clock_now() - set->loaded_at) / n;
	for (int i = 0; i < n; i++)
		keep(queryids[i], set, load_us);
	pgaml_spi_close(&spi);
}

PgamlPast *
pgaml_known_past(int64 queryid, bool *cache_hit)
{
	TimestampTz now = GetCurrentStatementStartTimestamp() + pgaml_fault_clock_us();
	PgamlPast  *past;

	prepare(0);
	past = hash_search(pasts, &queryid, HASH_FIND, NULL);
	*cache_hit = past != NULL && fresh(past, now);
	if (*cache_hit)
		return past;
	read_pasts(&queryid, 1);
	return hash_search(pasts, &queryid, HASH_FIND, NULL);
}

void
pgaml_known_read_ahead(const int64 *queryids, int n)
{
	TimestampTz now = GetCurrentStatementStartTimestamp() + pgaml_fault_clock_us();
	int64	   *wanted = palloc(sizeof(int64) * n);
	int			nwanted = 0;

	prepare(n);
	for (int i = 0; i < n; i++)
	{
		PgamlPast  *past = hash_search(pasts, &queryids[i], HASH_FIND, NULL);

		if (past == NULL || !fresh(past, now))
			wanted[nwanted++] = queryids[i];
	}
	if (nwanted > 0)
		read_pasts(wanted, nwanted);
	pfree(wanted);
}

int64
pgaml_known_by_text(const char *text)
{
	static SPIPlanPtr kept = NULL;
	static const char sql[] =
		"SELECT s.queryid FROM pganalytics.statements s "
		" WHERE s.query = $1 AND s.origin = (SELECT i.origin FROM pganalytics.installation i) "
		" ORDER BY s.last_seen DESC LIMIT 1";
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(text)};
	PgamlSpi	spi;
	int64		queryid = 0;

	pgaml_spi_open(&spi);
	if (pgaml_spi_exec_kept(&kept, sql, 1, types, values, true) > 0)
		queryid = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
	pgaml_spi_close(&spi);
	return queryid;
}
