# Drift found by visiting workers and retrained for by a training worker, on
# simulated days: the server's clock is moved, the workers do what is due.

use strict;
use warnings;

use File::Basename;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $weeks = dirname(__FILE__) . '/../../weeks';
my $node = pgaml_node('drift_workers', 'pg_stat_statements.track = none', 'pganalytics_ml.capture = off',
	'pganalytics_ml.retrain_interval = 0');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->safe_psql('postgres', slurp_file("$weeks/generate.sql"));

# Day 0 is today at midnight; ten days of history before it.
my $first = "date_trunc('day', timestamptz '" . $node->safe_psql('postgres', 'SELECT now()') . "')";

sub ask
{
	my ($query) = @_;
	return $node->safe_psql('postgres', "SET jit = off; $query");
}

# The clock of the whole server, in hours since day 0.
sub clock_at
{
	my ($hours) = @_;
	my $offset = ask("SELECT ceil(extract(epoch FROM $first + $hours * interval '1 hour' - clock_timestamp()))");
	pgaml_configure($node, "pganalytics_ml.clock_offset = $offset");
}

# What ran from one hour to another, and a look for drift at its end, with all that follows.
sub pass
{
	my ($from, $until) = @_;

	ask("SELECT weeks_run($first + $from * interval '1 hour', $first + $until * interval '1 hour')");
	clock_at($until);
	$node->poll_query_until('postgres', "SELECT checked_at >= $first + $until * interval '1 hour'
		AND NOT EXISTS (SELECT FROM pganalytics.training_jobs WHERE status IN ('pending', 'training'))
		FROM pganalytics.drift_state") or die "nobody looked for drift at hour $until";
}

clock_at(0);
ask("SELECT weeks_begin(3, $first - interval '10 days', 600); SELECT weeks_run($first - interval '10 days', $first)");
my $job = ask('SELECT job_id FROM train_performance_model()');
$node->poll_query_until('postgres', "SELECT status = 'completed' FROM pganalytics.training_jobs WHERE job_id = $job");
is(ask('SELECT count(*) FROM get_latest_model()'), '1', 'a model is in production');

pass(0, 12);
pass(12, 26);
is(ask('SELECT count(*) FILTER (WHERE crossed), count(value) FROM model_drift()'), '0|6', 'a day without drift: all judged, none crossed');

ask("UPDATE weeks_config SET drift = 'mix', drift_at = $first + interval '26 hours'");
pass(26, 38);
pass(38, 50);
pass(50, 62);
is(ask(q{SELECT count(*) > 0 FROM pganalytics.events WHERE kind = 'drift' AND message LIKE 'novelty is %'}), 't',
	'new statements are found to be drift');
is(ask(q{SELECT bool_and(status = 'completed' AND attempt = 1 AND model_id IS NOT NULL) AND count(*) > 0
	FROM pganalytics.training_jobs WHERE reason LIKE 'drift: %'}), 't', 'a worker has retrained for it');
is(ask(q{SELECT bool_and((arguments ->> 'lookback_days')::int <= 3) FROM pganalytics.training_jobs WHERE reason LIKE 'drift: %'}),
	't', 'on what is new');
is(ask(q{SELECT max(n) FROM (SELECT count(*) AS n FROM pganalytics.training_jobs WHERE reason LIKE 'drift: %'
	GROUP BY reason, date_trunc('day', requested_at)) d}), '1', 'once a day for each reason');
is(ask(q{SELECT count(*) >= 2 FROM pganalytics.model_truth}), 't', 'truth of each day');

# --- a look that fails is repeated, and holds up nothing else ---
my $from = -s $node->logfile;
pgaml_fault($node, 'drift_check=error');
clock_at(64);
ok($node->wait_for_log(qr/pganalytics_ml could not look for drift in database "postgres"/, $from), 'a failure is logged');
pgaml_visited_again($node, 'postgres');
is(ask("SELECT checked_at < $first + interval '63 hours' FROM pganalytics.drift_state"), 't', 'it stays due');
pgaml_fault($node);
ok($node->wait_for_log(qr/pganalytics_ml can look for drift in database "postgres" again/, $from), 'and is made up for');
is(ask("SELECT checked_at >= $first + interval '64 hours' FROM pganalytics.drift_state"), 't', 'looked again');

# --- a cancelled look leaves nothing behind ---
pgaml_fault($node, 'drift_check=wait');
clock_at(66);
my $pid = pgaml_worker_pid($node);
ask("SELECT pg_cancel_backend($pid)");
ok($node->wait_for_log(qr/could not look for drift in database "postgres": canceling statement/, $from), 'it can be cancelled');
is(ask("SELECT checked_at < $first + interval '65 hours' FROM pganalytics.drift_state"), 't', 'and stays due');
pgaml_fault($node);

$node->stop;
done_testing();
