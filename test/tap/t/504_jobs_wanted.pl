# Training is in nobody's way: databases and extensions are dropped and copied while it runs.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('wanted', 'pganalytics_ml.retrain_interval = 0', 'pganalytics_ml.max_concurrent_training = 2');
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") for ('kept', 'dropped', 'place');
pgaml_job_database($node, $_, 200) for ('postgres', 'kept', 'dropped');

# Queue a long job and wait until it fits.
sub train_long
{
	my ($db) = @_;
	my $job = pgaml_train_later($node, $pgaml_long, $db);

	$node->poll_query_until($db, "SELECT progress > 0 FROM get_training_status($job)") or die 'training does not begin';
	return $job;
}

# --- DROP DATABASE, while it fits ---
train_long('dropped');
my ($rc, $out, $err) = $node->psql('postgres', 'DROP DATABASE dropped');
is($err, '', 'DROP DATABASE with a training in it succeeds');

# --- a barrier that every process must take in: DROP DATABASE elsewhere does not wait for a fit ---
my $job = train_long('kept');
($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = '10s'; DROP DATABASE place");
is($err, '', 'DROP DATABASE elsewhere does not wait for a fit');
is(pgaml_job($node, $job, 'status', 'kept'), 'training', 'which goes on');

# --- CREATE DATABASE ... TEMPLATE: the job steps aside and comes back ---
($rc, $out, $err) = $node->psql('postgres', 'CREATE DATABASE copied TEMPLATE kept');
is($err, '', 'CREATE DATABASE ... TEMPLATE with a training in it succeeds');
$node->safe_psql('postgres', 'DROP DATABASE copied WITH (FORCE)');
ok(pgaml_job_is($node, $job, "status = 'training' AND attempt = 1 AND error IS NULL", 'kept'),
	'then the job is at work again, which is no second attempt');
is($node->safe_psql('kept', "SELECT cancel_training($job)"), 'stopping', 'it can be cancelled');
ok(pgaml_job_is($node, $job, 'cancelled', 'kept'), 'as any other');

# --- DROP EXTENSION in the middle ---
my $log = -s $node->logfile;
train_long('kept');
$node->safe_psql('kept', 'DROP EXTENSION pganalytics_ml CASCADE');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pganalytics.worker_status() WHERE component = 'training'"),
	'after DROP EXTENSION the worker leaves');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = 'kept'"), '0', 'the database');
is(pgaml_log_lines($node, qr/ERROR|could not/, $log), 0, 'and says nothing');

# --- dropped and created again: what was under way is not stored in the new one ---
pgaml_job_database($node, 'kept', 200);
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'}, 'kept');
pgaml_trainer($node, 'kept');
$node->safe_psql('kept', 'DROP EXTENSION pganalytics_ml CASCADE; CREATE EXTENSION pganalytics_ml CASCADE');
pgaml_fault($node);
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pganalytics.worker_status() WHERE component = 'training'"),
	'a worker whose job has gone leaves');
is($node->safe_psql('kept', 'SELECT count(*) FROM list_models(), list_training_jobs()'), '0', 'and stores nothing');
is(pgaml_log_lines($node, qr/ERROR|could not/, $log), 0, 'without a word');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
