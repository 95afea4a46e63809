# History equals what ran, or a window says why not: through restarts, crashes,
# resets, eviction, gaps and many collectors at once.

use strict;
use warnings;

use IPC::Run;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $load = 'SELECT $1 AS load';
my $ran = 0;                # calls of the load since the first tick
my $node = pgaml_node('exact',
	'pganalytics_ml.collect_interval = 1d',
	'pganalytics_ml.bucket_interval = 1d',
	'pganalytics_ml.text_interval = 0',
	'pg_stat_statements.max = 1000',
	'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->poll_query_until('postgres', 'SELECT last_tick IS NOT NULL FROM pganalytics.collector_state');

sub run_load
{
	my ($n) = @_;

	$node->safe_psql('postgres', 'SELECT 1 AS load;' x $n);
	$ran += $n;
}

sub collect
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
}

sub kept
{
	return $node->safe_psql('postgres', 'SELECT ' . pgaml_calls($load));
}

# Reasons of windows since they were last forgotten, other than those that every day has.
sub reasons
{
	my $reasons = $node->safe_psql('postgres',
		"SELECT coalesce(string_agg(DISTINCT reason, ',' ORDER BY reason), '')
		 FROM pganalytics.history_windows");

	$node->safe_psql('postgres', 'DELETE FROM pganalytics.history_windows');
	return $reasons;
}

# Wait until the server takes connections again.
sub comes_back
{
	return $node->poll_query_until('postgres', 'SELECT true');
}

is(reasons(), 'gap', 'the first bucket misses what ran before the first tick');

# --- nothing happens but ticks ---
foreach my $n (3, 1, 10)
{
	run_load($n);
	collect();
	is(kept(), $ran, "$ran calls ran, $ran are kept");
}
is(reasons(), '', 'nothing is uncertain');

# --- a restart ---
run_load(4);
$node->restart;
run_load(5);
collect();
is(kept(), $ran, 'a clean restart loses nothing and counts nothing twice');
is(reasons(), '', 'and leaves no window');

# --- a worker that is killed: shared memory starts anew ---
run_load(6);
collect();
is(kept(), $ran, 'all is kept before the crash');
run_load(2);
my ($in, $out) = ('', '');
my $psql = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \my $err);
$in = "SELECT 'pid=' || pg_backend_pid();\n";
$psql->pump until $out =~ /pid=(\d+)\n/;
my ($pid) = $out =~ /pid=(\d+)\n/;
my $boot = $node->safe_psql('postgres', 'SELECT stats_reset FROM pg_stat_statements_info');
kill 'KILL', $pid;
$psql->finish;
ok($node->poll_query_until('postgres', "SELECT stats_reset > '$boot' FROM pg_stat_statements_info"),
	'the server restarted by itself');
run_load(7);
collect();
is(kept(), $ran - 2, 'a crash loses what ran since the last tick, and nothing else');
is(reasons(), 'crash', 'and the window says so');
$ran -= 2;

# --- kill -9 of the postmaster ---
run_load(3);
collect();
run_load(4);
$node->kill9;
for my $try (1 .. 600)
{
	last if $node->start(fail_ok => 1);
	$node->stop('fast', fail_ok => 1);
}
ok(comes_back(), 'the server was started again');
run_load(5);
collect();
is(kept(), $ran - 4, 'kill -9 of the server loses what ran since the last tick');
is(reasons(), 'crash', 'and the window says crash');
$ran -= 4;

# --- counters that are not saved ---
$node->append_conf('postgresql.conf', 'pg_stat_statements.save = off');
$node->restart;
collect();
reasons();
$ran = kept();
run_load(2);
$node->restart;
run_load(1);
collect();
is(kept(), $ran - 2, 'a restart without saved counters loses what ran since the last tick');
is(reasons(), 'restart', 'and the window says restart');
$ran -= 2;
$node->append_conf('postgresql.conf', 'pg_stat_statements.save = on');
$node->reload;

# --- resets ---
run_load(3);
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
run_load(8);
collect();
is(kept(), $ran - 3, 'a reset of all loses what ran before it since the last tick');
is(reasons(), 'reset', 'and the window says so');
$ran -= 3;
run_load(2);
$node->safe_psql('postgres',
	"SELECT pg_stat_statements_reset(0, 0, queryid) FROM pganalytics.statements WHERE query = '$load'");
run_load(3);
collect();
is(kept(), $ran - 2, 'a reset of one entry loses what it had since the last tick');
is(reasons(), 'reset', 'and the window says so');
$ran -= 2;
$node->safe_psql('postgres',
	"SELECT pg_stat_statements_reset(0, 0, queryid) FROM pganalytics.statements WHERE query = '$load'");
collect();
is(kept(), $ran, 'an entry that vanished keeps its history');
is(reasons(), 'reset', 'and the window says so');
run_load(1);
collect();
is(kept(), $ran, 'it counts from zero when it comes back');
is(reasons(), '', 'which is no event');

# --- a gap ---
$node->safe_psql('postgres',
	"UPDATE pganalytics.collector_state SET last_tick = last_tick - interval '10 days'");
run_load(2);
collect();
is(kept(), $ran, 'calls of a gap count');
is($node->safe_psql('postgres',
		"SELECT count(*) >= 10, min(w.coverage), bool_and(w.reason = 'gap'), bool_and(b.has_gap)
		 FROM pganalytics.history_windows w
		 JOIN pganalytics.bucket_coverage b USING (bucket_start, bucket_width)"),
	't|0|t|t', 'every bucket of a gap says so');
reasons();
$node->safe_psql('postgres',
	"UPDATE pganalytics.collector_state SET last_tick = last_tick - interval '60 years'");
collect();
is($node->safe_psql('postgres', 'SELECT count(*) FROM pganalytics.history_windows'),
	'10000', 'a gap of decades has its newest buckets');
reasons();

# --- many collectors at once ---
my @sessions;
foreach my $i (1 .. 8)
{
	my $sql = 'SELECT 1 AS load; SELECT collect_statements();' x 15;
	push @sessions, IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
		'<', \$sql, '>', \my $o, '2>', \my $e);
	$ran += 15;
}
my $failed = grep { !$_->finish } @sessions;
is($failed, 0, 'eight sessions collect at once');
collect();
is(kept(), $ran, 'and no call is lost or counted twice');
is(reasons(), '', 'which is no event');

# --- collectors that roll back ---
run_load(2);
$node->safe_psql('postgres', 'BEGIN; SELECT collect_statements(); ROLLBACK');
run_load(1);
collect();
is(kept(), $ran, 'a tick that was rolled back did not happen');

# --- ticks of workers beside ticks by hand ---
pgaml_configure($node, 'pganalytics_ml.collect_interval = 1s');
foreach my $i (1 .. 10)
{
	run_load(3);
	collect() if $i % 2;
}
pgaml_visited_again($node, 'postgres');
pgaml_visited_again($node, 'postgres');
is(kept(), $ran, 'workers and sessions together count every call once');

$node->stop;
done_testing();
