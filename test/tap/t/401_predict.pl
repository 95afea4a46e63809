# Prediction in more than one session and server: activation is seen by
# others, limits end a training, a standby answers and writes nothing, and a
# server without pg_stat_statements says what is missing.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('predict', 'pganalytics_ml.text_interval = 0', 'pganalytics_ml.overhead_budget = 1');
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE TABLE t AS SELECT g AS a, g % 10 AS b FROM generate_series(1, 2000) g;
	VACUUM ANALYZE t;});
ok(pgaml_visited($node, 'postgres'), 'visited');

# Real statements, captured and drained by the worker.
my $statements = join('', map { "SELECT count(*) FROM t WHERE a < $_;\nSELECT b, sum(a) FROM t GROUP BY b ORDER BY b;\n" } 1 .. 150);
$node->safe_psql('postgres', $statements);
my $queryid = $node->safe_psql('postgres', q{SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT count(*) FROM t WHERE a < $1'});
ok($node->poll_query_until('postgres',
	"SELECT count(*) >= 150 FROM pganalytics.execution_samples WHERE queryid = $queryid"), 'drained');
ok($node->poll_query_until('postgres',
	"SELECT plannable FROM pganalytics.statements WHERE queryid = $queryid"), 'text read');

is($node->safe_psql('postgres', "SELECT source, model_version IS NULL FROM predict_query_execution($queryid)"),
	'history|t', 'history answers before there is a model');
like($node->safe_psql('postgres', q{SELECT message FROM train_performance_model(hyperparameters => '{"n_trees": 20}', wait => true)}),
	qr/^model 1 .* in production/, 'trained');

# A session that has predicted keeps its model until another session's activation commits.
my $session = $node->background_psql('postgres');
my $version = "SELECT model_type FROM pganalytics.query_performance_models m, predict_query_execution($queryid) p
	WHERE m.version = p.model_version AND m.stage = 'production'";
like($session->query($version), qr/gradient_boosting/, 'first model in this session');
$node->safe_psql('postgres', q{SELECT train_performance_model('linear_regression', wait => true)});
my $linear = $node->safe_psql('postgres', q{SELECT max(model_id) FROM pganalytics.query_performance_models});
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN');
$other->query_safe("SELECT activate_model($linear)");
$other->query_safe('COMMIT');
like($session->query($version), qr/linear_regression/, 'activation is seen by the next prediction');
$other->quit;
$session->quit;

# What an older snapshot still shows is not kept beyond its transaction.
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
$node->safe_psql('postgres', 'SELECT activate_model(1)');
$session->query_safe("SELECT * FROM predict_query_execution($queryid)");
$session->query_safe('COMMIT');
like($session->query($version), qr/gradient_boosting/, 'a model read under an old snapshot is not kept');
$session->quit;
$node->safe_psql('postgres', "SELECT activate_model($linear)");

# Limits: nothing is left of a run that they end.
my ($rc, $out, $err) = $node->psql('postgres', q{
	SELECT train_performance_model('random_forest', hyperparameters => '{"n_trees": 10000, "max_leaves": 60000, "min_samples_leaf": 1}', wait => true)});
my $jobs = $node->safe_psql('postgres', 'SELECT count(*) FROM pganalytics.training_jobs');
is($jobs, $rc == 0 ? 3 : 2, 'a job for each run that completed');
pgaml_configure($node, 'pganalytics_ml.training_memory = 8MB');
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.training_memory') = '8MB'});
($rc, $out, $err) = $node->psql('postgres', q{SELECT train_performance_model('random_forest', hyperparameters => '{"n_trees": 10000}', wait => true)});
isnt($rc, 0, 'memory limit');
like($err, qr/does not fit into pganalytics_ml\.training_memory/, 'memory limit is named');
pgaml_configure($node, 'pganalytics_ml.training_memory = 512MB', 'pganalytics_ml.training_time_limit = 1s');
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.training_time_limit') = '1s'});
# enough generated work for more than a second on any machine
$node->safe_psql('postgres', qq{INSERT INTO pganalytics.execution_samples
	SELECT (e).* FROM (SELECT e FROM pganalytics.execution_samples e WHERE queryid = $queryid LIMIT 1) one, generate_series(1, 40000)});
$node->safe_psql('postgres', qq{UPDATE pganalytics.execution_samples
	SET execution_ms = 0.1 + random(), plan_facts[1] = random() WHERE queryid = $queryid});
($rc, $out, $err) = $node->psql('postgres', q{SELECT train_performance_model('random_forest', hyperparameters => '{"n_trees": 3000}', wait => true)});
isnt($rc, 0, 'time limit');
like($err, qr/training stopped after pganalytics_ml\.training_time_limit|does not fit/, 'time limit is named');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pganalytics.training_jobs'), $jobs, 'no row of a run that failed');

# training_rows() thins as training would.
my $all = $node->safe_psql('postgres', 'SELECT count(*) FROM training_rows()');
cmp_ok($all, '>', 40000, 'training_rows() gives every row while they fit');
pgaml_configure($node, 'pganalytics_ml.training_memory = 8MB');
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.training_memory') = '8MB'});
($rc, $out, $err) = $node->psql('postgres', 'SELECT count(*) FROM training_rows()');
like($err, qr/training on one in \d+ of \d+ samples/, 'thinning is told');
cmp_ok($out, '<', $all / 2, 'training_rows() is thinned to training_memory');
cmp_ok($out, '>=', 100, 'and not further than training would be');
pgaml_configure($node, 'pganalytics_ml.training_memory = 512MB');
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.training_memory') = '512MB'});

# Old models leave, those in production and staging and the predecessor stay.
pgaml_configure($node, 'pganalytics_ml.models_retention = 1', 'pganalytics_ml.training_time_limit = 10min');
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.models_retention') = '1'});
$node->safe_psql('postgres', q{SELECT train_performance_model('linear_regression', wait => true)});
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE stage = 'production'), count(*) FILTER (WHERE stage NOT IN ('production', 'staging')
	AND model_id NOT IN (SELECT predecessor_id FROM pganalytics.models WHERE stage = 'production')) <= 1
	FROM pganalytics.query_performance_models}), '1|t', 'models_retention');
my $production = $node->safe_psql('postgres', 'SELECT model_id FROM get_latest_model()');

# A standby answers and writes nothing.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('predict_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
cmp_ok($standby->safe_psql('postgres', "SELECT predict_query_time($queryid)"), '>', 0, 'standby predicts');
is($standby->safe_psql('postgres', "SELECT model_version IS NOT NULL FROM predict_query_execution($queryid)"), 't', 'with the model');
$node->safe_psql('postgres', q{SELECT activate_model(max(model_id)) FROM list_models() WHERE stage <> 'production'});
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT p.model_version = m.version FROM predict_query_execution($queryid) p, get_latest_model() m
	WHERE m.model_id <> $production"), 't', 'standby follows activation');
cmp_ok($standby->safe_psql('postgres', "SELECT count(*) FROM query_features($queryid) WHERE value IS NOT NULL"), '>', 20, 'features on a standby');
is($standby->safe_psql('postgres', "SELECT abs(sum(contribution_log) - ln(predict_query_time($queryid))) < 1e-9 FROM explain_prediction($queryid)"),
	't', 'a prediction explained on a standby');
is($standby->safe_psql('postgres', "SELECT count(*) - (SELECT count(*) FROM query_features($queryid)) FROM get_latest_model() m,
	feature_importance(m.model_id, 'permutation') WHERE importance IS NOT NULL"), '0', 'importances on a standby');
cmp_ok($standby->safe_psql('postgres', 'SELECT count(*) FROM training_rows()'), '>', 40000, 'training_rows() on a standby');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM list_models() a, list_models() b, compare_models(a.model_id, b.model_id) c
	WHERE a.model_id < b.model_id AND c.verdict IS NULL}), '0', 'models compared on a standby');
for my $call ('train_performance_model(wait => true)', 'activate_model(1)', 'rollback_model()', 'archive_model(1)', 'delete_model(1)', 'collect_statements()')
{
	($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM $call");
	isnt($rc, 0, "$call refused on a standby");
	like($err, qr/cannot|recovery|standby/, "$call says why");
}
$standby->stop;

# Without pg_stat_statements in memory: what is stored answers, the rest says what is missing.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
cmp_ok($node->safe_psql('postgres', "SELECT predict_query_time($queryid)"), '>', 0, 'stored state answers');
like($node->safe_psql('postgres', 'SELECT reason FROM predict_query_execution(42)'),
	qr/pg_stat_statements is not loaded: set shared_preload_libraries/, 'unknown, with the line to add');
($rc, $out, $err) = $node->psql('postgres', 'SELECT * FROM collect_statements()');
like($err, qr/shared_preload_libraries/, 'collecting says which line to add');

# The extension goes and comes back within one session that has predicted.
$session = $node->background_psql('postgres', on_error_stop => 0);
like($session->query("SELECT predict_query_time($queryid) > 0"), qr/t/, 'before the drop');
$session->query('DROP EXTENSION pganalytics_ml');
$session->query('CREATE EXTENSION pganalytics_ml');
like($session->query("SELECT predict_query_time($queryid) IS NULL"), qr/t/, 'nothing is remembered of the dropped extension');
$session->quit;
$node->stop;

done_testing();
