-- Training jobs without a worker: the servers of these tests have no room for
-- one, so what is queued stays so.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
TRUNCATE pganalytics.statements, pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history;

-- What would fail in the worker fails at once, and nothing is queued.
SELECT * FROM train_performance_model();
SELECT * FROM train_performance_model('neural_network');
SELECT * FROM train_performance_model(wait => NULL);
BEGIN READ ONLY;
SELECT * FROM train_performance_model();
ROLLBACK;
BEGIN READ ONLY;
SELECT cancel_training(1);
ROLLBACK;
SELECT count(*) FROM list_training_jobs();

INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT 1, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT 1' FROM pganalytics.installation i;
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place,
   application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT now() - (200 - j) * interval '1 minute', 1, 1, 1 + j / 100.0, 1, 1, j, 'postgres'::regrole, 1, 0, 1, 1, true, 'done',
       array_fill(1::real, ARRAY[37])
  FROM generate_series(1, 200) j;

-- One gets the number of the job at once; the worker will see it when this transaction has committed.
BEGIN;
SELECT job_id, status, message FROM train_performance_model('decision_tree', 30, '{"max_leaves": 4}', 'group') \gset
\echo :status :message
SAVEPOINT s;
SELECT count(*) FROM train_performance_model('decision_tree');
ROLLBACK TO s;
COMMIT;
SELECT kind, status, reason, progress, attempt, rows_read, trees_grown, time_left, model_id, r_squared, message, error,
       not_before = requested_at AS at_once, started_at, finished_at
  FROM get_training_status(:job_id);
SELECT arguments -> 'model_type' AS type, arguments -> 'lookback_days' AS days, arguments #> '{hyperparameters,max_leaves}' AS leaves,
       arguments -> 'split' AS split, requested_by::regrole
  FROM pganalytics.training_jobs WHERE job_id = :job_id;

-- A job that waits is cancelled in the caller's transaction, and stays so.
BEGIN;
SELECT cancel_training(:job_id);
SELECT status, finished_at IS NOT NULL AS ended FROM get_training_status(:job_id);
ROLLBACK;
SELECT status FROM get_training_status(:job_id);
SELECT cancel_training(:job_id);
SELECT cancel_training(:job_id);
SELECT status, error, not_before, finished_at IS NOT NULL AS ended FROM get_training_status(:job_id);

-- One whose worker is gone is cancelled too.
UPDATE pganalytics.training_jobs SET status = 'training', attempt = 1, finished_at = NULL WHERE job_id = :job_id;
SELECT cancel_training(:job_id);

-- In the session: the job is there with the model, completed in its first attempt.
SELECT job_id, status FROM train_performance_model('decision_tree', wait => true) \gset
\echo :status
SELECT status, progress, attempt, rows_read, trees_grown, model_id, training_samples, message LIKE 'model 1 (%' AS message, error,
       r_squared IS NOT NULL AS r2, rmse > 0 AS rmse, mae > 0 AS mae, finished_at >= started_at AS times
  FROM get_training_status(:job_id);
SELECT cancel_training(:job_id);

-- Lists.
SELECT count(*) FROM train_performance_model(), generate_series(1, 3);
SELECT status, count(*) FROM list_training_jobs() GROUP BY status ORDER BY status;
SELECT count(*) FROM list_training_jobs('pending');
SELECT count(*), bool_and(newest) FROM (SELECT job_id > lead(job_id, 1, 0::bigint) OVER () AS newest FROM list_training_jobs(NULL, 2)) l;
SELECT count(*) FROM list_training_jobs('running');
SELECT count(*) FROM list_training_jobs(max_rows => 0);
SELECT count(*) FROM list_training_jobs(max_rows => 10001);
SELECT count(*) FROM list_training_jobs(max_rows => NULL);
SELECT * FROM get_training_status(987654321);
SELECT cancel_training(987654321);
SELECT count(*) FROM get_training_status(NULL), (SELECT 1) one;

-- Who may do what.
CREATE ROLE jobs_nobody;
CREATE ROLE jobs_reader IN ROLE pg_monitor;
SET ROLE jobs_nobody;
SELECT count(*) FROM list_training_jobs();
SELECT count(*) FROM get_training_status(1);
SELECT cancel_training(1);
RESET ROLE;
SET ROLE jobs_reader;
SELECT count(*) > 0 AS lists FROM list_training_jobs();
SELECT count(*) FROM get_training_status(:job_id);
SELECT cancel_training(1);
RESET ROLE;
GRANT EXECUTE ON FUNCTION train_performance_model, cancel_training TO jobs_nobody;
SET ROLE jobs_nobody;
SELECT job_id FROM train_performance_model() \gset
SELECT cancel_training(:job_id);
RESET ROLE;
SELECT requested_by::regrole, status FROM pganalytics.training_jobs WHERE job_id = :job_id;
DROP OWNED BY jobs_nobody;
DROP ROLE jobs_nobody, jobs_reader;

-- No training worker can be had, and none is there.
SELECT count(*) FROM pganalytics.worker_status() WHERE component = 'training';
