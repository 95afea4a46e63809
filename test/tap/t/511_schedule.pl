# Training by itself under an injected clock: when it is due, when it is put off and why, clocks that
# jump; and the same by hand on a server without preload, as pg_cron would call it.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $hour = 3600;
my $day = 24 * $hour;
my $offset = 0;    # s, of the clock
my $node = pgaml_node('schedule',
	"pganalytics_ml.retrain_interval = 1d",
	"pganalytics_ml.retrain_model_type = linear_regression",
	"pganalytics_ml.capture = off",
	"log_timezone = 'UTC'");

# Set the clock and other settings; the reload makes the workers look at once.
sub at
{
	($offset, my @conf) = @_;
	pgaml_configure($node, "pganalytics_ml.clock_offset = $offset", @conf);
}

# Executions that ran, by the clock, so many seconds ago.
sub ran
{
	my ($ago, $clock) = @_;
	my $seconds = ($clock // $offset) - $ago;

	$node->safe_psql('postgres', qq{
		INSERT INTO pganalytics.execution_samples
		  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place,
		   application_hash, weight, active_backends, toplevel, outcome, plan_facts)
		SELECT now() + $seconds * interval '1 second' - j * interval '1 second', k, k,
		       k * (1 + (hashint8(k * 1000 + j) & 255) / 256.0), 1, 1, j,
		       'postgres'::regrole, 1, 0, 1, 1, true, 'done', array_fill(k::real, ARRAY[37])
		  FROM generate_series(1, 10) k, generate_series(1, 15) j});
}

# One expression over training_schedule(), in a session whose clock is that of the workers.
sub schedule
{
	my ($expression) = @_;

	return $node->safe_psql('postgres', "SELECT $expression FROM training_schedule()");
}

sub put_off
{
	my ($reason, $name) = @_;

	ok($node->poll_query_until('postgres',
			"SELECT coalesce(skip_reason LIKE '$reason', false) FROM training_schedule()"), $name)
	  or diag(schedule('skip_reason'));
}

sub jobs
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.training_jobs WHERE status IN ('pending', 'training', 'completed')");
}

# Wait for a visit that has looked, by the note that it leaves in its step: a reload makes it look.
sub looked
{
	pgaml_configure($node);
	pgaml_visited_anew();
}

# Wait for a visit that begins from now on, by the clock of the workers.
sub pgaml_visited_anew
{
	my $now = $node->safe_psql('postgres', "SELECT clock_timestamp() + $offset * interval '1 second'");

	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pganalytics.worker_status()
		 WHERE component = 'database' AND datname = 'postgres' AND last_visit BETWEEN '$now' AND '$now'::timestamptz + interval '1 hour'")
	  or die 'no visit';
}

$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');

# --- nothing to learn from, then enough: the first training needs nobody ---
put_off('not enough samples: 0 of 100', 'nothing to learn from yet');
pgaml_samples($node, 'postgres', 15);
looked();
ok(pgaml_job_is($node, 1, 'completed'), 'the first training starts by itself');
is(pgaml_job($node, 1, 'reason, kind'), 'schedule|train', 'and says why');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM get_latest_model()'), 'its model serves');
is(schedule("last_job_id, next_run - last_run BETWEEN interval '10 min' AND interval '16 min', skip_reason"), '1|t|',
	'the next one is as far ahead as its data reach back');
$node->safe_psql('postgres', "UPDATE pganalytics.query_performance_models SET window_start = window_end - interval '3 days'");
is(schedule('next_run - last_run'), '1 day', 'and at most a day');
looked();
is(jobs(), '1', 'and not before');

# --- a day later, without and with new data ---
at($day + $hour);
put_off('not enough new data: % of 100 samples that model 1 has not seen', 'nothing new');
ran(600);
looked();
ok(pgaml_job_is($node, 2, 'completed'), 'the second training');
is($node->safe_psql('postgres', q{SELECT string_agg(substr(message, 1, 18), ', ' ORDER BY event_id) FROM pganalytics.events
	WHERE kind = 'retrain_skipped'}), 'not enough samples, not enough new dat', 'an event for each reason, not for each visit');

# --- the window: closed, then open; in a zone of its own ---
my $from = $node->safe_psql('postgres',
	"SELECT to_char(now() AT TIME ZONE 'Asia/Kathmandu' + interval '2 hours', 'HH24:MI')");
my $to = $node->safe_psql('postgres',
	"SELECT to_char(now() AT TIME ZONE 'Asia/Kathmandu' + interval '4 hours', 'HH24:MI')");
ran(0, 3 * $day);
at(3 * $day, "pganalytics_ml.retrain_window = '$from-$to Asia/Kathmandu'");
put_off("retrain_window is closed until % $from:00 +0545", 'the window is closed');
is(schedule("time_zone, to_char(next_run AT TIME ZONE 'Asia/Kathmandu', 'HH24:MI')"), "Asia/Kathmandu|$from", 'next_run is its opening');
my $next_run = schedule('next_run');
at(3 * $day + 3 * $hour);
ok(pgaml_job_is($node, 3, 'completed'), 'it opens');
is($node->safe_psql('postgres', "SELECT requested_at > '$next_run' FROM pganalytics.training_jobs WHERE job_id = 3"), 't', 'and not before');
my $log = -s $node->logfile;
at($offset, "pganalytics_ml.retrain_window = '25:00-26:00'");
$node->wait_for_log(qr/invalid value for parameter "pganalytics_ml.retrain_window": "25:00-26:00"/, $log);
is(schedule('retrain_window'), "$from-$to Asia/Kathmandu", 'a reload with what is no window keeps the one before');

# --- overhead, and somebody else's training ---
ran(0, 6 * $day);
at(6 * $day, "pganalytics_ml.retrain_window = ''", 'pganalytics_ml.overhead_budget = 0');
put_off('overhead_budget 0 allows no training', 'no budget, no training');
is(schedule('next_run IS NULL'), 't', 'nor a next one');
at(6 * $day, 'pganalytics_ml.retrain_interval = 0', 'pganalytics_ml.overhead_budget = 0.01', "pganalytics_ml.fault = 'job_fit=wait'");
looked();
is(schedule('enabled, next_run'), 'f|', 'retrain_interval 0 is off');
is(pgaml_train_later($node, "'linear_regression'"), '4', 'somebody asks for a training');
ok(pgaml_job_is($node, 4, 'training'), 'which goes on');
at(6 * $day, 'pganalytics_ml.retrain_interval = 1d');
put_off('another training is pending or running', 'one at a time');
pgaml_fault($node);
ok(pgaml_job_is($node, 4, 'completed'), 'it completes');
looked();
is(schedule("last_job_id, next_run - last_run, skip_reason"), '4|1 day|', 'and counts as the last one');

# --- a training that fails is not repeated at once ---
ran(0, 8 * $day);
at(8 * $day, 'pganalytics_ml.training_memory = 8MB', "pganalytics_ml.fault = 'job_fit=error'");
ok($node->poll_query_until('postgres', q{SELECT status IN ('failed', 'pending') AND error IS NOT NULL
	FROM pganalytics.training_jobs WHERE job_id = 5}), 'a training fails');
$node->safe_psql('postgres', q{UPDATE pganalytics.training_jobs SET status = 'failed', finished_at = now() WHERE status = 'pending'});
pgaml_fault($node);
looked();
is($node->safe_psql('postgres', 'SELECT max(job_id) FROM pganalytics.training_jobs'), '5', 'the next one waits for the interval');
is(schedule("last_job_id, next_run - last_run >= '1 day'"), '5|t', 'which began with it');

# --- the clock is set back by eight days: one interval later it goes on ---
at(0);
pgaml_visited_anew();
ok($node->poll_query_until('postgres', 'SELECT last_run < now() + interval \'1 minute\' FROM pganalytics.training_schedule'),
	'a last run ahead of the clock began now');
ran(0);
looked();
is($node->safe_psql('postgres', 'SELECT max(job_id) FROM pganalytics.training_jobs'), '5', 'nothing runs twice');
ran(0, $day + $hour);
at($day + $hour);
ok(pgaml_job_is($node, 6, 'completed'), 'nor waits for the clock to come back');

# --- it jumps ahead by 500 days: one training, and nothing is deleted ---
my $kept = q{SELECT (SELECT count(*) FROM pganalytics.execution_samples), (SELECT count(*) FROM pganalytics.query_performance_models)};
ran(0, 500 * $day);
my $before = $node->safe_psql('postgres', $kept);
at(500 * $day);
ok(pgaml_job_is($node, 7, 'completed'), 'after a jump ahead one training');
looked();
looked();
is($node->safe_psql('postgres', 'SELECT max(job_id) FROM pganalytics.training_jobs'), '7', 'and no other');
my ($samples, $models) = split /\|/, $before;
is($node->safe_psql('postgres', $kept), "$samples|" . ($models + 1), 'nothing is too old all at once');
is($node->safe_psql('postgres', 'SELECT jump_from IS NOT NULL FROM pganalytics.collector_state'), 't', 'the jump was seen');
at(500 * $day + 12 * $hour);
pgaml_visited_anew();
like($node->safe_psql('postgres', $kept), qr/^$samples\|\d+$/, 'half a day on that side is not enough');
at(501 * $day + $hour);
ok($node->poll_query_until('postgres', "SELECT count(*) < $samples FROM pganalytics.execution_samples"),
	'when the clock has stayed there for a day, what is too old goes');
$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');

# --- without preload, by hand ---
$node->append_conf('postgresql.conf', join("\n",
	"shared_preload_libraries = 'pg_stat_statements'",
	"pganalytics_ml.clock_offset = 0", "pganalytics_ml.training_memory = 512MB") . "\n");
$node->start;
$node->safe_psql('postgres', 'DROP EXTENSION pganalytics_ml; CREATE EXTENSION pganalytics_ml');

# The answer of a step, in a session whose clock is set.
sub maintain
{
	my ($wait, @settings) = @_;

	return $node->safe_psql('postgres', join('', map { "SET pganalytics_ml.$_;" } @settings)
		  . "SELECT result FROM maintain_models(wait => $wait) WHERE step = 'retrain'");
}

is(maintain('true'), 'put off: not enough samples: 0 of 100', 'by hand: nothing to learn from');
pgaml_samples($node, 'postgres', 15);
like(maintain('false'), qr/^due, but not queued: pganalytics_ml is not in shared_preload_libraries/, 'nobody would train what is queued');
is(jobs(), '0', 'so nothing is');
like(maintain('true', "fault = 'train_here=error'"), qr/^job 1 failed: fault at "train_here"$/, 'a failure is told');
is(pgaml_job($node, 1, 'status, reason, error'), 'failed|schedule|fault at "train_here"', 'and kept');
like(maintain('true'), qr/^not due before /, 'and not repeated at every call');
my $tomorrow = $day + 60;
like(maintain('true', "clock_offset = $tomorrow"), qr/^job 2 completed: model 1 \(linear_regression, version 1\)/, 'a day later it trains');
is(pgaml_job($node, 2, 'status, reason, model_id'), 'completed|schedule|1', 'as a job like any other');
like(maintain('true', "clock_offset = $tomorrow"), qr/^not due before /, 'the next call finds nothing to do');
my $cancelled = $node->background_psql('postgres', on_error_stop => 0);
ran(0, 3 * $day);
$cancelled->query('SET pganalytics_ml.fault = \'train_here=wait\'; SET pganalytics_ml.clock_offset = ' . 3 * $day);
$cancelled->{stdin} .= "SELECT * FROM maintain_models(wait => true);\n";
$cancelled->{run}->pump_nb;
$node->poll_query_until('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE query LIKE '%maintain_models(wait%' AND wait_event = 'Extension' AND pid <> pg_backend_pid()});
$cancelled->quit;
is(jobs(), '1', 'a cancelled call leaves nothing');

$node->stop;
done_testing();
