# pg_dump and restore: models serve at once, history joins again through the
# normalized text, nothing counts twice; along a chain of servers, and into one
# that has a history of its own.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my @settings = ('pganalytics_ml.text_interval = 0', 'pganalytics_ml.overhead_budget = 1',
	'pganalytics_ml.min_training_samples = 20');
my $dumps = PostgreSQL::Test::Utils::tempdir;
my $lookup = 'SELECT price FROM item WHERE id = $1';
my $sum = 'SELECT sum(price) FROM item WHERE id < $1';

# Run both statements some times.
sub workload
{
	my ($node, $times) = @_;

	$node->safe_psql('postgres', join('', map { "SELECT price FROM item WHERE id = $_;\nSELECT sum(price) FROM item WHERE id < $_;\n" } 1 .. $times));
}

# The queryid by which pg_stat_statements knows a statement, once its text was read.
sub known
{
	my ($node, $query) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pganalytics.statements s, pganalytics.installation i
		WHERE s.origin = i.origin AND s.plannable AND s.query = '$query'") or die "$query did not become known";
	return $node->safe_psql('postgres', "SELECT s.queryid FROM pganalytics.statements s, pganalytics.installation i
		WHERE s.origin = i.origin AND s.query = '$query'");
}

# Calls that the view joins under a queryid, in all and those from elsewhere.
sub joined
{
	my ($node, $queryid) = @_;

	return $node->safe_psql('postgres', "SELECT sum(calls), sum(calls) FILTER (WHERE restored)
		FROM pganalytics.joined_history WHERE queryid = $queryid");
}

sub dump_of
{
	my ($node, $name, @how) = @_;

	command_ok(['pg_dump', '-f', "$dumps/$name", @how, '-d', $node->connstr('postgres')], "dump $name");
}

sub start_server
{
	my ($name) = @_;
	my $node = pgaml_node($name, @settings);

	$node->start;
	return $node;
}

# --- A: a workload, a history of days, two models ---
my $first = start_server('a');
# Whole hours are counted below: none begins in the meantime.
ok($first->poll_query_until('postgres', 'SELECT extract(epoch FROM now())::bigint % 3600 < 3540'), 'not at the end of an hour');
$first->safe_psql('postgres', q{CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE TABLE zebra (id int); CREATE TABLE item AS SELECT g AS id, g % 100 AS price FROM generate_series(1, 1000) g;
	VACUUM ANALYZE item;});
ok(pgaml_visited($first, 'postgres'), 'A is visited');
workload($first, 40);
my %at_a = map { $_ => known($first, $_) } $lookup, $sum;
$first->poll_query_until('postgres', "SELECT sum(calls) = 40 FROM pganalytics.statement_history WHERE queryid = $at_a{$lookup}") or die;
# 60 hours before: 10 calls an hour, of 50 ms each
$first->safe_psql('postgres', qq{INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows,
	plan_ms, shared_blks_hit, shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written,
	blk_read_ms, blk_write_ms, wal_bytes, bucket_width, toplevel, origin)
	SELECT q, date_bin('1 hour', now(), '2000-01-01 00:00:00+00') - make_interval(hours => h), 10, 500, 25010, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
	  FROM pganalytics.installation, unnest(ARRAY[$at_a{$lookup}, $at_a{$sum}]) q, generate_series(1, 60) h});
for my $type ('linear_regression', 'decision_tree')
{
	$first->safe_psql('postgres', "SELECT train_performance_model('$type', wait => true)");
	$first->safe_psql('postgres', 'SELECT activate_model(max(model_id)) FROM list_models()');
}
is($first->safe_psql('postgres', 'SELECT string_agg(model_type || $$ $$ || stage || $$ $$ || restored, $$, $$ ORDER BY model_id) FROM list_models()'),
	'linear_regression archived false, decision_tree production false', 'A has two models');
my $of_a = $first->safe_psql('postgres', "SELECT sum(calls) FROM pganalytics.statement_history WHERE queryid = $at_a{$lookup}");
is($of_a, 640, 'and a history');
my $exported = $first->safe_psql('postgres', 'SELECT md5(export_model(max(model_id))) FROM list_models()');

# Whoever dumps must read the state; pg_read_all_data is enough.
$first->safe_psql('postgres', 'CREATE ROLE dumper LOGIN; CREATE ROLE reader LOGIN IN ROLE pg_read_all_data');
command_fails_like(['pg_dump', '-f', "$dumps/none", '-U', 'dumper', '-d', $first->connstr('postgres')],
	qr/permission denied/, 'a role that may not read the state cannot dump it, and is told');
dump_of($first, 'a.sql', '-U', 'reader');
dump_of($first, 'a.data', '--data-only', '--extension=pganalytics_ml', '--schema=pganalytics');
$first->stop;

# --- B: everything into a new cluster ---
my $second = start_server('b');
$second->safe_psql('postgres', 'CREATE ROLE dumper; CREATE ROLE reader');
command_ok(['psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $second->connstr('postgres'), '-f', "$dumps/a.sql"], 'restore into B');
my $serving = 'SELECT model_id, model_type, restored FROM get_latest_model() JOIN list_models() USING (model_id, model_type)';
is($second->safe_psql('postgres', $serving), '2|decision_tree|t', 'the model of A is in production');
is($second->safe_psql('postgres', 'SELECT md5(export_model(2)), (SELECT restored FROM get_model(2)), (SELECT count(*) > 0 FROM feature_report(2)),
	(SELECT count(*) > 0 FROM feature_importance(2))'), "$exported|t|t|t", 'shown, explained and exported as it was');
ok(pgaml_visited($second, 'postgres'), 'B is visited');
workload($second, 1);
my %at_b = map { $_ => known($second, $_) } $lookup, $sum;
isnt($at_b{$_}, $at_a{$_}, 'another queryid') for $lookup, $sum;
ok($second->poll_query_until('postgres', "SELECT coalesce(sum(calls), 0) = 641 FROM pganalytics.joined_history WHERE queryid = $at_b{$lookup}"),
	'calls of A and B add up');
is(joined($second, $at_b{$lookup}), '641|640', 'once each');
is(joined($second, $at_b{$sum}), '641|640', 'the other statement too');
my $answer = $second->safe_psql('postgres', "SELECT predicted_execution_time_ms BETWEEN 20 AND 100, model_version IS NOT NULL, source,
	lower_bound_ms < predicted_execution_time_ms FROM predict_query_execution($at_b{$lookup})");
like($answer, qr/^t\|t\|(history|model)\|t$/, 'predicted from what A knew, by its model');
ok($second->poll_query_until('postgres', 'SELECT count(*) > 0 FROM pganalytics.predictions'), 'logged');
is($second->safe_psql('postgres', "SELECT count(*) FROM pganalytics.predictions WHERE interval_group = 'statement'"), 0,
	'its interval is not that of a statement of A with the same identifier');
is($second->safe_psql('postgres', 'SELECT stage FROM list_models() WHERE model_id = 1'), 'archived', 'the archived model is there');
$second->safe_psql('postgres', 'SELECT activate_model(1)');
is($second->safe_psql('postgres', $serving), '1|linear_regression|t', 'a restored model can be activated');

# Training uses it, and an own model takes over.
is($second->safe_psql('postgres', "SELECT count(*) FROM training_rows() WHERE NOT single AND queryid = $at_b{$lookup}"), 60, 'whole hours of A are learnt from');
$second->safe_psql('postgres', q{SELECT train_performance_model('linear_regression', wait => true)});
my $own = $second->safe_psql('postgres', 'SELECT max(model_id) FROM list_models() WHERE NOT restored');
cmp_ok($own, '>', 2, 'an own model has an id of its own');
$second->safe_psql('postgres', "SELECT activate_model($own)");
is($second->safe_psql('postgres', $serving), "$own|linear_regression|f", 'the own model has taken over');
is($second->safe_psql('postgres', q{SELECT string_agg(stage, ',' ORDER BY model_id) FROM list_models() WHERE restored}),
	'archived,archived', 'those of A are archived');
workload($second, 9);
$second->poll_query_until('postgres', "SELECT sum(calls) = 650 FROM pganalytics.joined_history WHERE queryid = $at_b{$lookup}") or die;

# The same dump once more: every table refuses it, and nothing changes.
my ($rc, $out, $err) = $second->psql('postgres', '', extra_params => ['-f', "$dumps/a.data"], on_error_stop => 0);
like($err, qr/duplicate key value violates unique constraint "origins_pkey"/, 'a second restore of the dump is refused');
like($err, qr/duplicate key value violates unique constraint "${_}_pkey"/, "for $_ too") for 'statement_history', 'statements', 'query_performance_models';
pgaml_visited_again($second, 'postgres');
is(joined($second, $at_b{$lookup}), '650|640', 'and adds nothing');
dump_of($second, 'b.sql');
$second->stop;

# --- C: the chain goes on ---
my $third = start_server('c');
$third->safe_psql('postgres', 'CREATE ROLE dumper; CREATE ROLE reader');
# other OIDs once more
$third->safe_psql('postgres', 'CREATE TABLE before (id int); DROP TABLE before');
command_ok(['psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $third->connstr('postgres'), '-f', "$dumps/b.sql"], 'restore into C');
is($third->safe_psql('postgres', $serving), "$own|linear_regression|t", 'the model of B serves, not those of A');
ok(pgaml_visited($third, 'postgres'), 'C is visited');
workload($third, 1);
my $at_c = known($third, $lookup);
ok($third->poll_query_until('postgres', "SELECT coalesce(sum(calls), 0) = 651 FROM pganalytics.joined_history WHERE queryid = $at_c"),
	'calls of A, B and C add up');
is(joined($third, $at_c), '651|650', 'once each');
$third->stop;

# --- D: a server that has run with the extension already ---
my $fourth = start_server('d');
$fourth->safe_psql('postgres', q{CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE TABLE item AS SELECT g AS id, g % 100 AS price FROM generate_series(1, 1000) g});
ok(pgaml_visited($fourth, 'postgres'), 'D is visited');
workload($fourth, 3);
my $at_d = known($fourth, $lookup);
command_ok(['psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-d', $fourth->connstr('postgres'), '-f', "$dumps/a.data"],
	'the state of A alone, into a running server');
ok($fourth->poll_query_until('postgres', "SELECT coalesce(sum(calls), 0) = 643 FROM pganalytics.joined_history WHERE queryid = $at_d"),
	'history joins, though its texts had been read before');
is($fourth->safe_psql('postgres', $serving), '2|decision_tree|t', 'and the model serves');
is($fourth->safe_psql('postgres', "SELECT model_version IS NOT NULL FROM predict_query_execution($at_d)"), 't', 'in predictions');
is(pgaml_log_lines($fourth, qr/pganalytics_ml could not|PANIC|TRAP/), 0, 'without a failure');
$fourth->stop;

done_testing();
