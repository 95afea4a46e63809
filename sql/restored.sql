-- What a restore brings: statements, history and models of other installations.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE item (id int PRIMARY KEY, price int);
CREATE SCHEMA one;
CREATE SCHEMA two;
CREATE TABLE one.part (id int);
-- Columns in another order: from 18 on a query identifier knows a table by its name.
CREATE TABLE two.part (made date, id int);
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT count(*) FROM collect_statements();
SELECT price FROM item WHERE id = 1;
SELECT price FROM item WHERE id = 2;
SET search_path = one, public;
SELECT count(*) FROM part WHERE id > 3;
SET search_path = two, public;
SELECT count(*) FROM part WHERE id > 3;
RESET search_path;
SELECT count(*) FROM collect_statements();
SELECT queryid AS own FROM pganalytics.statements WHERE query = 'SELECT price FROM item WHERE id = $1' \gset
SELECT count(*) AS two_schemas, min(queryid) AS part_one FROM pganalytics.statements WHERE query = 'SELECT count(*) FROM part WHERE id > $1' \gset
\echo :two_schemas

-- Two installations were here before: A, and B which was restored from it and lived on.
\set a '''aaaaaaaa-0000-4000-8000-000000000001'''
\set b '''bbbbbbbb-0000-4000-8000-000000000002'''
UPDATE pganalytics.installation SET installed_at = date_trunc('hour', now()) - interval '2 hours';
UPDATE pganalytics.origins o SET installed_at = i.installed_at FROM pganalytics.installation i WHERE i.origin = o.origin;
SELECT date_trunc('hour', now()) AS hour \gset
INSERT INTO pganalytics.origins VALUES (:a, :'hour'::timestamptz - interval '216 hours'), (:b, :'hour'::timestamptz - interval '72 hours');
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query) VALUES
    (11, :a, :'hour'::timestamptz - interval '216 hours', :'hour', 'SELECT', true, 'SELECT price FROM item WHERE id = $1'),
    (12, :b, :'hour'::timestamptz - interval '72 hours', :'hour', 'SELECT', true, 'SELECT price FROM item WHERE id = $1'),
    (13, :b, :'hour'::timestamptz - interval '72 hours', :'hour', 'SELECT', true, 'SELECT price FROM item WHERE id = $1'),
    (14, :a, :'hour'::timestamptz - interval '216 hours', :'hour', 'SELECT', true, 'SELECT gone FROM item'),
    (15, :a, :'hour'::timestamptz - interval '216 hours', :'hour', 'SELECT', true, 'SELECT count(*) FROM part WHERE id > $1'),
    (16, :a, :'hour'::timestamptz - interval '216 hours', :'hour', 'INSERT', true, 'SELECT price FROM item WHERE id = $1'),
    (17, :a, :'hour'::timestamptz - interval '216 hours', :'hour', NULL, NULL, NULL);
CREATE TEMP TABLE brought (LIKE pganalytics.statement_history);
INSERT INTO brought (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
       wal_bytes, bucket_width, toplevel, origin)
SELECT q, :'hour'::timestamptz - make_interval(hours => h), 10, 20, 50, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, o::uuid
  FROM (VALUES (11, :a, 0, 200), (12, :b, 0, 71), (13, :b, 60, 69), (14, :a, 150, 159), (0, :a, 150, 159)) v (q, o, first, last),
       LATERAL generate_series(first, last) h;
INSERT INTO pganalytics.statement_history SELECT * FROM brought;

-- The text tells which own statement it is; two with one text there are one here.
SELECT count(*) FROM collect_statements();
SELECT origin, queryid, own_queryid = :own AS own FROM pganalytics.statement_aliases ORDER BY origin, queryid;

-- Each installation speaks until the next was made: A alone, then B (72 hours before the hour, both of its statements), then this one.
SELECT known, count(*), sum(calls), count(DISTINCT bucket_start) AS hours,
       min(:'hour'::timestamptz - bucket_start) AS newest, max(:'hour'::timestamptz - bucket_start) AS oldest
  FROM pganalytics.joined_history WHERE queryid = :own AND restored GROUP BY 1;
SELECT sum(calls) FROM pganalytics.joined_history WHERE queryid = :own AND NOT restored;
SELECT sum(calls), count(DISTINCT bucket_start) AS hours FROM pganalytics.joined_history
 WHERE queryid = :own AND bucket_start >= :'hour'::timestamptz - interval '96 hours' AND bucket_start < :'hour'::timestamptz - interval '48 hours';
-- What is none of ours has a key of its own; what was not kept stays under 0.
SELECT known, count(DISTINCT queryid) AS statements, count(*), bool_and(queryid = 0) AS zero, bool_or(queryid = 14) AS collides
  FROM pganalytics.joined_history WHERE restored AND queryid <> :own GROUP BY known, queryid = 0 ORDER BY count(*), 4;

-- Predicted from: the newest 24 buckets are the other installation's.
SELECT set_config('pganalytics_ml.prediction_cache_ttl', '0', false);
SELECT value > 0 AS calls_per_hour FROM query_features(:own) WHERE feature = 'query_calls_per_hour';
-- Learnt from, once each: 128 hours of A, 69 of B in 10 of which two statements are one, 10 of the statement that is gone.
SELECT count(*) FILTER (WHERE queryid = :own), count(*) FILTER (WHERE queryid <> :own), count(DISTINCT queryid)
  FROM training_rows() WHERE NOT single AND at < :'hour'::timestamptz;

-- What every first prediction of a session reads is planned as what it is: tables of one row that were never
-- analyzed do not multiply it.
ANALYZE pganalytics.statement_history, pganalytics.statements;
CREATE FUNCTION planned_rows(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan #>> '{0,Plan,Plan Rows}';
END $$;
SELECT planned_rows('SELECT queryid FROM pganalytics.joined_history') < 10 * (SELECT count(*) FROM pganalytics.statement_history) AS sane;
DROP FUNCTION planned_rows(text);

-- Asked again: the same.  A second restore of the same dump meets its own keys.
SELECT count(*) FROM collect_statements();
SELECT count(*) FROM pganalytics.statement_aliases;
\set VERBOSITY terse
INSERT INTO pganalytics.statement_history SELECT * FROM brought;
INSERT INTO pganalytics.origins VALUES (:a, now());
\set VERBOSITY default

-- A text that two own statements share is nobody's, unless the queryid tells: a restore into the same catalog.
INSERT INTO pganalytics.statements SELECT queryid, :b, first_seen, last_seen, command_tag, plannable, query
  FROM pganalytics.statements WHERE queryid = :part_one;
SELECT count(*) FROM collect_statements();
SELECT origin, queryid = own_queryid AS same FROM pganalytics.statement_aliases a JOIN pganalytics.statements s USING (origin, queryid)
 WHERE s.query LIKE '%FROM part%';
-- Once a second own statement has the text, it is given back.
CREATE TABLE two.item (price int, id int PRIMARY KEY);
SET search_path = two, public;
SELECT price FROM item WHERE id = 2;
RESET search_path;
SELECT count(*) FROM collect_statements();
SELECT count(*) FROM pganalytics.statement_aliases a JOIN pganalytics.statements s USING (origin, queryid) WHERE s.query LIKE '%FROM item%';
SELECT count(*), count(*) FILTER (WHERE restored) AS restored FROM pganalytics.joined_history WHERE queryid = :own;

-- The same queryid is not enough: OIDs of another server make other statements of it.
INSERT INTO pganalytics.statements VALUES (:own, :a, now(), now(), 'SELECT', true, 'SELECT another FROM thing WHERE id = $1');
SELECT count(*) FROM collect_statements();
SELECT count(*) FROM pganalytics.statement_aliases WHERE queryid = :own;

-- A bucket without a width would be a division by zero in every prediction: no dump brings it.
\set VERBOSITY terse
UPDATE brought SET bucket_width = 0 WHERE queryid = 14;
INSERT INTO pganalytics.statement_history SELECT * FROM brought WHERE queryid = 14;
\set VERBOSITY default

-- Windows count as the history they are about.
INSERT INTO pganalytics.history_windows (bucket_start, bucket_width, reason, coverage, uncertain_from, uncertain_to, origin)
SELECT b, 3600, 'gap', 0.5, b, b, :a FROM unnest(ARRAY[:'hour'::timestamptz - interval '1 hour', :'hour'::timestamptz - interval '120 hours']) b;
SELECT :'hour'::timestamptz - bucket_start AS age FROM pganalytics.bucket_coverage WHERE origin = :a;

-- Identity: what comes from elsewhere is beside what is made here.
SELECT own, until = 'infinity' AS lasts FROM pganalytics.origin_spans ORDER BY until;
DROP EXTENSION pganalytics_ml;
SET client_min_messages = warning;
DROP SCHEMA one, two CASCADE;
