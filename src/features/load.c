/*-------------------------------------------------------------------------
 * load.c
 *		Reads what is known of every statement of the database, or of a few.
 *
 * Five set-based reads: users with their last plan, the tables of those
 * plans, recent executions, the newest buckets of history, and the counters
 * of pg_stat_statements.  Called by predict (kept per backend) and by train.
 * Takes no lock on user tables: sizes and row counts are those that the last
 * VACUUM or ANALYZE wrote to the catalog.
 *
 * A few statements are read by plans that are kept for the session, and their
 * lifetime counters are those of the last tick: pg_stat_statements can only be
 * read as a whole.
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
#define PRESIZE				16384	/* buckets; a hash that grows is split again and again */
#define PRESIZE_FEW			64
#define READ_ARGS			3		/* parameters of a read, at most */

/* A table named by some plan. */
typedef struct TableFacts
{
	Oid			relid;			/* hash key */
	PgamlTable	table;
} TableFacts;

typedef struct Loader
{
	PgamlStatementSet *set;
	HTAB	   *tables;			/* TableFacts by relid */
	bool		read_only;
	bool		few;			/* only these, */
	Datum		only;			/* bigint[] */
} Loader;

/* One read: of everything, and of a few statements, whose identifiers are the last parameter. */
typedef struct Read
{
	const char *all;
	const char *few;
	SPIPlanPtr	kept;			/* plan of few */
} Read;

static void
read_rows(Loader *loader, Read *read, int nargs, const Oid *types, const Datum *values, PgamlRowCallback row)
{
	Oid			few_types[READ_ARGS];
	Datum		few_values[READ_ARGS];

	if (!loader->few)
	{
		pgaml_spi_each(read->all, nargs, types, values, NULL, loader->read_only, row, loader);
		return;
	}
	Assert(nargs < READ_ARGS);
	for (int i = 0; i < nargs; i++)
	{
		few_types[i] = types[i];
		few_values[i] = values[i];
	}
	few_types[nargs] = INT8ARRAYOID;
	few_values[nargs] = loader->only;
	pgaml_spi_each_kept(&read->kept, read->few, nargs + 1, few_types, few_values, loader->read_only, row, loader);
}

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
make_hash(const Loader *loader, const char *name, Size keysize, Size entrysize, MemoryContext context)
{
	HASHCTL		info = {.keysize = keysize, .entrysize = entrysize, .hcxt = context};

	return hash_create(name, loader->few ? PRESIZE_FEW : PRESIZE, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static bool
table_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	bool		isnull;
	Oid			relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
	PgamlTable *table = &((TableFacts *) hash_search(loader->tables, &relid, HASH_ENTER, NULL))->table;

	table->pages = pgaml_row_float8(tuple, desc, 2);
	table->rows = pgaml_row_float8(tuple, desc, 3);
	table->indexes = pgaml_row_float8(tuple, desc, 4);
	table->row_width = pgaml_row_float8(tuple, desc, 5);
	return true;
}

#define TABLES_SQL(condition) \
	"SELECT c.oid, c.relpages::float8, c.reltuples::float8, " \
	"       (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid)::float8, " \
	"       (SELECT sum(s.stawidth) FROM pg_catalog.pg_statistic s " \
	"         WHERE s.starelid = c.oid AND NOT s.stainherit)::float8 " \
	"  FROM pg_catalog.pg_class c " \
	" WHERE c.oid IN (SELECT unnest(u.relations) FROM pganalytics.statement_users u" condition ")"

/* Catalog facts of every table that some plan names. */
static void
load_tables(Loader *loader)
{
	static Read read = {TABLES_SQL(""), TABLES_SQL(" WHERE u.queryid = ANY ($1)")};

	read_rows(loader, &read, 0, NULL, NULL, table_row);
}

/* Means and sums over the tables of one plan. */
static void
sum_tables(Loader *loader, const Oid *relations, int n, PgamlTables *out)
{
	PgamlTable *tables = palloc(sizeof(PgamlTable) * Max(n, 1));
	int			found = 0;

	for (int i = 0; i < n; i++)
	{
		TableFacts *facts = hash_search(loader->tables, &relations[i], HASH_FIND, NULL);

		if (facts != NULL)
			tables[found++] = facts->table;
	}
	pgaml_tables_sum(tables, found, out);
	pfree(tables);
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

#define USERS_SQL(condition, alias_condition) \
	"SELECT u.queryid, u.userid, u.plan_id, u.plan_facts, u.relations, s.plannable, " \
	"       least(s.first_seen, f.first_seen), u.plan_seen " \
	"  FROM pganalytics.statement_users u " \
	"  LEFT JOIN pganalytics.statements s ON s.queryid = u.queryid " \
	"       AND s.origin = (SELECT origin FROM pganalytics.installation) " \
	"  LEFT JOIN (SELECT a.own_queryid, min(r.first_seen) AS first_seen FROM pganalytics.statement_aliases a " \
	"               JOIN pganalytics.statements r ON r.origin = a.origin AND r.queryid = a.queryid " \
	alias_condition "              GROUP BY a.own_queryid) f ON f.own_queryid = u.queryid" condition

static void
load_users(Loader *loader)
{
	static Read read = {
		USERS_SQL("", ""), USERS_SQL(" WHERE u.queryid = ANY ($1)", " WHERE a.own_queryid = ANY ($1) ")
	};

	read_rows(loader, &read, 0, NULL, NULL, user_row);
}

/* The plans of runs that were stored before their costs were are not known. */
static bool
recent_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Loader	   *loader = state;
	PgamlStatement *statement = enter(loader, pgaml_row_int8(tuple, desc, 1, 0));
	void	   *ms;
	void	   *plans;
	void	   *costs;
	void	   *plan_rows;
	int			n = pgaml_row_array(tuple, desc, 3, FLOAT4OID, &ms);
	bool		planned = pgaml_row_array(tuple, desc, 8, FLOAT4OID, &costs) == n &&
		pgaml_row_array(tuple, desc, 9, FLOAT4OID, &plan_rows) == n;
	PgamlRun	run;

	if (n < 1 || pgaml_row_array(tuple, desc, 4, INT8OID, &plans) != n)
		return true;
	run.at = pgaml_row_seconds(tuple, desc, 2);
	run.sigma = 0.0f;
	run.active = pgaml_row_float8(tuple, desc, 5);
	run.rows = pgaml_row_float8(tuple, desc, 6);
	run.hit_ratio = pgaml_row_float8(tuple, desc, 7);
	for (int i = 0; i < n; i++)
	{
		run.log_ms = logf(Max(((float *) ms)[i], 1e-4f));
		run.plan = ((int64 *) plans)[i];
		run.cost = planned ? ((float *) costs)[i] : get_float4_nan();
		run.plan_rows = planned ? ((float *) plan_rows)[i] : get_float4_nan();
		pgaml_runs_push(&statement->runs, &run);
	}
	statement->captured = true;
	return true;
}

#define RECENT_SQL \
	"SELECT queryid, last_at, " \
	"       recent_ms, recent_plans, active_backends::float8, rows_per_call::float8, hit_ratio::float8, " \
	"       recent_costs, recent_plan_rows " \
	"  FROM pganalytics.statement_recent"

static void
load_recent(Loader *loader)
{
	static Read read = {RECENT_SQL, RECENT_SQL " WHERE queryid = ANY ($1)"};

	read_rows(loader, &read, 0, NULL, NULL, recent_row);
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

#define BUCKETS_SQL(condition) \
	"SELECT h.queryid, h.bucket_start, h.calls, h.total_ms, h.sum_squares, h.rows, h.shared_blks_hit, " \
	"       h.shared_blks_read, h.bucket_width::int8, (h.restored OR r.queryid IS NULL)::int4::int8 " \
	"  FROM pganalytics.history_buckets($2, $1, 'infinity') h " \
	"  LEFT JOIN pganalytics.statement_recent r ON r.queryid = h.queryid " \
	" WHERE h.known" condition " ORDER BY h.queryid, h.bucket_start + h.bucket_width * interval '1 second'"

static void
load_buckets(Loader *loader)
{
	static Read read = {BUCKETS_SQL(""), BUCKETS_SQL(" AND h.queryid = ANY ($3)")};
	PgamlStatementSet *set = loader->set;
	Oid			types[] = {TIMESTAMPTZOID, INT4OID};
	Datum		values[2];

	values[0] = TimestampTzGetDatum(pgaml_clock_bucket(set->loaded_at, set->bucket_width) -
									(int64) PGAML_RECENT_BUCKETS * set->bucket_width * USECS_PER_SEC);
	values[1] = Int32GetDatum(set->bucket_width);
	read_rows(loader, &read, 2, types, values, bucket_row);
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

/* Of a few statements: as of the last tick. */
static void
load_few_counters(Loader *loader)
{
	static Read read = {
		.few = "SELECT queryid, userid, calls::float8, total_ms / calls, "
		"       sqrt(greatest(sum_squares / calls - (total_ms / calls) ^ 2, 0)) "
		"  FROM pganalytics.statement_counters WHERE queryid = ANY ($1) AND calls > 0 AND kept"
	};

	read_rows(loader, &read, 0, NULL, NULL, counter_row);
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
	static SPIPlanPtr kept;
	double		width = get_float8_nan();

	if (pgaml_spi_exec_kept(&kept, sql, 0, NULL, NULL, read_only) > 0)
		width = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return isnan(width) ? pgaml_bucket_interval : (int) width;
}

/* Width in force, and how complete the buckets that calls come from are. */
static void
load_windows(Loader *loader)
{
	static SPIPlanPtr kept;
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
	if (pgaml_spi_exec_kept(&kept, coverage_sql, 3, types, values, loader->read_only) > 0)
		coverage = pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	set->coverage = isnan(coverage) ? 1.0 : Max(0.0, coverage);
}

static PgamlStatementSet *
make_set(Loader *loader, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "pganalytics_ml statements",
												  ALLOCSET_DEFAULT_SIZES);
	PgamlStatementSet *set = MemoryContextAllocZero(context, sizeof(PgamlStatementSet));

	set->context = context;
	set->loaded_at = pgaml_clock_now();
	set->memory_pct = pgaml_os_available_memory_pct();
	set->statements = make_hash(loader, "pganalytics_ml statements", sizeof(int64), sizeof(PgamlStatement), context);
	loader->tables = make_hash(loader, "pganalytics_ml tables", sizeof(Oid), sizeof(TableFacts), CurrentMemoryContext);
	return set;
}

/* Buckets come before captured runs, which are newer than those that stand for runs beside them. */
static void
load_past(Loader *loader)
{
	load_windows(loader);
	load_tables(loader);
	load_users(loader);
	load_buckets(loader);
	load_recent(loader);
}

PgamlStatementSet *
pgaml_statements_load(MemoryContext parent, bool read_only)
{
	Loader		loader = {.read_only = read_only};

	loader.set = make_set(&loader, parent);
	load_past(&loader);
	load_counters(&loader);
	hash_destroy(loader.tables);
	return loader.set;
}

PgamlStatementSet *
pgaml_statements_load_few(MemoryContext parent, const int64 *queryids, int n, bool read_only)
{
	Loader		loader = {.read_only = read_only, .few = true};
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(queryids[i]);
	loader.only = PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	loader.set = make_set(&loader, parent);
	load_past(&loader);
	load_few_counters(&loader);
	hash_destroy(loader.tables);
	return loader.set;
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
pgaml_moment(int bucket_width, double memory_pct, TimestampTz now, PgamlMoment *out)
{
	out->at = (double) now / USECS_PER_SEC;
	out->bucket = (int64) floor(out->at / bucket_width);
	out->per_hour = SECONDS_PER_HOUR / bucket_width;
	out->memory_pct = memory_pct;
}

void
pgaml_statement_row(const PgamlStatementSet *set, const PgamlStatement *statement,
					TimestampTz now, float *row, PgamlRunsSummary *summary)
{
	PgamlMoment moment;

	pgaml_moment(set->bucket_width, set->memory_pct, now, &moment);
	pgaml_feature_row(&statement->tables, &statement->runs, &statement->calls, statement->plan_id,
					  statement->plan_values, &moment, row, summary);
	/* This is the plan of an execution before: how it differs from the others says nothing of the next one's. */
	for (int f = PGAML_F_LAG_COST_DEPARTURE; f <= PGAML_F_LAG_LINE_DEPARTURE; f++)
		row[f] = get_float4_nan();
}
