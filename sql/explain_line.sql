-- EXPLAIN shows the predicted time; numbers of single statements are made up.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
SET client_min_messages = warning;
CREATE TABLE shown (id int PRIMARY KEY, b int);
SELECT queryid AS own FROM predict_query_execution('SELECT b FROM shown WHERE id = 1') \gset
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
VALUES ('postgres'::regrole, :own, 0, now() - interval '1 day', now());
INSERT INTO pganalytics.statement_recent (queryid, last_at, recent_ms, recent_plans, active_backends, rows_per_call, hit_ratio)
VALUES (:own, now(), '{12,12,12.3,12.3,12.6,12.6}', '{1,1,1,1,1,1}', 1, 1, 1);
\c -

-- Off by default; then after the plan, in every format.
EXPLAIN (COSTS OFF) SELECT b FROM shown WHERE id = 1;
SET pganalytics_ml.explain_predicted_time = on;
EXPLAIN (COSTS OFF) SELECT b FROM shown WHERE id = 1;
CREATE FUNCTION lines(query text, options text DEFAULT 'format text') RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
    FOR found IN EXECUTE format('EXPLAIN (COSTS OFF, %s) %s', options, query) LOOP
        RETURN QUERY SELECT l FROM regexp_split_to_table(found, E'\n') WITH ORDINALITY x(l, i) WHERE l ~ 'Predicted|Query' OR options ~ 'json' AND l !~ '^ {6}' ORDER BY i;
    END LOOP;
END $$;
SELECT * FROM lines('SELECT b FROM shown WHERE id = 1', 'format json');
SELECT * FROM lines('SELECT b FROM shown WHERE id = 1', 'format xml');
SELECT * FROM lines('SELECT b FROM shown WHERE id = 1', 'format yaml');

-- The number is that of the function, the interval that of prediction_interval.
CREATE FUNCTION explained(query text, OUT ms numeric, OUT lower numeric, OUT upper numeric, OUT nominal numeric, OUT source text, OUT reason text)
LANGUAGE plpgsql AS $$
DECLARE j json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO j;
    ms := j -> 0 -> 'Predicted Time';
    lower := j -> 0 -> 'Predicted Time Lower';
    upper := j -> 0 -> 'Predicted Time Upper';
    nominal := j -> 0 -> 'Predicted Time Coverage';
    source := j -> 0 ->> 'Predicted Time Source';
    reason := j -> 0 ->> 'Predicted Time Reason';
END $$;
SELECT e.ms = round(p.predicted_execution_time_ms::numeric, 3) AS ms, e.lower = round(p.lower_bound_ms::numeric, 3) AS lower,
       e.upper = round(p.upper_bound_ms::numeric, 3) AS upper, e.nominal, e.source = p.source AS source
  FROM explained('SELECT b FROM shown WHERE id = 2') e, predict_query_execution('SELECT b FROM shown WHERE id = 2') p;
SET pganalytics_ml.prediction_interval = 0.5;
EXPLAIN (COSTS OFF) SELECT b FROM shown WHERE id = 1;
RESET pganalytics_ml.prediction_interval;

-- Without an answer the reason stands there.
EXPLAIN (COSTS OFF) SELECT sum(b) FROM shown;
SELECT * FROM explained('SELECT sum(b) FROM shown');

-- EXPLAIN ANALYZE, of prepared statements, of CREATE TABLE AS, of cursors, of statements that rules make.
SELECT * FROM lines('SELECT b FROM shown WHERE id = 1', 'analyze, timing off');
SELECT count(*) AS of_prepared FROM lines('EXECUTE none(1)');
PREPARE one(int) AS SELECT b FROM shown WHERE id = $1;
SELECT regexp_replace(line, '\d+\.\d+|unknown.*', 'N', 'g') FROM lines('EXECUTE one(1)');
SELECT line FROM lines('EXECUTE one(1)', 'format json');
SELECT line FROM lines('EXECUTE one(1)', 'format xml, analyze, timing off, summary off, buffers off');
SELECT line FROM lines('EXECUTE one(1)', 'format yaml');
SELECT count(*) AS of_table_from_prepared FROM lines('CREATE TABLE nothing AS EXECUTE one(1)');
-- Of several plans before 18: none, rather than that of one under another.
CREATE TABLE ruled (a int);
CREATE RULE also AS ON INSERT TO ruled DO ALSO SELECT 1;
PREPARE several AS INSERT INTO ruled VALUES (1);
SELECT count(*) IN (0, 2) AS all_or_none FROM lines('EXECUTE several');
SELECT count(*) AS of_create_table FROM lines('CREATE TABLE made AS SELECT b FROM shown WHERE id = 1');
SELECT count(*) AS of_cursor FROM lines('DECLARE c CURSOR FOR SELECT b FROM shown WHERE id = 1');
CREATE RULE twice AS ON INSERT TO shown DO ALSO SELECT b FROM shown WHERE id = 1;
SELECT count(*) AS of_rule FROM lines('INSERT INTO shown VALUES (1, 1)');
SELECT count(*) AS written FROM shown;

-- It works in transactions, for those without rights on what it reads, and not at all without asking.
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
EXPLAIN (COSTS OFF) SELECT b FROM shown WHERE id = 1;
SELECT count(*) AS locks_left FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'pganalytics.statement_recent'::regclass AND mode <> 'SIReadLock';
COMMIT;
CREATE ROLE line_nobody;
GRANT SELECT ON shown TO line_nobody;
SET ROLE line_nobody;
EXPLAIN (COSTS OFF) SELECT b FROM shown WHERE id = 1;
RESET ROLE;
DROP OWNED BY line_nobody;
DROP ROLE line_nobody;
