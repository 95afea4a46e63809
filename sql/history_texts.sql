-- What is kept of a statement's text: no literal, no comment, nothing of utility statements.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE item (id int PRIMARY KEY, price int, name varchar(20), at timestamp);
INSERT INTO item VALUES (1, 2, 'secret-0', '2026-01-01');
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT count(*) FROM collect_statements();

-- Planned statements.
SELECT /* app='secret-1' */ price FROM item -- secret-2
WHERE name = 'secret-3';
SELECT /*+ SeqScan(item) */ name FROM item WHERE id = 1;
SELECT name::varchar(7), price::numeric(8,2) FROM item ORDER BY 2, 1;
SELECT price, count(*) FROM item GROUP BY 1 ORDER BY count(*) DESC LIMIT 3;
SELECT count(*) FROM item WHERE at > timestamp '2020-01-01' + interval '1 day' AND price > -5;
SELECT extract(year FROM at), E'secret-4\n', $$secret-5$$, U&'secret-6' FROM item WHERE id = 1;
WITH one AS (SELECT 1 AS x) SELECT x FROM one;
VALUES (1, 'secret-7');
TABLE item;
(SELECT 1 AS one UNION ALL SELECT 2) ORDER BY 1;
UPDATE item SET price = 3 WHERE id = 1;
DELETE FROM item WHERE id = 7;
INSERT INTO item VALUES (8, 9, 'secret-8', NULL) ON CONFLICT DO NOTHING;
MERGE INTO item USING (VALUES (8, 10)) AS v (id, price) ON item.id = v.id
WHEN MATCHED THEN UPDATE SET price = v.price;
PREPARE lookup (int) AS SELECT name, 'secret-9' AS s FROM item WHERE id = $1 AND price > 0;
EXECUTE lookup(1);
SELECT max(price) FROM item\; SELECT min(price) FROM item;

-- Constants that pg_stat_statements did not see when it could have replaced them.
SET pg_stat_statements.track = none;
PREPARE raw (int) AS SELECT name, 'secret-10' AS s, 47.11 AS n, -3 AS m, true AS b FROM item
WHERE id = $1 AND at > date '2019-01-01' GROUP BY 1, at ORDER BY 1 LIMIT 7;
SET pg_stat_statements.track = 'all';
EXECUTE raw(1);

-- Where a string ends depends on a setting of the session that ran it.
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET pg_stat_statements.track = none;
PREPARE raw2 AS SELECT name, 'a\' , secret_21 -- \'' FROM item;
PREPARE raw3 AS SELECT name, 'a\' , secret_22, ' FROM item WHERE price > 1;
PREPARE raw4 AS SELECT name, '\\d' AS s FROM item WHERE id > 1;
SET pg_stat_statements.track = 'all';
EXECUTE raw2;
EXECUTE raw3;
EXECUTE raw4;
RESET standard_conforming_strings;
RESET escape_string_warning;

-- Inside functions.
CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int; BEGIN n := (SELECT count(*) FROM item WHERE price > 17); RETURN n; END $$;
SELECT f(1);

-- Utility statements, some of which carry a query.
EXPLAIN (COSTS off) SELECT price FROM item WHERE name = 'secret-11';
\o /dev/null
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT 1 FROM item WHERE name = 'secret-12';
\o
CREATE TABLE copy AS SELECT 'secret-13' AS s;
SELECT 'secret-14' AS s INTO copy2;
BEGIN;
DECLARE c CURSOR FOR SELECT 'secret-15' FROM item;
FETCH ALL FROM c;
COMMIT;
COPY (SELECT 'secret-16') TO STDOUT;
DO $$ BEGIN PERFORM 'secret-17'; END $$;
CREATE ROLE regress_history_text PASSWORD 'secret-18';
SET application_name = 'secret-19';
RESET application_name;
COMMENT ON TABLE item IS 'secret-20';

SELECT count(*) FROM collect_statements();
SELECT command_tag, plannable, query FROM pganalytics.statements
WHERE plannable AND query NOT LIKE '%pganalytics%' ORDER BY query COLLATE "C";
SELECT command_tag, count(query) AS texts FROM pganalytics.statements
WHERE NOT plannable GROUP BY command_tag ORDER BY command_tag COLLATE "C";

-- The query inside EXPLAIN shares its queryid with the same query run by itself: the one counts, the other not.
\o /dev/null
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT id FROM item WHERE price = 77;
\o
SELECT count(*) FROM collect_statements();
SELECT count(*) FROM pganalytics.statements WHERE query LIKE 'SELECT id FROM item%';
SELECT id FROM item WHERE price = 77;
SELECT id FROM item WHERE price = 77;
\o /dev/null
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT id FROM item WHERE price = 77;
\o
SELECT count(*) FROM collect_statements();
SELECT s.query, h.toplevel, sum(h.calls) AS calls
FROM pganalytics.statements s JOIN pganalytics.statement_history h USING (queryid)
WHERE s.query LIKE 'SELECT id FROM item%' GROUP BY 1, 2;

-- Nothing of any secret anywhere.
SELECT count(*) FROM pganalytics.statements WHERE query ~ 'secret|47|2019|2020';
-- Utility statements are not in history, and stay out of it.
SET application_name = 'secret-19';
SELECT count(*) FROM collect_statements();
SELECT count(*) FROM pganalytics.statement_history h JOIN pganalytics.statements s USING (queryid) WHERE NOT s.plannable;
SELECT count(*) FROM pganalytics.statement_counters WHERE plannable IS NULL;
DROP ROLE regress_history_text;
