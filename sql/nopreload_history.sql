-- History by hand, where only pg_stat_statements is preloaded.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE item (id int PRIMARY KEY, price int);
INSERT INTO item VALUES (1, 2);
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT first, samples, reason FROM collect_statements();
SELECT price FROM item WHERE id = 1;
SELECT price FROM item WHERE id = 2;
SELECT first, samples, reason FROM collect_statements();
SELECT s.query, s.command_tag, sum(h.calls) AS calls, sum(h.rows) AS rows
FROM pganalytics.statement_history h JOIN pganalytics.statements s USING (queryid)
WHERE s.query LIKE '%FROM item%' GROUP BY 1, 2;
SELECT bool_and(ticks > 0) AS ticks FROM pganalytics.system_history;
-- The server was not restarted in between.
SELECT count(*) FROM pganalytics.history_windows WHERE reason IN ('restart', 'crash');
