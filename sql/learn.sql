-- Learning from generated executions with a seed: every figure is a property
-- of the data, so only its truth is printed.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
-- nothing but what is generated here
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -

-- Reproducible noise: uniform and normal numbers from a key and a salt.
CREATE FUNCTION uniform(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT ((hashint8extended(key, salt) & 9007199254740991) + 0.5) / 9007199254740992.0';
CREATE FUNCTION normal(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT sqrt(-2 * ln(uniform(key, salt))) * cos(2 * pi() * uniform(key, salt + 1))';

-- 40 statements: cost and true centre go together, each with its own spread.
CREATE TABLE truth AS
SELECT k AS queryid, 0.5 + 4 * uniform(k, 1) AS log_cost,
       -2 + 0.9 * (0.5 + 4 * uniform(k, 1)) + 0.4 * normal(k, 3) AS center,
       0.05 + 0.3 * uniform(k, 5) AS spread
  FROM generate_series(1, 40) k;

CREATE FUNCTION plan_facts(log_cost float8) RETURNS real[] LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(CASE i WHEN 1 THEN log_cost WHEN 3 THEN log_cost / 2 ELSE 1 END ORDER BY i)::real[]
       FROM generate_series(1, 37) i';

TRUNCATE pganalytics.statements, pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history;
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT t.queryid, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || t.queryid
  FROM truth t, pganalytics.installation i;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen, plan_id, plan_facts, plan_seen)
SELECT 'postgres'::regrole, queryid, 0, now() - interval '2 days', now(), queryid * 1000, plan_facts(log_cost), now()
  FROM truth;
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT now() - (500 - j) * interval '1 minute' + ms * interval '1 millisecond', t.queryid, t.queryid * 1000,
       ms, 1, 100, 0, 1, j,
       'postgres'::regrole, 1, 0, 1, 1, true, 'done', plan_facts(t.log_cost)
  FROM truth t, generate_series(1, 500) j, LATERAL (SELECT exp(t.center + t.spread * normal(t.queryid * 1000 + j, 7)) AS ms) m;
INSERT INTO pganalytics.statement_recent (queryid, last_at, recent_ms, recent_plans, active_backends, rows_per_call, hit_ratio)
SELECT queryid, max(sampled_at), array_agg(execution_ms ORDER BY sampled_at)::real[],
       array_agg(plan_id ORDER BY sampled_at), 1, 1, 1
  FROM (SELECT *, row_number() OVER (PARTITION BY queryid ORDER BY sampled_at DESC) AS r
          FROM pganalytics.execution_samples WHERE queryid <= 40 AND queryid > 0) s
 WHERE r <= 32 GROUP BY queryid;

-- Without a model the statement's own runs answer, and say so.
SELECT source, model_version IS NULL AS no_model, confidence_score,
       reason LIKE 'no model in production yet; median of the last 32 executions; interval not calibrated' AS says_so
  FROM predict_query_execution(1);

SELECT status, message LIKE 'model 1 (gradient_boosting, version 1), in production: median q-error %' AS told
  FROM train_performance_model(wait => true);
SELECT model_id, model_type, version, stage, training_samples BETWEEN 12000 AND 12010 AS samples, statements >= 40 AS statements, r_squared > 0.9 AS r2 FROM list_models();

-- Every prediction is near the truth; the interval holds 90 % of executions nobody has seen, as far as forty intervals can tell.
CREATE TABLE answers AS
SELECT t.*, p.* FROM truth t, LATERAL (SELECT predicted_execution_time_ms AS ms, lower_bound_ms AS low,
       upper_bound_ms AS high, source, reason, confidence_score, in_training_range, novel, coverage
  FROM predict_query_execution(t.queryid)) p;
SELECT count(*), max(abs(ln(ms) - center)) < 0.25 AS near, bool_and(low > 0 AND low < ms AND ms < high) AS ordered,
       array_agg(DISTINCT source) AS sources, count(reason) AS reasons, bool_and(in_training_range) AS in_range,
       bool_or(novel) AS novel, bool_and(confidence_score BETWEEN 0 AND 0.95) AS confidence, bool_and(coverage BETWEEN 0 AND 1) AS coverage
  FROM answers;
SELECT count(*), avg((y BETWEEN ln(low) AND ln(high))::int) BETWEEN 0.87 AND 0.94 AS covered
  FROM (SELECT low, high, center + spread * normal(queryid * 1000 + j, 11) AS y
          FROM answers, generate_series(1, 100) j) e;
SELECT predict_query_time(1) = (SELECT ms FROM answers WHERE queryid = 1) AS same_as_row_form;
SELECT bool_and(queryid = ord AND cache_hit) AS in_order_and_cached
  FROM predict_query_executions((SELECT array_agg(queryid ORDER BY queryid) FROM truth)) WITH ORDINALITY p(queryid, a, b, c, d, e, f, g, h, i, j, k, l, cache_hit, m, n, ord);

-- The card: held-out metrics beside the four baselines.
SELECT bool_and((metrics #>> '{serving,q50}')::float8 <= 1.02 * (metrics #>> ARRAY['baselines', b, 'q50'])::float8) AS beats_or_equals,
       (metrics #>> '{serving,coverage}')::float8 BETWEEN 0.87 AND 0.93 AS coverage,
       (metrics #>> '{serving_cold,mae}')::float8 <= (metrics #>> '{baselines,cost_only,mae}')::float8 AS cold_beats_cost
  FROM get_latest_model() l, get_model(l.model_id) m,
       unnest(ARRAY['global_median', 'cost_only', 'statement_median', 'moving_average']) b
 GROUP BY metrics;

-- Same rows, same seed: the same bytes, whatever the type.
SELECT count(*) FROM (VALUES ('linear_regression'), ('decision_tree'), ('random_forest'), ('gradient_boosting')) v(t),
       LATERAL train_performance_model(t, wait => true) a, LATERAL train_performance_model(t, wait => true) b;
SELECT model_type, count(*), count(DISTINCT model) AS distinct_bytes, count(DISTINCT data_hash) AS hashes
  FROM pganalytics.query_performance_models GROUP BY model_type ORDER BY model_type;
SELECT count(*) FROM pganalytics.query_performance_models WHERE stage = 'production';

-- A line tells its slopes and how sure it is of them; the loss of boosting is a word.
SELECT model_type, hyperparameters ->> 'loss' AS loss, jsonb_array_length(metrics -> 'coefficients') AS coefficients,
       metrics #> '{coefficients,0,feature}' AS first,
       (SELECT count(*) FROM jsonb_array_elements(metrics -> 'coefficients') c
         WHERE (c ->> 'standard_error')::float8 > 0 AND c ? 'slope') > 1 AS measured
  FROM pganalytics.query_performance_models GROUP BY 1, 2, 3, 4, metrics ORDER BY 1, 2 LIMIT 4;
BEGIN;
SELECT status FROM train_performance_model('gradient_boosting', hyperparameters =>
  '{"loss": "quantile", "quantile": 0.9, "early_stopping_rounds": 5, "n_trees": 20, "monotone": 1}', wait => true);
SELECT hyperparameters ->> 'loss' AS loss, (hyperparameters ->> 'quantile')::float8 AS quantile
  FROM pganalytics.query_performance_models ORDER BY model_id DESC LIMIT 1;
ROLLBACK;
SELECT kind, status, progress, result ? 'r_squared' AS measured, count(*) FROM pganalytics.training_jobs GROUP BY 1, 2, 3, 4;

-- Activation is seen at once, inside the transaction, and undone with it.
BEGIN;
SELECT activate_model(1);
SELECT model_version FROM predict_query_execution(1);
SELECT activate_model(3);
SELECT m.model_type, p.model_version = m.version AS follows FROM predict_query_execution(1) p, get_latest_model() m;
ROLLBACK;
SELECT p.model_version = m.version AS follows FROM predict_query_execution(1) p, get_latest_model() m;
SELECT activate_model(99);

-- A stored model that was bit-flipped or truncated is named, refused, and the next stage serves.
SELECT activate_model(1);
UPDATE pganalytics.query_performance_models SET model = set_byte(model, 200, get_byte(model, 200) # 4) WHERE model_id = 1;
\c -
SELECT source, model_version, reason LIKE 'model 1 is damaged: %; median of the last 32 executions; interval not calibrated' AS named
  FROM predict_query_execution(1);
UPDATE pganalytics.query_performance_models SET model = substr(model, 1, 300) WHERE model_id = 1;
\c -
SELECT reason LIKE 'model 1 is damaged: %' AS named FROM predict_query_execution(1);
UPDATE pganalytics.query_performance_models SET feature_version = 99 WHERE model_id = 1;
\c -
SELECT reason FROM predict_query_execution(1);
SELECT activate_model(1);
SELECT activate_model(2);
SELECT model_version FROM predict_query_execution(1);

-- Statements that training did not see: the plan answers; without plan and runs nothing does.
INSERT INTO pganalytics.statements SELECT -7, origin, now(), now(), 'SELECT', true, 'SELECT -7' FROM pganalytics.installation;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen, plan_id, plan_facts, plan_seen)
SELECT 'postgres'::regrole, -7, 0, now(), now(), 42, plan_facts(2.5), now();
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
SELECT 'postgres'::regrole, -8, 0, now(), now();
SELECT queryid, source IN ('model', 'planner') AS from_plan, novel, predicted_execution_time_ms BETWEEN 0.5 AND 8 AS plausible
  FROM predict_query_execution(-7);
SELECT queryid, source, predicted_execution_time_ms, reason FROM predict_query_execution(-8);

-- Unknown, zero, NULL and bad arguments.
SELECT predict_query_time(123456789), predict_query_time(0), predict_query_time(NULL);
SELECT queryid, predicted_execution_time_ms, source, reason FROM predict_query_execution(0);
SELECT queryid, reason FROM predict_query_executions(ARRAY[5000000000, -1]);
SELECT count(*) FROM predict_query_executions('{}'::bigint[]);
SELECT count(*) FROM predict_query_executions(ARRAY[1, NULL]);
SELECT count(*) FROM predict_query_executions((ARRAY[1, NULL])[1:1]);	-- has a bitmap of NULLs, and none
SELECT count(*) FROM predict_query_executions(array_fill(1::bigint, ARRAY[1001]));
\set VERBOSITY default
SELECT * FROM train_performance_model('neural_network');
SELECT * FROM train_performance_model(lookback_days => 0);
SELECT * FROM train_performance_model(lookback_days => 366);
SELECT * FROM train_performance_model(hyperparameters => '{"n_tress": 5}');
SELECT * FROM train_performance_model(hyperparameters => '{"n_trees": "many"}');
SELECT * FROM train_performance_model(hyperparameters => '{"n_trees": -1}');
SELECT * FROM train_performance_model(hyperparameters => '{"n_trees": 1e400}');
SELECT * FROM train_performance_model('gradient_boosting', hyperparameters => '{"loss": "hubert"}');
SELECT * FROM train_performance_model('gradient_boosting', hyperparameters => '{"loss": 1}');
SELECT * FROM train_performance_model('gradient_boosting', hyperparameters => '{"quantile": 1}');
SELECT * FROM train_performance_model(hyperparameters => '[1]');
SELECT * FROM train_performance_model(hyperparameters => '{"seed": 1.5}');
SELECT * FROM train_performance_model(hyperparameters => NULL);
SELECT * FROM train_performance_model(split => 'odd');
BEGIN READ ONLY;
SELECT * FROM train_performance_model();
ROLLBACK;

-- A statement timeout ends a run, and nothing is left of it.
SET client_min_messages = warning;
SET statement_timeout = '1s';
DO $$ BEGIN
    PERFORM train_performance_model('random_forest', 90, '{"n_trees": 10000}', wait => true);
EXCEPTION WHEN query_canceled THEN RAISE WARNING 'cancelled';
END $$;
RESET statement_timeout;
RESET client_min_messages;
SELECT count(*) FROM pganalytics.training_jobs WHERE status <> 'completed';

-- Executions one after the other: the end of a run is no news of its own time, so noise stays noise.
BEGIN;
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT 100 + k, i.origin, now(), now(), 'SELECT', true, 'SELECT' FROM generate_series(1, 5) k, pganalytics.installation i;
DELETE FROM pganalytics.execution_samples;
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT now() - interval '1 hour' + sum(ms) OVER (PARTITION BY k ORDER BY j) * interval '1 millisecond', 100 + k, 1, ms, 1, 1, j,
       'postgres'::regrole, 1, 0, 1, 1, true, 'done', plan_facts(1)
  FROM (SELECT k, j, exp(7 + 0.8 * normal(k * 1000 + j, 7)) AS ms FROM generate_series(1, 5) k, generate_series(1, 300) j) e;
SELECT job_id IS NOT NULL AS trained FROM train_performance_model(wait => true);
SELECT (m.metrics #>> '{stages,model_warm,mae}')::float8 > 0.5 AS noise
  FROM pganalytics.query_performance_models m ORDER BY model_id DESC LIMIT 1;
ROLLBACK;

-- Rights: others see only what pg_stat_statements would show, and change nothing.
CREATE ROLE learn_nobody;
CREATE ROLE learn_reader IN ROLE pg_read_all_stats;
SET ROLE learn_nobody;
SELECT predict_query_time(1), (predict_query_execution(1)).reason;
SELECT queryid, cache_hit, coverage FROM predict_query_executions(ARRAY[1, 987654321]);	-- there and not there look the same
SELECT DISTINCT value, reason FROM query_features(1);
SELECT * FROM train_performance_model();
SELECT activate_model(2);
SELECT count(*) FROM list_models();
SELECT count(*) FROM pganalytics.statements;
RESET ROLE;
SET ROLE learn_reader;
SELECT predict_query_time(1) > 0 AS predicted;
RESET ROLE;
GRANT EXECUTE ON FUNCTION train_performance_model TO learn_nobody;
SET ROLE learn_nobody;
SELECT status FROM train_performance_model('linear_regression', wait => true);
RESET ROLE;
DROP OWNED BY learn_nobody;
DROP ROLE learn_nobody, learn_reader;

-- Too few samples: how many, how many are needed, and when.
DELETE FROM pganalytics.execution_samples WHERE queryid > 1 OR sampled_at NOT IN
    (SELECT sampled_at FROM pganalytics.execution_samples WHERE queryid = 1 ORDER BY sampled_at DESC LIMIT 50);
DELETE FROM pganalytics.statement_recent;
SELECT * FROM train_performance_model();
DELETE FROM pganalytics.execution_samples;
SELECT * FROM train_performance_model(wait => true);
