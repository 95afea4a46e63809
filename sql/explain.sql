-- Why predictions are what they are: properties only, of generated executions.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -

CREATE FUNCTION uniform(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT ((hashint8extended(key, salt) & 9007199254740991) + 0.5) / 9007199254740992.0';
CREATE FUNCTION normal(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT sqrt(-2 * ln(uniform(key, salt))) * cos(2 * pi() * uniform(key, salt + 1))';

-- 80 statements whose time goes with their cost and, what the cost line cannot know, with a second fact of their plan.
CREATE TABLE truth AS
SELECT k AS queryid, (0.5 + 4 * uniform(k, 1))::real AS log_cost, (k % 8)::real AS driver,
       -2 + 0.9 * (0.5 + 4 * uniform(k, 1)) + 0.4 * (k % 8) AS center
  FROM generate_series(1, 80) k;
CREATE FUNCTION plan_facts(log_cost real, driver real) RETURNS real[] LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(CASE i WHEN 1 THEN log_cost WHEN 5 THEN driver ELSE 1 END ORDER BY i)::real[] FROM generate_series(1, 37) i';

TRUNCATE pganalytics.statements, pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history;
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT t.queryid, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || t.queryid
  FROM truth t, pganalytics.installation i;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen, plan_id, plan_facts, plan_seen)
SELECT 'postgres'::regrole, queryid, 0, now() - interval '2 days', now(), queryid * 1000, plan_facts(log_cost, driver), now()
  FROM truth;
-- statements 71..80 have a plan and never ran
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT now() - (100 - j) * interval '1 minute' + ms * interval '1 millisecond', t.queryid, t.queryid * 1000,
       ms, 1, 100, 0, 1, j, 'postgres'::regrole, 1, 0, 1, 1, true, 'done', plan_facts(t.log_cost, t.driver)
  FROM truth t, generate_series(1, 100) j, LATERAL (SELECT exp(t.center + 0.2 * normal(t.queryid * 1000 + j, 7)) AS ms) m
 WHERE t.queryid <= 70;
INSERT INTO pganalytics.statement_recent (queryid, last_at, recent_ms, recent_plans, active_backends, rows_per_call, hit_ratio)
SELECT queryid, max(sampled_at), array_agg(execution_ms ORDER BY sampled_at)::real[],
       array_agg(plan_id ORDER BY sampled_at), 1, 1, 1
  FROM (SELECT *, row_number() OVER (PARTITION BY queryid ORDER BY sampled_at DESC) AS r
          FROM pganalytics.execution_samples WHERE queryid BETWEEN 1 AND 70) s
 WHERE r <= 32 GROUP BY queryid;

-- Without a model the statement's own runs are all there is.
SELECT rank, part, feature, abs(ln(value) - contribution_log) < 1e-12 AS log_of_value, unit, factor = running_ms AS alone, meaning
  FROM explain_prediction(1);
SELECT * FROM explain_prediction(75);

SELECT status FROM train_performance_model('gradient_boosting', split => 'group', wait => true);
SELECT model_id FROM list_models();

-- Whatever answers: contributions add up, factors multiply to the prediction, order and ranks are right.
CREATE VIEW explained AS
SELECT t.queryid, p.source, p.predicted_execution_time_ms AS ms, e.*
  FROM truth t, LATERAL predict_query_execution(t.queryid) p, LATERAL explain_prediction(t.queryid) e;
SELECT count(*) AS statements, max(off) < 1e-9 AS adds_up, max(abs(product / ms - 1)) < 1e-9 AS multiplies,
       max(abs(last / ms - 1)) < 1e-9 AS arrives, bool_and(ranks) AS ranks
  FROM (SELECT queryid, ms, abs(sum(contribution_log) - ln(ms)) AS off, exp(sum(ln(factor))) AS product,
               (array_agg(running_ms ORDER BY rank DESC))[1] AS last, max(rank) = count(*) AND min(rank) = 1 AS ranks
          FROM explained GROUP BY queryid, ms) s;
SELECT count(*) AS out_of_order
  FROM (SELECT abs(contribution_log) > lag(abs(contribution_log)) OVER (PARTITION BY queryid ORDER BY rank) AS larger
          FROM explained WHERE part = 'feature') s WHERE larger;
SELECT part, min(rank) AS first_rank, max(rank) <= 2 AS leads, count(DISTINCT queryid) FILTER (WHERE queryid > 70) AS never_ran, min(unit) AS unit, count(feature) AS features
  FROM explained WHERE part IN ('start', 'base') GROUP BY part ORDER BY part COLLATE "C" DESC;
SELECT meaning FROM explained WHERE part = 'start' GROUP BY meaning ORDER BY meaning COLLATE "C";
-- Of a statement that never ran, the second fact is what moves the prediction, by about what it does.
SELECT corr(e.contribution_log, t.driver) > 0.9 AS follows, bool_and(e.value = t.driver) AS as_seen,
       regr_slope(e.contribution_log, t.driver) BETWEEN 0.2 AND 0.45 AS slope
  FROM truth t, LATERAL explain_prediction(t.queryid) e
 WHERE t.queryid > 70 AND e.feature = (SELECT feature FROM query_features(1) WHERE "position" = 17);
-- What depends on past runs is hidden from the model there.
SELECT count(*) AS seen FROM explained WHERE queryid > 70 AND feature LIKE 'lag%' AND value IS NOT NULL;
SELECT count(*) AS differ FROM explained e JOIN LATERAL query_features(e.queryid) f USING (feature)
 WHERE e.value IS NOT NULL AND e.value <> f.value;

-- Nothing known, and bad arguments.
SELECT * FROM explain_prediction(123456789);
SELECT * FROM explain_prediction(0);
SELECT count(*) FROM explain_prediction(NULL);

-- Importance: shares add up to 1 and the fact that drives departures leads, by every method.
SELECT m AS method, count(*) = (SELECT count(*) FROM query_features(1)) AS every_feature, abs(sum(share) - 1) < 1e-9 AS shares,
       bool_and(rank = n) AS ranks, (array_agg(feature ORDER BY rank))[1] = (SELECT feature FROM query_features(1) WHERE "position" = 17) AS driver_leads,
       bool_and(importance >= 0 OR share = 0) AS chance_has_no_share
  FROM unnest(ARRAY['gain', 'permutation', 'shap']) m,
       LATERAL (SELECT *, row_number() OVER (ORDER BY importance DESC) AS n FROM feature_importance(1, m)) f
 GROUP BY m ORDER BY m;
SELECT (SELECT array_agg(f ORDER BY rank) FROM feature_importance(1) f) = (SELECT array_agg(f ORDER BY rank) FROM feature_importance(1, 'gain') f) AS gain_by_default;
SELECT importance ->> 'part' AS part, (importance ->> 'rows')::int > 100 AS "rows" FROM pganalytics.query_performance_models;

-- The report agrees with SQL over the rows that trained: the oldest 60 of each statement.
TRUNCATE pganalytics.statement_history;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT status FROM train_performance_model('decision_tree', wait => true);
COMMIT;
SELECT training_samples FROM list_models() WHERE model_id = 2;
WITH known AS (
  SELECT log_cost AS x FROM truth, generate_series(1, 60) WHERE queryid <= 70
), medians AS (
  SELECT count(*) AS n, min(x) AS minimum, max(x) AS maximum, avg(x) AS mean, count(DISTINCT x) AS distinct_values,
         percentile_cont(ARRAY[0.05, 0.5, 0.95]) WITHIN GROUP (ORDER BY x) AS q FROM known
), spread AS (
  SELECT 1.4826 * percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(x - q[2])) AS deviation FROM known, medians
)
SELECT r.feature, r.unit, r.canonical, r.minimum = m.minimum AS minimum, r.maximum = m.maximum AS maximum,
       abs(r.p05 - q[1]) < 1e-6 AS p05, abs(r.median - q[2]) < 1e-6 AS median, abs(r.p95 - q[3]) < 1e-6 AS p95,
       abs(r.mean - m.mean) < 1e-5 AS mean, r.distinct_values = m.distinct_values AS "distinct",
       abs(r.deviation - s.deviation) < 1e-5 AS deviation, r.missing_share, r.outliers, r.outlier_share
  FROM feature_report(2) r, medians m, spread s WHERE r."position" = 13;
SELECT count(*) = max(r."position") AND bool_and(r.feature = f.feature AND r.unit = f.unit AND r.meaning = f.meaning AND r.canonical = f.canonical) AS same_as_query_features
  FROM feature_report(2) r FULL JOIN query_features(1) f USING ("position");
SELECT feature, missing_share, minimum, distinct_values, finding FROM feature_report(2) WHERE feature IN ('table_row_count', 'has_seq_scan');
SELECT bool_and(minimum <= p05 AND p05 <= median AND median <= p95 AND p95 <= maximum AND mean BETWEEN minimum AND maximum
                AND missing_share BETWEEN 0 AND 1 AND outlier_share BETWEEN 0 AND 1) AS ordered
  FROM feature_report(2) WHERE missing_share < 1;

-- A model without them, one that is not there, a method that is not.
UPDATE pganalytics.query_performance_models SET importance = NULL, feature_statistics = NULL WHERE model_id = 2;
\set VERBOSITY default
SET client_min_messages = notice;
SELECT * FROM feature_importance(2);
SELECT * FROM feature_report(2);
SELECT * FROM feature_importance(99);
SELECT * FROM feature_report(99);
SELECT * FROM feature_importance(1, 'weight');
SELECT count(*) FROM feature_importance(NULL), feature_report(NULL);
SET client_min_messages = warning;
\set VERBOSITY terse

-- Every type of model explains itself.
CREATE TEMP TABLE checked (model_type text, adds_up boolean);
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['linear_regression', 'decision_tree', 'random_forest', 'gradient_boosting'] LOOP
        PERFORM train_performance_model(t, split => 'group', wait => true);
        PERFORM activate_model((SELECT max(model_id) FROM list_models()));
        INSERT INTO checked SELECT t, max(off) < 1e-9 FROM (SELECT abs(sum(contribution_log) - ln(ms)) AS off FROM explained GROUP BY queryid, ms) s;
    END LOOP;
END $$;
SELECT * FROM checked;

-- Others see what pg_stat_statements would show: nothing of another's statement, not even that it is there.
CREATE ROLE explain_nobody;
CREATE ROLE explain_reader IN ROLE pg_read_all_stats;
SET ROLE explain_nobody;
SELECT * FROM explain_prediction(1);
SELECT a.meaning = b.meaning AS same_as_unknown FROM explain_prediction(1) a, explain_prediction(123456789) b;
SELECT * FROM feature_importance(1);
SELECT * FROM feature_report(1);
RESET ROLE;
SET ROLE explain_reader;
SELECT count(*) > 0 AS explained FROM explain_prediction(1) WHERE part = 'start';
RESET ROLE;
DROP ROLE explain_nobody, explain_reader;
