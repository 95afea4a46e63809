/*-------------------------------------------------------------------------
 * slowdown_read.c
 *		Reads what was captured of a statement before and since a moment.
 *
 * The window before is as long as the one since, in whole days so that every
 * hour of the day counts the same, one day at least and 14 at most; where it
 * holds too few executions it reaches back as far as samples are kept.  Of
 * more than PGAML_SLOW_MOST executions of a window every k-th is taken.
 *
 * Who does not read everything (pg_read_all_stats) is told of his own
 * executions only; history, which does not say who ran a statement, counts
 * for him where nobody else ran it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "base/acl.h"
#include "base/clock.h"
#include "base/spi_run.h"
#include "observe/slowdown.h"
#include "predict/by_plan.h"

#define LEAST_DAYS		1
#define MOST_DAYS		14
#define NEWEST			20000	/* executions of a window that are read */
#define PLANS_SEEN		256		/* plans counted; what comes after them is rare */
#define COST_ELASTICITY 0.8		/* log ms per log cost, where there is no model */
#define COST_SPREAD		1.2		/* log */
#define LEAST_SPREAD	0.4		/* log; how well a model knows a plan at best */
#define MOST_SPREAD		1.5

#define PARAMETERS		4

/* $1 queryid, $2 since, $3 start of the window before, $4 whose executions (NULL: everybody's) */
static const Oid parameter_types[PARAMETERS] = {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, OIDOID};

typedef struct Reader
{
	PgamlSlowEvidence *out;
	Datum		values[PARAMETERS];
	char		nulls[PARAMETERS];
	PgamlSlowPlanSeen *seen;	/* PLANS_SEEN */
	int			nseen;
} Reader;

static const char visible_sql[] =
"SELECT bool_or(u.userid = $4 OR $4 IS NULL) "
"FROM (SELECT userid FROM pganalytics.statement_users WHERE queryid = $1 "
"      UNION ALL (SELECT userid FROM pganalytics.execution_samples WHERE queryid = $1 "
"                 AND ($4 IS NULL OR userid = $4) LIMIT 1)) u "
"WHERE $2 IS NOT NULL AND $3 IS NOT NULL";

static const char relations_sql[] =
"SELECT relations FROM pganalytics.statement_users WHERE queryid = $1 AND relations IS NOT NULL "
" AND (userid = $4 OR $4 IS NULL) AND $2 IS NOT NULL AND $3 IS NOT NULL ORDER BY plan_seen DESC NULLS LAST LIMIT 1";

static const char count_sql[] =
"SELECT count(*)::float8 FROM (SELECT FROM pganalytics.execution_samples s "
" WHERE s.queryid = $1 AND s.sampled_at < $2 AND s.sampled_at >= $3 AND s.outcome = 'done' "
"  AND s.execution_ms > 0 AND (s.userid = $4 OR $4 IS NULL) LIMIT " CppAsString2(PGAML_SLOW_LEAST) ") s";

/* An execution belongs to the window in which it ended. */
#define NEWEST_OF(window) \
	"(SELECT s.* FROM pganalytics.execution_samples s WHERE s.queryid = $1 AND " window \
	" AND s.outcome = 'done' AND s.execution_ms > 0 AND (s.userid = $4 OR $4 IS NULL) " \
	" ORDER BY s.sampled_at DESC LIMIT " CppAsString2(NEWEST) ")"

static const char runs_sql[] =
"SELECT r.is_after, r.execution_ms, r.weight::float8, r.rows::float8, (r.shared_blks_hit + r.shared_blks_read)::float8, "
" r.shared_blks_read::float8, r.blk_read_ms, (r.temp_blks_read + r.temp_blks_written)::float8, "
" r.active_backends::float8, r.plan_id, r.plan_facts, r.in_window "
"FROM (SELECT b.*, b.sampled_at >= $2 AS is_after, count(*) OVER w AS in_window, "
"       row_number() OVER (PARTITION BY b.sampled_at >= $2 ORDER BY b.sampled_at DESC) AS turn "
"      FROM (" NEWEST_OF("s.sampled_at < $2 AND s.sampled_at >= $3") " UNION ALL "
NEWEST_OF("s.sampled_at >= $2") ") b WINDOW w AS (PARTITION BY b.sampled_at >= $2)) r "
"WHERE (r.turn - 1) % ((r.in_window + " CppAsString2(PGAML_SLOW_MOST) " - 1) / " CppAsString2(PGAML_SLOW_MOST) ") = 0 "
"ORDER BY r.sampled_at";

/* Calls of a bucket whose width holds the moment belong to neither. */
static const char totals_sql[] =
"SELECT h.bucket_start >= $2, sum(h.calls)::float8, sum(h.total_ms) / sum(h.calls)::float8, "
" count(DISTINCT h.bucket_start) * max(h.bucket_width) / 3600.0::float8, "
" avg(coalesce((SELECT min(c.coverage) FROM pganalytics.bucket_coverage c WHERE c.origin = h.origin "
"               AND c.bucket_start = h.bucket_start AND c.bucket_width = h.bucket_width), 1))::float8 "
"FROM pganalytics.statement_history h "
"WHERE h.queryid = $1 AND h.origin = (SELECT i.origin FROM pganalytics.installation i) AND h.bucket_start >= $3 "
" AND (h.bucket_start >= $2 OR h.bucket_start + h.bucket_width * interval '1 second' <= $2) "
" AND NOT EXISTS (SELECT FROM pganalytics.statement_users u WHERE u.queryid = $1 AND u.userid <> $4) "
"GROUP BY 1";

/* ---- plans ---- */

static PgamlSlowPlanSeen *
find_plan(Reader *reader, int64 plan_id)
{
	for (int i = 0; i < reader->nseen; i++)
		if (reader->seen[i].plan_id == plan_id)
			return &reader->seen[i];
	if (reader->nseen == PLANS_SEEN)
		return NULL;
	reader->seen[reader->nseen].plan_id = plan_id;
	return &reader->seen[reader->nseen++];
}

static void
count_plan(Reader *reader, HeapTuple tuple, TupleDesc desc, const PgamlSlowRun *run, int64 plan_id)
{
	PgamlSlowPlanSeen *plan = find_plan(reader, plan_id);
	void	   *values;

	if (plan == NULL)
		return;
	plan->weight[run->after] += run->weight;
	if (pgaml_row_array(tuple, desc, 11, FLOAT4OID, &values) != PGAML_PF_COUNT)
		values = NULL;
	for (int f = 0; f < PGAML_PF_COUNT; f++)
		plan->sum[f] += values != NULL ? run->weight * ((float *) values)[f] : get_float8_nan();
}

/* Larger share of a window first, then by id. */
static int
compare_plans(const void *a, const void *b)
{
	const PgamlSlowPlanSeen *x = a;
	const PgamlSlowPlanSeen *y = b;
	double		x_most = Max(x->weight[0], x->weight[1]);
	double		y_most = Max(y->weight[0], y->weight[1]);

	if (x_most != y_most)
		return x_most > y_most ? -1 : 1;
	return x->plan_id < y->plan_id ? -1 : 1;
}

/* Weights become shares of their window; the common plans stay, the others are one. */
static void
choose_plans(Reader *reader)
{
	PgamlSlowEvidence *out = reader->out;
	double		all[2] = {0.0, 0.0};

	for (int i = 0; i < reader->nseen; i++)
		for (int w = 0; w < 2; w++)
			all[w] += reader->seen[i].weight[w];
	for (int i = 0; i < reader->nseen; i++)
		for (int w = 0; w < 2; w++)
			if (all[w] > 0.0)
				reader->seen[i].weight[w] /= all[w];
	qsort(reader->seen, reader->nseen, sizeof(PgamlSlowPlanSeen), compare_plans);
	out->nplans = Min(reader->nseen, PGAML_SLOW_PLANS);
	memcpy(out->plans, reader->seen, out->nplans * sizeof(PgamlSlowPlanSeen));
	if (reader->nseen <= PGAML_SLOW_PLANS)
		return;
	out->plans[PGAML_SLOW_PLANS - 1].plan_id = 0;
	for (int i = PGAML_SLOW_PLANS; i < reader->nseen; i++)
	{
		for (int w = 0; w < 2; w++)
			out->plans[PGAML_SLOW_PLANS - 1].weight[w] += reader->seen[i].weight[w];
		for (int f = 0; f < PGAML_PF_COUNT; f++)
			out->plans[PGAML_SLOW_PLANS - 1].sum[f] += reader->seen[i].sum[f];
	}
}

static int32
place_of(const PgamlSlowEvidence *evidence, int64 plan_id)
{
	for (int i = 0; i < evidence->nplans; i++)
		if (evidence->plans[i].plan_id == plan_id)
			return i;
	return evidence->nplans - 1;
}

/* ---- reading ---- */

typedef struct Runs
{
	Reader	   *reader;
	int64	   *plan_ids;
} Runs;

static bool
bool_column(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static bool
run_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Runs	   *runs = state;
	PgamlSlowEvidence *out = runs->reader->out;
	PgamlSlowRun *run = &out->runs[out->n];
	void	   *values;

	if (out->n >= 2 * PGAML_SLOW_MOST)
		return false;
	memset(run, 0, sizeof(*run));
	run->after = bool_column(tuple, desc, 1);
	run->ms = pgaml_row_float8(tuple, desc, 2);
	run->weight = pgaml_row_float8(tuple, desc, 3);
	run->rows = pgaml_row_float8(tuple, desc, 4);
	run->blocks = pgaml_row_float8(tuple, desc, 5);
	run->reads = pgaml_row_float8(tuple, desc, 6);
	run->io_ms = run->reads == 0.0 ? 0.0 : pgaml_row_float8(tuple, desc, 7);
	run->temp = pgaml_row_float8(tuple, desc, 8);
	run->active = pgaml_row_float8(tuple, desc, 9);
	runs->plan_ids[out->n] = pgaml_row_int8(tuple, desc, 10, 0);
	run->work = get_float8_nan();
	if (pgaml_row_array(tuple, desc, 11, FLOAT4OID, &values) == PGAML_PF_COUNT)
		run->work = expm1(((float *) values)[PGAML_PF_LOG_LOOPED_ROWS]);
	out->captured[run->after] = pgaml_row_int8(tuple, desc, 12, 0);
	count_plan(runs->reader, tuple, desc, run, runs->plan_ids[out->n]);
	out->n++;
	return true;
}

static void
read_runs(Reader *reader)
{
	PgamlSlowEvidence *out = reader->out;
	Runs		runs = {.reader = reader};

	runs.plan_ids = palloc(sizeof(int64) * 2 * PGAML_SLOW_MOST);
	pgaml_spi_each(runs_sql, PARAMETERS, parameter_types, reader->values, reader->nulls, true, run_row, &runs);
	choose_plans(reader);
	for (int64 i = 0; i < out->n; i++)
		out->runs[i].plan = place_of(out, runs.plan_ids[i]);
}

static bool
totals_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Reader	   *reader = state;
	PgamlSlowTotals *totals = &reader->out->totals[(int) bool_column(tuple, desc, 1)];

	totals->calls = pgaml_row_float8(tuple, desc, 2);
	totals->mean_ms = pgaml_row_float8(tuple, desc, 3);
	totals->hours = pgaml_row_float8(tuple, desc, 4);
	totals->coverage = pgaml_row_float8(tuple, desc, 5);
	return true;
}

static bool
relations_row(HeapTuple tuple, TupleDesc desc, void *state)
{
	Reader	   *reader = state;
	void	   *relations;
	int			n = Min(pgaml_row_array(tuple, desc, 1, OIDOID, &relations), PGAML_MAX_RELATIONS);

	memcpy(reader->out->relations, relations, n * sizeof(Oid));
	reader->out->nrelations = n;
	return true;
}

static uint64
run(Reader *reader, const char *sql)
{
	return pgaml_spi_exec(sql, PARAMETERS, parameter_types, reader->values, reader->nulls, true);
}

/* Where the window before begins. */
static TimestampTz
window_start(TimestampTz since, TimestampTz now)
{
	int64		days = MOST_DAYS;

	if (TIMESTAMP_IS_NOBEGIN(since))
		return since;
	if (since > now - MOST_DAYS * USECS_PER_DAY)
		days = (now - since + USECS_PER_DAY - 1) / USECS_PER_DAY;
	days = Min(Max(days, LEAST_DAYS), MOST_DAYS);
	return since - days * USECS_PER_DAY;
}

void
pgaml_slow_read(int64 queryid, TimestampTz since, PgamlSlowEvidence *out)
{
	Reader		reader = {.out = out};
	PgamlSpi	spi;

	memset(out, 0, sizeof(*out));
	out->since = since;
	out->until = pgaml_clock_now();
	out->from = window_start(since, out->until);
	out->runs = palloc(sizeof(PgamlSlowRun) * 2 * PGAML_SLOW_MOST);
	reader.seen = palloc0(sizeof(PgamlSlowPlanSeen) * PLANS_SEEN);
	reader.values[0] = Int64GetDatum(queryid);
	reader.values[1] = TimestampTzGetDatum(since);
	reader.values[2] = TimestampTzGetDatum(out->from);
	reader.values[3] = ObjectIdGetDatum(GetUserId());
	memset(reader.nulls, ' ', PARAMETERS);
	if (pgaml_acl_reads_all(GetUserId()))
		reader.nulls[3] = 'n';

	pgaml_spi_open(&spi);
	if (run(&reader, visible_sql) > 0)
		out->visible = bool_column(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (out->visible)
	{
		if (run(&reader, count_sql) > 0 &&
			pgaml_row_float8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) < PGAML_SLOW_LEAST)
		{
			out->from = DT_NOBEGIN;
			reader.values[2] = TimestampTzGetDatum(out->from);
		}
		read_runs(&reader);
		pgaml_spi_each(totals_sql, PARAMETERS, parameter_types, reader.values, reader.nulls, true, totals_row, &reader);
		pgaml_spi_each(relations_sql, PARAMETERS, parameter_types, reader.values, reader.nulls, true, relations_row, &reader);
	}
	pgaml_spi_close(&spi);
}

/* ---- what plans like these take ---- */

static bool
expect_plan(const PgamlSlowEvidence *evidence, PgamlSlowPlanSeen *plan, PgamlSlowPlan *expected)
{
	PgamlPlanFacts facts = {.plan_id = plan->plan_id, .nrelations = evidence->nrelations};
	PgamlPrediction prediction;

	memcpy(facts.relations, evidence->relations, sizeof(facts.relations));
	for (int f = 0; f < PGAML_PF_COUNT; f++)
		facts.values[f] = (float) plan->sum[f];
	/* not as an execution of this statement: what its runs took is what is to be explained */
	pgaml_predict_plan(&facts, 0, 0.9, false, &prediction);
	if (prediction.source == ML_SOURCE_NONE || !(prediction.predicted_ms > 0.0))
		return false;
	plan->predicted_ms = prediction.predicted_ms;
	expected->expected = log(prediction.predicted_ms);
	expected->spread = (log(Max(prediction.upper_ms, 1e-6)) - log(Max(prediction.lower_ms, 1e-6))) / 3.29;
	expected->spread = isnan(expected->spread) ? MOST_SPREAD : Min(Max(expected->spread, LEAST_SPREAD), MOST_SPREAD);
	return true;
}

bool
pgaml_slow_expect(PgamlSlowEvidence *evidence, PgamlSlowPlan *expected)
{
	double		weight[PGAML_SLOW_PLANS] = {0};
	bool		by_model = true;

	for (int64 i = 0; i < evidence->n; i++)
		weight[evidence->runs[i].plan] += evidence->runs[i].weight;
	for (int p = 0; p < evidence->nplans; p++)
	{
		PgamlSlowPlanSeen *plan = &evidence->plans[p];

		plan->predicted_ms = get_float8_nan();
		for (int f = 0; f < PGAML_PF_COUNT; f++)
			plan->sum[f] /= weight[p];
		by_model = by_model && expect_plan(evidence, plan, &expected[p]);
	}
	for (int p = 0; p < evidence->nplans && !by_model; p++)
	{
		evidence->plans[p].predicted_ms = get_float8_nan();
		expected[p].expected = COST_ELASTICITY * evidence->plans[p].sum[PGAML_PF_LOG_COST];
		expected[p].spread = COST_SPREAD;
	}
	return by_model;
}
