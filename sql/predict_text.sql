-- Predictions by text: planned as the caller, never run.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
CREATE TABLE sold (id int PRIMARY KEY, shop int, amount numeric);
INSERT INTO sold SELECT g, CASE WHEN g <= 5000 THEN 1 ELSE g END, g FROM generate_series(1, 10000) g;
CREATE INDEX ON sold (shop);
VACUUM ANALYZE sold;

-- Nothing is known of a text without a model, and the reason says so.
SELECT predict_query_time('SELECT count(*) FROM sold WHERE shop = 1') IS NULL AS unknown;
SELECT queryid <> 0 AS has_queryid, source, reason, prediction_id IS NULL AS not_logged
  FROM predict_query_execution('SELECT count(*) FROM sold WHERE shop = 1');
SELECT part, meaning FROM explain_prediction('SELECT count(*) FROM sold WHERE shop = 1');

-- What has no plan is an error of the scalar and of the row form.
SELECT predict_query_time('4711');
SELECT predict_query_execution(' -4711 ;');
SELECT explain_prediction('4711');
SELECT predict_query_time('SELCT 1');
SELECT predict_query_time('');
SELECT predict_query_time('SELECT 1; SELECT 2');
SELECT predict_query_time('VACUUM sold');
SELECT predict_query_time('EXPLAIN SELECT 1');
SELECT predict_query_time('SELECT * FROM nowhere');
SELECT predict_query_time(NULL::text) IS NULL AS null_is_null;

-- A batch answers what it can, in order, with the reason for the rest.
SELECT p.ordinality, p.queryid <> 0 AS planned, p.reason
  FROM predict_query_executions(ARRAY['SELECT count(*) FROM sold', 'SELCT 1', '12', 'SELECT * FROM nowhere', 'SELECT $1 + id FROM sold'])
       WITH ORDINALITY p ORDER BY 1;
SELECT * FROM predict_query_executions('{}'::text[]);
SELECT * FROM predict_query_executions(ARRAY['SELECT 1', NULL]);
SELECT * FROM predict_query_executions(ARRAY[['SELECT 1'], ['SELECT 2']]);
SELECT count(*) FROM predict_query_executions(array_fill('SELECT 1'::text, '{1000}'));
SELECT count(*) FROM predict_query_executions(array_fill('SELECT 1'::text, '{1001}'));

-- Nothing is ever run, and nothing is left behind.
CREATE SEQUENCE counter;
CREATE FUNCTION touch() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO sold VALUES (0, 0, 0); RETURN 1; END $$;
SELECT count(*) FROM predict_query_executions(ARRAY['SELECT nextval(''counter'')', 'SELECT touch()', 'DELETE FROM sold', 'INSERT INTO sold VALUES (-1, 1, 1)',
    'WITH gone AS (DELETE FROM sold RETURNING *) SELECT count(*) FROM gone']);
SELECT predict_query_time('SELECT touch()') IS NULL AS unknown, predict_query_time('UPDATE sold SET amount = 0') IS NULL AS unknown;
SELECT is_called FROM counter;
SELECT count(*), min(id), min(amount) FROM sold;
BEGIN READ ONLY;
SELECT predict_query_time('DELETE FROM sold') IS NULL AS in_read_only_transaction;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'sold'::regclass;
COMMIT;

-- A statement that ran: its text says what its queryid says, with $n as well as with a value.
SELECT queryid AS own FROM predict_query_execution('SELECT count(*) FROM sold WHERE shop = 1') \gset
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT :own, i.origin, now() - interval '1 day', now(), 'SELECT', true, 'SELECT count(*) FROM sold WHERE shop = $1' FROM pganalytics.installation i;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
VALUES ('postgres'::regrole, :own, 0, now() - interval '1 day', now());
INSERT INTO pganalytics.statement_recent (queryid, last_at, recent_ms, recent_plans, recent_costs, recent_plan_rows, active_backends, rows_per_call, hit_ratio)
VALUES (:own, now(), '{2,2,4,8,8}', '{1,1,1,1,1}', '{1,1,2,3,3}', '{1,1,1,1,1}', 1, 1, 1);
\c -
SET client_min_messages = warning;
SELECT q.what, p.queryid = :own AS same_statement, round(p.predicted_execution_time_ms::numeric, 6) AS ms, p.source, p.reason
  FROM (VALUES (1, 'value', 'SELECT count(*) FROM sold WHERE shop = 77'),
               (2, 'placeholder', 'SELECT count(*) FROM sold WHERE shop = $1'),
               (3, 'placeholder in a script', E'  SELECT count(*) FROM sold WHERE shop = $1 ;\n'),
               (4, 'another statement', 'SELECT count(*) FROM sold WHERE shop = $1 AND id = $2')) q(i, what, query),
       LATERAL predict_query_execution(q.query) p ORDER BY i;
SELECT predict_query_time(:own) = predict_query_time('SELECT count(*) FROM sold WHERE shop = 77') AS as_by_queryid;
SELECT part, value, unit, meaning FROM explain_prediction('SELECT count(*) FROM sold WHERE shop = 77');

-- Rights: of the caller, before any answer; and another's past stays his.
CREATE ROLE text_nobody;
CREATE ROLE text_reader IN ROLE pg_read_all_stats;
SET ROLE text_nobody;
SELECT predict_query_time('SELECT count(*) FROM sold WHERE shop = 77');
SELECT explain_prediction('SELECT count(*) FROM sold WHERE shop = 77');
SELECT reason FROM predict_query_executions(ARRAY['SELECT count(*) FROM sold WHERE shop = 77']);
RESET ROLE;
GRANT SELECT ON sold TO text_nobody, text_reader;
SET ROLE text_nobody;
SELECT predicted_execution_time_ms IS NULL AS unknown, reason, coverage, cache_hit FROM predict_query_execution('SELECT count(*) FROM sold WHERE shop = 77');
SELECT queryid = :own AS identified, reason FROM predict_query_execution('SELECT count(*) FROM sold WHERE shop = $1');
SELECT predict_query_time('DELETE FROM sold');
RESET ROLE;
SET ROLE text_reader;
SELECT round(predicted_execution_time_ms::numeric, 6) AS ms FROM predict_query_execution('SELECT count(*) FROM sold WHERE shop = 77');
RESET ROLE;
DROP OWNED BY text_nobody, text_reader;
DROP ROLE text_nobody, text_reader;
