-- Models as bytes: native, and the JSON of XGBoost.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
SET client_min_messages = warning;
TRUNCATE pganalytics.statements, pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history;

-- Two statements that are known by their plan only: costs e and e^4.
CREATE FUNCTION plan_facts(log_cost float8) RETURNS real[] LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(CASE i WHEN 1 THEN log_cost ELSE 1 END ORDER BY i)::real[]
       FROM generate_series(1, (SELECT count(*) FROM list_features() WHERE NOT canonical AND feature NOT LIKE ''lag%'')) i';
INSERT INTO pganalytics.statements SELECT q, origin, now(), now(), 'SELECT', true, 'SELECT ' || q
  FROM pganalytics.installation, (VALUES (1), (2)) v(q);
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen, plan_id, plan_facts, plan_seen)
SELECT 'postgres'::regrole, q, 0, now(), now(), 42, plan_facts(cost), now() FROM (VALUES (1, 1.0), (2, 4.0)) v(q, cost);

-- A tree of XGBoost on one feature by its name: 0.5 + 1 where log_cost < 2.5, else 0.5 + 3.
CREATE FUNCTION booster(feature text DEFAULT 'log_cost', objective text DEFAULT 'reg:squarederror', attributes text DEFAULT '{}') RETURNS bytea
LANGUAGE sql AS $$
    SELECT convert_to(format('{"learner": {"attributes": %s, "feature_names": ["%s"], "feature_types": ["float"],
      "gradient_booster": {"model": {"gbtree_model_param": {"num_trees": "1", "num_parallel_tree": "1"}, "tree_info": [0], "trees": [
        {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0], "default_left": [1, 0, 0],
         "split_conditions": [2.5E0, 1E0, 3E0], "sum_hessian": [5E0, 2E0, 3E0], "loss_changes": [7E0, 0E0, 0E0],
         "split_type": [0, 0, 0], "tree_param": {"num_nodes": "3"}}]}, "name": "gbtree"},
      "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "1", "num_target": "1"},
      "objective": {"name": "%s"}}, "version": [1, 7, 4]}', attributes, feature, objective), 'UTF8')
$$;

-- Imported, it is a candidate with a card; activated, it serves.  Without history nothing is measured or calibrated.
SELECT import_model(booster(), 'xgboost-json');
SELECT model_id, model_type, version, stage, training_samples, statements, r_squared IS NULL AS not_measured FROM list_models();
SELECT hyperparameters, calibration_samples, heldout_samples, metrics -> 'serving' ->> 'coverage' IS NULL AS no_coverage, calibration FROM get_model(1);
SELECT created_by::regrole, feature_version FROM pganalytics.query_performance_models;
SELECT activate_model(1);
SELECT queryid, round(ln(predicted_execution_time_ms)::numeric, 6) AS log_ms, lower_bound_ms < predicted_execution_time_ms AS lower, source, reason
  FROM predict_query_executions(ARRAY[1, 2]);

-- native: bit-equal both ways.
SELECT export_model(1) = model AS as_stored FROM pganalytics.query_performance_models WHERE model_id = 1;
SELECT import_model(export_model(1));
SELECT count(*), count(DISTINCT model) AS distinct_bytes, array_agg(version ORDER BY model_id) AS versions, bool_and(stage IN ('production', 'candidate')) AS stages
  FROM pganalytics.query_performance_models;
SELECT hyperparameters FROM get_model(2);

-- xgboost-json: what came from there goes back there, and comes again as the same learner.
SELECT j #>> '{learner,objective,name}' AS objective, j #> '{learner,attributes}' AS attributes, j -> 'version' AS version,
       jsonb_array_length(j #> '{learner,feature_names}') = (SELECT count(*) FROM query_features(1)) AS all_features,
       j #> '{learner,gradient_booster,model,trees,0,split_conditions}' AS conditions,
       j #>> ARRAY['learner', 'feature_names', j #>> '{learner,gradient_booster,model,trees,0,split_indices,0}'] AS feature
  FROM (SELECT convert_from(export_model(1, 'xgboost-json'), 'UTF8')::jsonb AS j) x;
SELECT import_model(export_model(1, 'xgboost-json'), 'xgboost-json');
SELECT a.model = b.model AS same FROM pganalytics.query_performance_models a, pganalytics.query_performance_models b
 WHERE a.model_id = 1 AND b.model_id = 3;

-- Hostile or unfit bytes: an error that says why, and no model.
\set VERBOSITY default
SELECT import_model('', 'native');
SELECT import_model('\x00', 'xgboost-json');
SELECT import_model('{"learner": {', 'xgboost-json');
SELECT import_model(booster(), 'native');
SELECT import_model(export_model(1), 'xgboost-json');
SELECT import_model(set_byte(export_model(1), 30, 7));
SELECT import_model(substr(export_model(1), 1, 200));
SELECT import_model(booster(), 'onnx');
SELECT export_model(1, 'onnx');
SELECT export_model(99);
SELECT import_model(booster('no_such_feature'), 'xgboost-json');
SELECT import_model(booster(objective => 'binary:logistic'), 'xgboost-json');
SELECT import_model(booster(objective => 'reg:gamma'), 'xgboost-json');
SELECT import_model(booster(attributes => '{"pganalytics_ml_target": "departure"}'), 'xgboost-json');
SELECT import_model(booster(attributes => '{"pganalytics_ml_feature_version": "99"}'), 'xgboost-json');
SELECT import_model(convert_to(replace(convert_from(booster(), 'UTF8'), '"left_children": [1', '"left_children": [0'), 'UTF8'), 'xgboost-json');
SELECT import_model(convert_to(replace(convert_from(booster(), 'UTF8'), '["log_cost"]', '[]'), 'UTF8'), 'xgboost-json');
SELECT import_model(convert_to('{"learner":' || repeat('[', 100000), 'UTF8'), 'xgboost-json');
\set VERBOSITY terse
SELECT import_model(NULL) IS NULL AS null_is_null;
-- features of another version, with a checksum (CRC-32C) that is right
CREATE FUNCTION with_checksum(bytes bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    crc bigint := 4294967295;
    n int := length(bytes) - 4;
BEGIN
    FOR i IN 0 .. n - 1 LOOP
        crc := crc # get_byte(bytes, i);
        FOR bit IN 1 .. 8 LOOP
            crc := (crc >> 1) # (crc & 1) * 2197175160;
        END LOOP;
    END LOOP;
    crc := crc # 4294967295;
    FOR i IN 0 .. 3 LOOP
        bytes := set_byte(bytes, n + i, ((crc >> (8 * i)) & 255)::int);
    END LOOP;
    RETURN bytes;
END $$;
SELECT with_checksum(export_model(1)) = export_model(1) AS right_checksum;
SELECT import_model(with_checksum(set_byte(export_model(1), 20, 99)));
SELECT import_model(with_checksum(set_byte(export_model(1), 32, 3)));
SELECT count(*) FROM list_models();
-- what is stored leaves as it is, even when it is damaged
BEGIN;
UPDATE pganalytics.query_performance_models SET model = '\x1234' WHERE model_id = 2;
SELECT export_model(2), export_model(2, 'native');
SELECT export_model(2, 'xgboost-json');
ROLLBACK;
BEGIN READ ONLY;
SELECT length(export_model(1)) > 100 AS reads;
SELECT import_model(booster(), 'xgboost-json');
ROLLBACK;
SELECT count(*) FROM list_models();

-- With history enough, both kinds are measured; the learner from XGBoost gets intervals.
CREATE FUNCTION normal(key bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT sqrt(-2 * ln(((hashint8extended(key, 1) & 9007199254740991) + 0.5) / 9007199254740992.0))
          * cos(2 * pi() * (((hashint8extended(key, 2) & 9007199254740991) + 0.5) / 9007199254740992.0))';
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT now() - (500 - j) * interval '1 minute', q, 42, exp(center + 0.1 * normal(q * 1000 + j)), 1, 100, 0, 1, j,
       'postgres'::regrole, 1, 0, 1, 1, true, 'done', plan_facts(cost)
  FROM (VALUES (1, 1.0, 1.5), (2, 4.0, 3.5)) v(q, cost, center), generate_series(1, 400) j;
SELECT import_model(booster(), 'xgboost-json');
SELECT training_samples, calibration_samples > 100 AS calibrated, heldout_samples > 100 AS held_out, statements,
       (metrics #>> '{stages,model_cold,mae}')::float8 BETWEEN 0.05 AND 0.12 AS near
  FROM get_model(4);
SELECT import_model(export_model(4));
SELECT a.metrics = b.metrics AS same_metrics, a.calibration = b.calibration AS same_calibration FROM get_model(4) a, get_model(5) b;

-- Trained here, it goes out as departures and comes back as native only.
SELECT model_type, status FROM (SELECT 'random_forest' AS model_type, (train_performance_model('random_forest', hyperparameters => '{"n_trees": 5}', wait => true)).status) t;
SELECT j #> '{learner,attributes}' AS attributes, jsonb_array_length(j #> '{learner,gradient_booster,model,trees}') AS trees
  FROM (SELECT convert_from(export_model(max(model_id), 'xgboost-json'), 'UTF8')::jsonb AS j FROM list_models()) x;
SELECT import_model(export_model(max(model_id), 'xgboost-json'), 'xgboost-json') FROM list_models();
SELECT import_model(export_model(max(model_id))) FROM list_models();
SELECT status FROM train_performance_model('linear_regression', wait => true);
SELECT export_model(max(model_id), 'xgboost-json') FROM list_models();

-- Rights.
CREATE ROLE regress_exchange_nobody;
CREATE ROLE regress_exchange_monitor;
GRANT pg_monitor TO regress_exchange_monitor;
SET ROLE regress_exchange_nobody;
SELECT export_model(1);
SELECT import_model('\x00');
RESET ROLE;
SET ROLE regress_exchange_monitor;
SELECT length(export_model(1)) > 100 AS exports;
SELECT import_model('\x00');
RESET ROLE;
GRANT EXECUTE ON FUNCTION import_model(bytea, text) TO regress_exchange_nobody;
SELECT export_model(1) AS bytes \gset
SET ROLE regress_exchange_nobody;
SELECT import_model(:'bytes') > 0 AS imports;
RESET ROLE;
SELECT created_by::regrole FROM pganalytics.query_performance_models ORDER BY model_id DESC LIMIT 1;
REVOKE EXECUTE ON FUNCTION import_model(bytea, text) FROM regress_exchange_nobody;
DROP ROLE regress_exchange_nobody, regress_exchange_monitor;
DROP EXTENSION pganalytics_ml;
