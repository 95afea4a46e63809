# Hypothetical indexes against really built ones: the planner's costs, which
# of them it uses, and, after training, how long it really takes then.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('what_if', 'pganalytics_ml.overhead_budget = 1', 'pganalytics_ml.text_interval = 0', 'max_parallel_workers_per_gather = 0', 'jit = off');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');

# --- costs, on the bench's tables and pairs at a tenth of their size ---
my $bench = dirname(__FILE__) . '/../../bench/what_if';
for (qw(tables pairs compare))
{
	my ($rc, $out, $err) = $node->psql('postgres', slurp_file("$bench/$_.sql"), extra_params => [ '-v', 'scale=0.1' ], on_error_stop => 1);
	is($rc, 0, "$_.sql") or diag($err);
}
my ($n, $median, $p90, $same, $size) = split /\|/, $node->safe_psql('postgres', q{
	SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(ours / built - 1)), percentile_cont(0.9) WITHIN GROUP (ORDER BY abs(ours / built - 1)),
	       avg((ours_used = built_used)::int), percentile_cont(0.9) WITHIN GROUP (ORDER BY abs(ours_size / built_size - 1))
	  FROM compared WHERE built_used OR ours_used});
note("$n pairs: median difference $median, p90 $p90, used as the real one $same; size p90 $size");
cmp_ok($n, '>', 140, 'indexes are used');
cmp_ok($median, '<=', 0.02, 'median difference of costs');
cmp_ok($p90, '<=', 0.15, 'p90 difference of costs');
cmp_ok($same, '>=', 0.99, 'used when the real one is used, and only then');
cmp_ok($size, '<=', 0.15, 'p90 difference of sizes');
is($node->safe_psql('postgres', q{SELECT count(*) FROM compared WHERE NOT built_used AND NOT ours_used AND abs(ours / built - 1) > 0.01}),
	0, 'without effect where the real one has none');

# --- milliseconds: statements that scan and that look up, then one that only scans so far ---
$node->safe_psql('postgres', q{
	CREATE INDEX even_thousand ON even (thousand); CREATE INDEX even_ten ON even (ten); CREATE INDEX skew_zipf ON skew (zipf);
	CREATE INDEX lines_part ON lines (part); CREATE INDEX orders_ordered ON orders (ordered); CREATE INDEX correlated_a ON correlated (a)});
my @shapes = (
	'SELECT * FROM even WHERE thousand = %d', 'SELECT count(*) FROM even WHERE ten = %d %% 10', 'SELECT sum(x) FROM skew WHERE zipf = %d',
	'SELECT avg(price) FROM lines WHERE part = %d', 'SELECT count(*) FROM orders WHERE ordered = date \'1993-01-01\' + %d', 'SELECT * FROM correlated WHERE a = %d %% 190',
	'SELECT * FROM even WHERE f = %d', 'SELECT count(*) FROM skew WHERE power > %d', 'SELECT max(price) FROM lines WHERE quantity = %d %% 50', 'SELECT * FROM sparse WHERE tenth = %d',
	'SELECT * FROM correlated WHERE other = %d %% 100', 'SELECT count(*) FROM orders WHERE total > 1000 * %d', 'SELECT * FROM lines WHERE supplier = %d', 'SELECT * FROM orders WHERE customer = %d',
	'SELECT * FROM even WHERE id = %d', 'SELECT * FROM orders WHERE id = %d', 'SELECT * FROM customers WHERE id = %d', 'SELECT count(*) FROM customers WHERE nation = %d %% 24');
my @runs = map { my $i = $_; map { sprintf("$_;", $i * 7 % 1000) } @shapes } 1 .. 30;
$node->safe_psql('postgres', join("\n", @runs));
ok($node->poll_query_until('postgres', 'SELECT count(*) >= ' . scalar(@runs) . ' * 0.9 FROM pganalytics.execution_samples'), 'captured and drained');
my $ask = q{SELECT before_ms, after_ms, after_lower_ms, after_upper_ms, indexes_used, before_source, after_source, improvement_percent, reason FROM predict_with_settings(%s, hypothetical_indexes => '{CREATE INDEX made_up ON %s}')};
like($node->safe_psql('postgres', sprintf($ask, q{'SELECT * FROM lines WHERE supplier = 5'}, 'lines (supplier)')),
	qr/^[\d.e-]+\|\|\|\|\{made_up\}\|history\|\|\|do not know after: no model in production/, 'without a model: before from history, after unknown');
like($node->safe_psql('postgres', q{SELECT message FROM train_performance_model(split => 'random', wait => true)}), qr/in production/, 'trained');

my @off;
for (['SELECT * FROM lines WHERE supplier = 5', 'lines (supplier)'], ['SELECT * FROM orders WHERE customer = 12', 'orders (customer)'],
	['SELECT * FROM sparse WHERE tenth = 777', 'sparse (tenth)'], ['SELECT * FROM correlated WHERE other = 50', 'correlated (other)'], ['SELECT * FROM even WHERE f = 77', 'even (f)'])
{
	my ($query, $index) = @$_;
	my ($before, $after, $lower, $upper, $used, $from, $source, $better, $reason) = split /\|/, $node->safe_psql('postgres', sprintf($ask, "'$query'", $index));
	is($used, '{made_up}', "$index is used");
	unless ($after)
	{
		like($reason, qr/^do not know/, "$index: says that it does not know");
		next;
	}
	cmp_ok($after, '<', $before, "$index: faster");
	ok($lower < $after && $after < $upper && abs($better - 100 * (1 - $after / $before)) < 1e-6, "$index: interval and improvement");
	# the median of real executions, in one session
	$node->safe_psql('postgres', "CREATE INDEX really ON $index");
	my $real = $node->safe_psql('postgres', "CREATE TEMP TABLE took (ms float8);
		DO \$\$ DECLARE plan json; BEGIN FOR i IN 1 .. 21 LOOP EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT json) $query' INTO plan;
		INSERT INTO took VALUES ((plan -> 0 ->> 'Execution Time')::float8); END LOOP; END \$\$;
		SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) FROM took");
	$node->safe_psql('postgres', 'DROP INDEX really');
	note(sprintf('%s: before %.3f, predicted %.3f (%.3f..%.3f, %s), real %.3f ms', $index, $before, $after, $lower, $upper, $source, $real));
	# Times of some us on a small set of statements: how far off is the bench's question.
	push @off, abs(log($after / $real)) / abs(log($before / $real));
}
cmp_ok(scalar(@off), '>=', 3, 'most are answered');
@off = sort { $a <=> $b } @off;
note('of the way from before to real left: ' . join(' ', map { sprintf '%.2f', $_ } @off));
cmp_ok($off[-1], '<', 1, 'each is closer to what the index brings than no change');
cmp_ok($off[$#off / 2], '<', 0.75, 'most by far');

# --- do not know: a plan far outside of what ran ---
like($node->safe_psql('postgres', q{SELECT before_ms IS NULL, after_ms IS NULL, before_in_range, reason FROM predict_with_settings(
	'SELECT count(*) FROM lines a, lines b, lines c, lines d WHERE a.price < b.price AND c.price < d.price', '{"enable_nestloop": true}', '{CREATE INDEX i ON lines (price)}')}),
	qr/^t\|t\|f\|do not know: the plan is outside/, 'outside the training range: no answer, and it says so');
my $four = 'SELECT count(*) FROM customers a JOIN customers b USING (id) JOIN customers c USING (id) JOIN customers d USING (id)';
my $of_four = "SELECT before_ms > 0 AND before_lower_ms < before_ms AND before_ms < before_upper_ms, before_source, before_in_range, after_ms, reason
	FROM predict_with_settings('$four', '{\"enable_hashjoin\": false, \"enable_mergejoin\": false}')";
like($node->safe_psql('postgres', $of_four), qr/^\|\|f\|\|do not know: the plan is outside/, 'outside, and it never ran: do not know');
$node->safe_psql('postgres', "$four;" x 5);
$node->safe_psql('postgres', 'SELECT collect_statements()');
like($node->safe_psql('postgres', $of_four), qr/^t\|history\|f\|\|do not know after: /, 'outside, and it ran since: before from its runs, after unknown');
like($node->safe_psql('postgres', q{SELECT abs(improvement_percent) < 1e-9, plan_changed, reason FROM predict_with_settings('SELECT * FROM even WHERE f = 5', '{"cpu_tuple_cost": 0.02}')}),
	qr/^t\|f\|the plan is the same/, 'a cost setting that leads to the same plan changes nothing');
like($node->safe_psql('postgres', q{SELECT after_ms IS NULL, plan_changed, reason FROM predict_with_settings('SELECT count(*) FROM even WHERE id < 9000', '{"random_page_cost": 1000}')}),
	qr/^t\|t\|do not know after: cost settings/, 'a cost setting that leads to another plan: not known');
is($node->safe_psql('postgres', 'SELECT count(*) FROM recent_predictions()'), 0, 'nothing is logged');

$node->stop;
done_testing();
