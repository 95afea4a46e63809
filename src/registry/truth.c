/*-------------------------------------------------------------------------
 * truth.c
 *		What came true of the predictions that were logged?
 *
 * A prediction's truth is the captured execution of its statement that began
 * first at or after it.  Where none was captured, the first complete bucket of
 * history after it with calls gives the median that training reads out of a
 * bucket; it is marked, because a bucket's median says nothing about the
 * interval of a single execution.
 *
 * A prediction that was made from an execution's own plan is about executions
 * with that plan at that cost, for others have other parameters: the first of
 * them is its truth.  Buckets say nothing of it.
 *
 * Statements are taken in turn: those with a waiting prediction that is older
 * than their newest captured execution, and, once per bucket, those with calls
 * in it.  What found no truth in EXPIRE_DAYS is looked at no more.
 *
 * However often a statement was predicted before one execution, that execution
 * is judged once for each model: the newest prediction is marked as judged,
 * the others get their truth and are left out of accuracy and drift.
 *
 * Decisions of the guard (predict/guard.c) are not judged with the others: only
 * those that were thought too long are there.  What was cancelled has no truth.
 *
 * An execution that takes longer than collect_interval becomes known after
 * later, shorter ones.  So what began after an execution that is still under
 * way is not taken yet.  Of nested statements nobody can see that they are
 * under way; there the later one may be taken for the truth.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/spi_run.h"
#include "registry/truth.h"

#define EXPIRE_DAYS			7
#define BATCH_STATEMENTS	500 /* statements matched by one SQL statement */
#define SAME_COST			"0.02"	/* ln; plans of one shape that differ by less count as the same */
#define LATE				"5 minutes"	/* executions and predictions come to their tables after they were made */

/* Who validates by hand holds a row until his transaction ends: leave it to him. */
#define WAITING_BEFORE(moment, previous) \
	"SELECT p.prediction_id, p.model_id FROM pganalytics.predictions p " \
	" WHERE p.queryid = r.queryid AND p.actual_ms IS NULL AND p.plan_cost IS NULL AND p.predicted_at >= $1 " \
	"   AND p.predicted_at <= " moment " AND p.predicted_at > coalesce(" previous ", '-infinity') " \
	" FOR UPDATE SKIP LOCKED"

#define SET_ACTUAL(source) \
	"UPDATE pganalytics.predictions p SET actual_ms = t.ms, actual_source = '" source "', " \
	" actual_at = t.moment, matched_at = $2, judged = t.newest AND p.guard IS NULL, " \
	" log_error = ln(greatest(t.ms, 0.0001) / greatest(p.predicted_ms, 0.0001)) " \
	"FROM truth t WHERE p.prediction_id = t.prediction_id RETURNING 1"

/* $1 expiry, $2 now, $3 the queryid after which to go on, $4 statements */
static const char match_executions[] =
"WITH waiting AS MATERIALIZED ("
" SELECT s.queryid, p.predicted_at AS since FROM pganalytics.statement_recent s "
" CROSS JOIN LATERAL (SELECT p.predicted_at FROM pganalytics.predictions p "
"   WHERE p.queryid = s.queryid AND p.actual_ms IS NULL AND p.plan_cost IS NULL AND p.predicted_at >= $1 "
"   ORDER BY p.predicted_at LIMIT 1) p "
" WHERE s.queryid > $3 AND p.predicted_at <= s.last_at ORDER BY s.queryid LIMIT $4), "
"under_way AS MATERIALIZED ("
" SELECT a.query_id, min(a.query_start) AS since FROM pg_catalog.pg_stat_activity a "
" WHERE a.state = 'active' AND a.query_id <> 0 AND a.datname = current_database() GROUP BY 1), "
"runs AS MATERIALIZED ("
" SELECT w.queryid, e.began, e.ms, lag(e.began) OVER (PARTITION BY w.queryid ORDER BY e.began) AS previous "
" FROM waiting w CROSS JOIN LATERAL ("
"   SELECT s.sampled_at - s.execution_ms * interval '1 millisecond' AS began, s.execution_ms AS ms "
"   FROM pganalytics.execution_samples s "
"   WHERE s.queryid = w.queryid AND s.sampled_at >= w.since AND s.outcome = 'done') e "
" WHERE e.began >= w.since "
"   AND NOT EXISTS (SELECT FROM under_way u WHERE u.query_id = w.queryid AND u.since < e.began)), "
"truth AS ("
" SELECT p.prediction_id, r.began AS moment, r.ms, "
"  row_number() OVER (PARTITION BY r.queryid, r.began, p.model_id ORDER BY p.prediction_id DESC) = 1 AS newest "
" FROM runs r CROSS JOIN LATERAL (" WAITING_BEFORE("r.began", "r.previous") ") p), "
"done AS (" SET_ACTUAL("execution") ") "
"SELECT (SELECT max(queryid) FROM waiting), (SELECT count(*) FROM done)";

/*
 * $1 expiry, $2 now.  Complete are the buckets before the one that the last
 * tick's growth went to.  A bucket whose calls may have run in another one is
 * no witness.  The last two buckets are looked at again, for predictions that
 * came to the table late.  A clock that was set back does not make all wait
 * until it gets there again.
 */
static const char match_buckets[] =
"WITH span AS MATERIALIZED ("
" SELECT greatest(coalesce(least(t.buckets_until, c.bucket_start), (SELECT min(predicted_at) FROM pganalytics.predictions)) "
"         - 2 * c.bucket_width * interval '1 second', $1) AS since, c.bucket_start AS until "
" FROM pganalytics.collector_state c, pganalytics.truth_state t "
" WHERE c.bucket_start > coalesce(t.buckets_until, '-infinity') OR t.buckets_until > $2), "
"runs AS MATERIALIZED ("
" SELECT b.*, lag(b.bucket_start) OVER (PARTITION BY b.queryid ORDER BY b.bucket_start) AS previous "
" FROM (SELECT h.queryid, h.bucket_start, sum(h.calls)::float8 AS calls, sum(h.total_ms) AS ms, "
"          sum(h.sum_squares) AS squares "
"       FROM span s JOIN pganalytics.statement_history h ON h.bucket_start >= s.since "
"        AND h.bucket_start + h.bucket_width * interval '1 second' <= s.until "
"       JOIN pganalytics.installation i ON i.origin = h.origin "
"       WHERE h.queryid <> 0 AND NOT EXISTS (SELECT FROM pganalytics.bucket_coverage c "
"        WHERE c.origin = h.origin AND c.bucket_start = h.bucket_start "
"          AND c.bucket_width = h.bucket_width AND c.has_gap) "
"       GROUP BY h.queryid, h.bucket_start, h.bucket_width HAVING sum(h.total_ms) > 0) b), "
/* the median of a bucket: as pgaml_log_median in features/state_core.c */
"medians AS (SELECT r.*, r.ms / r.calls / sqrt(1 + greatest(r.squares * r.calls / r.ms ^ 2 - 1, 0)) AS median FROM runs r), "
"truth AS ("
" SELECT p.prediction_id, r.bucket_start AS moment, r.median AS ms, "
"  row_number() OVER (PARTITION BY r.queryid, r.bucket_start, p.model_id ORDER BY p.prediction_id DESC) = 1 AS newest "
" FROM medians r CROSS JOIN LATERAL (" WAITING_BEFORE("r.bucket_start", "r.previous") ") p), "
"done AS (" SET_ACTUAL("bucket") "), "
"noted AS (UPDATE pganalytics.truth_state SET buckets_until = s.until FROM span s) "
"SELECT count(*) FROM done";

/*
 * $1 expiry, $2 now.  Executions are looked at once, with some overlap; so the
 * work is bounded by what ran since the last time.
 */
static const char match_plans[] =
"WITH waiting AS MATERIALIZED ("
" SELECT p.prediction_id, p.model_id, p.queryid, p.plan_id, p.plan_cost, p.predicted_at, p.guard IS NULL AS asked "
" FROM pganalytics.predictions p "
" WHERE p.actual_ms IS NULL AND p.plan_cost IS NOT NULL AND p.predicted_at >= $1 AND p.guard IS DISTINCT FROM 'cancel'), "
"runs AS MATERIALIZED ("
" SELECT s.queryid, s.plan_id, s.plan_facts[1] AS cost, s.execution_ms AS ms, "
"  s.sampled_at - s.execution_ms * interval '1 millisecond' AS began "
" FROM pganalytics.execution_samples s "
" WHERE EXISTS (SELECT FROM waiting) AND s.outcome = 'done' "
"   AND s.sampled_at >= coalesce((SELECT least(plans_until, $2) - interval '" LATE "' FROM pganalytics.truth_state), $1) "
"   AND s.queryid IN (SELECT w.queryid FROM waiting w)), "
"firsts AS ("
" SELECT DISTINCT ON (w.prediction_id) w.prediction_id, w.model_id, w.queryid, w.asked, r.began AS moment, r.ms "
" FROM waiting w JOIN runs r ON r.queryid = w.queryid AND r.plan_id = w.plan_id "
"  AND r.began >= w.predicted_at AND abs(r.cost - w.plan_cost) < " SAME_COST " "
" ORDER BY w.prediction_id, r.began), "
"free AS MATERIALIZED ("
" SELECT p.prediction_id FROM pganalytics.predictions p "
" WHERE p.prediction_id IN (SELECT f.prediction_id FROM firsts f) AND p.actual_ms IS NULL FOR UPDATE SKIP LOCKED), "
"truth AS ("
" SELECT f.prediction_id, f.moment, f.ms, "
"  row_number() OVER (PARTITION BY f.queryid, f.moment, f.model_id, f.asked ORDER BY f.prediction_id DESC) = 1 AS newest "
" FROM firsts f JOIN free USING (prediction_id)), "
"done AS (" SET_ACTUAL("execution") "), "
"noted AS (UPDATE pganalytics.truth_state SET plans_until = $2) "
"SELECT count(*) FROM done";

int64
pgaml_truth_match(void)
{
	TimestampTz now = pgaml_clock_now();
	Oid			types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID};
	Datum		values[] = {
		TimestampTzGetDatum(now - EXPIRE_DAYS * USECS_PER_DAY), TimestampTzGetDatum(now),
		Int64GetDatum(PG_INT64_MIN), Int32GetDatum(BATCH_STATEMENTS)
	};
	int64		matched = 0;
	bool		isnull;

	/* Captured executions first: a bucket speaks only where there is none. */
	for (;;)
	{
		Datum		last;

		pgaml_spi_exec(match_executions, 4, types, values, NULL, false);
		last = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		if (isnull)
			break;
		values[2] = Int64GetDatum(DatumGetInt64(last));
		matched += pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, 0);
		CHECK_FOR_INTERRUPTS();
	}
	pgaml_spi_exec(match_plans, 2, types, values, NULL, false);
	matched += pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
	pgaml_spi_exec(match_buckets, 2, types, values, NULL, false);
	return matched + pgaml_row_int8(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, 0);
}
