# Workers and servers that die in the middle of a training: the job is found and tried again, and no half model stays.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('crash', 'restart_after_crash = on', 'pganalytics_ml.retrain_interval = 0');
my $offset = 0;
$node->start;
pgaml_job_database($node, 'postgres', 200);

# The job was left behind in this attempt: it waits for the next one, which completes it.
sub is_tried_again
{
	my ($job, $attempt, $models) = @_;

	ok(pgaml_job_is($node, $job, "status = 'pending' AND attempt = $attempt"), "job $job is found, and due again");
	like(pgaml_job($node, $job, 'error'), qr/^its worker ended before the job did/, 'with the reason');
	is(pgaml_job($node, $job, "not_before > now() + interval '10 s', started_at IS NOT NULL, finished_at, progress"), 't|t||0', 'later');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pganalytics.query_performance_models'), $models, 'there is no half model');
	$offset += 120;
	pgaml_configure($node, "pganalytics_ml.clock_offset = $offset");
	ok(pgaml_job_is($node, $job, 'completed'), 'the next attempt completes it');
	is(pgaml_job($node, $job, 'attempt, error'), ($attempt + 1) . '|', 'with its number');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM list_models()'), $models + 1, 'there is one model more');
}

# --- kill -9 of the worker while it fits: the server restarts ---
my $log = -s $node->logfile;
my $job = pgaml_train_later($node, $pgaml_long);
$node->poll_query_until('postgres', "SELECT progress > 0.01 FROM get_training_status($job)");
is(pgaml_job($node, $job, 'status'), 'training', 'it is at work');
my $pid = $node->safe_psql('postgres', "SELECT worker_pid FROM pganalytics.training_jobs WHERE job_id = $job");
$node->safe_psql('postgres', qq{UPDATE pganalytics.training_jobs SET arguments = jsonb_set(arguments, '{hyperparameters,n_trees}', '5')});
kill 'KILL', $pid;
$node->wait_for_log(qr/all server processes terminated; reinitializing.*database system is ready to accept connections/s, $log);
$node->poll_query_until('postgres', 'SELECT true');
is_tried_again($job, 1, 0);

# --- everything stored but not committed ---
pgaml_fault($node, 'job_store=wait');
$log = -s $node->logfile;
$job = pgaml_train_later($node, q{'linear_regression'});
$pid = pgaml_trainer($node);
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
kill 'KILL', $pid;
$node->wait_for_log(qr/all server processes terminated; reinitializing.*database system is ready to accept connections/s, $log);
$node->poll_query_until('postgres', 'SELECT true');
is_tried_again($job, 1, 1);

# --- the server dies ---
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'});
pgaml_trainer($node);
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
$node->stop('immediate');
$node->start;
is_tried_again($job, 1, 2);

# --- the worker is terminated; nobody but the job notices ---
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'});
$pid = pgaml_trainer($node);
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
$node->reload;
is_tried_again($job, 1, 3);

# --- cancelled, but the server dies before the worker hears of it: it is not tried again ---
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'});
pgaml_trainer($node);
$node->safe_psql('postgres', "UPDATE pganalytics.training_jobs SET cancel_requested = true WHERE job_id = $job");
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
$node->stop('immediate');
$node->start;
ok(pgaml_job_is($node, $job, 'cancelled'), 'a cancel survives a crash');

# --- the third worker in a row that dies ---
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'});
$pid = pgaml_trainer($node);
$node->safe_psql('postgres', "UPDATE pganalytics.training_jobs SET attempt = 3 WHERE job_id = $job");
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
$node->reload;
ok(pgaml_job_is($node, $job, 'failed'), 'after three attempts it has failed');
is(pgaml_job($node, $job, "attempt, error LIKE 'its worker ended before%', finished_at IS NOT NULL"), '3|t|t', 'with the reason');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
