# The admission guard where the server is not at its best: an extension that is
# being dropped, a full log, a session without room, a standby, no preload.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = PostgreSQL::Test::Cluster->new('guard');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'
pg_stat_statements.track = all
pganalytics_ml.collect_interval = '1d'
pganalytics_ml.retrain_interval = 0
pganalytics_ml.text_interval = 0
pganalytics_ml.overhead_budget = 1
pganalytics_ml.min_training_samples = 20
autovacuum = off
jit = off
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
capture_begin($node, 'postgres');
$node->safe_psql('postgres', q{
CREATE TABLE g_size_now AS SELECT 160000 AS n;
CREATE FUNCTION g_size() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT n FROM g_size_now';
});
my $slow = 'SELECT count(*) FROM generate_series(1, g_size()) s';
my $error = qr/ERROR:  canceling statement that is predicted to take longer than pganalytics_ml\.max_predicted_time/;

$node->safe_psql('postgres', "$slow;\nSELECT count(*) FROM pg_class;\n" x 60);
store($node);
like($node->safe_psql('postgres', 'SELECT message FROM train_performance_model(wait => true)'), qr/in production/, 'trained');

sub guarded
{
	my ($on, $sql) = @_;

	local $ENV{PGOPTIONS} = '-c pganalytics_ml.guard_mode=cancel -c pganalytics_ml.max_predicted_time=8 -c statement_timeout=20s';
	return $on->psql('postgres', $sql, on_error_stop => 0);
}

like((guarded($node, $slow))[2], $error, 'cancelled');

# -- somebody drops the extension, and thinks better of it
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; DROP EXTENSION pganalytics_ml');
is((guarded($node, $slow))[1], '160000', 'while it is being dropped: let through at once');
$other->query_safe('ROLLBACK');
like((guarded($node, $slow))[2], $error, 'and stopped when it was not');
$other->query_safe('BEGIN; TRUNCATE pganalytics.statement_recent, pganalytics.predictions');
is((guarded($node, $slow))[1], '160000', 'while tables are emptied: let through at once');
$other->query_safe('ROLLBACK');
$other->quit;

# -- a session that knows more plans than it has room for, many of them over the limit
my ($rc, $out, $err) = guarded($node, "SET pganalytics_ml.guard_mode = warn;\n"
	. join('', map { "SET cpu_tuple_cost = 0.0100$_;\n$slow;\n" } 100 .. 140) x 2);
my $warnings = () = $err =~ /WARNING:  statement is predicted/g;
is($warnings, 82, 'plans come and go, each is warned of');

# -- the log is full
is($node->safe_psql('postgres', "SELECT count(predict_query_time((SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT count(*) FROM generate_series%' LIMIT 1)))
	FROM generate_series(1, 9000)"), '9000', 'the log of predictions is full');
like((guarded($node, $slow))[2], $error, 'the guard acts');
$node->safe_psql('postgres', 'SELECT count(*) FROM maintain_models()');
is($node->safe_psql('postgres', 'SELECT cancelled > (SELECT count(*) FROM guard_decisions(1000) WHERE mode = $$cancel$$) FROM guard_status()'), 't',
	'what found no room in the log is counted');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT mode) FROM guard_decisions(1000)'), '2', 'what had room is kept');

# -- told by hand
is($node->safe_psql('postgres', q{SELECT v.within_interval FROM guard_decisions(1000) d, validate_prediction(d.prediction_id, 1.5) v WHERE d.mode = 'cancel' LIMIT 1}), 'f',
	'how long it would have taken, told by hand');
is($node->safe_psql('postgres', q{SELECT count(*), min(actual_source) FROM guard_decisions(1000) WHERE verdict = 'false alarm' AND actual_ms = 1.5}), '1|manual',
	'makes it a false alarm');

# -- a standby lets through
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('guard_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is((guarded($standby, $slow))[1], '160000', 'a standby lets through');
is($standby->safe_psql('postgres', 'SELECT open_recovery > 0, cancelled, warned FROM guard_status()'), 't|0|0', 'and counts it');
is($standby->safe_psql('postgres', 'SELECT count(*) > 0 FROM guard_decisions()'), 't', 'decisions of the primary are seen');
$standby->stop;

# -- without preload there is no guard
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
$node->restart;
is((guarded($node, "LOAD 'pganalytics_ml'; $slow"))[1], '160000', 'not preloaded: no guard');
is($node->safe_psql('postgres', 'SELECT checked IS NULL FROM guard_status()'), 't', 'and nothing counted');

$node->stop;
done_testing();
