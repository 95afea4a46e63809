-- What is kept, and how long.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
RESET client_min_messages;
CREATE TABLE item (id int, price int);
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT price FROM item;
SELECT count(*) FROM collect_statements();

-- Old rows go; what is in use stays.
SELECT count(*) > 0 AS kept FROM pganalytics.statements WHERE query = 'SELECT price FROM item';
INSERT INTO pganalytics.statement_history
SELECT q, now() - make_interval(days => d), 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
FROM generate_series(1, 60) q, (VALUES (399), (401), (500)) AS age (d), pganalytics.installation;
INSERT INTO pganalytics.statements
SELECT q, origin, now() - interval '900 days', now() - interval '402 days', 'SELECT', true, 'SELECT old'
FROM generate_series(1, 120) q, pganalytics.installation;
INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
SELECT 10, q, 0, now() - interval '900 days', now() - interval '402 days' FROM generate_series(1, 120) q;
INSERT INTO pganalytics.history_windows
SELECT now() - make_interval(days => d), 3600, 'gap', 0, now(), now(), 0, origin
FROM (VALUES (399), (401)) AS age (d), pganalytics.installation;
INSERT INTO pganalytics.system_history VALUES (now() - interval '401 days', 3600, 1, 50, 1);
INSERT INTO pganalytics.training_jobs (status, requested_by, requested_at, finished_at, not_before)
VALUES ('completed', 10, now(), now() - interval '91 days', NULL), ('completed', 10, now(), now() - interval '89 days', NULL),
       ('pending', 10, now() - interval '200 days', NULL, now());
INSERT INTO pganalytics.experiments (job_id, request, split, sampler, pruner, n_trials, folds, n_confirm, seed, time_limit,
                                     requested_by, requested_at, finished_at)
SELECT j, '{}', 'time', 'tpe', 'none', 1, 3, 1, 1, '1 min', 10, now() - make_interval(days => 100), now() - make_interval(days => d)
FROM (VALUES (NULL, 91), (NULL, 89), (NULL, NULL),
             ((SELECT job_id FROM pganalytics.training_jobs WHERE status = 'pending'), NULL)) AS age (j, d);
INSERT INTO pganalytics.trials (experiment_id, number, state, hyperparameters, fold_values, confirm_values, cpu_ms, started_at)
SELECT experiment_id, 0, 'complete', '{}', '{}', '{}', 1, now() FROM pganalytics.experiments;
INSERT INTO pganalytics.execution_samples (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no,
  userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT now() - make_interval(days => d), 5, 1, 1, 1, 1, 1, 10, 1, 1, 1, 1, true, 'done', '{}'
FROM (VALUES (29), (31)) AS age (d);
UPDATE pganalytics.collector_state SET last_retention = now() - interval '2 minutes';
SELECT count(*) FROM collect_statements();
SELECT count(*) FILTER (WHERE bucket_start < now() - interval '400 days') AS too_old,
       count(*) FILTER (WHERE bucket_start < now() - interval '300 days') AS old
FROM pganalytics.statement_history;
SELECT count(*) AS statements FROM pganalytics.statements WHERE query = 'SELECT old';
SELECT count(*) AS users FROM pganalytics.statement_users WHERE queryid BETWEEN 1 AND 120;
SELECT count(*) AS windows FROM pganalytics.history_windows WHERE bucket_start < now() - interval '300 days';
SELECT count(*) AS system FROM pganalytics.system_history WHERE bucket_start < now() - interval '1 day';
SELECT count(*) AS jobs FROM pganalytics.training_jobs;
SELECT (SELECT count(*) FROM pganalytics.experiments) AS experiments, (SELECT count(*) FROM pganalytics.trials) AS trials;
SELECT count(*) AS samples FROM pganalytics.execution_samples WHERE queryid = 5;
SELECT count(*) > 0 AS kept FROM pganalytics.statements WHERE query = 'SELECT price FROM item';

-- At most once a minute.
INSERT INTO pganalytics.system_history VALUES (now() - interval '401 days', 3600, 1, 50, 1);
SELECT count(*) FROM collect_statements();
SELECT count(*) AS system FROM pganalytics.system_history WHERE bucket_start < now() - interval '1 day';

-- After a jump of the clock nothing is old until a day has shown that it was an outage.
INSERT INTO pganalytics.events (at, kind, message) VALUES (now() - interval '401 days', 'test', 'old'), (now() - interval '403 days', 'test', 'older');
UPDATE pganalytics.collector_state SET last_retention = now() - interval '2 days';
SELECT count(*) FROM collect_statements();
SELECT count(*) AS system FROM pganalytics.system_history WHERE bucket_start < now() - interval '1 day';
SELECT message FROM pganalytics.events;
SELECT jump_from < now() - interval '1 day' AS jumped, jump_at <= now() AS noticed FROM pganalytics.collector_state;
UPDATE pganalytics.collector_state SET last_retention = now() - interval '2 minutes', jump_at = now() - interval '25 hours';
SELECT count(*) FROM collect_statements();
SELECT count(*) AS system FROM pganalytics.system_history WHERE bucket_start < now() - interval '1 day';
SELECT count(*) AS events FROM pganalytics.events;
SELECT jump_from, jump_at FROM pganalytics.collector_state;
