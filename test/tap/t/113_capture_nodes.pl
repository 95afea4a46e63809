# Estimated and true rows of the worst node, memory of sorts and hashes, and
# that those who instrument themselves see what they would see without us.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('nodes', "shared_preload_libraries = 'auto_explain, pg_stat_statements, pganalytics_ml'",
	'pganalytics_ml.capture_node_rate = 1', 'jit = off', 'max_parallel_workers_per_gather = 0', "work_mem = '4MB'");
my $major = value_of($node, "SELECT current_setting('server_version_num')::int / 10000");

# In n_t, a < x and b < x are the same: the planner thinks that they are not.
$node->safe_psql('postgres', q{
CREATE TABLE n_t (a int PRIMARY KEY, b int, c text);
INSERT INTO n_t SELECT g, g, repeat('x', 50) FROM generate_series(1, 20000) g;
CREATE TABLE n_few (a int PRIMARY KEY, b int);
INSERT INTO n_few SELECT g, g % 10 FROM generate_series(1, 100) g;
CREATE TABLE n_none (a int);
ANALYZE n_t, n_few, n_none;
CREATE FUNCTION n_thousand() RETURNS SETOF int LANGUAGE plpgsql ROWS 10 AS
$$BEGIN RETURN QUERY SELECT generate_series(1, 1000); END$$;
CREATE FUNCTION n_open(query text) RETURNS refcursor LANGUAGE plpgsql AS
$$DECLARE c refcursor := 'n_c'; BEGIN OPEN c SCROLL FOR EXECUTE query; RETURN c; END$$;
CREATE FUNCTION n_first() RETURNS int LANGUAGE plpgsql AS
$$DECLARE x int; BEGIN SELECT a INTO x FROM n_t WHERE a > 5 AND b > 5; RETURN x; END$$;
});

# What was captured of the statement that carries MARK in its text.
sub captured
{
	my ($sql, $what) = @_;

	forget_all($node);
	$node->psql('postgres', $sql);
	store($node);
	return value_of($node, "SELECT $what FROM pganalytics.execution_samples WHERE queryid IN
		(SELECT queryid FROM pg_stat_statements WHERE query LIKE '%MARK%' AND query NOT LIKE '%n_open%') ORDER BY sampled_at DESC LIMIT 1");
}

my $worst = "concat_ws(' ', worst_node, worst_rows_estimated, worst_rows_true)";

# -- the worst node, numbered as EXPLAIN prints
is(captured('SELECT count(*) AS MARK FROM n_thousand()', $worst), '1 10 1000', 'the worst node is below the top');
is(captured('SELECT 1 AS MARK', $worst), '0 1 1', 'a plan without an error: its top');
is(captured('SELECT (SELECT count(*) FROM n_thousand()) AS MARK', $worst), '2 10 1000', 'in an initplan');
is(captured('SELECT count(*) AS MARK FROM n_few f WHERE f.b >= (SELECT min(x) FROM n_thousand() x WHERE x > f.a - 200)', "concat_ws(' ', worst_node, worst_rows_estimated, worst_rows_true)"),
	'3 3 1000', 'in a correlated subplan, per execution');
is(captured('SELECT count(*) AS MARK FROM n_few f JOIN n_thousand() t(a) USING (a)', "worst_rows_true || ' ' || worst_rows_estimated"), '1000 10', 'in a join');
is(captured('INSERT INTO n_none SELECT * FROM n_thousand() AS MARK', "concat_ws(' ', worst_node, worst_rows_estimated, worst_rows_true, top_rows_true IS NULL)"),
	'1 10 1000 t', 'in an INSERT');

# -- what was stopped early is not called wrong
is(captured('SELECT a AS MARK FROM n_t LIMIT 3', $worst), '0 3 3', 'below a limit');
is(captured('SELECT a AS MARK FROM n_t WHERE a < 4 LIMIT 3', "worst_node || ' ' || (worst_rows_estimated = worst_rows_true)"), '0 true', 'below a limit that came close to the end');
like(captured('SELECT count(*) AS MARK FROM (SELECT 1 FROM n_t WHERE b + 0 < 0 LIMIT 30) s', "worst_rows_estimated || ' ' || worst_rows_true"),
	qr/^30 0|^\d+ 0$/, 'a limit that saw the end does not hide that there was less');
is(captured('SELECT x AS MARK FROM n_thousand() x LIMIT 100', "worst_rows_estimated || ' ' || worst_rows_true"), '10 100',
	'more than estimated is seen below a limit too');
is(captured('SELECT a AS MARK FROM n_t WHERE b > 100 ORDER BY c, b LIMIT 3', "(worst_rows_estimated / worst_rows_true)::numeric(6,2) BETWEEN 0.9 AND 1.1"), 't',
	'below a sort all was read');
is(captured('SELECT count(*) AS MARK FROM n_few WHERE EXISTS (SELECT FROM n_t WHERE n_t.b >= n_few.b OFFSET 0)',
	"worst_rows_estimated <> 20000 AND worst_rows_true > 1"), 't', 'EXISTS stops at the first row');
is(captured('SELECT count(*) AS MARK FROM n_none JOIN n_t USING (a)', "worst_rows_estimated < 20000"), 't', 'what never ran is not judged');
is(captured('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_indexscan = off; SET enable_bitmapscan = off;
	SELECT count(*) AS MARK FROM n_few WHERE EXISTS (SELECT FROM n_t WHERE n_t.b >= n_few.b)', "worst_rows_estimated / worst_rows_true < 20"), 't', 'the inner side of a semijoin');
is(captured('SET enable_hashjoin = off; SET enable_nestloop = off; SELECT count(*) AS MARK FROM n_few JOIN n_t ON n_few.a = n_t.a',
	"worst_rows_estimated <> 20000"), 't', 'a merge join that ended when one side did');
# The query of DECLARE CURSOR has an identifier from 18 on only; that of a function's cursor always.
my $cursor = 'BEGIN; SELECT n_open($$SELECT x AS MARK FROM n_thousand() x$$)';
is(captured('BEGIN; SELECT n_open($$SELECT a AS MARK FROM n_t$$); FETCH 3 FROM n_c; CLOSE n_c; COMMIT',
	"concat_ws(' ', worst_node, nodes_counted, top_rows_true IS NULL)"), 't t', 'a cursor that was closed early');
is(captured("$cursor; FETCH 300 FROM n_c; COMMIT", $worst), '0 10 300', 'one of which there was more than estimated');
is(captured("$cursor; FETCH 300 FROM n_c; FETCH 701 FROM n_c; CLOSE n_c; COMMIT", "$worst || ' of ' || top_rows_true"),
	'0 10 1000 of 1000', 'one that was read to its end in pieces');
is(captured("$cursor; FETCH 300 FROM n_c; FETCH BACKWARD 300 FROM n_c; FETCH ALL FROM n_c; COMMIT",
	"concat_ws(' ', worst_node, nodes_counted, top_rows_true IS NULL)"), 't t', 'one that went backward');
$node->safe_psql('postgres', 'SELECT n_first()');
store($node);
is(value_of($node, "SELECT concat_ws(' ', nodes_counted, worst_node, top_rows_true) FROM pganalytics.execution_samples WHERE queryid =
	(SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT a  %FROM n_t WHERE a > %')"), 't', 'SELECT INTO takes one row');

# -- sorts and hashes: as EXPLAIN ANALYZE says, also where no rows are counted
my $sort = 'SELECT a AS MARK FROM n_t ORDER BY c, b DESC';
my $hash = 'SELECT count(*) AS MARK FROM n_t x JOIN n_t y ON x.b = y.b';
my $group = 'SELECT b AS MARK, count(*) FROM n_t GROUP BY b';
my $memo = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SELECT count(*) AS MARK FROM n_few f CROSS JOIN n_few g JOIN n_t ON n_t.a = g.b';

sub explained
{
	my ($setting, $sql, $pattern) = @_;

	$sql =~ s/SELECT (?!.*; SELECT)/EXPLAIN (ANALYZE, TIMING OFF) SELECT /;
	my $out = $node->safe_psql('postgres', "$setting; $sql");
	$out =~ $pattern or return "no $pattern in $out";
	return join ' ', grep { defined } $1, $2;
}

for my $rate (0, 1)
{
	my $set = "SET pganalytics_ml.capture_node_rate = $rate";
	my $counted = $rate ? 'rows counted' : 'no rows counted';

	is(captured("$set; $sort", "sort_memory_kb || ' ' || sort_disk_kb"),
		explained('SET work_mem = default', $sort, qr/Memory: (\d+)kB/) . ' 0', "a sort in memory, $counted");
	is(captured("$set; SET work_mem = '64kB'; $sort", "concat_ws(' ', sort_memory_kb, sort_disk_kb, temp_blks_written > 0)"),
		explained("SET work_mem = '64kB'", $sort, qr/Disk: (\d+)kB/) . ' t', "a sort on disk, $counted");
	is(captured("$set; $hash", "batches || ' ' || hash_memory_kb"),
		explained('SET work_mem = default', $hash, qr/Batches: (\d+)\s+Memory Usage: (\d+)kB/), "a hash join, $counted");
	is(captured("$set; SET work_mem = '64kB'; SET enable_mergejoin = off; $hash", "batches || ' ' || hash_memory_kb"),
		explained("SET work_mem = '64kB'; SET enable_mergejoin = off", $hash, qr/Batches: (\d+).*?\s+Memory Usage: (\d+)kB/), "a hash join in batches, $counted");
	is(captured("$set; $group", "batches || ' ' || hash_memory_kb"),
		explained('SET work_mem = default', $group, qr/Batches: (\d+)\s+Memory Usage: (\d+)kB/), "groups, $counted");
	is(captured("$set; SET work_mem = '64kB'; SET enable_sort = off; $group", "batches || ' ' || hash_memory_kb"),
		explained("SET work_mem = '64kB'; SET enable_sort = off", $group, qr/Batches: (\d+)\s+Memory Usage: (\d+)kB/), "groups in batches, $counted");
	is(captured("$set; $memo", "coalesce(batches, 0) || ' ' || hash_memory_kb"),
		'0 ' . explained('SET work_mem = default', $memo, qr/Memory Usage: (\d+)kB/), "memoize, $counted");
	is(captured("$set; SELECT 1 AS MARK", "concat_ws(' ', nodes_counted, sort_memory_kb, sort_disk_kb, hash_memory_kb, batches)"),
		$rate ? 't' : 'f', "nothing to sort, $counted");
}
is(captured('SET enable_sort = on; SELECT a, c AS MARK FROM n_t ORDER BY a, c', 'sort_memory_kb > 0'), 't', 'an incremental sort');

# -- parallel workers
my $parallel = 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0';
is(captured("$parallel; SELECT count(*) AS MARK FROM n_t WHERE b % 7 = 0", 'worst_rows_true > 100 AND nodes_counted'), 't', 'rows of workers count');
is(captured("$parallel; SET parallel_leader_participation = off; SELECT a AS MARK FROM n_t ORDER BY c, b", 'sort_memory_kb > 100'), 't', 'a sort in workers only');
is(captured("$parallel; SET parallel_leader_participation = off; SET enable_mergejoin = off; SELECT count(*) AS MARK FROM n_t x JOIN n_t y ON x.b = y.b",
	'batches >= 1 AND hash_memory_kb > 100'), 't', 'a hash in workers only');
is(captured("$parallel; SET max_parallel_workers = 0; SELECT count(*) AS MARK FROM n_t WHERE b > 100",
	"worst_rows_estimated::int || ' ' || worst_rows_true"), '2 1', 'a node that was meant for workers who did not come is not judged');

# -- others who instrument see what they would see
sub answers
{
	my ($rate, $sql, $before) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "SET pganalytics_ml.capture_node_rate = $rate; SET client_min_messages = log; " . ($before // '') . $sql);

	$out =~ s/(cost|time|Time)[=:] ?[\d.]+(\.\.[\d.]+)?//g;
	$err =~ s/duration: [\d.]+|(cost|time)=[\d.]+\.\.[\d.]+//g;
	return "$rc $out $err";
}
for my $sql ("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS) $hash", "EXPLAIN (ANALYZE, SUMMARY OFF) $group", "EXPLAIN $hash", $hash, $group, $memo)
{
	for my $auto ('', 'SET auto_explain.log_min_duration = 0;', 'SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off;')
	{
		is(answers(1, $sql, $auto), answers(0, $sql, $auto), "the same: $auto $sql");
	}
}
like(answers(1, 'SELECT count(*) FROM n_t', 'SET auto_explain.log_min_duration = 0;'), qr/Seq Scan|Index Only Scan/, 'auto_explain was there');

# -- what others count is used
$node->safe_psql('postgres', "SET pganalytics_ml.capture_node_rate = 0; EXPLAIN ANALYZE SELECT x AS free FROM n_thousand() x");
store($node);
is(value_of($node, "SELECT $worst FROM pganalytics.execution_samples WHERE nodes_counted ORDER BY sampled_at DESC LIMIT 1"), '0 10 1000', 'rows that EXPLAIN ANALYZE counted');

# -- the share
forget_all($node);
$node->safe_psql('postgres', "SET pganalytics_ml.capture_node_rate = 0.1; DO \$\$BEGIN FOR i IN 1 .. 2000 LOOP PERFORM a FROM n_few n_share WHERE a = i % 100; END LOOP; END\$\$");
store($node);
my ($all, $counted) = split /\|/, value_of($node, "SELECT count(*), count(*) FILTER (WHERE nodes_counted) FROM pganalytics.execution_samples
	WHERE queryid = (SELECT queryid FROM pg_stat_statements WHERE query LIKE '%n_share%' AND NOT toplevel)");
is($all, 2000, 'all are captured');
cmp_ok($counted, '>', 130, "nodes are counted in a tenth ($counted)");
cmp_ok($counted, '<', 270, 'and not in more');

# -- an error of ours while nodes are read costs the sample, not the statement
my %before = capture_counts($node);
capture_set($node, 'pganalytics_ml.fault' => 'capture-nodes=error');
is($node->safe_psql('postgres', 'SELECT count(*) FROM n_few'), 100, 'the statement answers');
capture_set($node, 'pganalytics_ml.fault' => '');
my %after = capture_counts($node);
cmp_ok($after{errors}, '>', $before{errors}, 'the error is counted');
is($after{executions} - $before{executions}, $after{samples} - $before{samples} + $after{thinned} - $before{thinned} +
	$after{dropped} - $before{dropped} + $after{errors} - $before{errors}, 'executions add up');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11/, 'nothing odd in the log');
done_testing();
