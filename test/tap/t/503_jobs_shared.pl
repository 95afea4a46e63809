# Several workers and several databases: no job is taken twice, slots are shared fairly, long queues drain.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('shared', "pganalytics_ml.max_concurrent_training = 2", "max_worker_processes = 8", "log_min_messages = debug1",
	"pganalytics_ml.retrain_interval = 0");
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") for ('a', 'b');
pgaml_job_database($node, $_) for ('postgres', 'a', 'b');

# Jobs whose arguments fail at once: what drains a queue of them is the queue.
sub queue_tiny
{
	my ($db, $count) = @_;

	$node->safe_psql($db, qq{
		INSERT INTO pganalytics.training_jobs (arguments, status, requested_by, requested_at, not_before)
		SELECT '{}', 'pending', 10, now(), now() FROM generate_series(2, $count);
		SELECT FROM train_performance_model('linear_regression')});
}

sub starts_of_training
{
	return pgaml_log_lines($node, qr/starting background worker process "pganalytics_ml training"/);
}

# --- two workers in one database take different jobs ---
pgaml_fault($node, 'job_begin=wait');
my @jobs = map { pgaml_train_later($node, q{'linear_regression'}) } 1 .. 3;
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM list_training_jobs('training')"), 'two jobs run at once');
is($node->safe_psql('postgres', "SELECT count(DISTINCT worker_pid) FROM pganalytics.training_jobs WHERE status = 'training'"), '2',
	'in two workers');
pgaml_visited_again($node, 'postgres');
is($node->safe_psql('postgres', "SELECT count(*), min(job_id) FROM list_training_jobs('pending')"), "1|$jobs[2]", 'the third one waits');
pgaml_fault($node);
ok(pgaml_job_is($node, $_, 'completed'), "job $_ is completed") for @jobs;
is($node->safe_psql('postgres', 'SELECT count(*), max(attempt) FROM list_training_jobs()'), '3|1', 'each in one attempt');
is($node->safe_psql('postgres', 'SELECT count(*) FROM list_models()'), '3', 'and with one model');

# --- a worker that has read the whole queue does not take what another one did meanwhile, nor what somebody holds ---
my $holder = $node->background_psql('postgres');
pgaml_fault($node, 'job_begin=wait');
@jobs = split /\n/, $node->safe_psql('postgres', q{SELECT job_id FROM generate_series(1, 8) i, LATERAL (SELECT i AS number, t.* FROM train_performance_model(
	'linear_regression', hyperparameters => jsonb_build_object('l2', i)) t) j});
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM list_training_jobs('training')");
$holder->query_safe("BEGIN; SELECT FROM pganalytics.training_jobs WHERE job_id = $jobs[7] FOR UPDATE");
pgaml_fault($node);
ok($node->poll_query_until('postgres', "SELECT count(*) = 10 FROM list_training_jobs('completed')"), 'nobody waits for a job that somebody holds');
is(pgaml_job($node, $jobs[7], 'status'), 'pending', 'which waits itself');
$holder->query_safe('COMMIT');
$holder->quit;
ok(pgaml_job_is($node, $jobs[7], 'completed'), 'until it is let go');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml training'");
is($node->safe_psql('postgres', 'SELECT count(*), max(attempt) FROM list_training_jobs()'), '11|1', 'each job is taken once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM list_models()'), '11', 'and leaves one model');

# --- one database has much to do, the others little: they wait for no more than a moment ---
$node->append_conf('postgresql.conf', "pganalytics_ml.max_concurrent_training = 1\n");
$node->restart;
queue_tiny('postgres', 10000);
$node->poll_query_until('postgres', "SELECT count(*) > 100 FROM pganalytics.training_jobs WHERE status = 'failed'");
my $before = starts_of_training();
my %job = map { $_ => pgaml_train_later($node, q{'linear_regression'}, $_) } ('a', 'b');
ok(pgaml_job_is($node, $job{$_}, 'completed', $_), "database $_ had its turn") for ('a', 'b');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM pganalytics.training_jobs WHERE status = 'pending'"), '>', 0,
	'before the long queue of another was done');
cmp_ok(starts_of_training() - $before, '<=', 6, 'without a process for every job');

# --- 10,000 jobs ---
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pganalytics.training_jobs WHERE status IN ('pending', 'training')"), '10,000 jobs are drained');
is($node->safe_psql('postgres', "SELECT status, count(*), max(attempt) FROM pganalytics.training_jobs WHERE job_id > $jobs[7] GROUP BY 1 ORDER BY 1"),
	"completed|1|1\nfailed|9999|1", 'each of them once');
cmp_ok(starts_of_training() - $before, '<', 20, 'in few processes');
my $told = pgaml_log_lines($node, qr/job \d+ \(train\) in database "postgres" failed: the arguments of the job have no/);
ok($told > 0 && $told < 20, 'and few lines in the log');
note($node->safe_psql('postgres', "SELECT 'drained in ' || max(finished_at) - min(started_at) FROM pganalytics.training_jobs WHERE job_id > 3"));

# --- no process is free ---
my $log = -s $node->logfile;
$node->append_conf('postgresql.conf', "max_worker_processes = 1\nmax_logical_replication_workers = 0\n");
$node->restart;
my $job = pgaml_train_later($node, q{'linear_regression'});
$node->wait_for_log(qr/pganalytics_ml could not start a worker/, $log);
is(pgaml_job($node, $job, 'status'), 'pending', 'a job waits when no worker process is free');
$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$node->restart;
ok(pgaml_job_is($node, $job, 'completed'), 'and survives the restart');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
