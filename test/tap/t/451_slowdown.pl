# explain_slowdown() on a real server: each cause that is planted gets the
# largest share, nothing planted is no change, and whose statement it is counts.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('slowdown', 'shared_buffers = 128MB', 'max_parallel_workers_per_gather = 0', 'track_io_timing = on',
	'work_mem = 64MB', 'jit = off', 'pganalytics_ml.capture_ring_size = 65536');

$node->safe_psql('postgres', q{
CREATE TABLE s_plan AS SELECT g AS a, g % 100 AS b FROM generate_series(1, 60000) g;
CREATE INDEX s_plan_a ON s_plan (a);
CREATE TABLE s_rows AS SELECT g AS a FROM generate_series(1, 8000) g;
CREATE TABLE s_cache (a int, filler text);
ALTER TABLE s_cache ALTER filler SET STORAGE PLAIN;
INSERT INTO s_cache SELECT g, repeat('x', 3500) FROM generate_series(1, 8000) g;
CREATE TABLE s_spill AS SELECT (g * 7919) % 20000 AS a, repeat('y', 900) AS filler FROM generate_series(1, 20000) g;
VACUUM ANALYZE;
});

my %statements = (
	plan => 'SELECT sum(b) FROM s_plan WHERE a = 5',
	rows => 'SELECT sum(a) FROM s_rows',
	cache => 'SELECT max(a) FROM s_cache',
	spill => 'SELECT count(filler) FROM (SELECT * FROM s_spill ORDER BY a OFFSET 0) s',
	concurrency => 'SELECT count(*) FROM generate_series(1, 60000) s',
	nothing => 'SELECT count(*) AS nothing FROM s_rows');
my %patterns = (
	plan => 'SELECT sum(b) FROM s_plan%', rows => 'SELECT sum(a) FROM s_rows', cache => 'SELECT max(a) FROM s_cache',
	spill => 'SELECT count(filler) FROM (SELECT * FROM s_spill%', concurrency => 'SELECT count(*) FROM generate_series%',
	nothing => 'SELECT count(*) AS nothing%');
my %since;
my %ids;

sub execute
{
	my ($what, $times, $before) = @_;

	$node->safe_psql('postgres', join('', $before // '', map { "$statements{$what};\n" } 1 .. $times));
}

sub now
{
	return $node->safe_psql('postgres', 'SELECT clock_timestamp()');
}

# One column of one factor's row.
sub told
{
	my ($what, $factor, $column) = @_;

	return $node->safe_psql('postgres', "SELECT $column FROM explain_slowdown($ids{$what}, '$since{$what}') WHERE factor = '$factor'");
}

# -- before
execute($_, 60) for 'plan', 'rows';
execute('cache', 5);			# into the cache
$node->safe_psql('postgres', 'CREATE TEMP TABLE kept AS SELECT 1; SELECT collect_statements(); DELETE FROM pganalytics.execution_samples WHERE shared_blks_read > 100');
execute('cache', 40);
execute('spill', 30);
execute('concurrency', 60);
execute('nothing', 400);
store($node);

# -- and since
$since{plan} = now();
$node->safe_psql('postgres', 'DROP INDEX s_plan_a');
execute('plan', 60);

$since{rows} = now();
$node->safe_psql('postgres', 'INSERT INTO s_rows SELECT a FROM s_rows, generate_series(1, 7)');
execute('rows', 60);

$since{spill} = now();
execute('spill', 30, "SET work_mem = '64kB';\n");

$since{concurrency} = now();
my $script = $node->basedir . '/concurrency.sql';
append_to_file($script, "$statements{concurrency};\n");
$node->run_log([ 'pgbench', '-n', '-M', 'simple', '-f', $script, '-c', '10', '-j', '2', '-t', '15', '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ]);
store($node);

$since{cache} = now();
for my $what (keys %statements)
{
	$ids{$what} = $node->safe_psql('postgres', "SELECT min(queryid) FROM pg_stat_statements WHERE query LIKE '$patterns{$what}' AND calls >= 30");
	like($ids{$what}, qr/^-?\d+$/, "queryid of $what");
}
$node->append_conf('postgresql.conf', 'shared_buffers = 1MB');
$node->restart;
capture_begin($node, 'postgres');
execute('cache', 40);
store($node);

# -- nothing: executions in turn, as if the even ones were an hour later
$node->safe_psql('postgres', "WITH n AS (SELECT ctid AS place, row_number() OVER (ORDER BY sampled_at) % 2 = 0 AS later
	FROM pganalytics.execution_samples WHERE queryid = $ids{nothing})
	UPDATE pganalytics.execution_samples s SET sampled_at = s.sampled_at - CASE WHEN n.later THEN interval '1 hour' ELSE interval '3 hours' END
	FROM n WHERE s.ctid = n.place");
$since{nothing} = $node->safe_psql('postgres', "SELECT now() - interval '2 hours'");

my %causes = (plan => 'plan change', rows => 'rows', cache => 'cache misses', spill => 'spill', concurrency => 'concurrency');

for my $what (sort keys %causes)
{
	my $all = "explain_slowdown($ids{$what}, '$since{$what}')";

	is($node->safe_psql('postgres', "SELECT factor FROM $all WHERE factor <> 'total' ORDER BY change_ms DESC LIMIT 1"), $causes{$what},
		"$what: its cause is named")
	  or diag($node->safe_psql('postgres', "SELECT factor, round(change_ms::numeric, 3), round(lower_ms::numeric, 3), round(upper_ms::numeric, 3), round(share_percent), before, after, evidence FROM $all"));
	like(told($what, 'total', 'evidence'), qr/^slower: the mean of /, "$what: slower");
	cmp_ok(told($what, $causes{$what}, 'share_percent'), '>', 40, "$what: it is most of the change");
	is($node->safe_psql('postgres', "SELECT abs(sum(change_ms) FILTER (WHERE factor <> 'total') - sum(change_ms) FILTER (WHERE factor = 'total')) < 1e-9,
		round(sum(share_percent) FILTER (WHERE factor <> 'total')), count(*), bool_and(lower_ms <= change_ms AND change_ms <= upper_ms), bool_and(evidence <> '')
		FROM $all"), 't|100|7|t|t', "$what: the parts add up");
}
like(told('plan', 'plan change', 'evidence'), qr/^plan -?\d+ had 100 % of the executions and has 0 % now, plan -?\d+ had 0 % and has 100 % \(seq_scans 0 to 1/,
	'the plans are told');
is(told('plan', 'plan change', "before || ' ' || after"), '0 100', 'and measured');
is(told('rows', 'rows', "unit || ' ' || before"), 'rows returned or changed 1', 'rows returned stay the same');
like(told('rows', 'rows', 'evidence'), qr/it touched 3\d blocks and touches 28\d$/, 'blocks touched do not');
is(told('cache', 'cache misses', 'before < 10 AND after > 3000'), 't', 'blocks that were not in cache');
like(told('cache', 'cache misses', 'evidence'), qr/reading them took .* ms and takes .* ms$/, 'their time is measured');
is(told('spill', 'spill', 'before = 0 AND after > 500'), 't', 'temporary blocks');
is(told('concurrency', 'concurrency', 'before < 2 AND after > 4'), 't', 'statements at the same time');

like(told('nothing', 'total', 'evidence'), qr/^no change: the mean of /, 'nothing: no change')
  or diag($node->safe_psql('postgres', "SELECT * FROM explain_slowdown($ids{nothing}, '$since{nothing}')"));
is(told('nothing', 'total', 'executions_before = 200 AND executions_since = 200 AND share_percent IS NULL'), 't', 'nothing: no shares of it');

# -- too little, and nothing at all
$since{late} = now();
$ids{late} = $ids{plan};
is($node->safe_psql('postgres', "SELECT count(*) FROM explain_slowdown($ids{plan}, '$since{late}')"), '1', 'no execution since: no causes');
like(told('late', 'total', 'evidence'), qr/^too few captured executions to tell causes: 120 from .* on and 0 since, of which 20 on either side are needed$/,
	'and the reason');
$since{early} = '2001-01-01';
$ids{early} = $ids{plan};
like(told('early', 'total', 'evidence'), qr/too few captured executions to tell causes: 0 from the oldest sample on and 120 since/, 'no execution before');
$since{early} = '-infinity';
like(told('early', 'total', 'evidence'), qr/too few captured executions/, 'since ever');
$node->safe_psql('postgres', "UPDATE pganalytics.statement_history SET bucket_start = bucket_start - interval '5 hours' WHERE queryid = $ids{rows};
	DELETE FROM pganalytics.execution_samples WHERE queryid = $ids{rows}");
$since{rows} = $node->safe_psql('postgres', "SELECT now() - interval '2 hours'");
execute('rows', 5);
store($node);
like(told('rows', 'total', 'evidence'), qr/history has \d\d+ calls in [1-9][.\d]* hours before \(coverage [01]\.\d\d\)/, 'history tells how it was before');
is(told('rows', 'total', 'before > 0'), 't', 'with its mean');

# -- whose statement
$node->safe_psql('postgres', 'CREATE ROLE nobody LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats; GRANT SELECT ON s_plan TO nobody');
my $call = "SELECT evidence FROM explain_slowdown($ids{plan}, '$since{plan}') LIMIT 1";
like($node->safe_psql('postgres', $call, extra_params => [ '-U', 'nobody' ]), qr/^unknown query identifier, or one that only other users ran/,
	"another's statement looks like an unknown one");
is($node->safe_psql('postgres', 'SELECT evidence FROM explain_slowdown(42, now())', extra_params => [ '-U', 'nobody' ]),
	$node->safe_psql('postgres', $call, extra_params => [ '-U', 'nobody' ]), 'in the same words');
like($node->safe_psql('postgres', $call, extra_params => [ '-U', 'watcher' ]), qr/^slower/, 'pg_read_all_stats sees all');
is($node->safe_psql('postgres', 'SELECT evidence FROM explain_slowdown(42, now())'), 'unknown query identifier', 'unknown');
$node->safe_psql('postgres', $statements{plan}, extra_params => [ '-U', 'nobody' ]);
store($node);
like($node->safe_psql('postgres', $call, extra_params => [ '-U', 'nobody' ]), qr/captured executions to tell causes: 0 from .* on and 1 since/,
	'who ran it too is told of own executions only');

$node->stop;
done_testing();
