/*-------------------------------------------------------------------------
 * store.c
 *		Writes what a tick found: growth, and who ran what.
 *
 * Entries come sorted by queryid and toplevel.  Everything goes through arrays, one
 * statement per table.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/batch.h"
#include "base/guc.h"
#include "base/spi_run.h"
#include "history/history_internal.h"

/* Queryid under which statements beyond max_statements are summed. */
#define OTHERS			INT64CONST(0)

#define SEEN_UPKEEP		(3600 * USECS_PER_SEC)	/* last_seen is this exact */

/* A queryid that has no row in statements yet. */
typedef struct Candidate
{
	int64		queryid;
	int64		calls;			/* in all */
	int			first;			/* its entries: first .. first + n - 1 */
	int			n;
	bool		kept;
	bool		plannable;		/* known to be */
} Candidate;

/*
 * ADMISSION: which queryids get a row of their own.
 */

static int
candidates_of(HistoryEntry *entries, int n, Candidate *out)
{
	int			m = 0;

	for (int i = 0; i < n; i++)
	{
		if (!entries[i].present || entries[i].kept)
			continue;
		if (m == 0 || out[m - 1].queryid != entries[i].queryid)
			out[m++] = (Candidate)
		{
			.queryid = entries[i].queryid,.first = i
		};
		out[m - 1].calls += entries[i].is.count[HISTORY_CALLS];
		out[m - 1].n = i - out[m - 1].first + 1;
	}
	return m;
}

static int
candidate_by_queryid(const void *a, const void *b)
{
	int64		x = ((const Candidate *) a)->queryid;
	int64		y = ((const Candidate *) b)->queryid;

	return x < y ? -1 : x > y;
}

static int
candidate_by_calls(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->calls != y->calls)
		return x->calls > y->calls ? -1 : 1;
	return candidate_by_queryid(a, b);
}

/* Candidates that have a row after all, from another user, level or time. */
static void
find_kept(const CollectorState *state, Candidate *candidates, int m)
{
	static const Oid types[] = {INT8OID};
	Oid			origin_type = UUIDOID;
	Datum		origin = UUIDPGetDatum(&state->origin);
	PgamlBatch	batch;

	pgaml_batch_init(&batch, 1, types);
	for (int i = 0; i < m; i++)
	{
		Datum		queryid = Int64GetDatum(candidates[i].queryid);

		pgaml_batch_add(&batch, &queryid, NULL);
	}
	pgaml_batch_exec(&batch, "SELECT s.queryid, s.plannable FROM pganalytics.statements s"
					 " WHERE s.queryid = ANY ($1) AND s.origin = $2", 1, &origin_type, &origin);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		values[2];
		bool		nulls[2];
		Candidate	key = {0};
		Candidate  *found;

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		key.queryid = DatumGetInt64(values[0]);
		found = bsearch(&key, candidates, m, sizeof(Candidate), candidate_by_queryid);
		if (found == NULL)
			continue;
		found->kept = true;
		found->plannable = !nulls[1] && DatumGetBool(values[1]);
	}
}

/* Rows that max_statements still has room for; utility statements do not count. */
static int64
room_for_statements(const CollectorState *state)
{
	Oid			type = UUIDOID;
	Datum		origin = UUIDPGetDatum(&state->origin);
	bool		isnull;

	pgaml_spi_exec("SELECT count(*) FROM pganalytics.statements"
				   " WHERE origin = $1 AND plannable IS DISTINCT FROM false",
				   1, &type, &origin, NULL, false);
	return pgaml_max_statements -
		DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

/* The busiest newcomers first. */
static void
admit(const CollectorState *state, HistoryEntry *entries, int n)
{
	Candidate  *candidates = palloc_extended(sizeof(Candidate) * Max(n, 1), MCXT_ALLOC_HUGE);
	int			m = candidates_of(entries, n, candidates);
	int64		room;

	if (m == 0)
		return;
	find_kept(state, candidates, m);
	room = room_for_statements(state);
	qsort(candidates, m, sizeof(Candidate), candidate_by_calls);
	for (int i = 0; i < m; i++)
	{
		Candidate  *c = &candidates[i];

		if (!c->kept && room > 0)
		{
			c->kept = true;
			room--;
		}
		for (int j = c->first; j < c->first + c->n; j++)
		{
			if (!entries[j].present || !c->kept)
				continue;
			entries[j].touch = !entries[j].kept;
			entries[j].kept = true;
			/* A nested entry may be the inner query of EXPLAIN: its own text must tell. */
			if (c->plannable && entries[j].toplevel)
				entries[j].known = entries[j].plannable = true;
		}
	}
}

/*
 * Decides which entries are kept, and writes statements and statement_users
 * for those that are new or whose last_seen is more than an hour old.
 */
void
pgaml_history_store_statements(const CollectorState *state, HistoryEntry *entries, int n, TimestampTz now)
{
	static const Oid types[] = {INT8OID, OIDOID};
	Oid			scalar_types[] = {TIMESTAMPTZOID, UUIDOID};
	Datum		scalars[] = {TimestampTzGetDatum(now), UUIDPGetDatum(&state->origin)};
	PgamlBatch	batch;

	admit(state, entries, n);
	pgaml_batch_init(&batch, lengthof(types), types);
	for (int i = 0; i < n; i++)
	{
		HistoryEntry *entry = &entries[i];
		Datum		row[] = {Int64GetDatum(entry->queryid), ObjectIdGetDatum(entry->userid)};

		if (!entry->present || !entry->kept)
			continue;
		entry->touch = entry->touch || now - entry->seen_at >= SEEN_UPKEEP;
		if (entry->touch)
			pgaml_batch_add(&batch, row, NULL);
	}
	pgaml_batch_exec(&batch,
					 "INSERT INTO pganalytics.statements AS s (queryid, origin, first_seen, last_seen)"
					 " SELECT DISTINCT e.queryid, $4, $3, $3 FROM unnest($1, $2) AS e(queryid, userid)"
					 " ON CONFLICT (queryid, origin) DO UPDATE SET last_seen = excluded.last_seen",
					 lengthof(scalar_types), scalar_types, scalars);
	pgaml_batch_exec(&batch,
					 "UPDATE pganalytics.statement_users u SET last_seen = $3"
					 " FROM (SELECT DISTINCT e.queryid, e.userid FROM unnest($1, $2) AS e(queryid, userid)) e"
					 " WHERE u.queryid = e.queryid AND u.userid = e.userid AND u.last_seen < $3",
					 1, scalar_types, scalars);
	pgaml_batch_exec(&batch,
					 "INSERT INTO pganalytics.statement_users"
					 " (userid, queryid, search_path_hash, first_seen, last_seen)"
					 " SELECT DISTINCT e.userid, e.queryid, 0, $3, $3 FROM unnest($1, $2) AS e(queryid, userid)"
					 " WHERE NOT EXISTS (SELECT FROM pganalytics.statement_users u"
					 " WHERE u.queryid = e.queryid AND u.userid = e.userid)"
					 " ON CONFLICT (queryid, userid, search_path_hash) DO NOTHING",
					 1, scalar_types, scalars);
}

/*
 * GROWTH
 */

/* Columns of statement_history that carry growth; it has no plans. */
static const HistoryCount history_counts[] = {
	HISTORY_CALLS, HISTORY_ROWS, HISTORY_SHARED_HIT, HISTORY_SHARED_READ, HISTORY_SHARED_DIRTIED,
	HISTORY_SHARED_WRITTEN, HISTORY_TEMP_READ, HISTORY_TEMP_WRITTEN, HISTORY_WAL_BYTES
};

#define GROWTH_COLUMNS	(2 + lengthof(history_counts) + HISTORY_TIMES)

static const Oid growth_types[GROWTH_COLUMNS] = {
	INT8OID, BOOLOID,
	INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
	FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID, FLOAT8OID
};

#define GROWTH_NAMES "queryid, toplevel, calls, rows, shared_blks_hit, shared_blks_read," \
	" shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, wal_bytes," \
	" total_ms, sum_squares, plan_ms, blk_read_ms, blk_write_ms"

#define GROWTH_ROWS "unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)" \
	" AS g(" GROWTH_NAMES ")"

/* CAUTION: no join with the table, whose statistics may be far from the truth: ON CONFLICT goes by key whatever they say. */
static const char growth_upsert[] =
"INSERT INTO pganalytics.statement_history AS h (" GROWTH_NAMES ", bucket_start, bucket_width, origin)"
" SELECT g.*, $17, $18, $19 FROM " GROWTH_ROWS
" ON CONFLICT (queryid, bucket_start, toplevel, bucket_width, origin) DO UPDATE SET"
" calls = h.calls + excluded.calls,"
" rows = h.rows + excluded.rows,"
" shared_blks_hit = h.shared_blks_hit + excluded.shared_blks_hit,"
" shared_blks_read = h.shared_blks_read + excluded.shared_blks_read,"
" shared_blks_dirtied = h.shared_blks_dirtied + excluded.shared_blks_dirtied,"
" shared_blks_written = h.shared_blks_written + excluded.shared_blks_written,"
" temp_blks_read = h.temp_blks_read + excluded.temp_blks_read,"
" temp_blks_written = h.temp_blks_written + excluded.temp_blks_written,"
" wal_bytes = h.wal_bytes + excluded.wal_bytes,"
" total_ms = h.total_ms + excluded.total_ms,"
" sum_squares = h.sum_squares + excluded.sum_squares,"
" plan_ms = h.plan_ms + excluded.plan_ms,"
" blk_read_ms = h.blk_read_ms + excluded.blk_read_ms,"
" blk_write_ms = h.blk_write_ms + excluded.blk_write_ms";

static void
add_growth(PgamlBatch *batch, int64 queryid, bool toplevel, const HistoryCounters *sum)
{
	Datum		row[GROWTH_COLUMNS];
	int			c = 0;

	if (sum->count[HISTORY_CALLS] <= 0)
		return;
	row[c++] = Int64GetDatum(queryid);
	row[c++] = BoolGetDatum(toplevel);
	for (int i = 0; i < lengthof(history_counts); i++)
		row[c++] = Int64GetDatum(sum->count[history_counts[i]]);
	for (int i = 0; i < HISTORY_TIMES; i++)
		row[c++] = Float8GetDatum(sum->time[i]);
	pgaml_batch_add(batch, row, NULL);
}

static bool
has_growth(const HistoryEntry *entry)
{
	return entry->present && entry->verdict != HISTORY_SAME &&
		entry->growth.count[HISTORY_CALLS] > 0 &&
		(!entry->known || entry->plannable);
}

/* Sum over users; what is not kept goes to OTHERS. Returns calls. */
static int64
sum_growth(PgamlBatch *batch, const HistoryEntry *entries, int n)
{
	HistoryCounters others[2] = {0};
	HistoryCounters sum = {0};
	int64		calls = 0;

	for (int i = 0; i < n; i++)
	{
		const HistoryEntry *entry = &entries[i];
		bool		last = i + 1 == n || entries[i + 1].queryid != entry->queryid ||
			entries[i + 1].toplevel != entry->toplevel;

		if (has_growth(entry))
		{
			calls += entry->growth.count[HISTORY_CALLS];
			pgaml_history_core_add(entry->kept ? &sum : &others[entry->toplevel], &entry->growth);
		}
		if (last)
		{
			add_growth(batch, entry->queryid, entry->toplevel, &sum);
			memset(&sum, 0, sizeof(sum));
		}
	}
	add_growth(batch, OTHERS, false, &others[false]);
	add_growth(batch, OTHERS, true, &others[true]);
	return calls;
}

/* Adds the growth of entries to their bucket; returns the calls added. */
int64
pgaml_history_store_growth(const CollectorState *state, const HistoryEntry *entries,
						   int n, TimestampTz bucket, int width)
{
	Oid			scalar_types[] = {TIMESTAMPTZOID, INT4OID, UUIDOID};
	Datum		scalars[] = {
		TimestampTzGetDatum(bucket), Int32GetDatum(width), UUIDPGetDatum(&state->origin)
	};
	PgamlBatch	batch;
	int64		calls;

	pgaml_batch_init(&batch, GROWTH_COLUMNS, growth_types);
	calls = sum_growth(&batch, entries, n);
	pgaml_batch_exec(&batch, growth_upsert, lengthof(scalar_types), scalar_types, scalars);
	return calls;
}
