# Jobs that somebody wrote or changed by hand, and those of prepared transactions: no job stands in the way of others.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('edited', 'max_prepared_transactions = 2');
$node->start;
pgaml_job_database($node, 'postgres', 200);

# Queue a job as it stands there; returns its number.
sub by_hand
{
	my ($kind, $arguments) = @_;

	return $node->safe_psql('postgres', qq{INSERT INTO pganalytics.training_jobs (kind, arguments, status, requested_by, requested_at, not_before)
		VALUES ('$kind', '$arguments', 'pending', 'postgres'::regrole, now(), now()) RETURNING job_id});
}

sub split_of
{
	my ($fractions) = @_;

	return qq{{"model_type": "linear_regression", "lookback_days": 90, "hyperparameters": {}, "split": {"name": "x", "strategy": "group",
		"fractions": $fractions, "seed": 1, "rows": 1, "from": "2020-01-01", "until": "2100-01-01"}}};
}

# --- arguments that make no sense fail, each with its reason, and the next job is done ---
my %reason = (
	by_hand('tune', '{"experiment_id": 1, "time_limit_s": 1e300}') => 'experiment 1 does not exist',
	by_hand('tune', '{"experiment_id": 1, "time_limit_s": 9223372036854775807}') => 'experiment 1 does not exist',
	by_hand('tune', '[1, 2]') => 'the arguments of the job have no "experiment_id"',
	by_hand('train', '[1, 2]') => 'the arguments of the job have no "lookback_days"',
	by_hand('train', 'null') => 'the arguments of the job have no "lookback_days"',
	by_hand('train', split_of('[-5, -3, 9]')) => 'the split of the job has no "fractions"',
	by_hand('train', split_of('[1e300, 1, 1]')) => 'the split of the job has no "fractions"');
my $log = -s $node->logfile;
my $job = pgaml_train_later($node, q{'linear_regression'});
ok(pgaml_job_is($node, $job, 'completed'), 'a job behind others that make no sense is done');
like(pgaml_job($node, $_, "status || ' ' || attempt || ' ' || error"), qr/^failed 1 \Q$reason{$_}\E/, "job $_ has failed") for sort keys %reason;
unlike(slurp_file($node->logfile, $log), qr/exited with exit code/, 'in one worker');

# --- a job and a cancel that come with COMMIT PREPARED ---
$node->safe_psql('postgres', "BEGIN; SELECT FROM train_performance_model('linear_regression'); PREPARE TRANSACTION 'queue'");
$job = $node->safe_psql('postgres', "COMMIT PREPARED 'queue'; SELECT max(job_id) FROM pganalytics.training_jobs");
ok(pgaml_job_is($node, $job, 'completed'), 'the next visit finds a job of a prepared transaction');
$job = pgaml_train_later($node, $pgaml_long);
$node->poll_query_until('postgres', "SELECT status = 'training' AND progress > 0 FROM get_training_status($job)");
is($node->safe_psql('postgres', "BEGIN; SELECT cancel_training($job); PREPARE TRANSACTION 'cancel'"), 'stopping', 'a cancel is prepared');
is(pgaml_job($node, $job, 'status, message'), 'training|', 'and does nothing yet');
$node->safe_psql('postgres', "COMMIT PREPARED 'cancel'");
ok(pgaml_job_is($node, $job, 'cancelled'), 'the next visit stops the job');
is(pgaml_job($node, $job, 'progress < 1, model_id'), 't|', 'which does not come to its end');

# --- the extension is dropped and created again while a job runs: nobody takes it for one of the new jobs ---
pgaml_configure($node, 'pganalytics_ml.max_concurrent_training = 2');
pgaml_fault($node, 'job_fit=wait');
$job = pgaml_train_later($node, q{'linear_regression'});
my $stranger = pgaml_trainer($node);
$node->safe_psql('postgres', 'DROP EXTENSION pganalytics_ml; CREATE EXTENSION pganalytics_ml');
$node->safe_psql('postgres', "INSERT INTO pganalytics.training_jobs (job_id, status, attempt, requested_by, requested_at, started_at)
	OVERRIDING SYSTEM VALUE VALUES ($job, 'training', 1, 'postgres'::regrole, now(), now())");
ok(pgaml_job_is($node, $job, "status = 'pending'"), 'it is not at work on the job with the same number');
like(pgaml_job($node, $job, 'error'), qr/^its worker ended before the job did/, 'which was left behind');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $stranger AND wait_event = 'Extension'"),
	'and is stopped');
pgaml_fault($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM list_models()'), '0', 'its model belongs to nobody');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
