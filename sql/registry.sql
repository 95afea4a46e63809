-- Stages of models, what may follow what, and what makes a new model better.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -

CREATE FUNCTION uniform(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT ((hashint8extended(key, salt) & 9007199254740991) + 0.5) / 9007199254740992.0';
CREATE FUNCTION normal(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT sqrt(-2 * ln(uniform(key, salt))) * cos(2 * pi() * uniform(key, salt + 1))';

-- Statements that run once each, from_days to to_days ago: only their plans tell their time, and
-- rows tells how: 1 as the rows that the planner expects, -1 the other way round.
CREATE FUNCTION run_once(first bigint, n integer, from_days float8, to_days float8, rows integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
    SELECT k, i.origin, now() - interval '9 days', now(), 'SELECT', true, 'SELECT ' || k
      FROM generate_series(first, first + n - 1) k, pganalytics.installation i;
    INSERT INTO pganalytics.execution_samples
      (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
       userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
    SELECT now() - (from_days + (to_days - from_days) * (k - first) / n) * interval '1 day', k, 7,
           exp(1 + 0.3 * cost + rows * (x - 2) + 0.2 * normal(k, 5)), 1, 100, 0, 1, k,
           'postgres'::regrole, 1, 0, 1, 1, true, 'done',
           (SELECT array_agg(CASE f WHEN 1 THEN cost WHEN 3 THEN x ELSE 1 END ORDER BY f)::real[] FROM generate_series(1, 37) f)
      FROM generate_series(first, first + n - 1) k,
           LATERAL (SELECT 4 * uniform(k, 1) AS cost, 4 * uniform(k, 3) AS x) v;
$$;
CREATE VIEW stages AS SELECT model_id, stage, predecessor_id, rolled_back_at IS NOT NULL AS rolled_back, stage_reason
  FROM pganalytics.models ORDER BY model_id;
-- figures of this run left out
CREATE FUNCTION words(t text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT regexp_replace(regexp_replace(t, ' [+-]?[0-9]+\.[0-9]+', ' N', 'g'), '-?[0-9]+\.[0-9]+', 'N', 'g')$$;

SELECT run_once(1, 1000, 8, 5, 1);

-- Nothing was there: the first one serves.
SELECT words(message) FROM train_performance_model('linear_regression', wait => true);
-- The same once more: it answers as the one in production does, so it stays a candidate.
SELECT words(message) FROM train_performance_model('linear_regression', wait => true);
-- Hardly a tree: shown worse, and by how much.
SELECT words(message) FROM train_performance_model('decision_tree', hyperparameters => '{"max_leaves": 2}', wait => true);
-- Not clear: staging, of which there is one.
SELECT words(message) FROM train_performance_model('linear_regression', hyperparameters => '{"l2": 20}', wait => true);
SELECT words(message) FROM train_performance_model('linear_regression', hyperparameters => '{"l2": 40}', wait => true);
-- Held out by statement: no rows are newer than what it was fitted on.
SELECT words(message) FROM train_performance_model('linear_regression', split => 'group', wait => true);
SELECT model_id, stage, predecessor_id, words(stage_reason) FROM stages;

-- Another world: the one in production is wrong about it, and a new one is shown better.
SELECT run_once(2001, 1000, 4, 0.1, -1);
SELECT words(message) FROM train_performance_model('linear_regression', 4, wait => true);
SELECT model_id, stage, predecessor_id, words(stage_reason) FROM stages;
SELECT kind, model_id, words(message), detail ? 'by' AS told_by, detail -> 'figures' ? 'error' AS figures
  FROM recent_events() ORDER BY event_id;

-- Two models on the same rows, whichever way round.
SELECT rows BETWEEN 190 AND 210 AS rows, statements = rows AS statements, spans, held_out_from > now() - interval '1 day' AS newest,
       mae_a > 5 * mae_b AS error, abs(difference - (mae_a - mae_b)) < 1e-9 AS difference, lower > 0 AND lower < difference AND difference < upper AS interval,
       interval_score_a > 2 * interval_score_b AS scores, coverage_a < 0.6 AS coverage_a, coverage_b BETWEEN 0.8 AND 1 AS coverage_b,
       q50_a > 3 * q50_b AS q50, q90_a > q50_a AND q90_b > q50_b AS q90, verdict FROM compare_models(1, 7);
SELECT a.lower = -b.upper AND a.mae_a = b.mae_b AND a.q90_a = b.q90_b AND a.coverage_a = b.coverage_b AS mirrored, b.verdict
  FROM compare_models(1, 7) a, compare_models(7, 1) b;
SELECT verdict, difference FROM compare_models(1, 2);
UPDATE pganalytics.query_performance_models SET heldout_from = now() WHERE model_id = 6;
SELECT rows, statements, spans, mae_a, lower, coverage_a, q90_a, verdict FROM compare_models(6, 7);
SELECT verdict FROM compare_models(7, 7);
SELECT verdict FROM compare_models(7, 99);
SELECT verdict FROM compare_models(0, 7);
BEGIN READ ONLY;
SELECT verdict FROM compare_models(7, 1);
ROLLBACK;

-- By hand: every step that is allowed, and every one that is not.
SELECT rollback_model();
SELECT model_id, stage, predecessor_id, rolled_back, words(stage_reason) FROM stages WHERE model_id IN (1, 7);
SELECT rollback_model();
SELECT activate_model(7);
SELECT activate_model(7);
SELECT activate_model(3);
SELECT rollback_model();	-- to one that was rolled back itself
SELECT archive_model(3);
SELECT delete_model(3);
SELECT archive_model(2);
SELECT archive_model(2);
SELECT archive_model(6);
SELECT activate_model(2);
SELECT delete_model(3);
SELECT delete_model(3);
SELECT activate_model(3);
SELECT archive_model(3);
SELECT compare_models(3, 2);
SELECT export_model(3);
SELECT count(*) FROM get_model(3);
SELECT rollback_model();	-- to one that was deleted
SELECT delete_model(99), archive_model(99);
SELECT activate_model(0);
SELECT activate_model(NULL), archive_model(NULL), delete_model(NULL);
SELECT model_id, stage, predecessor_id, rolled_back, words(stage_reason) FROM stages;
SELECT kind, model_id, message, detail ->> 'by' AS by FROM recent_events() WHERE detail ->> 'by' IS NOT NULL ORDER BY event_id;

-- All or nothing, and seen at once.
BEGIN;
SELECT activate_model(4);
SELECT model_id FROM get_latest_model();
ROLLBACK;
SELECT model_id FROM get_latest_model();
BEGIN READ ONLY;
SELECT rollback_model();
ROLLBACK;
BEGIN READ ONLY;
SELECT delete_model(1);
ROLLBACK;

-- The card is complete.
SELECT stage, array_length(features, 1) = (SELECT count(*) FROM list_features()) AS features, features[1], created_by,
       heldout_from BETWEEN window_start AND window_end AS heldout, restored,
       metrics -> 'serving' ? 'q90' AND metrics -> 'serving_cold' ? 'q90' AS warm_and_cold,
       (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(metrics -> 'baselines') k) AS baselines,
       calibration ->> 'method' AS calibration, seed, length(data_hash) AS hash, training_ms > 0 AS ms, training_bytes > 0 AS memory,
       extension_version IS NOT NULL AND server_version IS NOT NULL AS versions
  FROM get_model(2);

-- Numbers are never given twice, not even when a restore left the sequence behind.
SELECT setval(pg_get_serial_sequence('pganalytics.query_performance_models', 'model_id'), 1) AS sequence;
SELECT import_model(export_model(2));
DELETE FROM pganalytics.query_performance_models WHERE model_id = 8;
SELECT import_model(export_model(2));

-- Retention: those in use and the newest others stay; of the rest what is old or was deleted goes.
UPDATE pganalytics.query_performance_models SET created_at = created_at - interval '500 days', archived_at = archived_at - interval '500 days',
       activated_at = activated_at - interval '500 days' WHERE model_id IN (1, 7);
UPDATE pganalytics.query_performance_models SET deleted_at = deleted_at - interval '8 days' WHERE model_id = 3;
UPDATE pganalytics.query_performance_models SET predecessor_id = 1 WHERE model_id = 2;
SELECT import_model(export_model(2));
SELECT array_agg(model_id ORDER BY model_id) FROM pganalytics.query_performance_models;

-- What the model in production was fitted or calibrated on is no test of the new one.
BEGIN;
UPDATE pganalytics.query_performance_models SET heldout_from = now() WHERE model_id = 2;
SELECT words(message) FROM train_performance_model('linear_regression', wait => true);
ROLLBACK;

-- Who may what.
CREATE ROLE regress_registry_nobody;
CREATE ROLE regress_registry_reader IN ROLE pg_monitor;
CREATE ROLE regress_registry_keeper;
GRANT EXECUTE ON FUNCTION rollback_model(), activate_model(bigint) TO regress_registry_keeper;
SET ROLE regress_registry_nobody;
SELECT compare_models(1, 2);
SELECT rollback_model();
SELECT archive_model(1);
SELECT delete_model(1);
SET ROLE regress_registry_reader;
SELECT verdict FROM compare_models(1, 2);
SELECT activate_model(1);
SELECT rollback_model();
SET ROLE regress_registry_keeper;
SELECT rollback_model();
SELECT delete_model(2);
RESET ROLE;
SELECT message FROM recent_events(1);
DROP OWNED BY regress_registry_keeper;
DROP ROLE regress_registry_nobody, regress_registry_reader, regress_registry_keeper;
