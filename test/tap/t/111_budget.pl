# Capture stays within its budget, and whatever it does with an execution, it is counted once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('budget', 'pganalytics_ml.capture_ring_size = 1024');

$node->safe_psql('postgres', q{
CREATE TABLE b_t (a int PRIMARY KEY, b text);
INSERT INTO b_t SELECT g, 'x' FROM generate_series(1, 1000) g;
ANALYZE b_t;
CREATE FUNCTION b_loop(n int) RETURNS void LANGUAGE plpgsql AS
$$BEGIN FOR i IN 1 .. n LOOP PERFORM b FROM b_t WHERE a = i % 1000; END LOOP; END$$;
CREATE FUNCTION b_failing(n int) RETURNS void LANGUAGE plpgsql AS
$$BEGIN FOR i IN 1 .. n LOOP
  BEGIN PERFORM 1 / (a - a) FROM b_t WHERE a = i; EXCEPTION WHEN division_by_zero THEN NULL; END;
END LOOP; END$$;
CREATE FUNCTION b_many(n int, times int) RETURNS void LANGUAGE plpgsql AS
$$BEGIN FOR t IN 1 .. times LOOP FOR i IN 1 .. n LOOP EXECUTE 'SELECT 1' || repeat(', 1', i); END LOOP; END LOOP; END$$;
});

my $hot = "(SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT b FROM b_t WHERE a = %')";

# Growth of the counters while some code runs, which ends the sessions that it begins.
sub growth
{
	my ($code) = @_;
	my %before = capture_counts($node);

	$code->();
	my %after = capture_counts($node);
	return map { $_ => $after{$_} - $before{$_} } keys %after;
}

sub adds_up
{
	my ($what, %grown) = @_;

	is($grown{executions}, $grown{samples} + $grown{thinned} + $grown{dropped} + $grown{errors} + $grown{unfinished},
		"executions add up: $what");
	cmp_ok($grown{skipped}, '<=', $grown{thinned}, 'what was skipped is part of what was thinned');
}

sub together
{
	my @sessions = map {
		IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $_ ],
			'<', \undef, '>', '/dev/null', '2>', '/dev/null')
	} @_;

	$_->finish for @sessions;
}

# -- everything is captured: errors, cancels, a full ring, a session thrown out, cursors that never end
my %grown = growth(sub {
	$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
	my $victim = $node->background_psql('postgres', on_error_stop => 0);

	$victim->query_until(qr/begun/, "\\echo begun\nSELECT count(*) FROM b_t x, b_t y, b_t z, b_t victim;\n");
	together('SELECT b_loop(1000)', 'SELECT b_loop(1000)', 'SELECT b_failing(300)',
		"SET statement_timeout = '300ms'; SELECT count(*) FROM b_t x, b_t y, b_t z",
		'BEGIN; DECLARE c CURSOR FOR SELECT * FROM b_t; FETCH 1 FROM c; SELECT 1/0');
	$node->poll_query_until('postgres',
		"SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
		 WHERE query LIKE '%b_t victim%' AND pid <> pg_backend_pid() AND state = 'active'");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE '%b_t victim%' AND pid <> pg_backend_pid()");
	eval { $victim->quit };
});
adds_up('everything captured', %grown);
is($grown{thinned}, 0, 'overhead_budget = 1 thins nothing');
cmp_ok($grown{unfinished}, '>=', 1, 'the cursor that never ended is counted');
cmp_ok($grown{dropped}, '>', 1000, 'the ring was full');
cmp_ok($grown{executions}, '>=', value_of($node, "SELECT sum(calls) FROM pg_stat_statements WHERE queryid = $hot") + 300,
	'all executions of the loops are among them');
my ($state, $overhead, $work) = split /\|/,
  value_of($node, 'SELECT capture_state, overhead, ns_per_sample FROM service_status()');
is($state, 'on', 'capture is on');
cmp_ok($overhead, '>', 0, "without a throttle the overhead is measured all the same ($overhead)");
cmp_ok($work, '>', 100, "a captured execution costs something ($work ns)");

# -- four sessions, thinned: the weights stand for all of them
capture_set($node, 'pganalytics_ml.overhead_budget' => '0.01');
forget_all($node);
%grown = growth(sub { together(('SELECT b_loop(20000)') x 4) });
adds_up('thinned', %grown);
store($node);
my ($calls, $sum) = split /\|/, value_of($node,
	"SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE queryid = $hot), sum(weight)
	 FROM pganalytics.execution_samples WHERE queryid = $hot");
is($calls, 80000, 'all statements ran');
cmp_ok(abs($sum / $calls - 1), '<', 0.35, "weights add up to executions ($sum of $calls)");

# -- a budget that has no room for a look at every execution
capture_set($node, 'pganalytics_ml.overhead_budget' => '0.0005');
forget_all($node);
%grown = growth(sub { together(('SELECT b_loop(40000)') x 4) });
adds_up('skipped', %grown);
cmp_ok($grown{skipped}, '>', 100000, "most are not looked at ($grown{skipped})");
store($node);
($calls, $sum) = split /\|/, value_of($node,
	"SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE queryid = $hot), sum(weight)
	 FROM pganalytics.execution_samples WHERE queryid = $hot");
cmp_ok(abs($sum / $calls - 1), '<', 0.8, "and the weights still add up ($sum of $calls)");
is(value_of($node, "SELECT capture_level < 1 AND reason LIKE 'lowered to %' FROM service_status()"), 't',
	'a budget that cannot be met lowers the level, and the status says so');

# -- statements that each run a few times are dear: the level falls, and comes back when there is room
capture_set($node, 'pganalytics_ml.overhead_budget' => '0.9');
for (1 .. 60)
{
	last if value_of($node, 'SELECT capture_level FROM service_status()') == 1;
	together(('SELECT b_many(200, 10)') x 2);
}
is(value_of($node, 'SELECT capture_level FROM service_status()'), 1, 'with room the level comes back');
capture_set($node, 'pganalytics_ml.overhead_budget' => '0.01');
%grown = growth(sub { together(('SELECT b_many(200, 4)') x 2) for 1 .. 4; });
adds_up('many statements', %grown);
cmp_ok(value_of($node, 'SELECT capture_level FROM service_status()'), '<', 1, 'many statements of which each is rare lower it');
is($grown{errors}, 0, 'no internal error');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11|WARNING/, 'nothing odd in the log');
done_testing();
