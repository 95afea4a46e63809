-- Buckets of another width than the present one: what is learnt from them.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
SELECT count(*) FROM collect_statements();
SELECT date_bin('1 day', now(), '2000-01-01 00:00:00+00') AS day \gset
-- Statement 1: days of 240 calls, then quarters of an hour with 5 calls, then hours of 10.  Statement 2: hours, the first of them on the last whole day.
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT q, origin, :'day'::timestamptz - interval '216 hours', now(), 'SELECT', true, 'SELECT ' || q FROM pganalytics.installation, generate_series(1, 2) q;
CREATE TEMP TABLE bucket AS
SELECT 1 AS q, :'day'::timestamptz - make_interval(hours => 24 * d) AS at, 86400 AS width, 240 AS calls FROM generate_series(5, 8) d
UNION ALL SELECT 1, :'day'::timestamptz - interval '96 hours' + make_interval(mins => 15 * m), 900, 5 FROM generate_series(0, 95) m
UNION ALL SELECT 1, :'day'::timestamptz - interval '72 hours' + make_interval(hours => h), 3600, 10 FROM generate_series(0, 71) h
UNION ALL SELECT 2, :'day'::timestamptz - interval '24 hours' + make_interval(hours => h), 3600, 10 FROM generate_series(0, 23) h;
INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
       wal_bytes, bucket_width, toplevel, origin)
SELECT q, at, calls, calls * 2, calls * 4, calls, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, width, true, origin FROM bucket, pganalytics.installation;

-- Quarters add up to hours; days stay days.
SELECT queryid, bucket_width, count(*), min(calls), max(calls), sum(calls), min(total_ms / calls) AS ms
  FROM pganalytics.history_buckets(3600, '-infinity', :'day') WHERE queryid IN (1, 2) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT queryid, bucket_width, count(*), sum(calls)
  FROM pganalytics.history_buckets(86400, '-infinity', :'day') WHERE queryid IN (1, 2) GROUP BY 1, 2 ORDER BY 1, 2;
-- Quarters of an hour do not fill 40 minutes.
SELECT bucket_width, count(*), sum(calls)
  FROM pganalytics.history_buckets(2400, '-infinity', :'day') WHERE queryid = 1 GROUP BY 1 ORDER BY 1;

-- Every bucket is a row with the same time; calls per hour are known from the first whole hours on.
SELECT f.position AS calls FROM list_features() f WHERE f.feature = 'query_calls_per_hour' \gset
SELECT queryid, at <= :'day'::timestamptz - interval '96 hours' AS days, count(*),
       bool_and(abs(log_ms - ln(2)) < 1e-9) AS two_ms,
       min(nullif(features[:calls], 'NaN')) AS least, max(nullif(features[:calls], 'NaN')) AS most,
       count(*) FILTER (WHERE features[:calls] = 'NaN') AS unknown
  FROM training_rows() WHERE queryid IN (1, 2) GROUP BY 1, 2 ORDER BY 1, 2 DESC;

-- Training counts the same rows.
\set VERBOSITY default
SET client_min_messages = error;
SELECT count(*) AS rows FROM training_rows() \gset
RESET client_min_messages;
SELECT :rows >= 4 + 24 + 72 + 24 AS all_of_them;
-- Present width of a day: 24 hours are one row.
UPDATE pganalytics.collector_state SET bucket_width = 86400;
SELECT queryid, count(*), max(nullif(features[:calls], 'NaN')) AS most FROM training_rows() WHERE queryid IN (1, 2) AND at <= :'day' GROUP BY 1 ORDER BY 1;

-- Too few: what waits for the text of its statement is told, and makes the wait shorter.
DELETE FROM pganalytics.statement_history;
UPDATE pganalytics.collector_state SET bucket_width = 3600;
INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
       wal_bytes, bucket_width, toplevel, origin)
SELECT q, :'day'::timestamptz - make_interval(hours => h), 10, 20, 40, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
  FROM pganalytics.installation, (VALUES (1, 5), (2, 150)) v (q, n), generate_series(1, n) h;
UPDATE pganalytics.statements SET plannable = NULL, query = NULL WHERE queryid = 2;
SELECT train_performance_model(wait => true);
DELETE FROM pganalytics.statement_history WHERE queryid = 2 AND bucket_start < :'day'::timestamptz - interval '40 hours';
DO $$ BEGIN PERFORM train_performance_model(wait => true);
EXCEPTION WHEN object_not_in_prerequisite_state THEN DECLARE d text; BEGIN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
RAISE NOTICE '%', regexp_replace(d, '\d+\.\d hours', 'N hours'); END; END $$;
DROP EXTENSION pganalytics_ml;
