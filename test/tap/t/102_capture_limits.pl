# Outcomes, a full ring, thinning, and where nothing is captured.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $ring = 1024;
my $node = capture_node('limits', "pganalytics_ml.capture_ring_size = $ring");

$node->safe_psql('postgres', q{
CREATE TABLE l_t (a int PRIMARY KEY, b text);
INSERT INTO l_t SELECT g, 'x' FROM generate_series(1, 1000) g;
ANALYZE l_t;
CREATE FUNCTION l_loop(n int) RETURNS void LANGUAGE plpgsql AS
$$BEGIN FOR i IN 1 .. n LOOP PERFORM b FROM l_t WHERE a = i % 1000; END LOOP; END$$;
CREATE FUNCTION l_check() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM 1 / (NEW.a - NEW.a); RETURN NEW; END$$;
CREATE TRIGGER l_after AFTER UPDATE ON l_t FOR EACH ROW EXECUTE FUNCTION l_check();
});

# Executions that did not end well, in their order.
sub failures
{
	store($node);
	return value_of($node, "SELECT string_agg(outcome || ' ' || CASE WHEN toplevel THEN 'top' ELSE 'nested' END, ', ' ORDER BY sampled_at)
		FROM pganalytics.execution_samples WHERE outcome <> 'done'");
}

# Did the counters grow by as many executions as samples of all kinds?
sub adds_up
{
	my ($before, $after, $what) = @_;
	my %grown = map { $_ => $after->{$_} - $before->{$_} } keys %$after;

	is($grown{executions}, $grown{samples} + $grown{thinned} + $grown{dropped} + $grown{errors} + $grown{unfinished},
		"executions add up: $what");
	return %grown;
}

# -- outcomes
forget_all($node);
$node->psql('postgres', 'SELECT 10 / (a - 5) FROM l_t');
is(failures(), 'error top', 'an error while it runs');
is(value_of($node, "SELECT execution_ms > 0 AND shared_blks_hit > 0 AND top_rows_true IS NULL
	FROM pganalytics.execution_samples WHERE outcome = 'error'"), 't', 'with its time and blocks, without a true row count');

forget_all($node);
$node->psql('postgres', 'UPDATE l_t SET b = b WHERE a = 1');
is(failures(), 'error top', 'an error in a trigger after the statement; the expression in it is no execution');

# On a busy machine the time may be over before the execution begins.
my $cancelled = '';
for my $ms (300, 2000, 10000)
{
	forget_all($node);
	$node->psql('postgres', "SET jit = off; SET statement_timeout = $ms; SELECT count(*) FROM l_t x, l_t y, l_t z");
	last if ($cancelled = failures()) ne '';
}
is($cancelled, 'cancelled top', 'a statement timeout cancels');
is(value_of($node, "SELECT execution_ms > 0 AND execution_ms < 600000 FROM pganalytics.execution_samples WHERE outcome = 'cancelled'"),
	't', 'with the time until then');

forget_all($node);
my $victim = $node->background_psql('postgres', on_error_stop => 0);
$victim->query_until(qr/begun/, "\\echo begun\nSELECT count(*) FROM l_t x, l_t y, l_t z, l_t victim;\n");
$node->poll_query_until('postgres',
	"SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity
	 WHERE query LIKE '%l_t victim%' AND pid <> pg_backend_pid() AND state = 'active'");
$victim->quit;
is(failures(), 'cancelled top', 'so does pg_cancel_backend');

# -- a session that is thrown out while it executes leaves nothing behind
my $ended = $node->background_psql('postgres', on_error_stop => 0);
$ended->query_until(qr/begun/, "\\echo begun\nSELECT count(*) FROM l_t x, l_t y, l_t z, l_t ended;\n");
$node->poll_query_until('postgres',
	"SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
	 WHERE query LIKE '%l_t ended%' AND pid <> pg_backend_pid() AND state = 'active'");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%l_t ended%' AND pid <> pg_backend_pid()");
eval { $ended->quit };
is(value_of($node, 'SELECT active_backends FROM service_status()'), 1, 'only the one who asks is active');

# -- a full ring drops, counts, and lets statements pass
forget_all($node);
my %before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT l_loop(3000)');
my %after = capture_counts($node);
my %grown = adds_up(\%before, \%after, 'ring full');
cmp_ok($grown{dropped}, '>', 1900, "$grown{dropped} samples dropped");
is($after{ring_used}, $ring, 'the ring is full');
is(value_of($node, "SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE 'SELECT b FROM l_t WHERE a = %'"),
	3000, 'all statements ran');
store($node);
cmp_ok(value_of($node, 'SELECT count(*) FROM pganalytics.execution_samples'), '>=', $ring, 'what was in the ring is stored');
%before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT l_loop(50)');
%after = capture_counts($node);
cmp_ok($after{samples} - $before{samples}, '>=', 50, 'capture goes on when the ring is empty');

# -- writers and a reader at the same time lose nothing uncounted
forget_all($node);
%before = capture_counts($node);
my $stored = value_of($node, 'SELECT count(*) FROM pganalytics.execution_samples');
my @writers = map {
	IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'SELECT l_loop(4000)' ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null')
} 1 .. 3;
store($node) for 1 .. 15;
$_->finish for @writers;
store($node);
%after = capture_counts($node);
%grown = adds_up(\%before, \%after, 'three writers and a reader');
is(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples") + $after{ring_used} - $before{ring_used} - $stored,
	$grown{samples}, 'what went into the ring is in the table or still there');
is(value_of($node, "SELECT count(*) FROM (SELECT 1 FROM pganalytics.execution_samples GROUP BY session_id, transaction_no, place HAVING count(*) > 1) x"),
	0, 'and nothing is there twice');

# -- thinning
capture_set($node, 'pganalytics_ml.overhead_budget' => '0.01');
forget_all($node);
%before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT l_loop(10000)');
%after = capture_counts($node);
%grown = adds_up(\%before, \%after, 'thinned');
store($node);
my ($samples, $least, $most) = split /\|/, value_of($node,
	"SELECT count(*), min(weight), max(weight) FROM pganalytics.execution_samples WHERE NOT toplevel AND rows = 1
	 AND queryid IN (SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT b FROM l_t WHERE a = %')");
# 8 (1 + ln(10000 / 8)) = 65 are expected, with a standard deviation of 7.
cmp_ok($samples, '>', 25, "a hot statement keeps samples ($samples)");
cmp_ok($samples, '<', 110, 'but few');
is($least, 1, 'the first ones stand for themselves');
cmp_ok($most, '>', 10, 'the later ones for many');
cmp_ok($grown{thinned}, '>', 9800, 'the rest is counted as thinned');

capture_set($node, 'pganalytics_ml.capture_rate' => '0');
%before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT l_loop(100)');
%after = capture_counts($node);
is($after{samples}, $before{samples}, 'capture_rate = 0 takes no sample');
capture_set($node, 'pganalytics_ml.capture_rate' => '1', 'pganalytics_ml.overhead_budget' => '1');

# -- off
capture_set($node, 'pganalytics_ml.capture' => 'off');
%before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT l_loop(100)');
%after = capture_counts($node);
is($after{executions}, $before{executions}, 'capture = off looks at nothing');
capture_set($node, 'pganalytics_ml.capture' => 'on');

# -- the extension's own statements, its workers, and databases without it
forget_all($node);
store($node);
store($node);
is(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples WHERE NOT toplevel"), 0,
	'what collect_statements() runs inside is not captured');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
%before = capture_counts($node);
$node->safe_psql('elsewhere', 'CREATE TABLE e AS SELECT generate_series(1, 10) g; SELECT count(*) FROM e; SELECT * FROM e');
%after = capture_counts($node);
cmp_ok($after{executions} - $before{executions}, '<=', 1, 'a database without the extension is not watched');

# -- capture ends with the extension, and begins with it
$node->safe_psql('elsewhere', 'CREATE EXTENSION pganalytics_ml CASCADE');
capture_begin($node, 'elsewhere');
$node->safe_psql('elsewhere', 'SELECT * FROM e');
store($node, 'elsewhere');
is($node->safe_psql('elsewhere', "SELECT count(*) > 0 FROM pganalytics.execution_samples WHERE rows = 10"), 't',
	'with the extension it is');
is(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples WHERE rows = 10"), 0,
	'and its samples go to its own table');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|WARNING/, 'nothing odd in the log');
done_testing();
