# Models between this extension and XGBoost: one that was trained here predicts
# the same there, one that was trained there serves here.  Needs Debian's
# python3-xgboost.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $python = '/usr/bin/python3';
plan skip_all => 'python3-xgboost is not installed: models are not compared with XGBoost'
  if system("$python -c 'import xgboost' > /dev/null 2>&1") != 0;
$ENV{OMP_NUM_THREADS} = 1;

my $script = dirname(__FILE__) . '/../exchange.py';
my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = pgaml_node('exchange', "pganalytics_ml.collect_interval = '1d'", 'pganalytics_ml.capture = off');
$node->start;
$node->safe_psql('postgres', $_) for ('CREATE DATABASE other', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->safe_psql('other', 'CREATE EXTENSION pganalytics_ml CASCADE');

# What the extension gives away, as a file.
sub file_of
{
	my ($name, $database, $sql) = @_;

	open(my $file, '>', "$dir/$name") or die "cannot write $dir/$name: $!";
	print $file $node->safe_psql($database, $sql);
	close($file);
	return "$dir/$name";
}

sub python
{
	my $out = qx($python $script @_ 2>&1);
	is($?, 0, "exchange.py $_[0]") or diag($out);
	chomp $out;
	return $out;
}

# 30 statements whose time depends on the plan, some with features missing.
my $facts = q{CREATE FUNCTION facts(key bigint) RETURNS real[] LANGUAGE sql IMMUTABLE AS
	$$SELECT array_agg(CASE WHEN i > 4 AND hashint8extended(key, i) % 5 = 0 THEN 'NaN'
	                        ELSE (abs(hashint8extended(key, i + 50)) % 1000) / 200.0 END ORDER BY i)::real[]
	    FROM generate_series(1, (SELECT count(*) FROM list_features() WHERE NOT canonical AND feature !~ '^lag_')) i$$;};
my $statements = q{TRUNCATE pganalytics.statements;
	INSERT INTO pganalytics.statements SELECT q, origin, now() - interval '1 day', now(), 'SELECT', true, 'SELECT ' || q
	  FROM pganalytics.installation, generate_series(1, 30) q;
	INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen, plan_id, plan_facts, plan_seen)
	SELECT 'postgres'::regrole, q, 0, now(), now(), q, facts(q), now() FROM generate_series(1, 30) q;};
$node->safe_psql('postgres', $facts . $statements . q{
	INSERT INTO pganalytics.execution_samples
	  (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
	   userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
	SELECT now() - (100 - j) * interval '1 minute', q, q, exp(f[1] + (f[2] > 2)::int * 2 + (hashint8(q * j) % 100) / 500.0),
	       1, 100, 0, 1, j, 'postgres'::regrole, 1, 0, 1, 1, true, 'done', f
	  FROM generate_series(1, 30) q, generate_series(1, 60) j, facts(q * 1000 + j) f;});
my $rows = file_of('rows', 'postgres', q{SELECT log_ms || '|' || array_to_string(features, ',') FROM training_rows()});

# Trained here, used there: the same to 1e-5, at thresholds and with missing values too.
for my $type ('decision_tree', 'random_forest', 'gradient_boosting')
{
	$node->safe_psql('postgres', "SELECT train_performance_model('$type', wait => true)");
	my $newest = '(SELECT max(model_id) FROM list_models())';
	my $native = file_of("$type.native", 'postgres', "SELECT encode(export_model($newest), 'hex')");
	my $json = file_of("$type.json", 'postgres', "SELECT convert_from(export_model($newest, 'xgboost-json'), 'UTF8')");
	my @answer = split(/ /, python('check', $native, $json, $rows));

	is("@answer[0 .. 2]", 'departure True True', "$type: all trees arrive");
	cmp_ok($answer[3], '<=', 1e-5, "$type: XGBoost predicts the same");
}

# Trained there on our rows, it serves here: a statement that is known by its plan only.
my $names = file_of('names', 'postgres', 'SELECT feature FROM list_features() ORDER BY position');
python('train', $names, $rows, "$dir/trained.json");
$node->safe_psql('other', $facts . $statements);
is($node->safe_psql('other', qq{SELECT activate_model(import_model(pg_read_binary_file('$dir/trained.json'), 'xgboost-json'))}),
	'', 'imported and in production');
my $known = file_of('known', 'other', q{SELECT '|' || string_agg(coalesce(value::text, 'NaN'), ',' ORDER BY position)
	FROM generate_series(1, 30) q, query_features(q) GROUP BY q ORDER BY q});
my @theirs = split(/\n/, python('predict', "$dir/trained.json", $known));
my @ours = split(/\n/, $node->safe_psql('other', q{SELECT source || ' ' || ln(predicted_execution_time_ms)
	FROM predict_query_executions((SELECT array_agg(q::bigint ORDER BY q) FROM generate_series(1, 30) q))}));
is(scalar(@ours), 30, 'all are predicted');
is(scalar(@theirs), 30, 'all are predicted there');
my $worst = 0;
for my $i (0 .. $#ours)
{
	my ($source, $value) = split(/ /, $ours[$i]);
	my $difference = abs($value - $theirs[$i]) / (abs($value) > 1 ? abs($value) : 1);

	$difference = 9 if $source ne 'model';
	$worst = $difference if $difference > $worst;
}
cmp_ok($worst, '<=', 1e-5, 'what XGBoost trained predicts here as there');
my %different = map { $_ => 1 } @theirs;
cmp_ok(scalar(keys %different), '>', 5, 'and tells statements apart');

# Where there is history, the same file is measured and calibrated on it.
my $measured = $node->safe_psql('postgres', qq{SELECT import_model(pg_read_binary_file('$dir/trained.json'), 'xgboost-json')});
is($node->safe_psql('postgres', qq{
	SELECT (metrics #>> '{stages,model_cold,mae}')::float8 < (metrics #>> '{baselines,global_median,mae}')::float8, calibration_samples > 100
	  FROM get_model($measured)}), 't|t', 'measured on local history');

# More than training_memory is refused.
pgaml_configure($node, "pganalytics_ml.training_memory = '8MB'");
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.training_memory') = '8MB'});
my ($rc, $out, $err) = $node->psql('postgres', q{SELECT import_model(convert_to(
	'{"learner": {"gradient_booster": {"model": {"trees": [' ||
	string_agg('{"left_children": [-1], "right_children": [-1], "split_indices": [0], "split_conditions": [1]}', ',') ||
	']}}}}', 'UTF8'), 'xgboost-json') FROM generate_series(1, 200000)});
isnt($rc, 0, 'too many trees');
like($err, qr/could not import: .*(more than 10000|training_memory)/, 'the limit is named');

$node->stop;
done_testing();
