/*-------------------------------------------------------------------------
 * load.c
 *		Reads what is known of every statement of the database, once.
 *
 * Five set-based reads: users with their last plan, the tables of those
 * plans, recent executions, the newest buckets of history, and the counters
 * of pg_stat_statements.  Called by predict (kept per backend) and by train.
 * Takes no lock on user tables: sizes and row counts are those that the last
 * VACUUM or ANALYZE wrote to the catalog.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/os.h"
#include "base/spi_run.h"
#include "features/features.h"
#include "history/history.h"

#define SECONDS_PER_HOUR	3600.0
#define BYTES_PER_MB		(1024.0 * 1024.0)
#define PRESIZE				16384	/* buckets; a hash that grows is split again and again */

/* A table named by some plan. */
typedef struct TableFacts
{
	Oid			relid;			/* hash key */
	bool		known;			/* vacuumed or analyzed at least once */
	double		size_mb;
	double		rows;
	double		indexes;
	double		row_width;		/* NaN when never analyzed */
} TableFacts;

typedef struct Loader
{
	PgamlStatementSet *set;
	HTAB	   *tables;			/* TableFacts by relid */
	bool		read_only;
} Loader;

/* Find or make the entry of a queryid. */
static PgamlStatement *
enter(Loader *loader, int64 queryid)
{
	bool		found;
	PgamlStatement *statement = hash_search(loader->set->statements, &queryid, HASH_ENTER, &found);

	if (!found)
	{
		memset(statement, 0, sizeof(*statement));
		statement->queryid = queryid;
		statement->tables.row_width = get_float8_nan();
		statement->first_seen = get_float8_nan();
	}
	return statement;
}

static void
add_user(Loader *loader, PgamlStatement *statement, Oid userid)
{
	MemoryContext old;

	for (int i = 0; i < statement->nusers; i++)
		if (statement->users[i] == userid)
			return;
	old = MemoryContextSwitchTo(loader->set->context);
	if (statement->nusers == 0)
		statement->users = palloc(sizeof(Oid));
	else if ((statement->nusers & (statement->nusers - 1)) == 0)
		statement->users = repalloc(statement->users, sizeof(Oid) * statement->nusers * 2);
	statement->users[statement->nusers++] = userid;
	MemoryContextSwitchTo(old);
}

static HTAB *
make_hash(const char *name, Size keysize, Size entrysize, MemoryContext context)
{
	HASHCTL		info = {.keysize = keysize, .entrysize = entrysize, .hcxt = context};

	return hash_create(name, PRESIZE, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static bool
table_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	bool		isnull;
	Oid			relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
	TableFacts *facts = hash_search(loader->tables, &relid, HASH_ENTER, NULL);
	double		pages = pgaml_row_float8(tuple, desc, 2);

	facts->rows = pgaml_row_float8(tuple, desc, 3);
	facts->known = facts->rows >= 0.0;
	facts->size_mb = pages * BLCKSZ / BYTES_PER_MB;
	facts->indexes = pgaml_row_float8(tuple, desc, 4);
	facts->row_width = pgaml_row_float8(tuple, desc, 5);
	return true;
}

/* Catalog facts of every table that some plan names. */
static void
load_tables(Loader *loader)
{
	static const char sql[] =
		"SELECT c.oid, c.relpages::float8, c.reltuples::float8, "
		"       (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid)::float8, "
		"       (SELECT sum(s.stawidth) FROM pg_catalog.pg_statistic s "
		"         WHERE s.starelid = c.oid AND NOT s.stainherit)::float8 "
		"  FROM pg_catalog.pg_class c "
		" WHERE c.oid IN (SELECT unnest(u.relations) FROM pganalytics.statement_users u)";

	pgaml_spi_each(sql, 0, NULL, NULL, NULL, loader->read_only, table_row, loader);
}

/* Means and sums over the tables of one plan. */
static void
sum_tables(Loader *loader, const Oid *relations, int n, PgamlTables *out)
{
	int			widths = 0;
	double		width = 0.0;

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < n; i++)
	{
		TableFacts *facts = hash_search(loader->tables, &relations[i], HASH_FIND, NULL);

		if (facts == NULL || !facts->known)
			continue;
		out->known++;
		out->size_mb += facts->size_mb;
		out->indexes += facts->indexes;
		out->rows += facts->rows;
		if (!isnan(facts->row_width))
		{
			width += facts->row_width;
			widths++;
		}
	}
	if (out->known > 0)
		out->size_mb /= out->known;
	out->row_width = widths > 0 ? width / widths : get_float8_nan();
}

/* One user's row of a queryid; the newest plan of all users is kept. */
static bool
user_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	bool		isnull;
	PgamlStatement *statement = enter(loader, pgaml_row_int8(tuple, desc, 1, 0));
	int64		plan_id = pgaml_row_int8(tuple, desc, 3, 0);
	double		plan_seen = pgaml_row_seconds(tuple, desc, 8);
	void	   *values;
	void	   *relations;
	int			nrelations;

	add_user(loader, statement, DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull)));
	statement->first_seen = pgaml_row_seconds(tuple, desc, 7);
	pgaml_calls_since(&statement->calls, pgaml_statement_first(loader->set, statement));
	statement->plannable = DatumGetBool(SPI_getbinval(tuple, desc, 6, &isnull)) && !isnull;
	if (plan_id == 0 || (statement->plan_id != 0 && !(plan_seen > statement->plan_seen)) ||
		pgaml_row_array(tuple, desc, 4, FLOAT4OID, &values) != PGAML_PF_COUNT)
		return true;
	statement->plan_id = plan_id;
	statement->plan_seen = plan_seen;
	if (statement->plan_values == NULL)
		statement->plan_values = MemoryContextAlloc(loader->set->context, sizeof(float) * PGAML_PF_COUNT);
	memcpy(statement->plan_values, values, sizeof(float) * PGAML_PF_COUNT);
	nrelations = pgaml_row_array(tuple, desc, 5, OIDOID, &relations);
	sum_tables(loader, relations, nrelations, &statement->tables);
	return true;
}

static void
load_users(Loader *loader)
{
	static const char sql[] =
		"SELECT u.queryid, u.userid, u.plan_id, u.plan_facts, u.relations, s.plannable, "
		"       least(s.first_seen, f.first_seen), u.plan_seen "
		"  FROM pganalytics.statement_users u "
		"  LEFT JOIN pganalytics.statements s ON s.queryid = u.queryid "
		"       AND s.origin = (SELECT origin FROM pganalytics.installation) "
		"  LEFT JOIN (SELECT a.own_queryid, min(r.first_seen) AS first_seen FROM pganalytics.statement_aliases a "
		"               JOIN pganalytics.statements r ON r.origin = a.origin AND r.queryid = a.queryid "
		"              GROUP BY a.own_queryid) f ON f.own_queryid = u.queryid";

	pgaml_spi_each(sql, 0, NULL, NULL, NULL, loader->read_only, user_row, loader);
}

static bool
recent_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	PgamlStatement *statement = enter(loader, pgaml_row_int8(tuple, desc, 1, 0));
	void	   *ms;
	void	   *plans;
	int			n = pgaml_row_array(tuple, desc, 3, FLOAT4OID, &ms);
	PgamlRun	run;

	if (n < 1 || pgaml_row_array(tuple, desc, 4, INT8OID, &plans) != n)
		return true;
	run.at = pgaml_row_seconds(tuple, desc, 2);
	run.sigma = 0.0f;
	run.active = pgaml_row_float8(tuple, desc, 5);
	run.rows = pgaml_row_float8(tuple, desc, 6);
	run.hit_ratio = pgaml_row_float8(tuple, desc, 7);
	run.cost = run.plan_rows = get_float4_nan();	/* plans of single executions are kept as their ids only */
	for (int i = 0; i < n; i++)
	{
		run.log_ms = logf(Max(((float *) ms)[i], 1e-4f));
		run.plan = ((int64 *) plans)[i];
		pgaml_runs_push(&statement->runs, &run);
	}
	statement->captured = true;
	return true;
}

static void
load_recent(Loader *loader)
{
	static const char sql[] =
		"SELECT queryid, last_at, "
		"       recent_ms, recent_plans, active_backends::float8, rows_per_call::float8, hit_ratio::float8 "
		"  FROM pganalytics.statement_recent";

	pgaml_spi_each(sql, 0, NULL, NULL, NULL, loader->read_only, recent_row, loader);
}

/*
 * One bucket of one statement.  It stands for a run, unless the statement's
 * executions are captured here: of what ran elsewhere none was.
 */
static bool
bucket_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	PgamlStatement *statement = enter(loader, pgaml_row_int8(tuple, desc, 1, 0));
	int			width = (int) pgaml_row_int8(tuple, desc, 9, 0);
	bool		stands = pgaml_row_int8(tuple, desc, 10, 0) != 0;
	double		start = pgaml_row_seconds(tuple, desc, 2);
	double		calls = pgaml_row_float8(tuple, desc, 3);
	double		mean = pgaml_row_float8(tuple, desc, 4) / calls;
	double		cv = sqrt(Max(pgaml_row_float8(tuple, desc, 5) / calls - mean * mean, 0.0)) / mean;
	double		blocks = pgaml_row_float8(tuple, desc, 7) + pgaml_row_float8(tuple, desc, 8);
	PgamlRun	run;

	if (width == loader->set->bucket_width)
		pgaml_calls_push(&statement->calls, (int64) floor(start / width), calls);
	else
		pgaml_calls_restart(&statement->calls, (int64) ceil((start + width) / loader->set->bucket_width));
	if (!stands || !(mean > 0.0))
		return true;
	memset(&run, 0, sizeof(run));
	run.at = start + width;
	run.log_ms = pgaml_log_median(mean, cv);
	run.sigma = pgaml_log_sigma(cv);
	run.rows = pgaml_row_float8(tuple, desc, 6) / calls;
	run.hit_ratio = blocks > 0.0 ? pgaml_row_float8(tuple, desc, 7) / blocks : get_float4_nan();
	run.active = run.cost = run.plan_rows = get_float4_nan();
	pgaml_runs_push(&statement->runs, &run);
	return true;
}

static void
load_buckets(Loader *loader)
{
	static const char sql[] =
		"SELECT h.queryid, h.bucket_start, h.calls, h.total_ms, h.sum_squares, h.rows, h.shared_blks_hit, "
		"       h.shared_blks_read, h.bucket_width::int8, (h.restored OR r.queryid IS NULL)::int4::int8 "
		"  FROM pganalytics.history_buckets($2, $1, 'infinity') h "
		"  LEFT JOIN pganalytics.statement_recent r ON r.queryid = h.queryid "
		" WHERE h.known ORDER BY h.queryid, h.bucket_start + h.bucket_width * interval '1 second'";
	PgamlStatementSet *set = loader->set;
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		values[2];

	values[0] = TimestampTzGetDatum(pgaml_clock_bucket(set->loaded_at, set->bucket_width) -
									(int64) PGAML_RECENT_BUCKETS * set->bucket_width * USECS_PER_SEC);
	values[1] = Int32GetDatum(set->bucket_width);
	pgaml_spi_each(sql, 2, types, values, NULL, loader->read_only, bucket_row, loader);
}

/* Lifetime figures: the answer before the first difference of counters. */
static bool
counter_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	bool		isnull;
	int64		queryid = pgaml_row_int8(tuple, desc, 1, 0);
	PgamlStatement *statement;
	double		calls = pgaml_row_float8(tuple, desc, 3);
	double		all;
	double		mean;
	double		squares;

	if (queryid == 0 || !(calls > 0.0))
		return true;
	statement = enter(loader, queryid);
	add_user(loader, statement, DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull)));
	all = statement->lifetime_calls + calls;
	squares = statement->lifetime_calls * (pow(statement->lifetime_std_dev, 2) + pow(statement->lifetime_mean, 2)) +
		calls * (pow(pgaml_row_float8(tuple, desc, 5), 2) + pow(pgaml_row_float8(tuple, desc, 4), 2));
	mean = (statement->lifetime_calls * statement->lifetime_mean + calls * pgaml_row_float8(tuple, desc, 4)) / all;
	statement->lifetime_std_dev = sqrt(Max(squares / all - mean * mean, 0.0));
	statement->lifetime_mean = mean;
	statement->lifetime_calls = all;
	return true;
}

static void
load_counters(Loader *loader)
{
	char	   *schema = pgaml_pgss_schema();
	char	   *sql;

	loader->set->pgss_missing = schema == NULL;
	if (schema == NULL)
		return;
	sql = psprintf("SELECT queryid, userid, calls::float8, mean_exec_time, stddev_exec_time "
				   "  FROM %s.pg_stat_statements(false) WHERE dbid = %u AND queryid IS NOT NULL",
				   schema, MyDatabaseId);
	pgaml_spi_each(sql, 0, NULL, NULL, NULL, loader->read_only, counter_row, loader);
}

int
pgaml_features_bucket_width(bool read_only)
{
	static const char sql[] = "SELECT bucket_width::float8 FROM pganalytics.collector_state";
	double		width = get_float8_nan();

	if (pgaml_spi_exec(sql, 0, NULL, NULL, NULL, read_only) > 0)
		width = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return isnan(width) ? pgaml_bucket_interval : (int) width;
}

/* Width in force, and how complete the buckets that calls come from are. */
static void
load_windows(Loader *loader)
{
	static const char coverage_sql[] =
		"SELECT 1 - sum(1 - least(w.covered, 1)) / $3 "
		"  FROM (SELECT exp(sum(ln(greatest(coverage, 1e-9)))) AS covered "
		"          FROM pganalytics.bucket_coverage "
		"         WHERE bucket_start >= $1 AND bucket_width = $2 "
		"         GROUP BY bucket_start) w";
	PgamlStatementSet *set = loader->set;
	Oid			types[] = {TIMESTAMPTZOID, INT4OID, FLOAT8OID};
	Datum		values[3];
	double		coverage = get_float8_nan();

	set->bucket_width = pgaml_features_bucket_width(loader->read_only);
	values[0] = TimestampTzGetDatum(pgaml_clock_bucket(set->loaded_at, set->bucket_width) -
									(int64) PGAML_RECENT_BUCKETS * set->bucket_width * USECS_PER_SEC);
	values[1] = Int32GetDatum(set->bucket_width);
	values[2] = Float8GetDatum(PGAML_RECENT_BUCKETS);
	if (pgaml_spi_exec(coverage_sql, 3, types, values, NULL, loader->read_only) > 0)
		coverage = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	set->coverage = isnan(coverage) ? 1.0 : Max(0.0, coverage);
}

PgamlStatementSet *
pgaml_statements_load(MemoryContext parent, bool read_only)
{
	MemoryContext context = AllocSetContextCreate(parent, "pganalytics_ml statements",
												  ALLOCSET_DEFAULT_SIZES);
	PgamlStatementSet *set = MemoryContextAllocZero(context, sizeof(PgamlStatementSet));
	Loader		loader = {.set = set, .read_only = read_only};

	set->context = context;
	set->loaded_at = pgaml_clock_now();
	set->memory_pct = pgaml_os_available_memory_pct();
	set->statements = make_hash("pganalytics_ml statements", sizeof(int64), sizeof(PgamlStatement), context);
	loader.tables = make_hash("pganalytics_ml tables", sizeof(Oid), sizeof(TableFacts), CurrentMemoryContext);
	load_windows(&loader);
	load_tables(&loader);
	load_users(&loader);
	load_buckets(&loader);		/* before captured runs, which are newer than buckets that stand for runs beside them */
	load_recent(&loader);
	load_counters(&loader);
	hash_destroy(loader.tables);
	return set;
}

void
pgaml_statements_free(PgamlStatementSet *set)
{
	MemoryContextDelete(set->context);
}

uint64
pgaml_statements_collected_here(void)
{
	return pgaml_history_ticks_here();
}

PgamlStatement *
pgaml_statement_find(const PgamlStatementSet *set, int64 queryid)
{
	return hash_search(set->statements, &queryid, HASH_FIND, NULL);
}

int64
pgaml_statement_first(const PgamlStatementSet *set, const PgamlStatement *statement)
{
	return isnan(statement->first_seen) ? INT64_MAX : (int64) floor(statement->first_seen / set->bucket_width);
}

void
pgaml_statement_row(const PgamlStatementSet *set, const PgamlStatement *statement,
					TimestampTz now, float *row, PgamlRunsSummary *summary)
{
	PgamlMoment moment;

	moment.at = (double) now / USECS_PER_SEC;
	moment.bucket = (int64) floor(moment.at / set->bucket_width);
	moment.per_hour = SECONDS_PER_HOUR / set->bucket_width;
	moment.memory_pct = set->memory_pct;
	pgaml_feature_row(&statement->tables, &statement->runs, &statement->calls, statement->plan_id,
					  statement->plan_values, &moment, row, summary);
}
