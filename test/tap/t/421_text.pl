# Prediction of a text with real executions behind it: its values decide, the
# EXPLAIN of it says the same, nothing runs, and what then runs is its truth.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('text', 'pganalytics_ml.text_interval = 0', 'pganalytics_ml.overhead_budget = 1',
	'pganalytics_ml.explain_predicted_time = on', 'max_parallel_workers_per_gather = 0', 'jit = off');
$node->start;

# One shop has half of the rows, the others two each.
$node->safe_psql('postgres', q{CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE TABLE sold AS SELECT g AS id, CASE WHEN g <= 60000 THEN 1 ELSE g / 2 END AS shop, g % 97 AS kind, repeat('x', 40) AS pad
		FROM generate_series(1, 120000) g;
	CREATE INDEX ON sold (shop);
	CREATE SEQUENCE counter;
	VACUUM ANALYZE sold;});
ok(pgaml_visited($node, 'postgres'), 'visited');

my $frequent = 'SELECT count(pad) FROM sold WHERE shop = 1';
my $rare = 'SELECT count(pad) FROM sold WHERE shop = 45000';
my @texts = map { $_ % 3 == 0 ? $frequent : 'SELECT count(pad) FROM sold WHERE shop = ' . (31000 + 90 * $_) } 1 .. 240;
my $others = join(";\n", map { "SELECT kind, count(*) FROM sold WHERE id < " . ($_ * 1500) . " GROUP BY kind", "SELECT max(id) FROM sold WHERE kind = $_" } 1 .. 40);

sub run_all
{
	my (@statements) = @_;

	$node->safe_psql('postgres', join(";\n", @statements) . ';');
}

sub drained
{
	my ($at_least) = @_;

	return $node->poll_query_until('postgres', "SELECT count(*) >= $at_least FROM pganalytics.execution_samples
		WHERE queryid = (SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT count(pad) FROM sold WHERE shop = \$1')");
}

run_all(@texts, $others);
ok(drained(240), 'drained');
ok($node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pganalytics.statements WHERE query = 'SELECT count(pad) FROM sold WHERE shop = $1'}), 'text read');
like($node->safe_psql('postgres', q{SELECT message FROM train_performance_model(wait => true)}), qr/in production/, 'trained');

# What a statement takes, in ms: the median of five.
sub takes
{
	my ($text) = @_;
	my @ms = sort { $a <=> $b } map { $node->safe_psql('postgres', "SET pganalytics_ml.explain_predicted_time = off; EXPLAIN (ANALYZE, TIMING OFF) $text") =~ /Execution Time: ([\d.]+)/; $1 } 1 .. 5;

	return $ms[2];
}

# ---- values decide ----

my ($of_frequent, $of_rare) = split /\|/, $node->safe_psql('postgres', "SELECT predict_query_time('$frequent'), predict_query_time('$rare')");
cmp_ok($of_frequent, '>', 8 * $of_rare, "a frequent value takes longer than a rare one ($of_frequent, $of_rare ms)");
for my $one ([$frequent, $of_frequent], [$rare, $of_rare])
{
	my $ms = takes($one->[0]);
	# What a fresh session adds to an execution of microseconds is not the question.
	my ($larger, $smaller) = map { $_ + 0.1 } $ms > $one->[1] ? ($ms, $one->[1]) : ($one->[1], $ms);
	my $q = $larger / $smaller;

	cmp_ok($q, '<', 4, "$one->[0]: $one->[1] ms predicted, $ms ms taken");
}
is($node->safe_psql('postgres', "SELECT count(DISTINCT queryid) || ' ' || bool_and(source = 'model') || ' ' || bool_and(novel = false)
	FROM predict_query_executions(ARRAY['$frequent', '$rare'])"), '1 true true', 'both are one statement that the model knows');
is($node->safe_psql('postgres', "SELECT abs(sum(contribution_log) - ln(predict_query_time('$frequent'))) < 0.02 FROM explain_prediction('$frequent')"),
	't', 'the explanation adds up to the prediction');
is($node->safe_psql('postgres', "SELECT count(*) > 0 FROM explain_prediction('$frequent') WHERE feature LIKE 'lag_%_departure'"),
	't', 'and names how the plan departs from the recent ones');

# ---- EXPLAIN says the same, so does the placeholder what the identifier says ----

for my $text ($frequent, $rare)
{
	my ($shown, $function) = split /\n/, $node->safe_psql('postgres', "EXPLAIN $text \\g |sed -n 's/^.*Predicted Time: //p'\nSELECT predict_query_time('$text')");
	my ($ms) = $shown =~ /^([\d.]+) ms \(90% [\d.]+\.\.[\d.]+, source model\)$/;

	ok(defined $ms && abs(log(($ms + 0.0005) / ($function + 0.0005))) < 0.05, "EXPLAIN says the same of $text ($shown, $function)");
}
is($node->safe_psql('postgres', q{SELECT t.queryid = q.queryid, abs(ln(t.predicted_execution_time_ms / q.predicted_execution_time_ms)) < ln(2)
	FROM predict_query_execution('SELECT count(pad) FROM sold WHERE shop = $1') t,
	     predict_query_execution((SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT count(pad) FROM sold WHERE shop = $1')) q}),
	't|t', 'a text with $1 is answered as the statement is by its identifier');

# ---- nothing runs ----

$node->safe_psql('postgres', q{CREATE FUNCTION note() RETURNS int LANGUAGE plpgsql VOLATILE AS
	$$ BEGIN PERFORM nextval('counter'); RETURN 1; END $$});
$node->safe_psql('postgres', q{SELECT count(*) FROM predict_query_executions(ARRAY['SELECT nextval(''counter'')', 'SELECT note()', 'SELECT note() FROM sold WHERE shop = 1',
		'INSERT INTO sold VALUES (nextval(''counter''), 1, 1, '''')', 'DELETE FROM sold']);
	EXPLAIN SELECT note(); EXPLAIN DELETE FROM sold;});
is($node->safe_psql('postgres', 'SELECT (SELECT is_called FROM counter), count(*) FROM sold'), 'f|120000', 'nothing was executed');

# ---- what then runs is its truth, if it has that plan ----

my $id = $node->safe_psql('postgres', "SELECT prediction_id FROM predict_query_execution('$frequent')");
my $row = "SELECT actual_ms IS NOT NULL, plan_id IS NOT NULL AND plan_cost > 0, coalesce(actual_source, '-'), judged FROM pganalytics.predictions WHERE prediction_id = $id";
my $matched = "SELECT count(*) > 0 FROM pganalytics.truth_state WHERE plans_until > ";

ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pganalytics.predictions WHERE prediction_id = $id"), 'the prediction is in the log');
run_all(map { $rare } 1 .. 3);
my $now = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
ok(drained(243) && $node->poll_query_until('postgres', "$matched '$now'"), 'executions with another value were looked at');
is($node->safe_psql('postgres', $row), 'f|t|-|', 'they are no truth of it');
run_all($frequent);
ok($node->poll_query_until('postgres', "SELECT actual_ms IS NOT NULL FROM pganalytics.predictions WHERE prediction_id = $id"), 'one with its value is');
is($node->safe_psql('postgres', $row), 't|t|execution|t', 'and it is judged by it');
is($node->safe_psql('postgres', "SELECT p.actual_ms = (SELECT e.execution_ms FROM pganalytics.execution_samples e
	WHERE e.queryid = p.queryid ORDER BY e.sampled_at DESC LIMIT 1) FROM pganalytics.predictions p WHERE prediction_id = $id"), 't', 'its very time');

done_testing();
