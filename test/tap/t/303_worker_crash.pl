# Crashes and errors of workers: the server goes on, history stays exact, the log stays short.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $text = 'SELECT $1 AS counted';
my $node = pgaml_node('crash',
	"restart_after_crash = on",
	"pganalytics_ml.bucket_interval = 1d",
	"pganalytics_ml.text_interval = 0");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
pgaml_visited($node, 'postgres');

# Calls of the statement in history, waiting until they are at least so many.
sub calls_reach
{
	my ($calls) = @_;

	return $node->poll_query_until('postgres', 'SELECT ' . pgaml_calls($text) . " >= $calls");
}

sub run_counted
{
	my ($times) = @_;

	$node->safe_psql('postgres', 'SELECT 1 AS counted;' x $times);
}

# --- kill -9, everything of a tick written but not committed ---
run_counted(4);
ok(calls_reach(4), 'four calls are in history');
my $boot = $node->safe_psql('postgres', 'SELECT boot_at FROM pganalytics.collector_state');
pgaml_fault($node, 'visit_commit=wait');
run_counted(3);

# The worker may stand there with a tick that saw none of the three: any will do.
my $pid = pgaml_worker_pid($node);
my $log = -s $node->logfile;
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
kill 'KILL', $pid;
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $log);
$node->wait_for_log(qr/database system is ready to accept connections/, $log);
$node->poll_query_until('postgres', 'SELECT true');
$node->reload;
ok($node->poll_query_until('postgres',
		"SELECT boot_at > '$boot' FROM pganalytics.collector_state"),
	'after kill -9 of a worker and the restart of the server, ticks go on');
ok(pgaml_visited($node, 'postgres'), 'the database was found again');
is($node->safe_psql('postgres', 'SELECT ' . pgaml_calls($text)), '4',
	'what was not committed is not in history');
is($node->safe_psql('postgres',
		"SELECT count(*) > 0 FROM pganalytics.history_windows WHERE reason = 'crash'"),
	't', 'and history says that something may be missing');
run_counted(5);
ok(calls_reach(9), 'the next calls are');
pgaml_visited_again($node, 'postgres');
is($node->safe_psql('postgres', 'SELECT ' . pgaml_calls($text)), '9', 'once');

# --- a step that fails again and again ---
$log = -s $node->logfile;
pgaml_fault($node, 'visit_step=error');
ok($node->poll_query_until('postgres',
		"SELECT failures >= 2 AND state = 'failing' FROM pganalytics.worker_status() WHERE component = 'database'"),
	'a failing step is counted');
is($node->safe_psql('postgres',
		"SELECT last_error FROM pganalytics.worker_status() WHERE component = 'database'"),
	'fault at "visit_step"', 'its message is shown');
is(pgaml_log_lines($node, qr/could not collect statistics in database "postgres": fault/, $log), 1,
	'and logged once');
run_counted(6);
pgaml_fault($node);
$node->wait_for_log(qr/can collect statistics in database "postgres" again/, $log);
ok(calls_reach(15), 'then nothing is lost');
pgaml_visited_again($node, 'postgres');
is($node->safe_psql('postgres', 'SELECT ' . pgaml_calls($text)), '15', 'and nothing counted twice');

# --- a worker that cannot begin ---
ok($node->poll_query_until('postgres',
		"SELECT failures = 0 FROM pganalytics.worker_status() WHERE component = 'database'"),
	'every step works again');
$log = -s $node->logfile;
pgaml_fault($node, 'visit_check=error');
ok($node->poll_query_until('postgres',
		"SELECT failures >= 2 FROM pganalytics.worker_status() WHERE component = 'database'"),
	'a visit that fails at once is counted');
is(pgaml_log_lines($node, qr/could not begin a visit in database "postgres": fault/, $log), 1, 'and logged once');
pgaml_fault($node);
ok(pgaml_visited_again($node, 'postgres'), 'it comes back');

# --- a launcher that fails ---
$log = -s $node->logfile;
$pid = pgaml_status($node, 'pid', "component = 'launcher'");
pgaml_fault($node, 'launcher_turn=error');
$node->wait_for_log(qr/fault at "launcher_turn".*fault at "launcher_turn"/s, $log);
pgaml_fault($node);
ok(pgaml_visited_again($node, 'postgres'), 'the launcher survives errors');
is(pgaml_status($node, 'pid', "component = 'launcher'"), $pid, 'in the same process');

# --- locks: a visit does not wait for long ---
$log = -s $node->logfile;
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE pganalytics.statement_counters IN ACCESS EXCLUSIVE MODE');
$node->wait_for_log(qr/could not collect statistics in database "postgres": canceling statement due to lock timeout/, $log);
$session->query_safe('COMMIT');
$session->quit;
$node->wait_for_log(qr/can collect statistics in database "postgres" again/, $log);
pass('a lock that somebody holds delays a tick and no more');

# --- an extension of another version ---
$log = -s $node->logfile;
my $version = $node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'pganalytics_ml'");
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '0.0' WHERE extname = 'pganalytics_ml'");
$node->wait_for_log(qr/the extension has version 0\.0, the loaded library \Q$version\E.*ALTER EXTENSION/s, $log);
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pganalytics.worker_status() WHERE component = 'database'"),
	'an extension of another version is left alone');
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'pganalytics_ml'");
$node->reload;
ok(pgaml_visited($node, 'postgres'), 'until it is updated');
is(pgaml_log_lines($node, qr/has version 0\.0/, $log), 1, 'which is logged once');

# --- the server dies ---
run_counted(2);
calls_reach(17);
$node->stop('immediate');
$node->start;
run_counted(3);
ok(calls_reach(20), 'an immediate shutdown loses nothing that was collected');
pgaml_visited_again($node, 'postgres');
is($node->safe_psql('postgres', 'SELECT ' . pgaml_calls($text)), '20', 'and adds nothing');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
