-- explain_slowdown(): arguments, and what it says of made-up executions.
\set VERBOSITY terse
CREATE EXTENSION pganalytics_ml CASCADE;

SELECT * FROM explain_slowdown(NULL, now());
SELECT * FROM explain_slowdown(1, NULL);
SELECT * FROM explain_slowdown(1, now() + interval '1 minute');
SELECT * FROM explain_slowdown(1, 'infinity');
\x on
SELECT * FROM explain_slowdown(0, now());
SELECT * FROM explain_slowdown(-4711, '-infinity');
\x off

-- A statement of which 40 executions took 1 ms under one plan, then 40 took 10 ms under another one.
CREATE FUNCTION made_up(q bigint, n int, began timestamptz, plan bigint, ms float8, reads int, temp int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pganalytics.execution_samples (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, temp_blks_read,
        temp_blks_written, session_id, transaction_no, userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
    SELECT began + i * interval '1 second', q, plan, ms * (1 + i % 5 * 0.02), 1, 1000 - reads, reads, temp, temp, 1, i, current_user::regrole, 1, 1,
           1, 1, true, 'done', array_fill(1::real, ARRAY[37]) FROM generate_series(1, n) i
$$;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
SELECT current_user::regrole, q, 0, now(), now() FROM generate_series(11, 15) q;
SELECT made_up(11, 40, '2020-01-01 10:00+00', 100, 1, 0, 0), made_up(11, 40, '2020-01-01 11:00+00', 200, 10, 0, 0),
       made_up(12, 40, '2020-01-01 10:00+00', 100, 1, 0, 0), made_up(12, 40, '2020-01-01 11:00+00', 100, 10, 900, 0),
       made_up(13, 40, '2020-01-01 10:00+00', 100, 1, 0, 0), made_up(13, 40, '2020-01-01 11:00+00', 100, 10, 0, 500),
       made_up(14, 40, '2020-01-01 10:00+00', 100, 1, 0, 0), made_up(14, 40, '2020-01-01 11:00+00', 100, 1, 0, 0),
       made_up(15, 19, '2020-01-01 10:00+00', 100, 1, 0, 0), made_up(15, 40, '2020-01-01 11:00+00', 100, 1, 0, 0);
SELECT q, e.factor, round(e.change_ms::numeric, 2) AS change_ms, round(e.share_percent / 10) * 10 AS about_percent, round(e.before::numeric, 2) AS before, round(e.after::numeric, 2) AS after, e.unit, e.executions_before AS n
  FROM generate_series(11, 15) q, explain_slowdown(q, '2020-01-01 11:00+00') WITH ORDINALITY e(factor, change_ms, lower_ms, upper_ms, share_percent, before,
       after, unit, executions_before, executions_since, evidence, place) WHERE q <> 15 ORDER BY q, place;
SELECT evidence FROM explain_slowdown(11, '2020-01-01 11:00+00') WHERE factor = 'plan change';
SELECT evidence FROM explain_slowdown(12, '2020-01-01 11:00+00') WHERE factor = 'unexplained';
SELECT factor, change_ms, round(before::numeric, 2) AS before, regexp_replace(evidence, 'from .+? on', 'from (then) on') AS evidence FROM explain_slowdown(15, '2020-01-01 11:00+00');

-- errors and cancelled executions do not count
UPDATE pganalytics.execution_samples SET outcome = 'cancelled', execution_ms = 1e6 WHERE queryid = 11 AND transaction_no % 2 = 0;
SELECT round(change_ms) AS change_ms, executions_before, executions_since FROM explain_slowdown(11, '2020-01-01 11:00+00') WHERE factor = 'total';

-- one's own executions
CREATE ROLE regress_slow_own;
SET ROLE regress_slow_own;
SELECT count(*), min(evidence) FROM explain_slowdown(11, '2020-01-01 11:00+00');
RESET ROLE;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen) SELECT 'regress_slow_own'::regrole, 11, 0, now(), now();
SET ROLE regress_slow_own;
SELECT executions_before, executions_since FROM explain_slowdown(11, '2020-01-01 11:00+00');
RESET ROLE;
DROP ROLE regress_slow_own;
DROP FUNCTION made_up;
