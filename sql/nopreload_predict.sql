-- Without preload: no capture, no workers, no shared memory; history by hand, training and prediction still work.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t SELECT generate_series(1, 1000);

-- Before the first difference of counters the lifetime mean answers, with its reason.
SELECT count(*) FROM t WHERE id > 500;
SELECT p.source, abs(p.predicted_execution_time_ms - s.mean_exec_time) < 1e-9 AS mean, p.confidence_score, p.model_version IS NULL AS no_model,
       regexp_replace(p.reason, 'over \d+', 'over n') AS reason
  FROM pg_stat_statements s, LATERAL predict_query_execution(s.queryid) p
 WHERE s.query = 'SELECT count(*) FROM t WHERE id > $1' AND s.toplevel AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database());

-- History by hand: statement-hours stand for executions.
SELECT first FROM collect_statements();
DO $$ DECLARE n bigint; BEGIN FOR i IN 1..20 LOOP EXECUTE 'SELECT count(*) FROM t WHERE id > 500' INTO n; END LOOP; END $$;
SELECT grown > 0 AS grown, samples FROM collect_statements();
SELECT p.source, p.reason FROM pg_stat_statements s, LATERAL predict_query_execution(s.queryid) p
 WHERE s.query = 'SELECT count(*) FROM t WHERE id > $1' AND s.toplevel AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database());
-- Features of the plan are unknown, and the reason says what to do.
SELECT f.value, f.reason FROM pg_stat_statements s, LATERAL query_features(s.queryid) f
 WHERE s.query = 'SELECT count(*) FROM t WHERE id > $1' AND s.toplevel AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND f.feature IN ('has_seq_scan', 'plan_log_cost');

-- Enough generated hours to learn from; no execution was captured, so the interval is not calibrated and says so.
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT q, origin, now() - interval '5 days', now(), 'SELECT', true, 'SELECT' FROM pganalytics.installation, generate_series(1, 10) q;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
SELECT 'postgres'::regrole, q, 0, now(), now() FROM generate_series(1, 10) q;
INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
       wal_bytes, bucket_width, toplevel, origin)
SELECT q, date_bin('1 hour', now(), '2000-01-01 00:00:00+00') - make_interval(hours => h), 10, 10 * q * f, 10 * q * q * f * f * 1.25, 10, 0,
       0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
  FROM pganalytics.installation, generate_series(1, 10) q, generate_series(1, 90) h,
       LATERAL (SELECT exp(0.1 * sin(q * 7 + h * 13)) AS f) n;
SELECT status FROM train_performance_model(wait => true);
-- mean m and coefficient of variation 0.5 make a median of m / sqrt(1.25)
SELECT q, source IN ('history', 'model') AS answered, abs(ln(predicted_execution_time_ms) - ln(q / sqrt(1.25))) < 0.1 AS near, abs(ln(expected_time_ms) - ln(q)) < 0.1 AS mean,
       lower_bound_ms > 0 AND lower_bound_ms < predicted_execution_time_ms AS bound, reason
  FROM generate_series(1, 10, 4) q, LATERAL predict_query_execution(q) p;
-- Explained all the same.
SELECT q, (array_agg(part ORDER BY rank))[1] AS first_part, abs(sum(contribution_log) - ln(predict_query_time(q))) < 1e-9 AS adds_up,
       (array_agg(meaning ORDER BY rank))[1] AS start
  FROM generate_series(1, 10, 4) q, LATERAL explain_prediction(q) GROUP BY q ORDER BY q;
SELECT count(*) > 40 AS every_feature FROM list_models() m, feature_report(m.model_id) f;
-- What needs the preload is not there, without an error.
SELECT count(*) FROM pganalytics.execution_samples;

-- Training in the background needs the preload.
SELECT * FROM train_performance_model();
SELECT status, count(*) FROM list_training_jobs() GROUP BY status;
-- Nothing is logged, so there is nothing to tell the truth about.
SELECT predicted_execution_time_ms > 0 AS answered, prediction_id FROM predict_query_execution(1);
SELECT * FROM pganalytics.prediction_log_state();
SELECT * FROM validate_prediction(1, 1);
