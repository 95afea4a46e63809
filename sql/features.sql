-- The feature vector of real statements, every canonical value beside independent SQL.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE big (id int PRIMARY KEY, a int, b text);
CREATE INDEX big_a ON big (a);
INSERT INTO big SELECT i, i % 100, repeat('x', 50) FROM generate_series(1, 20000) i;
CREATE TABLE small (id int PRIMARY KEY, name text);
INSERT INTO small SELECT i, 'name' FROM generate_series(1, 100) i;
VACUUM ANALYZE big;
VACUUM ANALYZE small;
SET pganalytics_ml.overhead_budget = 1;
SET pganalytics_ml.prediction_cache_ttl = 0;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

SELECT first FROM collect_statements();
-- three statements of different shape
DO $$ DECLARE i int; n bigint; BEGIN
    FOR i IN 1..12 LOOP
        SELECT count(*) INTO n FROM big WHERE b LIKE '%y%';
        SELECT count(*) INTO n FROM small s WHERE EXISTS (SELECT 1 FROM big b WHERE b.a = s.id AND b.id > s.id OFFSET 0);
        SELECT b.a INTO n FROM big b WHERE b.id = i;
    END LOOP;
END $$;
SELECT grown > 0 AS grown, samples > 0 AS samples FROM collect_statements();

CREATE VIEW id AS
SELECT max(queryid) FILTER (WHERE query LIKE '%LIKE $%') AS scan,
       max(queryid) FILTER (WHERE query LIKE '%EXISTS (SELECT%') AS sub,
       max(queryid) FILTER (WHERE query LIKE 'SELECT b.a%') AS lookup
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_statements%'
   AND query NOT LIKE 'DO %';
SELECT scan IS NOT NULL AND sub IS NOT NULL AND lookup IS NOT NULL AS found FROM id;

CREATE VIEW features AS
SELECT n.statement, f.* FROM id, LATERAL (VALUES ('scan', scan), ('sub', sub), ('lookup', lookup)) n(statement, q),
       LATERAL query_features(n.q) f;

-- From the plan and the catalog: exact.
SELECT statement, feature, value FROM features
 WHERE feature IN ('has_seq_scan', 'has_nested_loop', 'subquery_depth', 'index_count', 'table_row_count')
 ORDER BY statement COLLATE "C", position;
SELECT statement, abs(max(value) FILTER (WHERE feature = 'mean_table_size_mb') -
           CASE statement WHEN 'sub' THEN (pg_relation_size('big') + pg_relation_size('small')) / 2.0
                          ELSE pg_relation_size('big') END / 1048576.0) < 1e-6 AS size,
       abs(max(value) FILTER (WHERE feature = 'avg_row_width_bytes') -
           (SELECT sum(avg_width) / count(DISTINCT tablename) FROM pg_stats
             WHERE schemaname = 'public' AND tablename IN ('big', CASE statement WHEN 'sub' THEN 'small' ELSE 'big' END))) < 1e-6 AS width
  FROM features GROUP BY statement ORDER BY statement COLLATE "C";
-- From the operating system and from captured overlap.
SELECT bool_and(value BETWEEN 1 AND 100) AS memory FROM features WHERE feature = 'available_memory_pct';
SELECT statement, value = (SELECT avg(active_backends)::real FROM pganalytics.execution_samples e, id
                            WHERE e.queryid = CASE f.statement WHEN 'scan' THEN scan WHEN 'sub' THEN sub ELSE lookup END) AS overlap
  FROM features f WHERE feature = 'concurrent_queries_avg' ORDER BY statement COLLATE "C";
-- Lags: the median of the captured executions.
SELECT statement, abs(value - (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ln(execution_ms)) FROM pganalytics.execution_samples e, id
                            WHERE e.queryid = CASE f.statement WHEN 'scan' THEN scan WHEN 'sub' THEN sub ELSE lookup END)) < 1e-4 AS median
  FROM features f WHERE feature = 'lag_log_center' ORDER BY statement COLLATE "C";
SELECT statement, value FROM features WHERE feature = 'lag_runs' ORDER BY statement COLLATE "C";

-- Calls per hour: the bucket that still runs does not count; complete ones do, empty ones as zero.
SELECT DISTINCT value, reason FROM features WHERE feature IN ('query_calls_per_hour', 'std_dev_calls', 'peak_hour_calls');
INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
       wal_bytes, bucket_width, toplevel, origin)
SELECT scan, date_bin('1 hour', now(), '2000-01-01 00:00:00+00') - make_interval(hours => h), c, c, c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
  FROM id, pganalytics.installation, (VALUES (1, 10), (2, 30), (4, 20)) v(h, c);
WITH hours AS (
    SELECT h, coalesce((SELECT sum(calls) FROM pganalytics.statement_history, id
                         WHERE queryid = scan AND bucket_start = date_bin('1 hour', now(), '2000-01-01 00:00:00+00') - make_interval(hours => h)), 0) AS calls
      FROM generate_series(1, 4) h)
SELECT feature, value, abs(value - CASE feature WHEN 'query_calls_per_hour' THEN (SELECT avg(calls) FROM hours)
                            WHEN 'std_dev_calls' THEN (SELECT stddev_pop(calls) FROM hours)
                            ELSE (SELECT max(calls) FROM hours) END) < 1e-5 AS same
  FROM features WHERE statement = 'scan' AND feature IN ('query_calls_per_hour', 'std_dev_calls', 'peak_hour_calls') ORDER BY position;

-- One definition: names are unique, the twelve canonical ones come first and in order.
SELECT count(*) = count(DISTINCT feature) AS unique_names, bool_and(canonical = ("position" <= 12)) AS first FROM features WHERE statement = 'scan';
SELECT string_agg(feature, ' ' ORDER BY "position") FROM features WHERE statement = 'scan' AND canonical;
-- What is not known has a reason, what is known has none.
SELECT bool_and((value IS NULL) = (reason IS NOT NULL)) AS reasons FROM features;
SELECT DISTINCT value, reason FROM query_features(0);
SELECT count(*) FROM query_features(NULL);
