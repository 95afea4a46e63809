-- What predictions by text say of statements that were never seen, through SQL; see real.
--
-- Wants a table texts (i, query) of what ran, in that order, and the variables seeds and folds.  Leaves a table
-- answers.  A statement is taken out of everything that is known, learning begins anew, and its texts are asked for.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET pganalytics_ml.prediction_cache_ttl = 0;
SET pganalytics_ml.prediction_log_rate = 0;
SET pganalytics_ml.capture = off;
SET search_path = public, shop;

-- Which execution was which text: the k-th of its statement.
CREATE TABLE truth AS
WITH asked AS (
    SELECT t.i, t.query, p.queryid, row_number() OVER (PARTITION BY p.queryid ORDER BY t.i) AS k
      FROM (SELECT i / 500 AS part, array_agg(query ORDER BY i) AS queries, array_agg(i ORDER BY i) AS numbers FROM texts GROUP BY 1) b
     CROSS JOIN LATERAL predict_query_executions(b.queries) WITH ORDINALITY p
     JOIN texts t ON t.i = b.numbers[p.ordinality]
), ran AS (
    SELECT queryid, ln(execution_ms) AS y, plan_facts[1] AS log_cost,
           row_number() OVER (PARTITION BY queryid ORDER BY sampled_at DESC) AS back
      FROM pganalytics.execution_samples WHERE outcome = 'done'
)
SELECT a.i, a.query, a.queryid, r.y, r.log_cost
  FROM (SELECT *, count(*) OVER (PARTITION BY queryid) AS n FROM asked) a
  JOIN ran r ON r.queryid = a.queryid AND r.back = a.n + 1 - a.k;
DELETE FROM pganalytics.execution_samples WHERE queryid NOT IN (SELECT queryid FROM truth);

CREATE TABLE folds AS
SELECT s AS seed, queryid, (row_number() OVER (PARTITION BY s ORDER BY hashint8extended(queryid, s)) % :folds)::int AS fold
  FROM (SELECT DISTINCT queryid FROM truth) q, generate_series(1, :seeds) s;
CREATE TABLE answers (seed int, fold int, i int, center float8, lower float8, upper float8, source text);
CREATE SCHEMA stash;

CREATE PROCEDURE public.leave_out(of_seed int, of_fold int) LANGUAGE plpgsql AS $$
DECLARE
    kept text[] := '{statements,statement_users,statement_counters,statement_history,statement_recent,execution_samples}';
    one text;
BEGIN
    FOREACH one IN ARRAY kept LOOP
        EXECUTE format('CREATE TABLE stash.%1$I AS SELECT t.* FROM pganalytics.%1$I t JOIN folds f ON f.queryid = t.queryid AND f.seed = $1 AND f.fold = $2', one) USING of_seed, of_fold;
        EXECUTE format('DELETE FROM pganalytics.%1$I t USING folds f WHERE f.queryid = t.queryid AND f.seed = $1 AND f.fold = $2', one) USING of_seed, of_fold;
    END LOOP;
    DELETE FROM pganalytics.query_performance_models;
    COMMIT;
    PERFORM train_performance_model('gradient_boosting', wait => true);
    COMMIT;
    INSERT INTO answers
    SELECT of_seed, of_fold, t.i, ln(p.predicted_execution_time_ms), ln(p.lower_bound_ms), ln(p.upper_bound_ms), p.source
      FROM folds f JOIN truth t ON t.queryid = f.queryid, LATERAL predict_query_execution(t.query) p
     WHERE f.seed = of_seed AND f.fold = of_fold;
    FOREACH one IN ARRAY kept LOOP
        EXECUTE format('INSERT INTO pganalytics.%1$I SELECT * FROM stash.%1$I', one);
        EXECUTE format('DROP TABLE stash.%1$I', one);
    END LOOP;
    COMMIT;
END $$;
SELECT format('CALL leave_out(%s, %s)', s, f) FROM generate_series(1, :seeds) s, generate_series(0, :folds - 1) f \gexec
