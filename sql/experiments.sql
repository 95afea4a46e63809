-- Named splits, and tuning as far as a session takes part in it.  The worker's part: test/tap/t/521_experiments.pl.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -

-- 30 statements, 40 executions of each over two days.
CREATE FUNCTION uniform(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
    'SELECT ((hashint8extended(key, salt) & 9007199254740991) + 0.5) / 9007199254740992.0';
CREATE FUNCTION plan_facts(log_cost float8) RETURNS real[] LANGUAGE sql IMMUTABLE AS
    'SELECT array_agg(CASE i WHEN 1 THEN log_cost WHEN 3 THEN log_cost / 2 ELSE 1 END ORDER BY i)::real[]
       FROM generate_series(1, 37) i';
TRUNCATE pganalytics.statements, pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history;
INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
SELECT k, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || k
  FROM generate_series(1, 30) k, pganalytics.installation i;
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT date_trunc('hour', now()) - interval '2 days' + j * interval '1 hour' + k * interval '1 minute', k, k * 1000,
       exp(-1 + uniform(k, 1) * 4 + 0.2 * uniform(k * 1000 + j, 2)), 1, 1, j,
       'postgres'::regrole, 1, 0, 1, 1, true, 'done', plan_facts(uniform(k, 1) * 4)
  FROM generate_series(1, 30) k, generate_series(1, 40) j;

-- What each part has is told at once.
SELECT name, strategy, window_end - window_start AS span, train_rows, calibrate_rows, test_rows,
       train_statements, calibrate_statements, test_statements
  FROM create_data_split('newest');
SELECT strategy, train_rows + calibrate_rows + test_rows AS rows,
       train_statements + calibrate_statements + test_statements AS statements,
       train_statements, calibrate_statements, test_statements
  FROM create_data_split('statements', 'group', '{0.5,0.25,0.25}', 30, 7);
SELECT strategy, train_rows + calibrate_rows + test_rows AS rows, train_statements AS statements,
       train_rows BETWEEN 770 AND 910 AS as_asked, test_rows BETWEEN 120 AND 240 AS as_asked
  FROM create_data_split('any', 'random', '{0.7,0.15,0.15}');
SELECT name, strategy, fractions, seed, window_end - window_start AS span, calibrate_from < test_from AS ordered,
       train_rows + calibrate_rows + test_rows AS rows
  FROM list_data_splits() ORDER BY name;

-- By group no statement is on both sides; the same seed makes the same split, another one another.
SELECT count(*) FROM create_data_split('statements again', 'group', '{0.5,0.25,0.25}', 30, 7) a,
       create_data_split('other statements', 'group', '{0.5,0.25,0.25}', 30, 8) b;
SELECT a.borders = b.borders AS same, a.borders = c.borders AS same
  FROM pganalytics.data_splits a, pganalytics.data_splits b, pganalytics.data_splits c
 WHERE a.name = 'statements' AND b.name = 'statements again' AND c.name = 'other statements';

-- Training on a split: its rows, not those of the last days.
SELECT status, message LIKE '%; data of %, 1200 samples of 30 statements' AS all_there
  FROM train_performance_model('linear_regression', split => 'newest', lookback_days => 1, wait => true);
SELECT training_samples, calibration_samples, heldout_samples, window_end - window_start < interval '2 days' AS span
  FROM get_model((SELECT max(model_id) FROM list_models()));
SELECT arguments #>> '{split,name}' AS name, arguments #>> '{split,strategy}' AS strategy, arguments #> '{split,fractions}' AS fractions,
       (arguments #>> '{split,until}')::timestamptz = s.window_end AS until, abs((arguments #>> '{split,borders,1}')::float8 - extract(epoch FROM s.test_from - '2000-01-01 00:00:00+00')) < 1e-5 AS border
  FROM pganalytics.training_jobs, list_data_splits() s WHERE s.name = 'newest' ORDER BY job_id DESC LIMIT 1;

-- What came later is not part of it; what retention took is told, and the others stay where they were.
INSERT INTO pganalytics.execution_samples
  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no,
   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
SELECT clock_timestamp() + j * interval '1 millisecond', 1, 1000, 5, 1, 1, j, 'postgres'::regrole, 1, 0, 1, 1, true, 'done', plan_facts(1)
  FROM generate_series(1, 50) j;
CREATE TABLE before AS SELECT * FROM train_performance_model('linear_regression', split => 'newest', wait => true);
SELECT count(DISTINCT data_hash) AS hashes, count(DISTINCT model) AS models, count(*) FROM pganalytics.query_performance_models;
DELETE FROM pganalytics.execution_samples WHERE sampled_at < date_trunc('hour', now()) - interval '2 days' + interval '5 hours';
SELECT message LIKE '%; data of %, 1080 samples of 30 statements; 120 of 1200 rows of split "newest" are gone' AS told
  FROM train_performance_model('linear_regression', split => 'newest', wait => true);
SELECT training_samples, calibration_samples, heldout_samples FROM get_model((SELECT max(model_id) FROM list_models()));
SELECT message LIKE '%; 120 of 1200 rows of split "any" are gone' AS told FROM train_performance_model('linear_regression', split => 'any', wait => true);
SELECT m.training_samples = s.train_rows - (120 - (s.calibrate_rows - m.calibration_samples) - (s.test_rows - m.heldout_samples)) AS fewer,
       m.calibration_samples <= s.calibrate_rows AND m.heldout_samples <= s.test_rows AS of_the_same
  FROM get_model((SELECT max(model_id) FROM list_models())) m, list_data_splits() s WHERE s.name = 'any';
SELECT message LIKE '%; 120 of 1200 rows of split "statements" are gone' AS told FROM train_performance_model('linear_regression', split => 'statements', wait => true);
SELECT m.calibration_samples * 10 = s.calibrate_rows * 9 AND m.heldout_samples * 10 = s.test_rows * 9 AS whole_statements
  FROM get_model((SELECT max(model_id) FROM list_models())) m, list_data_splits() s WHERE s.name = 'statements';

-- Nothing but sense is accepted.
\set VERBOSITY default
SELECT create_data_split('newest');
SELECT create_data_split('');
SELECT create_data_split(repeat('x', 64));
SELECT create_data_split(repeat('ü', 32));
SELECT create_data_split('group');
SELECT create_data_split(NULL);
SELECT create_data_split('x', NULL);
SELECT create_data_split('x', 'odd');
SELECT create_data_split('x', fractions => '{0.6,0.4}');
SELECT create_data_split('x', fractions => '{0.6,0.4,0}');
SELECT create_data_split('x', fractions => '{0.6,0.2,0.2000001}');
SELECT create_data_split('x', fractions => '{0.6,0.2,NULL}');
SELECT create_data_split('x', fractions => '{{0.6,0.2,0.2}}');
SELECT create_data_split('x', fractions => '{NaN,0.2,0.2}');
SELECT create_data_split('x', lookback_days => 0);
SELECT create_data_split('x', fractions => '{0.000001,0.000001,0.999998}', strategy => 'random');
SELECT * FROM train_performance_model(split => 'odd', wait => true);
SELECT drop_data_split('odd');
BEGIN READ ONLY;
SELECT create_data_split('x');
SELECT drop_data_split('newest');
ROLLBACK;
SELECT create_data_split(repeat('x', 63)) IS NOT NULL AS created;
SELECT drop_data_split(repeat('x', 63));

-- A split that is gone is unknown; a job keeps what it was.
SELECT drop_data_split('any');
SELECT * FROM train_performance_model(split => 'any', wait => true);
SELECT count(*) FROM pganalytics.training_jobs WHERE arguments #>> '{split,name}' = 'any';

-- Tuning is queued with everything it needs: a window that does not move, and the default parameters with the seed.
SELECT experiment_id, status,
       message LIKE 'queued; starts when %, see list_experiments() and get_trials(1)' AS told
  FROM tune_performance_model('decision_tree', 10, 'random', 'halving', '90 seconds', 'newest', 77);
SELECT experiment_id, status FROM tune_performance_model();
SELECT experiment_id, status, model_type, split, sampler, pruner, n_trials, trials_done, trials_pruned, trials_failed,
       default_value, best_value, best_trial, model_id, message
  FROM list_experiments();
SELECT kind, status, reason, arguments -> 'time_limit_s' AS seconds, arguments -> 'experiment_id' AS experiment
  FROM pganalytics.training_jobs WHERE kind = 'tune' ORDER BY job_id;
SELECT experiment_id, time_limit, request #>> '{split,name}' AS name, request #>> '{split,strategy}' AS strategy,
       request #>> '{hyperparameters,seed}' AS seed,
       (request #>> '{split,until}')::timestamptz - (request #>> '{split,from}')::timestamptz AS span
  FROM pganalytics.experiments ORDER BY 1;
SELECT count(*) FROM get_trials(1);
SELECT get_trials(99);
SELECT resume_tuning(99);
SELECT resume_tuning(1);
SELECT tune_performance_model('neural_network');
SELECT tune_performance_model(n_trials => 1);
SELECT tune_performance_model(n_trials => 1001);
SELECT tune_performance_model(sampler => 'annealing');
SELECT tune_performance_model(pruner => 'all');
SELECT tune_performance_model(time_limit => '0');
SELECT tune_performance_model(time_limit => '-1 hour');
SELECT tune_performance_model(time_limit => '1 day 1 second');
SELECT tune_performance_model(time_limit => '178000000 years');
SELECT tune_performance_model(split => 'odd');
SELECT tune_performance_model(split => NULL);
SELECT tune_performance_model(seed => -1);
SELECT tune_performance_model(n_trials => NULL);
BEGIN READ ONLY;
SELECT tune_performance_model();
ROLLBACK;
BEGIN;
SELECT experiment_id FROM tune_performance_model(time_limit => '1 day');
ROLLBACK;
SELECT count(*) FROM list_experiments();

-- Experiments go after their jobs.
BEGIN;
INSERT INTO pganalytics.trials (experiment_id, number, state, hyperparameters, fold_values, confirm_values, cpu_ms, started_at)
VALUES (1, 0, 'running', '{}', '{}', '{}', 0, now());
DELETE FROM pganalytics.training_jobs WHERE kind = 'tune' AND arguments ->> 'experiment_id' = '1';
UPDATE pganalytics.experiments SET requested_at = now() - interval '91 days';
UPDATE pganalytics.collector_state SET last_retention = NULL;
SELECT first FROM collect_statements();
SELECT experiment_id FROM list_experiments();
SELECT count(*) FROM pganalytics.trials;
ROLLBACK;

-- What became of the job says how the experiment stands, and whether it can be resumed.
UPDATE pganalytics.training_jobs SET status = 'training' WHERE arguments ->> 'experiment_id' = '1';
SELECT status FROM list_experiments() WHERE experiment_id = 1;
UPDATE pganalytics.training_jobs SET status = 'failed', error = 'the disk is gone' WHERE arguments ->> 'experiment_id' = '1';
SELECT status, message FROM list_experiments() WHERE experiment_id = 1;
UPDATE pganalytics.training_jobs SET status = 'cancelled', error = NULL WHERE arguments ->> 'experiment_id' = '1';
SELECT status, message FROM list_experiments() WHERE experiment_id = 1;
SELECT experiment_id, status FROM resume_tuning(1);
SELECT status, job_id = (SELECT max(j.job_id) FROM pganalytics.training_jobs j) AS new_job FROM list_experiments() WHERE experiment_id = 1;
SELECT status, reason, count(*) FROM pganalytics.training_jobs WHERE arguments ->> 'experiment_id' = '1' GROUP BY 1, 2 ORDER BY 1;

-- Readers read, nobody else changes.
CREATE ROLE experiments_reader IN ROLE pg_monitor;
SET ROLE experiments_reader;
SELECT count(*) FROM list_data_splits();
SELECT create_data_split('mine');
SELECT drop_data_split('newest');
SELECT count(*) FROM list_experiments();
SELECT count(*) FROM get_trials(1);
SELECT tune_performance_model();
SELECT resume_tuning(1);
RESET ROLE;
DROP ROLE experiments_reader;
DELETE FROM pganalytics.execution_samples WHERE sampled_at < clock_timestamp() - interval '2 minutes';
SELECT * FROM train_performance_model(split => 'newest', wait => true);
SELECT * FROM tune_performance_model(split => 'newest');
DELETE FROM pganalytics.execution_samples;
SELECT create_data_split('empty');
SELECT * FROM tune_performance_model();
