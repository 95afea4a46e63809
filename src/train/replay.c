/*-------------------------------------------------------------------------
 * replay.c
 *		Runs history and captured executions past again, as rows to learn from.
 *
 * One ordered stream per statement is replayed through the same state that
 * prediction uses, so that every row's lags are as of the moment it started
 * and nothing of the future leaks in: a run tells of itself only once it has
 * ended.  Sizes of tables are the exception: the catalog has only today's.
 * A statement with captured executions is learnt from these, another one from
 * its statement-hours; what a restore brought was captured nowhere here, so
 * its statement-hours count for both.
 *
 * Callers: dataset.c, which fits on the rows, and rows_sql.c, which shows them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "base/spi_run.h"
#include "features/features.h"
#include "train/train.h"

#define SECONDS_PER_HOUR	3600.0
#define LEAST_MS			1e-4	/* below the clock's resolution */

typedef enum EventKind
{
	EVENT_BUCKET,				/* a bucket of history has ended */
	EVENT_SAMPLE				/* an execution, at its start */
} EventKind;

/* Memory of the server over time. */
typedef struct MemoryPoint
{
	double		at;
	double		percent;
} MemoryPoint;

typedef struct Reader
{
	const PgamlStatementSet *set;
	MemoryPoint *memory;
	int64		nmemory;
	PgamlTakeRow take;
	void	   *state;
	int			keep_every;
	int64		seen;			/* rows, before thinning */
	double		since;			/* start of the window, s since the PostgreSQL epoch */
	double		from;			/* first moment that gives rows, likewise */
	int64		queryid;		/* of the statement being replayed; 0 = none yet */
	int32		group;
	PgamlStatement *statement;	/* its tables; NULL when not loaded */
	bool		captured;
	double		restored_at;	/* end of the newest restored bucket among the runs; 0 = none */
	PgamlRuns	runs;			/* that have ended */
	PgamlCalls	calls;
	PgamlRun   *pending;		/* that have started; the first to end is last */
	int			npending;
	int			pending_room;
} Reader;

/* One row of the stream. */
typedef struct Event
{
	EventKind	kind;
	double		at;
	double		width;			/* of the bucket, s; 0 for an execution */
	bool		restored;		/* it ran before a restore */
	int64		plan;
	double		ms;				/* of one execution, or the total of the bucket */
	double		squares;
	double		calls;
	PgamlRun	run;
	const float *plan_values;	/* NULL for buckets */
} Event;

static bool
memory_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Reader	   *reader = state;
	MemoryPoint *point = &reader->memory[reader->nmemory++];

	point->at = pgaml_row_seconds(tuple, desc, 1);
	point->percent = pgaml_row_float8(tuple, desc, 2);
	return true;
}

static void
read_memory(Reader *reader, TimestampTz since, bool read_only)
{
	static const char count_sql[] =
		"SELECT count(*) FROM pganalytics.system_history WHERE bucket_start >= $1";
	static const char sql[] =
		"SELECT bucket_start, available_memory_pct "
		"  FROM pganalytics.system_history WHERE bucket_start >= $1 ORDER BY 1 LIMIT $2";
	Oid			types[] = {TIMESTAMPTZOID, INT8OID};
	Datum		values[2];
	int64		n;

	values[0] = TimestampTzGetDatum(since);
	pgaml_spi_exec(count_sql, 1, types, values, NULL, read_only);
	n = pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
	values[1] = Int64GetDatum(n);
	reader->memory = palloc_extended(sizeof(MemoryPoint) * Max(n, 1), MCXT_ALLOC_HUGE);
	pgaml_spi_each(sql, 2, types, values, NULL, read_only, memory_row, reader);
}

/* Available memory in the bucket that holds this moment; NaN when not known. */
static double
memory_at(const Reader *reader, double at)
{
	int64		low = 0;
	int64		high = reader->nmemory;

	while (low < high)
	{
		int64		mid = (low + high) / 2;

		if (reader->memory[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 ? reader->memory[low - 1].percent : get_float8_nan();
}

/* Begin the next statement of the stream. */
static void
next_statement(Reader *reader, int64 queryid)
{
	reader->group = reader->queryid == 0 ? 0 : reader->group + 1;
	reader->queryid = queryid;
	reader->statement = pgaml_statement_find(reader->set, queryid);
	reader->captured = reader->statement != NULL && reader->statement->captured;
	memset(&reader->runs, 0, sizeof(reader->runs));
	memset(&reader->calls, 0, sizeof(reader->calls));
	reader->npending = 0;
	reader->restored_at = 0.0;
	/* What ran before the window is not known, so it does not count as nothing. */
	if (reader->statement != NULL)
		pgaml_calls_since(&reader->calls, Max(pgaml_statement_first(reader->set, reader->statement),
											  (int64) floor(reader->since / reader->set->bucket_width) + 1));
}

/* What had ended by then is known. */
static void
end_runs(Reader *reader, double at)
{
	while (reader->npending > 0 && reader->pending[reader->npending - 1].at <= at)
		pgaml_runs_push(&reader->runs, &reader->pending[--reader->npending]);
}

/* Keep a run until it has ended. */
static void
start_run(Reader *reader, const PgamlRun *run)
{
	int			i = reader->npending++;

	if (i == reader->pending_room)
	{
		reader->pending_room *= 2;
		reader->pending = repalloc(reader->pending, sizeof(PgamlRun) * reader->pending_room);
	}
	for (; i > 0 && reader->pending[i - 1].at <= run->at; i--)
		reader->pending[i] = reader->pending[i - 1];
	reader->pending[i] = *run;
}

static void
add_row(Reader *reader, const Event *event, double log_ms, bool single)
{
	static const PgamlTables no_tables = {0};
	PgamlMoment moment;
	PgamlRunsSummary summary;
	float		features[PGAML_F_COUNT];
	float		recent[PGAML_RECENT_RUNS];
	PgamlTrainingRow row = {
		.queryid = reader->queryid, .group = reader->group, .plan = event->plan, .at = event->at,
		.log_ms = log_ms, .single = single, .features = features, .recent = recent
	};

	if (event->at < reader->from || reader->seen++ % reader->keep_every != 0)
		return;
	moment.at = event->at;
	moment.bucket = (int64) floor((event->at - event->width) / reader->set->bucket_width);
	moment.per_hour = SECONDS_PER_HOUR / reader->set->bucket_width;
	moment.memory_pct = memory_at(reader, event->at);
	pgaml_feature_row(reader->statement ? &reader->statement->tables : &no_tables, &reader->runs,
					  &reader->calls, pgaml_runs_newest_plan(&reader->runs), event->plan_values,
					  &moment, features, &summary);
	row.nrecent = pgaml_runs_recent(&reader->runs, &summary, recent);
	reader->take(&row, reader->state);
}

/* As far back as prediction looks for buckets that stand for runs. */
static double
oldest_bucket(const Reader *reader, double at)
{
	return at - (double) PGAML_RECENT_BUCKETS * reader->set->bucket_width;
}

static void
replay_sample(Reader *reader, Event *event)
{
	double		log_ms = log(Max(event->ms, LEAST_MS));

	end_runs(reader, event->at);
	if (reader->restored_at > 0.0)
		pgaml_runs_forget(&reader->runs, Min(nextafter(reader->restored_at, INFINITY), oldest_bucket(reader, event->at)));
	add_row(reader, event, log_ms, true);
	event->run.log_ms = log_ms;
	event->run.at = event->at + event->ms / 1000.0;
	start_run(reader, &event->run);
}

static void
replay_bucket(Reader *reader, Event *event)
{
	if ((!reader->captured || event->restored) && event->ms > 0.0)
	{
		double		mean = event->ms / event->calls;
		double		cv = sqrt(Max(event->squares / event->calls - mean * mean, 0.0)) / mean;
		double		log_ms = pgaml_log_median(mean, cv);

		event->run.sigma = pgaml_log_sigma(cv);
		pgaml_runs_forget(&reader->runs, oldest_bucket(reader, event->at));
		/* A captured plan is the last one; a bucket does not know which plan it ran. */
		event->plan_values = reader->statement ? reader->statement->plan_values : NULL;
		add_row(reader, event, log_ms, false);
		event->run.log_ms = log_ms;
		pgaml_runs_push(&reader->runs, &event->run);
		if (event->restored)
			reader->restored_at = event->at;
	}
	if (event->width == reader->set->bucket_width)
		pgaml_calls_push(&reader->calls, (int64) floor(event->at / event->width) - 1, event->calls);
	else
		pgaml_calls_restart(&reader->calls, (int64) ceil(event->at / reader->set->bucket_width));
}

/* Columns: queryid, at, kind, plan, ms, squares, calls, rows, hit, read, active, plan_facts, width, restored */
static bool
event_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Reader	   *reader = state;
	int64		queryid = pgaml_row_int8(tuple, desc, 1, 0);
	double		hit = pgaml_row_float8(tuple, desc, 9);
	double		blocks = hit + pgaml_row_float8(tuple, desc, 10);
	void	   *plan_values;
	Event		event;

	if (queryid != reader->queryid)
		next_statement(reader, queryid);
	memset(&event, 0, sizeof(event));
	event.kind = (EventKind) pgaml_row_int8(tuple, desc, 3, 0);
	event.at = pgaml_row_seconds(tuple, desc, 2);
	event.plan = pgaml_row_int8(tuple, desc, 4, 0);
	event.ms = pgaml_row_float8(tuple, desc, 5);
	event.squares = pgaml_row_float8(tuple, desc, 6);
	event.calls = pgaml_row_float8(tuple, desc, 7);
	event.run.at = event.at;
	event.run.plan = event.plan;
	event.run.rows = pgaml_row_float8(tuple, desc, 8) / event.calls;
	event.run.hit_ratio = blocks > 0.0 ? hit / blocks : get_float4_nan();
	event.run.active = pgaml_row_float8(tuple, desc, 11);
	if (pgaml_row_array(tuple, desc, 12, FLOAT4OID, &plan_values) == PGAML_PF_COUNT)
		event.plan_values = plan_values;
	event.width = pgaml_row_int8(tuple, desc, 13, 0);
	event.restored = pgaml_row_int8(tuple, desc, 14, 0) != 0;
	event.run.cost = event.plan_values ? event.plan_values[PGAML_PF_LOG_COST] : get_float4_nan();
	event.run.plan_rows = event.plan_values ? event.plan_values[PGAML_PF_LOG_ROWS] : get_float4_nan();
	if (event.kind == EVENT_SAMPLE)
		replay_sample(reader, &event);
	else
		replay_bucket(reader, &event);
	return true;
}

/* Captured executions e of the window $1..$3 whose statement has its text, or waits for it. */
#define SAMPLES_OF(what) \
	"pganalytics.execution_samples e " \
	" WHERE e.sampled_at >= $1 AND e.sampled_at < $3 AND e.outcome = 'done' " \
	"   AND EXISTS (SELECT 1 FROM pganalytics.statements s WHERE s.queryid = e.queryid AND s.plannable IS " what \
	"               AND s.origin = (SELECT i.origin FROM pganalytics.installation i)) "

static void
read_events(Reader *reader, const PgamlWindow *window, bool read_only)
{
	static const char sql[] =
		"SELECT e.queryid, e.sampled_at - e.execution_ms * interval '1 millisecond' AS at, 1::int8 AS kind, e.plan_id, e.execution_ms, NULL::float8, "
		"       1::float8, e.rows::float8, e.shared_blks_hit::float8, e.shared_blks_read::float8, "
		"       e.active_backends::float8, e.plan_facts, 0::int8, 0::int8, e.session_id, e.transaction_no, e.place "
		"  FROM " SAMPLES_OF("TRUE")
		"UNION ALL "
		"SELECT h.queryid, h.bucket_start + h.bucket_width * interval '1 second', 0, 0, h.total_ms, h.sum_squares, h.calls, "
		"       h.rows, h.shared_blks_hit, h.shared_blks_read, NULL, NULL, h.bucket_width::int8, h.restored::int4::int8, 0, 0, 0 "
		"  FROM pganalytics.history_buckets($2, $1, $3) h WHERE h.plannable "
		" ORDER BY 1, 2, 3, 15, 16, 17, 4, 5";
	Oid			types[] = {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3];

	values[0] = TimestampTzGetDatum(window->since);
	values[1] = Int32GetDatum(reader->set->bucket_width);
	values[2] = TimestampTzGetDatum(window->until);
	pgaml_spi_each(sql, 3, types, values, NULL, read_only, event_row, reader);
}

/* Buckets h likewise; those of a captured statement count only where a restore brought them. */
#define BUCKETS_OF(what) \
	"pganalytics.joined_history h " \
	" WHERE h.bucket_start >= $1 AND h.bucket_start <= $3 - h.bucket_width * interval '1 second'" \
	"   AND h.queryid <> 0 AND h.plannable IS " what \
	"   AND (h.restored OR NOT EXISTS (SELECT 1 FROM pganalytics.statement_recent r WHERE r.queryid = h.queryid)) "

/* Only narrower buckets, few as a rule, need to be grouped to be counted. */
#define NARROWER	"(h.bucket_width < $2 AND $2 % h.bucket_width = 0)"

#define COUNT_SQL(what) \
	"SELECT sum(n)::int8, min(first) FROM (" \
	"  SELECT count(*) AS n, min(e.sampled_at) AS first FROM " SAMPLES_OF(what) \
	"  UNION ALL " \
	"  SELECT count(*), min(h.bucket_start) FROM " BUCKETS_OF(what) " AND NOT " NARROWER \
	"  UNION ALL " \
	"  SELECT count(*), min(b.first) FROM (" \
	"    SELECT min(h.bucket_start) AS first FROM " BUCKETS_OF(what) " AND " NARROWER \
	"     GROUP BY h.queryid, date_bin($2 * interval '1 second', h.bucket_start, '2000-01-01 00:00:00+00')) b) c"

static int64
count_rows(const char *sql, const PgamlWindow *window, int bucket_width, bool read_only, TimestampTz *first)
{
	Oid			types[] = {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID};
	Datum		values[3];
	Datum		value;
	bool		isnull;

	values[0] = TimestampTzGetDatum(Max(window->since, window->from));
	values[1] = Int32GetDatum(bucket_width);
	values[2] = TimestampTzGetDatum(window->until);
	pgaml_spi_exec(sql, 3, types, values, NULL, read_only);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	*first = isnull ? 0 : DatumGetTimestampTz(value);
	return pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}

int64
pgaml_replay_count(const PgamlWindow *window, int bucket_width, bool read_only, TimestampTz *first)
{
	return count_rows(COUNT_SQL("TRUE"), window, bucket_width, read_only, first);
}

int64
pgaml_replay_waiting(const PgamlWindow *window, int bucket_width, bool read_only, TimestampTz *first)
{
	return count_rows(COUNT_SQL("NULL"), window, bucket_width, read_only, first);
}

int64
pgaml_replay(const PgamlStatementSet *set, const PgamlWindow *window, int keep_every, bool read_only,
			 PgamlTakeRow take, void *state, int32 *ngroups)
{
	Reader		reader = {
		.set = set, .take = take, .state = state, .keep_every = keep_every,
		.since = (double) window->since / USECS_PER_SEC, .from = (double) window->from / USECS_PER_SEC,
		.pending_room = 16
	};

	reader.pending = palloc(sizeof(PgamlRun) * reader.pending_room);
	read_memory(&reader, window->since, read_only);
	read_events(&reader, window, read_only);
	pfree(reader.memory);
	pfree(reader.pending);
	*ngroups = reader.group + 1;
	return reader.seen;
}
