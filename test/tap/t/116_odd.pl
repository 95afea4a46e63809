# Odd statements, with everything switched on and on a server without the
# extension: the same answers, no crash, no leak, and every execution accounted
# for.  ODD_SECONDS asks for random sessions for so long (test/long odd),
# ODD_SEED for those from this number on, ODD_PARTITIONS for bigger tables.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;
use PgamlOdd;

my $partitions = $ENV{ODD_PARTITIONS} // 60;
my $seed = $ENV{ODD_SEED} // 1;
my $file = PostgreSQL::Test::Utils::tempdir() . '/odd.txt';
my @conf = ('max_prepared_transactions = 10', 'max_locks_per_transaction = 512', 'compute_query_id = on', 'lc_messages = C', 'log_min_messages = log',
	'shared_buffers = 64MB', 'jit = off');

append_to_file($file, "one\ntwo\n");

my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->append_conf('postgresql.conf', join("\n", 'autovacuum = off', @conf) . "\n");
$plain->start;
my $node = capture_node('watched', @conf, 'pg_stat_statements.max = 100000', 'pganalytics_ml.capture_ring_size = 200000', 'pganalytics_ml.capture_rate = 1');

# Everything that there is, as far as it goes.
$node->safe_psql('postgres', "ALTER SYSTEM SET pganalytics_ml.$_") for 'capture_node_rate = 1', 'explain_predicted_time = on', "guard_mode = 'warn'", 'max_predicted_time = 0.001';
$node->restart;
capture_begin($node, 'postgres');

for my $server ($plain, $node)
{
	$server->safe_psql('postgres', odd_schema($partitions, $file));
}

# ---- the same answers ----

my %scripts = odd_scripts();
my %expected;

forget_all($node);
for my $name (sort keys %scripts)
{
	$expected{$name} = odd_psql($plain, $scripts{$name});
	is(odd_psql($node, $scripts{$name}), $expected{$name}, "the same answers: $name");
	my $errors = () = $expected{$name} =~ /^ERROR:/mg;

	cmp_ok(length $expected{$name}, '>', 40, "there are some ($errors errors)");
}
$expected{portals} = odd_portals($plain);
is(odd_portals($node), $expected{portals}, 'the same answers: portals');
like($expected{portals}, qr/^s$/m, 'some portals were suspended');
like($expected{portals}, qr/^E 22012$/m, 'some failed');

# ---- accounts ----

store($node);
my %counts = capture_counts($node);
is($counts{executions}, $counts{samples} + $counts{thinned} + $counts{dropped} + $counts{errors} + $counts{unfinished}, 'executions add up');
is($counts{dropped}, 0, 'none was dropped');
is(value_of($node, 'SELECT dealloc FROM pg_stat_statements_info'), 0, 'pg_stat_statements kept all of them');

# What pg_stat_statements counts and capture does not, or the other way round, of statements that
# ran to their end.  Utility statements have no samples, and a plain EXPLAIN is counted but not executed.
my $difference = q{
WITH counted AS (
  SELECT queryid, toplevel, sum(calls) AS calls, sum(rows) AS rows, min(query) AS query FROM pg_stat_statements
  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query !~* '^\s*(create|do|call|explain|copy|fetch|move|declare|close|drop|refresh|alter|analyze|vacuum|prepare|deallocate|execute|begin|set|reset|grant|truncate|commit|rollback|savepoint|release|listen|notify|unlisten|discard|comment|checkpoint|cluster|reindex|lock|show|security|import|reassign|abort|end|start)\y'
    AND query !~ 'pganalytics|pg_stat_statements|service_status| INTO o_s' GROUP BY 1, 2),
captured AS (SELECT queryid, toplevel, sum(weight) AS samples, sum(rows) AS rows FROM pganalytics.execution_samples WHERE outcome IN ('done', 'explained') GROUP BY 1, 2),
explained AS (SELECT queryid FROM pg_stat_statements WHERE query ~* '^\s*explain')
SELECT c.calls, s.samples, c.rows, s.rows, c.toplevel, left(regexp_replace(c.query, '\s+', ' ', 'g'), 90)
FROM counted c LEFT JOIN captured s USING (queryid, toplevel)
WHERE c.calls <> 0 AND (c.calls, c.rows) IS DISTINCT FROM (s.samples, s.rows) AND queryid NOT IN (SELECT queryid FROM explained) ORDER BY 6};
is(value_of($node, $difference), '', 'every execution that came to its end is captured once, with its rows');
cmp_ok(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples WHERE outcome = 'done'"), '>', 1500, 'there were many');
cmp_ok(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples WHERE outcome = 'error'"), '>', 20, 'some failed');
cmp_ok(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples WHERE outcome = 'cancelled'"), '>', 3, 'some were cancelled');

# ---- memory ----

# Memory contexts of one backend that runs the same again and again; relation and plan caches are the server's.
sub growth
{
	my ($server) = @_;
	my $again = join("\n", map { $scripts{$_} } qw(queries cursors roles subtransactions)) . "SET statement_timeout = '50ms'; SELECT count(*) FROM generate_series(1, 1000000000000); RESET statement_timeout;\n";
	my $measure = "ROLLBACK; RESET SESSION AUTHORIZATION; RESET ALL; SELECT 'bytes ' || sum(total_bytes) FROM pg_backend_memory_contexts;\n";
	my $out = odd_psql($server, $again x 2 . $measure . $again x 3 . $measure);
	my @bytes = $out =~ /^bytes (\d+)$/mg;

	is(scalar @bytes, 2, 'memory was measured');
	return $bytes[1] - $bytes[0];
}
my ($theirs, $ours) = (growth($plain), growth($node));
cmp_ok($ours, '<', $theirs + 65536, "no memory is kept: $ours bytes, and $theirs without the extension");

# ---- the extension is dropped and made, the worker at work ----

capture_set($node, 'pganalytics_ml.collect_interval' => '1s');
my ($in, $out, $err) = ($scripts{queries} x 6, '', '');
my $session = IPC::Run::start([ 'psql', '-XAt', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres') ],
	'<', \("SET client_min_messages = error; DELETE FROM o_log;\n$in"), '>', \$out, '2>', \$err);
for (1 .. 3)
{
	$node->safe_psql('postgres', 'SET client_min_messages = error; DROP EXTENSION pganalytics_ml CASCADE');
	$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml');
}
$session->finish;
is($out, odd_psql($plain, $in), 'the same answers while the extension is dropped and made');
$node->safe_psql('postgres', 'SET client_min_messages = error; DROP EXTENSION pganalytics_ml CASCADE');
is(odd_psql($node, $scripts{$_}), odd_psql($plain, $scripts{$_}), "the same answers without the extension, its library loaded: $_") for qw(subtransactions cursors writes);
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml');
capture_begin($node, 'postgres');

# ---- random sessions ----

my $until = time + ($ENV{ODD_SECONDS} // 0);
my ($different, $sessions, $fault) = (0, 0, '');
do
{
	my $sql = odd_random($seed + $sessions, 120);
	my ($a, $b) = map { odd_psql($_, $sql) } $plain, $node;

	if ($a ne $b)
	{
		$different++;
		my @lines = ([ split /\n/, $a ], [ split /\n/, $b ]);
		my ($at) = grep { ($lines[0][$_] // '') ne ($lines[1][$_] // '') } 0 .. 10000;

		diag('seed ' . ($seed + $sessions) . ", line $at: " . ($lines[0][$at] // 'nothing') . ' | ' . ($lines[1][$at] // 'nothing'));
		append_to_file($PostgreSQL::Test::Utils::log_path . '/seed_' . ($seed + $sessions) . '.sql', $sql);
	}
	$sessions++;
} while ($sessions < 3 || time < $until);
is($different, 0, "the same answers in $sessions random sessions from seed $seed on");
%counts = capture_counts($node);
is($counts{executions}, $counts{samples} + $counts{thinned} + $counts{dropped} + $counts{errors} + $counts{unfinished}, 'executions add up, with rates that changed');

for my $server ($plain, $node)
{
	unlike(slurp_file($server->logfile), qr/terminated by signal|PANIC|TRAP|still referenced|leaked|refcount leak|snapshot .* still active/, 'no crash, nothing leaked');
	$server->stop;
}
done_testing();
