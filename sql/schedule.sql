-- When training starts by itself: settings, the schedule, and maintenance by hand.
-- There is no worker here, so what is queued stays in the queue.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;

-- What is no window is refused at once, and what is wrong is said.
ALTER SYSTEM SET pganalytics_ml.retrain_window = '1:00-05:00';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '01:00-25:00';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '03:00-03:00';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '01:00-05:00 ';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '01:00-05:00 Europe/Berlyn';
ALTER SYSTEM SET pganalytics_ml.retrain_window = 'always';
\set VERBOSITY sqlstate
ALTER SYSTEM SET pganalytics_ml.retrain_interval = '-1';
\set VERBOSITY default
ALTER SYSTEM SET pganalytics_ml.retrain_interval = '11 years';
SET pganalytics_ml.retrain_window = '01:00-05:00';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '01:00-05:00';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '22:00-04:00 Europe/Berlin';
ALTER SYSTEM SET pganalytics_ml.retrain_window = '';
ALTER SYSTEM SET pganalytics_ml.retrain_interval = '7d';
ALTER SYSTEM RESET pganalytics_ml.retrain_window;
ALTER SYSTEM RESET pganalytics_ml.retrain_interval;

-- Nothing has run yet: due as soon as there is enough to learn from.
CREATE VIEW schedule AS
SELECT enabled, retrain_interval, retrain_window, time_zone = current_setting('log_timezone') AS zone,
       last_run - now() AS last_run, last_job_id AS job, next_run - now() AS next_run, skip_reason,
       skipped_at IS NOT NULL AS skipped, new_samples AS new, needed_samples AS needed
  FROM training_schedule();
BEGIN;
SELECT enabled, retrain_interval, retrain_window, zone, last_run, job, next_run < '1 minute' AS due, skip_reason, skipped, new, needed
  FROM schedule;
SELECT * FROM maintain_models() WHERE step = 'retrain';
SELECT skip_reason, skipped FROM schedule;
COMMIT;
SELECT * FROM maintain_models(wait => true) WHERE step = 'retrain';
SELECT kind, message FROM recent_events();

-- Enough: 10 statements, 30 executions of each.
TRUNCATE pganalytics.statements, pganalytics.execution_samples;
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT q, origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || q
  FROM generate_series(1, 10) q, pganalytics.installation;
CREATE FUNCTION run(from_minute int, to_minute int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pganalytics.execution_samples
      (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place,
       application_hash, weight, active_backends, toplevel, outcome, plan_facts)
    SELECT now() - interval '10 hours' + j * interval '1 minute', q, q, exp(q / 3.0 + sin(q * 7 + j * 13) / 10), 1, 1, j,
           'postgres'::regrole, 1, 0, 1, 1, true, 'done', array_fill(q::real, ARRAY[37])
      FROM generate_series(1, 10) q, generate_series(from_minute, to_minute) j
$$;
SELECT run(1, 30);
SELECT skip_reason, skipped, new, needed FROM schedule;
SELECT * FROM maintain_models() WHERE step = 'retrain';
SELECT job_id, kind, arguments - 'hyperparameters' AS arguments, status, reason, requested_by = 'postgres'::regrole AS by FROM pganalytics.training_jobs;
SELECT job, next_run BETWEEN '23:59' AND '24:00' AS in_a_day, skip_reason, skipped FROM schedule;
SELECT regexp_replace(result, '\d{4}-.*', 'tomorrow') AS result FROM maintain_models(wait => true) WHERE step = 'retrain';

-- A day later it still waits in the queue.
UPDATE pganalytics.training_schedule SET last_run = last_run - interval '1 day 1 minute';
SELECT * FROM maintain_models(wait => true) WHERE step = 'retrain';
SELECT skip_reason, skipped FROM schedule;

-- In this session.
UPDATE pganalytics.training_jobs SET status = 'cancelled', finished_at = now();
SELECT substr(result, 1, 59) AS result FROM maintain_models(wait => true) WHERE step = 'retrain';
SELECT job_id, status, reason, model_id FROM pganalytics.training_jobs ORDER BY job_id;
SELECT next_run BETWEEN '0:28' AND '0:30' AS after_as_long_as_it_saw FROM schedule;
UPDATE pganalytics.query_performance_models SET window_start = window_end - interval '2 days';
SELECT job, next_run BETWEEN '23:59' AND '24:00' AS in_a_day, skip_reason, skipped, new <= 10 AS few_new, needed FROM schedule;

-- Two days later: not enough that the model has not seen, then enough.
UPDATE pganalytics.training_schedule SET last_run = last_run - interval '2 days';
SELECT regexp_replace(result, ': \d+ of', ': n of') AS result FROM maintain_models() WHERE step = 'retrain';
SELECT run(31, 41);
SELECT result FROM maintain_models() WHERE step = 'retrain';
UPDATE pganalytics.training_jobs SET status = 'cancelled', finished_at = now() WHERE status = 'pending';

-- The training of somebody counts as the last run; one that began ahead of the clock began now.
UPDATE pganalytics.training_schedule SET last_run = last_run - interval '2 days';
INSERT INTO pganalytics.training_jobs (status, requested_by, requested_at, started_at, finished_at)
VALUES ('failed', 10, now() - interval '3 hours', now() - interval '2 hours', now() - interval '2 hours');
SELECT last_run < '-1:59' AND last_run > '-2:01' AS two_hours_ago, job, next_run > '21:59' AND next_run < '22:01' AS in_22_hours FROM schedule;
UPDATE pganalytics.training_schedule SET last_run = now() + interval '300 days', last_job_id = 1000;
SELECT last_run > '-1 minute' AND last_run < '1 minute' AS now, job, next_run < '24:01' AS in_a_day FROM schedule;
SELECT count(*) FROM maintain_models() WHERE result LIKE 'not due before %';
SELECT last_run <= now() AS kept FROM pganalytics.training_schedule;

-- What a training costs must stay within overhead_budget, 0.01 of the time.
INSERT INTO pganalytics.training_jobs (status, requested_by, requested_at, started_at, finished_at)
VALUES ('completed', 10, now(), now() - interval '2 days', now() - interval '2 days' + interval '9 minutes');
UPDATE pganalytics.training_schedule SET last_run = now() - interval '8 hours', last_job_id = 1000;
SELECT next_run > '15:59' AND next_run < '16:01' AS interval_is_later FROM schedule;
SET pganalytics_ml.overhead_budget = 0.005;
UPDATE pganalytics.training_schedule SET last_run = now() - interval '25 hours';
SELECT next_run > '4:59' AND next_run < '5:01' AS in_5_hours FROM schedule;
SELECT regexp_replace(result, '\d{4}-.*', 'then') AS result FROM maintain_models() WHERE step = 'retrain';
SET pganalytics_ml.overhead_budget = 0;
SELECT next_run FROM schedule;
SELECT * FROM maintain_models() WHERE step = 'retrain';
RESET pganalytics_ml.overhead_budget;

-- An event for each change of the reason, not for each visit.
SELECT kind, model_id, regexp_replace(regexp_replace(message, ': \d+ of', ': n of'), '\d{4}-.*', 'then') AS message
  FROM recent_events() WHERE kind = 'retrain_skipped' ORDER BY event_id;

-- The row comes back when somebody deletes it.
DELETE FROM pganalytics.training_schedule;
SELECT enabled, job FROM schedule;
SELECT count(*) FROM maintain_models() WHERE step = 'retrain';
SELECT count(*) FROM pganalytics.training_schedule;

-- Rights, and places where nothing can be written.
CREATE ROLE regress_watcher IN ROLE pg_monitor;
SET ROLE regress_watcher;
SELECT count(*) FROM training_schedule();
SELECT * FROM maintain_models();
RESET ROLE;
CREATE ROLE regress_nobody;
SET ROLE regress_nobody;
SELECT * FROM training_schedule();
RESET ROLE;
BEGIN READ ONLY;
SELECT count(*) FROM training_schedule();
SELECT * FROM maintain_models();
ROLLBACK;
SELECT * FROM maintain_models(NULL);
DROP ROLE regress_watcher, regress_nobody;
