-- The rows that training learns from, for tools outside the server.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
SET pganalytics_ml.prediction_cache_ttl = 0;

-- The list of features is that of every statement.
SELECT count(*) AS differ FROM
  ((SELECT "position", feature, unit, meaning, canonical FROM query_features(1) EXCEPT ALL SELECT * FROM list_features()) UNION ALL
   (SELECT * FROM list_features() EXCEPT ALL SELECT "position", feature, unit, meaning, canonical FROM query_features(1))) x;
SELECT count(*) = count(DISTINCT feature) AS unique_names, count(*) FILTER (WHERE canonical) AS canonical,
       min("position") AS first, max("position") = count(*) AS dense FROM list_features();

-- Nothing yet: no row, and no error.
SELECT count(*) FROM training_rows();
SELECT count(*) FROM training_rows(NULL);
\set VERBOSITY default
SELECT count(*) FROM training_rows(0);
SELECT count(*) FROM training_rows(366);
\set VERBOSITY terse

-- A statement of captured executions, one of statement-hours, one of utility commands.
CREATE FUNCTION place(name text) RETURNS int LANGUAGE sql AS 'SELECT "position" FROM list_features() WHERE feature = name';
CREATE FUNCTION facts(log_cost float8) RETURNS real[] LANGUAGE sql AS
    'SELECT array_agg(CASE WHEN "position" = place(''log_cost'') THEN log_cost ELSE 1 END ORDER BY "position")::real[]
       FROM list_features() WHERE NOT canonical AND feature NOT LIKE ''lag\_%''';
TRUNCATE pganalytics.statements, pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history;
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT q, i.origin, now() - interval '10 days', now(), 'SELECT', q <> 30, 'SELECT ' || q
  FROM (VALUES (-10), (20), (30)) v(q), pganalytics.installation i;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen, plan_id, plan_facts, plan_seen)
SELECT 'postgres'::regrole, -10, 0, now() - interval '10 days', now(), 7, facts(2), now();
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT date_trunc('hour', now()) - interval '1 hour' + j * interval '1 minute', q, 6 + j % 2, j * 10, 4, 30, 10, 1, j,
       'postgres'::regrole, 1, 0, 1, 1, true, CASE j WHEN 12 THEN 'error' ELSE 'done' END, facts(j % 2 + 1)
  FROM (VALUES (-10), (30)) v(q), generate_series(1, 12) j;
INSERT INTO pganalytics.statement_recent (queryid, last_at, recent_ms, recent_plans, active_backends, rows_per_call, hit_ratio)
SELECT -10, max(sampled_at), array_agg(execution_ms ORDER BY sampled_at)::real[], array_agg(plan_id ORDER BY sampled_at), 1, 4, 0.75
  FROM pganalytics.execution_samples WHERE queryid = -10 AND outcome = 'done';
INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
       wal_bytes, bucket_width, toplevel, origin)
SELECT 20, date_trunc('hour', now()) - make_interval(hours => h), 4, 40, 500, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
  FROM pganalytics.installation, generate_series(2, 5) h;

CREATE TABLE rows AS SELECT * FROM training_rows(30);
SELECT queryid, single, count(*), count(plan_id) AS plans, bool_and(cardinality(features) = (SELECT count(*) FROM list_features())) AS width
  FROM rows GROUP BY 1, 2 ORDER BY 1;
-- An execution counts at its start, with its own time and plan; a failed one does not count.
SELECT bool_and(abs(r.log_ms - ln(e.execution_ms)) < 1e-12 AND r.plan_id = e.plan_id AND r.features[place('log_cost')] = e.plan_facts[1]) AS own, count(*)
  FROM rows r JOIN pganalytics.execution_samples e
    ON e.queryid = r.queryid AND abs(extract(epoch FROM e.sampled_at - r.at) - e.execution_ms / 1000) < 1e-5;
-- A statement-hour tells the median of a log-normal time of its mean 10 and deviation 5.
SELECT queryid, bool_and(abs(log_ms - (ln(10) - ln(1 + 0.25) / 2)) < 1e-9) AS median FROM rows WHERE NOT single GROUP BY 1;
-- Every row knows the runs before it and none after.
SELECT string_agg(coalesce(features[place('lag_runs')]::text, '-'), ' ' ORDER BY at) FROM rows WHERE queryid = -10;
SELECT bool_and(abs(features[place('lag_log_center')] - before) < 1e-5) AS before, count(*)
  FROM (SELECT r.*, (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY b.log_ms) FROM rows b WHERE b.queryid = r.queryid AND b.at < r.at) AS before
          FROM rows r WHERE queryid = -10) x WHERE before IS NOT NULL AND features[place('lag_runs')] < 5;
-- The next row would be what a prediction sees now, in all that a new run does not change.
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place, application_hash, weight,
   active_backends, toplevel, outcome, plan_facts)
SELECT now(), -10, 7, 0.001, 4, 1, 13, 'postgres'::regrole, 1, 0, 1, 1, true, 'done', facts(2);
SELECT f.feature, r.value, f.value FROM
  (SELECT v.value, v.n FROM training_rows() r, unnest(r.features) WITH ORDINALITY v(value, n)
    WHERE r.queryid = -10 AND r.at = (SELECT max(at) FROM training_rows())) r
  JOIN query_features(-10) f ON f."position" = r.n
 WHERE r.value IS DISTINCT FROM coalesce(f.value, 'NaN')::real
   AND f.feature NOT IN ('available_memory_pct', 'lag_log_age') AND f.feature NOT LIKE 'lag_%_departure';	-- of an own plan

-- The window is that of training.
SELECT count(*) FROM training_rows(1);
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place, application_hash, weight,
   active_backends, toplevel, outcome, plan_facts)
SELECT now() - interval '3 days' + j * interval '1 second', -10, 7, 1, 4, 1, j, 'postgres'::regrole, 1, 0, 1, 1, true, 'done', facts(2)
  FROM generate_series(1, 5000) j;
SELECT count(*) > 5000 AS all_rows FROM training_rows();
SELECT count(*) < 100 AS fewer FROM training_rows(1);
-- Reading changes nothing.
BEGIN READ ONLY;
SELECT count(*) > 5000 AS read FROM training_rows();
ROLLBACK;

-- Rights: monitoring roles read it, others do not; nobody's objects play a part.
CREATE ROLE rows_nobody;
CREATE ROLE rows_monitor IN ROLE pg_monitor;
SET ROLE rows_nobody;
SELECT count(*) FROM training_rows();
SELECT count(*) > 40 AS listed FROM list_features();
RESET ROLE;
SET ROLE rows_monitor;
CREATE TEMP TABLE execution_samples (queryid bigint);
CREATE FUNCTION pg_temp.log(float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran as %', current_user; END $$;
SET search_path = pg_temp, public;
SELECT count(*) > 5000 AS read FROM public.training_rows();
RESET search_path;
RESET ROLE;
DROP OWNED BY rows_monitor;
DROP ROLE rows_nobody, rows_monitor;
