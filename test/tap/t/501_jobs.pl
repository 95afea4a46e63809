# The life of a training job: queued, taken by a worker, completed, failed, tried again, cancelled.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('jobs', 'pganalytics_ml.retrain_interval = 0');
my $models = 'SELECT count(*) FROM list_models()';
$node->start;
pgaml_job_database($node, 'postgres', 200);

# --- the work starts when the asking transaction commits, and not without that ---
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT FROM train_performance_model('linear_regression'); ROLLBACK");
is($session->query_safe("BEGIN; SELECT job_id, status FROM train_performance_model('linear_regression')"),
	'2|pending', 'one gets the number of the job at once');
pgaml_visited_again($node, 'postgres');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml training'"),
	'0', 'nobody has come for it');
$session->query_safe('COMMIT');
$session->quit;
ok(pgaml_job_is($node, 2, 'completed'), 'then a worker completes it');
is(pgaml_job($node, 2, q{progress, attempt, rows_read >= 2000, model_id, training_samples > 1000, r_squared IS NOT NULL, rmse > 0, mae > 0,
	message LIKE 'model 1 (linear_regression%', error, time_left, started_at >= requested_at, finished_at >= started_at}),
	'1|1|t|1|t|t|t|t|t|||t|t', 'and says what came of it');
is($node->safe_psql('postgres', 'SELECT count(*) FROM list_training_jobs()'), '1', 'what was rolled back was never there');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pganalytics.worker_status() WHERE component = 'training'"), 'the worker leaves');

# --- one sees how far it is; cancelled while it fits ---
my $job = pgaml_train_later($node, $pgaml_long);
ok($node->poll_query_until('postgres', "SELECT status = 'training' AND progress > 0.02 AND trees_grown > 0 AND rows_read >= 2000
	AND time_left > interval '1 ms' FROM get_training_status($job)"), 'progress, rows, trees and time left while it runs');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'pganalytics_ml training' AND backend_xmin IS NULL AND xact_start IS NULL"), '1',
	'there is no transaction while it fits');
is($node->safe_psql('postgres', "SELECT state, pid > 0, progress > 0 FROM pganalytics.worker_status() WHERE component = 'training'"),
	'running|t|t', 'worker_status() shows the worker');
my $other = pgaml_train_later($node, q{'linear_regression'});
$node->safe_psql('postgres', "BEGIN; SAVEPOINT s; SELECT cancel_training($job); ROLLBACK TO s; COMMIT");
is(pgaml_job($node, $job, 'status, message'), 'training|', 'a cancel that is taken back does nothing');
is($node->safe_psql('postgres', "SELECT cancel_training($job)"), 'stopping', 'a job that runs is told to stop');
ok(pgaml_job_is($node, $job, 'cancelled'), 'and is cancelled');
is(pgaml_job($node, $job, 'attempt, error, model_id, finished_at IS NOT NULL'), '1|||t', 'neither failed nor tried again');
ok(pgaml_job_is($node, $other, 'completed'), 'the same worker goes on with the next one');
is($node->safe_psql('postgres', $models), '2', 'the cancelled one left no model');

# --- cancelled by an administrator ---
$job = pgaml_train_later($node, $pgaml_long);
$node->poll_query_until('postgres', "SELECT progress > 0 FROM get_training_status($job)");
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml training'");
ok(pgaml_job_is($node, $job, 'cancelled'), 'pg_cancel_backend() cancels the job');
is(pgaml_job($node, $job, 'error'), 'its worker was cancelled by an administrator', 'which is said');

# --- the canceller keeps his transaction open until the fit is over: the job waits for him ---
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'});
pgaml_trainer($node);
$session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT cancel_training($job)");
pgaml_fault($node);
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity
	WHERE backend_type = 'pganalytics_ml training' AND query LIKE '%storing%'");
$session->query_safe('COMMIT');
$session->quit;
ok(pgaml_job_is($node, $job, 'cancelled'), 'it does not complete a job that is being cancelled');

# --- what would come again fails at once ---
my $log = -s $node->logfile;
pgaml_configure($node, 'pganalytics_ml.training_time_limit = 1s');
$job = pgaml_train_later($node, $pgaml_long);
ok(pgaml_job_is($node, $job, 'failed'), 'the time limit ends a job');
like(pgaml_job($node, $job, 'attempt, error'), qr/^1\|training stopped after pganalytics_ml.training_time_limit \(1 s\)\. Raise the setting/,
	'the error names the setting');
$node->wait_for_log(qr/pganalytics_ml: job $job \(train\) in database "postgres" failed: training stopped/, $log);
pgaml_configure($node, 'pganalytics_ml.training_time_limit = 10min', 'pganalytics_ml.training_memory = 8MB');
$job = pgaml_train_later($node, $pgaml_long);
ok(pgaml_job_is($node, $job, 'failed'), 'the memory limit ends a job');
like(pgaml_job($node, $job, 'attempt, error'), qr/^1\|training does not fit into pganalytics_ml.training_memory.*Raise/, 'with what to do');
pgaml_configure($node, 'pganalytics_ml.training_memory = 512MB', 'pganalytics_ml.min_training_samples = 100000');
$node->safe_psql('postgres', "INSERT INTO pganalytics.training_jobs (arguments, status, requested_by, requested_at, not_before)
	SELECT arguments, 'pending', requested_by, now(), now() FROM pganalytics.training_jobs WHERE job_id = 2");
$job = $node->safe_psql('postgres', 'SELECT max(job_id) FROM pganalytics.training_jobs');
ok(pgaml_job_is($node, $job, 'failed'), 'a job that nobody announced is found by the next visit');
like(pgaml_job($node, $job, 'attempt, error'), qr/^1\|not enough samples to train on/, 'and fails for want of samples');
pgaml_configure($node, 'pganalytics_ml.min_training_samples = 100');

# --- everything else is tried again, three times in all ---
my $offset = 0;
pgaml_fault($node, 'job_begin=error');
$job = pgaml_train_later($node, q{'linear_regression'});
for my $attempt (1, 2)
{
	ok(pgaml_job_is($node, $job, "status = 'pending' AND attempt = $attempt"), "attempt $attempt fails");
	is(pgaml_job($node, $job, "error, not_before - started_at BETWEEN " .
			($attempt == 1 ? "'22 s' AND '38 s'" : "'44 s' AND '76 s'")),
		'fault at "job_begin"|t', 'the next one comes later');
	$offset += 90;
	pgaml_configure($node, "pganalytics_ml.clock_offset = $offset");
}
ok(pgaml_job_is($node, $job, 'failed'), 'then the job has failed');
is(pgaml_job($node, $job, 'attempt, error, not_before, finished_at IS NOT NULL'), '3|fault at "job_begin"||t', 'with the last error');
pgaml_fault($node);
$job = pgaml_train_later($node, q{'linear_regression'});
ok(pgaml_job_is($node, $job, 'completed'), 'the next job is not concerned');

# --- old jobs are retired ---
$node->safe_psql('postgres', "UPDATE pganalytics.training_jobs SET finished_at = finished_at - interval '91 days' WHERE job_id <= 3;
	UPDATE pganalytics.collector_state SET last_retention = NULL");
$node->reload;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pganalytics.training_jobs WHERE job_id <= 3'), 'old jobs are deleted');
is(pgaml_job($node, $job, 'status'), 'completed', 'others stay');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
