-- The log of predictions and their truth; what workers do with it is in test/tap/t/55*.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;

-- Nothing logged.
SELECT * FROM prediction_accuracy();
SELECT * FROM prediction_distribution();
SELECT * FROM recent_predictions();
SELECT predictions, mean_confidence, mean_latency_us, min_predicted_ms, first_at, cache_hit_rate, matched_share
  FROM prediction_summary();

-- What cannot be meant.
SELECT * FROM prediction_accuracy('model_type');
SELECT * FROM prediction_accuracy(NULL);
SELECT * FROM recent_predictions(0);
SELECT * FROM recent_predictions(1001);
SELECT * FROM recent_predictions(NULL);
SELECT * FROM validate_prediction(NULL, 1);
SELECT * FROM validate_prediction(1, NULL);
SELECT * FROM validate_prediction(1, -0.5);
SELECT * FROM validate_prediction(1, 'NaN');
SELECT * FROM validate_prediction(1, 'Infinity');
SELECT * FROM validate_prediction(1, 1);
BEGIN READ ONLY;
SELECT * FROM validate_prediction(1, 1);
ROLLBACK;
SET pganalytics_ml.prediction_log_rate = 1.5;

-- Rows as the worker would store them: two models, a statement without one.
INSERT INTO pganalytics.predictions
  (prediction_id, predicted_at, queryid, model_id, model_version, predicted_ms, expected_ms, lower_ms, upper_ms,
   userid, coverage, confidence, latency_us, source, interval_group, in_range, novel, cache_hit)
SELECT i, timestamptz '2026-01-01 12:00+00' + i * interval '6 hours', i % 3 + 1, CASE WHEN i <= 8 THEN i % 2 + 9 END,
       CASE WHEN i <= 8 THEN 1 END, 10 ^ (i % 4), 10 ^ (i % 4), 10 ^ (i % 4) / 2, 10 ^ (i % 4) * 2, 10, 0.9, i / 10.0,
       CASE WHEN i = 1 THEN 1000 WHEN i % 2 = 0 THEN 10 END, CASE WHEN i <= 8 THEN 'model' ELSE 'history' END,
       'pooled', true, false, i <> 1
  FROM generate_series(1, 10) i;
-- 1: right; 2: twice as long; 3: half as long; 4: ten times as long; 5: a bucket; 6: an older one of the same execution
UPDATE pganalytics.predictions p
   SET actual_ms = predicted_ms * t.factor, log_error = ln(t.factor), actual_source = t.source, judged = t.judged,
       matched_at = predicted_at, actual_at = predicted_at
  FROM (VALUES (1, 1.0, 'execution', true), (2, 2.0, 'execution', true), (3, 0.5, 'execution', true),
               (4, 10.0, 'execution', true), (5, 3.0, 'bucket', true), (6, 100.0, 'execution', false)) t (id, factor, source, judged)
 WHERE p.prediction_id = t.id;

SELECT item, predictions AS n, statements AS stmts, round(q_error_p50::numeric, 3) AS p50, round(q_error_p90::numeric, 3) AS p90,
       round(q_error_p95::numeric, 3) AS p95, round(bias::numeric, 4) AS bias, coverage, nominal_coverage AS nominal, intervals
  FROM prediction_accuracy();
SELECT item, predictions, intervals, coverage FROM prediction_accuracy('statement');
SELECT item, predictions, intervals FROM prediction_accuracy('source');
SET timezone = 'Pacific/Auckland';
SELECT item, predictions, intervals FROM prediction_accuracy('day');
RESET timezone;

-- One miss of 1000 us, nine hits of which the even ones took 10 us.
SELECT predictions, round(mean_confidence::numeric, 3) AS confidence, mean_latency_us, min_predicted_ms, max_predicted_ms,
       cache_hit_rate, matched_share FROM prediction_summary();
SELECT * FROM prediction_distribution();
SELECT prediction_id, queryid, source, model_id, predicted_ms, lower_ms, upper_ms, actual_ms, actual_source,
       round(q_error::numeric, 6) AS q_error, within_interval, judged FROM recent_predictions(7);

-- Limits stay where they are at every power of ten.
UPDATE pganalytics.predictions SET predicted_ms = 10.0 ^ (prediction_id - 5);
SELECT count(*) = count(*) FILTER (WHERE predictions = 1) * 3 - 2 AS every_third,
       bool_and(predictions <> 1 OR log(from_ms) = round(log(from_ms))) AS at_powers FROM prediction_distribution();

-- Truth by hand: error, accuracy, interval, q-error; told again, the last word counts.
UPDATE pganalytics.predictions SET predicted_ms = 100, lower_ms = 60, upper_ms = 150 WHERE prediction_id = 7;
SELECT * FROM validate_prediction(7, 80);
SELECT * FROM validate_prediction(7, 200);
SELECT * FROM validate_prediction(7, 100);
SELECT * FROM validate_prediction(7, 0);
SELECT * FROM validate_prediction(7, 125);
SELECT actual_ms, actual_source, actual_at, judged, round(log_error::numeric, 6) AS log_error
  FROM pganalytics.predictions WHERE prediction_id = 7;
-- it also overrules what was found
SELECT * FROM validate_prediction(5, 10);
SELECT actual_source FROM pganalytics.predictions WHERE prediction_id = 5;

-- A prediction that is still in shared memory: validated once, there once, and gone with its transaction.
TRUNCATE pganalytics.predictions;
CREATE TABLE t (i int);
SELECT count(*) FROM t;
SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT count(*) FROM t' \gset
BEGIN;
SELECT prediction_id AS id, prediction_id > 8e14 AS is_time,
       prediction_id::float8::bigint = prediction_id AS exact_as_double
  FROM predict_query_execution(:queryid) \gset p_
SELECT :'p_is_time' AS is_time, :'p_exact_as_double' AS exact_as_double;
ROLLBACK;
BEGIN;
SELECT measured_ms FROM validate_prediction(:p_id, 5);
ROLLBACK;
SELECT count(*) FROM pganalytics.predictions;
SELECT measured_ms FROM validate_prediction(:p_id, 6);
SELECT measured_ms FROM validate_prediction(:p_id, 7);
SELECT queryid = :queryid AS right_one, actual_ms, actual_source, coverage, userid::regrole::name = current_user AS who FROM pganalytics.predictions;
-- Numbers are unique and rise.
SELECT count(DISTINCT p.prediction_id) AS ids, bool_and(p.prediction_id > before) AS rising
  FROM (SELECT prediction_id, lag(prediction_id) OVER (ORDER BY i) AS before
          FROM predict_query_executions(array_fill(:queryid::bigint, ARRAY[100])) WITH ORDINALITY AS q
               (queryid, a, b, c, d, e, f, g, h, j, k, l, m, n, prediction_id, o, i)) p;

-- Not logged: no answer, switched off; nothing fails.
SELECT prediction_id FROM predict_query_execution(0);
SET pganalytics_ml.prediction_log_rate = 0;
SELECT predicted_execution_time_ms > 0 AS answered, prediction_id FROM predict_query_execution(:queryid);
RESET pganalytics_ml.prediction_log_rate;

-- Features are read once per session and prediction_cache_ttl, whoever asks.
\c -
SELECT cache_hit, count(*) FROM predict_query_executions(array_fill(:queryid::bigint, ARRAY[20])) GROUP BY 1 ORDER BY 1;
SELECT cache_hit FROM predict_query_execution(:queryid);
SET pganalytics_ml.prediction_cache_ttl = 0;
SELECT cache_hit, count(*) FROM predict_query_executions(array_fill(:queryid::bigint, ARRAY[20])) GROUP BY 1 ORDER BY 1;

-- Who may what.
CREATE ROLE regress_pgaml_monitor;
GRANT pg_monitor TO regress_pgaml_monitor;
SET ROLE regress_pgaml_monitor;
SELECT count(*) AS rows FROM recent_predictions(10);
SELECT predictions FROM prediction_summary();
SELECT count(*) FROM prediction_accuracy('day');
SELECT count(*) FROM prediction_distribution();
SELECT room FROM pganalytics.prediction_log_state();
SELECT * FROM validate_prediction(:p_id, 1);
RESET ROLE;
DROP ROLE regress_pgaml_monitor;
