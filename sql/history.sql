-- What a tick adds to history: exactly what grew, once.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE item (id int PRIMARY KEY, price int, name varchar(20));
INSERT INTO item SELECT i, i % 100, 'n' || i FROM generate_series(1, 1000) i;
ANALYZE item;

-- Calls, rows and time in history against the same in pg_stat_statements.
CREATE VIEW kept AS
SELECT s.query, h.toplevel, sum(h.calls)::bigint AS calls, sum(h.rows)::bigint AS rows,
       sum(h.total_ms) AS total_ms, sum(h.sum_squares) AS sum_squares
FROM pganalytics.statement_history h LEFT JOIN pganalytics.statements s USING (queryid)
GROUP BY s.query, h.toplevel;

-- The launcher may come by at any time: it takes nothing away from these sums.
SELECT count(*) FROM collect_statements();
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT entries > 0 AS entries FROM collect_statements();
SELECT DISTINCT reason FROM pganalytics.history_windows ORDER BY 1;
DELETE FROM pganalytics.history_windows;

-- Three calls, then two: the sum.
SELECT price FROM item WHERE id = 1;
SELECT price FROM item WHERE id = 2;
SELECT price FROM item WHERE id = 3;
SELECT count(*) FROM collect_statements();
SELECT price FROM item WHERE id = 4;
SELECT price FROM item WHERE id = 5;
SELECT count(*) FROM item WHERE price < 10;
SELECT count(*) FROM collect_statements();
SELECT query, toplevel, calls, rows FROM kept WHERE query LIKE '%FROM item%' ORDER BY query COLLATE "C";

-- Nothing ran: nothing is written for it.
SELECT count(*) FROM collect_statements();
SELECT query, calls, rows FROM kept WHERE query LIKE '%FROM item%' ORDER BY query COLLATE "C";

-- Sums equal the growth of the counters to rounding; squares are possible ones.
SELECT count(*) AS compared, bool_and(k.calls = p.calls) AS calls, bool_and(k.rows = p.rows) AS rows,
       bool_and(abs(k.total_ms - p.total_exec_time) <= 1e-9 * p.total_exec_time) AS total,
       bool_and(abs(k.sum_squares - p.calls * (p.mean_exec_time ^ 2 + p.stddev_exec_time ^ 2))
                <= 1e-6 * k.sum_squares) AS squares,
       bool_and(k.sum_squares >= k.total_ms ^ 2 / k.calls * (1 - 1e-12)) AS possible
FROM kept k JOIN pg_stat_statements p ON p.query = k.query AND p.toplevel = k.toplevel
WHERE k.query LIKE '%FROM item%' AND p.dbid = (SELECT oid FROM pg_database WHERE datname = current_database());

-- What is rolled back was not collected; the next tick finds it again.
BEGIN;
SELECT price FROM item WHERE id = 6;
SELECT count(*) FROM collect_statements();
ROLLBACK;
SELECT calls FROM kept WHERE query = 'SELECT price FROM item WHERE id = $1';
SELECT count(*) FROM collect_statements();
SELECT calls FROM kept WHERE query = 'SELECT price FROM item WHERE id = $1';

-- A statement inside a function is not at top level.
CREATE FUNCTION cheap(p int) RETURNS bigint LANGUAGE plpgsql AS
$$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM item WHERE price < p; RETURN n; END $$;
SELECT cheap(5);
SELECT cheap(7);
SELECT count(*) FROM collect_statements();
SELECT query, toplevel, calls FROM kept WHERE query LIKE '%price < p' ORDER BY 1;

-- Users are summed in history and kept apart in statement_users.
CREATE ROLE regress_history_a;
CREATE ROLE regress_history_b;
GRANT SELECT ON item TO regress_history_a, regress_history_b;
SET ROLE regress_history_a;
SELECT name FROM item WHERE id = 1;
SET ROLE regress_history_b;
SELECT name FROM item WHERE id = 1;
SELECT name FROM item WHERE id = 2;
RESET ROLE;
SELECT count(*) FROM collect_statements();
SELECT calls FROM kept WHERE query = 'SELECT name FROM item WHERE id = $1';
SELECT DISTINCT u.userid::regrole FROM pganalytics.statement_users u JOIN pganalytics.statements s USING (queryid)
WHERE s.query = 'SELECT name FROM item WHERE id = $1' ORDER BY 1;

SELECT count(*) AS windows FROM pganalytics.history_windows;

-- Reset of one entry: what ran before it stays, what runs after it counts, and the bucket says so.
SELECT pg_stat_statements_reset(0, 0, queryid) IS NOT NULL AS reset FROM pganalytics.statements
WHERE query = 'SELECT price FROM item WHERE id = $1';
SELECT price FROM item WHERE id = 7;
SELECT count(*) FROM collect_statements();
SELECT calls FROM kept WHERE query = 'SELECT price FROM item WHERE id = $1';
SELECT reason, sum(entries) > 0 AS entries, min(coverage) < 1 AS uncertain
FROM pganalytics.history_windows WHERE reason <> 'gap' GROUP BY reason;

-- Reset of all.
DELETE FROM pganalytics.history_windows;
SELECT price FROM item WHERE id = 8;
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT price FROM item WHERE id = 9;
SELECT price FROM item WHERE id = 10;
SELECT count(*) FROM collect_statements();
SELECT calls FROM kept WHERE query = 'SELECT price FROM item WHERE id = $1';
SELECT reason, min(coverage) < 1 AS uncertain FROM pganalytics.history_windows GROUP BY reason;
SELECT bool_and(coverage BETWEEN 0 AND 1) AS in_range, bool_or(has_gap) AS has_gap FROM pganalytics.bucket_coverage;

-- Memory and activity of the machine.
SELECT bool_and(ticks > 0) AS ticks, bool_and(available_memory_pct BETWEEN 0 AND 100) AS memory,
       bool_and(active_backends >= 0) AS active FROM pganalytics.system_history;

-- A server that is not ours any more (restored copy): a new baseline, no growth.
UPDATE pganalytics.collector_state SET stats_reset = stats_reset - interval '1 hour', last_tick = now() + interval '1 second';
SELECT price FROM item WHERE id = 11;
SELECT calls, first FROM collect_statements();

-- The row of the state is made anew.
DELETE FROM pganalytics.collector_state;
SELECT calls, first, reason FROM collect_statements();
SELECT price FROM item WHERE id = 12;
SELECT first FROM collect_statements();
SELECT calls FROM kept WHERE query = 'SELECT price FROM item WHERE id = $1';

-- Bad moments.
BEGIN READ ONLY;
SELECT collect_statements();
ROLLBACK;
DELETE FROM pganalytics.installation;
SELECT collect_statements();

-- Rights: to collect needs a grant; what is collected is not for everybody.
SET ROLE regress_history_a;
SELECT collect_statements();
SELECT count(*) FROM pganalytics.statement_history;
RESET ROLE;
INSERT INTO pganalytics.installation DEFAULT VALUES;
GRANT EXECUTE ON FUNCTION collect_statements() TO regress_history_a;
SET ROLE regress_history_a;
SELECT first FROM collect_statements();
RESET ROLE;

-- Nobody's search_path and no temporary object plays a part.
CREATE TEMP TABLE pg_class (x int);
CREATE SCHEMA decoy;
CREATE TABLE decoy.statement_history (x int);
SET search_path = pg_temp, decoy, public;
SELECT first FROM collect_statements();
RESET search_path;
DROP TABLE pg_temp.pg_class;

DROP VIEW kept;
DROP EXTENSION pganalytics_ml;
DROP OWNED BY regress_history_a, regress_history_b;
DROP ROLE regress_history_a, regress_history_b;
