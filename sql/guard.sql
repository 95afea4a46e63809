-- The guard: settings, rights, readers.  What it does when statements run is in test/tap/t/44*.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;

SHOW pganalytics_ml.guard_mode;
SHOW pganalytics_ml.max_predicted_time;
SET pganalytics_ml.guard_mode = 'stop';
\set VERBOSITY sqlstate
SET pganalytics_ml.max_predicted_time = -1;
\set VERBOSITY default
SET pganalytics_ml.max_predicted_time = '2min';
SHOW pganalytics_ml.max_predicted_time;
RESET pganalytics_ml.max_predicted_time;
SELECT name, context FROM pg_settings WHERE name IN ('pganalytics_ml.guard_mode', 'pganalytics_ml.max_predicted_time') ORDER BY name;

-- Nothing is known of anything: no prediction, nothing stopped.
SET pganalytics_ml.guard_mode = 'cancel';
SET pganalytics_ml.max_predicted_time = 0.001;
SELECT count(*) > 0 AS ran FROM pg_class;
EXPLAIN (COSTS off) SELECT 1;
RESET pganalytics_ml.guard_mode;
SELECT checked > 0 AS checked, warned, repeated, cancelled, checked = open_no_prediction + open_not_calibrated + open_not_read AS let_through FROM guard_status();

SELECT * FROM guard_decisions();
SELECT * FROM guard_decisions(0);
SELECT * FROM guard_decisions(1001);
SELECT * FROM guard_decisions(NULL);

-- Decisions as the worker stores them: a warned one that took longer, one that did not, one that was not captured;
-- a cancelled one with comparable executions, one with such of other cost only, one with such of another plan only.
INSERT INTO pganalytics.predictions
  (prediction_id, predicted_at, queryid, plan_id, plan_cost, predicted_ms, expected_ms, lower_ms, upper_ms, actual_ms, actual_source,
   userid, coverage, confidence, source, interval_group, in_range, cache_hit, guard, limit_ms)
SELECT i, timestamptz '2020-01-01 12:00+00' + i * interval '1 hour', i, 100, 5, 100, 110, 50, 200, a.ms, CASE WHEN a.ms IS NOT NULL THEN 'execution' END,
       10, 0.9, 0.8, 'model', 'statement', true, false, a.mode, 20
  FROM (VALUES (1, 'warn', 90.0), (2, 'warn', 10.0), (3, 'warn', NULL), (4, 'cancel', NULL), (5, 'cancel', NULL), (6, 'cancel', NULL), (7, 'cancel', NULL)) a (i, mode, ms);
INSERT INTO pganalytics.execution_samples (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place, application_hash,
   weight, active_backends, toplevel, outcome, plan_facts)
SELECT timestamptz '2020-01-01 12:00+00' + i * interval '1 minute', s.queryid, s.plan_id, s.ms, 1, 1, i, 10, 1, 1, 1, 1, true, s.outcome, array_fill(s.cost::real, ARRAY[37])
  FROM (VALUES (3, 100, 10.0, 'done', 5.0), (4, 100, 80.0, 'done', 5.01), (4, 100, 1.0, 'error', 5.0), (5, 100, 80.0, 'done', 6.0), (6, 200, 80.0, 'done', 5.0),
       (7, 100, 12.0, 'done', 5.0)) s (queryid, plan_id, ms, outcome, cost), generate_series(1, 3) i;
SELECT prediction_id, queryid, mode, limit_ms, predicted_ms, lower_ms, upper_ms, source, actual_ms, actual_source, verdict FROM guard_decisions();
SELECT prediction_id, verdict FROM guard_decisions(2);

-- They take no part in the accuracy of predictions, nor does one that is told by hand.
SELECT count(*) FROM prediction_accuracy();
SELECT measured_ms FROM validate_prediction(3, 25);
SELECT actual_ms, actual_source, verdict FROM guard_decisions() WHERE prediction_id = 3;
SELECT count(*) FROM prediction_accuracy();

-- Who may.
CREATE ROLE regress_guard_user;
SET ROLE regress_guard_user;
SELECT count(*) FROM guard_decisions();
SELECT * FROM guard_status();
SET pganalytics_ml.guard_mode = 'off';
SET pganalytics_ml.max_predicted_time = 0;
RESET ROLE;
GRANT pg_monitor TO regress_guard_user;
SET ROLE regress_guard_user;
SELECT count(*) FROM guard_decisions();
SELECT warned, cancelled FROM guard_status();
RESET ROLE;
DROP ROLE regress_guard_user;
