-- model_drift(): every signal has a row, also while nothing can be judged.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
SELECT model_id, signal, value, threshold, crossed, since, checked_at, detail FROM model_drift();

-- An hour's work of statements by the minute: a model, but not what a day looks like.
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT k, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || k
  FROM generate_series(1, 5) k, pganalytics.installation i;
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place, application_hash, weight,
   active_backends, toplevel, outcome, plan_facts)
SELECT now() - j * interval '1 minute', k, k, k + j % 7, 1, 1, j, 'postgres'::regrole, 1, 0, 1, 1, true, 'done',
       (SELECT array_agg(1.0::real) FROM generate_series(1, 37))
  FROM generate_series(1, 5) k, generate_series(1, 60) j;
INSERT INTO pganalytics.statement_recent (queryid, last_at, recent_ms, recent_plans)
SELECT k, now(), ARRAY[1::real], ARRAY[k] FROM generate_series(1, 5) k;
SELECT status FROM train_performance_model('linear_regression', wait => true);
SELECT model_id IS NOT NULL AS model, signal, value, crossed, checked_at, detail FROM model_drift();
SELECT result FROM maintain_models() WHERE step = 'drift';
SELECT result FROM maintain_models() WHERE step = 'drift';
SELECT signal, value, crossed, since = checked_at AS since, regexp_replace(detail ->> 'why', '\d\.\d', 'n') AS why FROM model_drift();
SELECT count(*) FROM pganalytics.training_jobs WHERE reason LIKE 'drift%';

-- A model that came without it says so.
UPDATE pganalytics.query_performance_models SET drift_reference = NULL;
UPDATE pganalytics.drift_state SET checked_at = NULL;
SELECT result FROM maintain_models() WHERE step = 'drift';
SELECT DISTINCT value, crossed, detail FROM model_drift();

-- What is damaged is left out, not trusted.
UPDATE pganalytics.query_performance_models SET drift_reference =
  '{"hours": 400, "block_s": 86400, "features": [{"feature": "no_such", "borders": [], "counts": [1, 2], "usual": 0},
    {"feature": "log_cost", "borders": [1, 2], "counts": [1, 2], "usual": 0}], "statements": []}';
UPDATE pganalytics.drift_state SET checked_at = NULL;
SELECT result FROM maintain_models() WHERE step = 'drift';
SELECT signal, value, crossed, detail -> 'why' AS why FROM model_drift() WHERE signal IN ('features', 'levels');

UPDATE pganalytics.query_performance_models SET drift_reference = '{"hours": "many", "features": 5}';
UPDATE pganalytics.drift_state SET checked_at = NULL;
SELECT result FROM maintain_models() WHERE step = 'drift';
SELECT DISTINCT value, crossed, detail FROM model_drift();

-- Truth by day needs executions that are new to the model.
SELECT count(*) FROM pganalytics.model_truth;
INSERT INTO pganalytics.execution_samples
SELECT (jsonb_populate_record(e, jsonb_build_object('sampled_at', now() + j * interval '1 ms'))).*
  FROM pganalytics.execution_samples e, generate_series(1, 4) j WHERE e.sampled_at = (SELECT max(sampled_at) FROM pganalytics.execution_samples);
UPDATE pganalytics.execution_samples SET sampled_at = now() - interval '1 second' WHERE sampled_at > now();
UPDATE pganalytics.drift_state SET checked_at = NULL;
SELECT result FROM maintain_models() WHERE step = 'drift';
SELECT executions, mean_abs_log_error > 0 AS error, q_error_p50 >= 1 AND q_error_p90 >= q_error_p50 AS q_errors,
       judged <= executions AND covered <= judged AS counts FROM pganalytics.model_truth;

-- Readers, not everybody.
CREATE ROLE regress_drift_reader IN ROLE pg_monitor;
CREATE ROLE regress_drift_nobody;
SET ROLE regress_drift_reader;
SELECT count(*) FROM model_drift();
SET ROLE regress_drift_nobody;
SELECT count(*) FROM model_drift();
RESET ROLE;
DROP ROLE regress_drift_reader;
DROP ROLE regress_drift_nobody;
