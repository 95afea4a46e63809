# EXPLAIN never suffers from the predicted time: not from locks, dropped
# extensions, errors inside, standbys; and it is there without preload.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('line', 'pganalytics_ml.overhead_budget = 1', 'pganalytics_ml.explain_predicted_time = on');
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 1000) g;
	VACUUM ANALYZE t;});
ok(pgaml_visited($node, 'postgres'), 'visited');
my $query = 'SELECT count(*) FROM t WHERE a < 500';
$node->safe_psql('postgres', "$query;" x 10);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pganalytics.statement_recent r
	JOIN pg_stat_statements s USING (queryid) WHERE s.query = 'SELECT count(*) FROM t WHERE a < $1'}), 'drained');

my $known = qr/^Predicted Time: [\d.]+ ms \(90% [\d.]+\.\.[\d.]+, source history\)$/m;
my $busy = qr/^Predicted Time: unknown \(what is needed could not be read now\)$/m;

# EXPLAIN in a session of its own, within five seconds.
sub shown
{
	my ($on, $before, $after) = @_;

	return $on->safe_psql('postgres', 'SET statement_timeout = 5000; ' . ($before // '') . " EXPLAIN $query;" . ($after // ''));
}

like(shown($node), $known, 'predicted');
like($node->safe_psql('template1', 'EXPLAIN SELECT 1'),
	qr/^Predicted Time: unknown \(extension "pganalytics_ml" is not installed in this database\)$/m, 'a database without the extension');

# ---- locks of others ----

my $other = $node->background_psql('postgres');
for my $lock ('LOCK TABLE pganalytics.statement_recent', 'LOCK TABLE pganalytics.query_performance_models',
	'REINDEX TABLE pganalytics.statement_users', 'DROP EXTENSION pganalytics_ml')
{
	$other->query_safe("BEGIN; SET lock_timeout = '30s'; $lock;");
	like(shown($node), $busy, "$lock: not waited for");
	$other->query_safe('ROLLBACK;');
	like(shown($node), $known, '... and predicted when it is over');
}
$other->quit;

# ---- errors inside, and those of others ----

like(shown($node, q{SET pganalytics_ml.fault = 'predict_plan=error';}), $busy, 'an error inside ends the prediction, not EXPLAIN');
is($node->safe_psql('postgres', qq{BEGIN; SET pganalytics_ml.fault = 'predict_plan=error'; INSERT INTO t VALUES (-1); EXPLAIN $query;
	SET LOCAL pganalytics_ml.fault = ''; COMMIT; SELECT count(*) FROM t WHERE a = -1 \\g |tail -n 3 | head -n 1}) =~ /^\s*1$/m ? 1 : 0, 1, 'nor the transaction');
my ($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = 300; SET pganalytics_ml.fault = 'predict_plan=wait'; EXPLAIN $query");
like($err, qr/canceling statement due to statement timeout/, 'who cancels cancels EXPLAIN');

# ---- what stays behind ----

is($node->safe_psql('postgres', qq{SET pganalytics_ml.explain_predicted_time = on; BEGIN; EXPLAIN $query \\g /dev/null
	SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'pganalytics'::regnamespace);
	SELECT pg_current_xact_id_if_assigned() IS NULL;}), "0\nt", 'no lock, no transaction number');
like($node->safe_psql('postgres', "EXPLAIN (ANALYZE, COSTS OFF) $query"), qr/Execution Time: .*\nPredicted Time: [\d.]+ ms|Predicted Time: [\d.]+ ms .*\nExecution Time/, 'EXPLAIN ANALYZE');
is($node->safe_psql('postgres', "SET pganalytics_ml.explain_predicted_time = off; EXPLAIN (COSTS OFF) $query") =~ /Predicted/ ? 1 : 0, 0, 'off');

# ---- a standby answers ----

$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('line_standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
like(shown($standby), $known, 'a standby answers');
is($standby->safe_psql('postgres', qq{SELECT predict_query_time('$query') > 0}), 't', '... a text, too');
$standby->stop;

# ---- not preloaded: from LOAD, or from the first function of ours, on ----

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
$node->restart;
unlike(shown($node), qr/Predicted/, 'a session that has not loaded the library');
like(shown($node, "LOAD 'pganalytics_ml';"), $known, 'LOAD');
like(shown($node, 'SELECT predict_query_time(1);'), $known, 'a function of ours');
$node->stop;

done_testing();
