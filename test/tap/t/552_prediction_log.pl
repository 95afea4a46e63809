# Predictions reach the log whatever becomes of their transaction, once each.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('log', "pganalytics_ml.text_interval = 0");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE; CREATE TABLE t (i int)');
pgaml_visited($node, 'postgres');
$node->safe_psql('postgres', 'SELECT count(*) FROM t');
my $queryid = $node->safe_psql('postgres',
	"SELECT queryid FROM pg_stat_statements WHERE query = 'SELECT count(*) FROM t'");
my $stored = 'SELECT count(*) FROM pganalytics.predictions';

sub state_of
{
	my ($what) = @_;

	return $node->safe_psql('postgres', "SELECT $what FROM pganalytics.prediction_log_state()");
}

sub count_becomes
{
	my ($n, $what) = @_;

	ok($node->poll_query_until('postgres', "$stored", "$n"), $what);
}

# --- a transaction that is rolled back ---
my $id = $node->safe_psql('postgres',
	"BEGIN; SELECT prediction_id FROM predict_query_execution($queryid); SELECT 1 FROM predict_query_time($queryid); ROLLBACK;");
$id =~ s/\n.*//s;
count_becomes(2, 'predicted in a transaction that was rolled back: logged, both forms');
is($node->safe_psql('postgres', "SELECT queryid = $queryid FROM pganalytics.predictions WHERE prediction_id = $id"),
	't', 'under the number that the caller got');

# --- known numbers of hits and misses ---
$node->safe_psql('postgres', 'DELETE FROM pganalytics.predictions');
$node->safe_psql('postgres', "SELECT count(predict_query_time($queryid)) FROM generate_series(1, 8)");
$node->safe_psql('postgres', "SET pganalytics_ml.prediction_cache_ttl = '1h'; SET pganalytics_ml.clock_offset = -3700;
	SELECT predict_query_time($queryid); SELECT predict_query_time($queryid);
	SET pganalytics_ml.clock_offset = -700; SELECT predict_query_time($queryid);
	SET pganalytics_ml.clock_offset = 0; SELECT predict_query_time($queryid);");
count_becomes(12, 'two sessions predicted 8 and 4 times');
is($node->safe_psql('postgres', 'SELECT cache_hit_rate * 12, mean_latency_us > 0 FROM prediction_summary()'),
	'9|t', 'three had to read: the first of each session, and the one after prediction_cache_ttl');

# --- unknown queryids asked for in turn: each is looked for once, not each time ---
my $scans = $node->safe_psql('postgres', 'BEGIN; SELECT predict_query_time(9000) IS NULL;'
	. "SELECT pg_stat_get_xact_numscans('pganalytics.statement_users'::regclass);"
	. 'SELECT predict_query_time(9001) IS NULL; SELECT predict_query_time(9002) IS NULL; ' x 8
	. "SELECT pg_stat_get_xact_numscans('pganalytics.statement_users'::regclass); COMMIT");
my ($once, $all) = $scans =~ /^(\d+)$/mg;
cmp_ok($once, '>', 0, 'the first prediction reads everything');
cmp_ok($all, '<=', 5 * $once, 'reading it again for one queryid does not forget another');

# --- a sampled rate ---
$node->safe_psql('postgres', 'DELETE FROM pganalytics.predictions');
$node->safe_psql('postgres', "SET pganalytics_ml.prediction_log_rate = 0.25;
	SELECT count(predict_query_time($queryid)) FROM generate_series(1, 4000)");
pgaml_visited_again($node, 'postgres');
my $sampled = $node->safe_psql('postgres', $stored);
cmp_ok($sampled, '>', 1000 - 150, 'a quarter is logged, not less');    # 5.5 standard deviations
cmp_ok($sampled, '<', 1000 + 150, 'and not more');

# --- a full log drops and counts, and predictions go on ---
pgaml_configure($node, "pganalytics_ml.collect_interval = '1d'");
$node->poll_query_until('postgres', "SELECT next_visit > last_visit + interval '5 seconds' FROM pganalytics.worker_status() WHERE component = 'database'")
  or die 'visits go on';
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml worker'");
$node->safe_psql('postgres', 'DELETE FROM pganalytics.predictions');
is($node->safe_psql('postgres', "SELECT count(predict_query_time($queryid)) FROM generate_series(1, 9000)"),
	'9000', 'every prediction is answered');
is(state_of('waiting, dropped'), '8192|808', 'what finds no room is counted');
is($node->safe_psql('postgres', "SELECT prediction_id IS NULL FROM predict_query_execution($queryid)"),
	't', 'and has no number');
is($node->safe_psql('postgres', 'SELECT dropped FROM prediction_summary()'), '809', 'the summary says so');

# --- storing fails, is rolled back, is repeated: everything is there once ---
my ($ret, $out, $err) = $node->psql('postgres',
	"SET pganalytics_ml.fault = 'predictions_stored=error'; SELECT * FROM maintain_models();");
like($err, qr/fault at "predictions_stored"/, 'storing fails at its end');
$node->safe_psql('postgres', 'BEGIN; SELECT * FROM maintain_models(); ROLLBACK');
is(state_of('waiting'), '8192', 'rolled back: all of them wait');
is($node->safe_psql('postgres', "SELECT result FROM maintain_models() WHERE step = 'predictions'"), '8192 stored', 'then they are stored');
is($node->safe_psql('postgres', $stored), '8192', 'once each');
is(state_of('waiting'), '0', 'and there is room again');

# --- truth by hand while somebody stores ---
$id = $node->safe_psql('postgres', "SELECT prediction_id FROM predict_query_execution($queryid)");
my $storing = $node->background_psql('postgres');
$storing->query_safe('BEGIN; SELECT * FROM maintain_models();');
my $validating = $node->background_psql('postgres');
$validating->query_until(qr/start/, "\\echo start\nSELECT measured_ms FROM validate_prediction($id, 3);\n");
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%validate_prediction($id%'")
  or die 'validating does not wait';
$storing->query_safe('ROLLBACK');
$node->poll_query_until('postgres', "SELECT actual_ms = 3 FROM pganalytics.predictions WHERE prediction_id = $id")
  or die 'not validated';
pass('rolled back: the waiting one finds it in shared memory');
is($node->safe_psql('postgres', "SELECT result FROM maintain_models() WHERE step = 'predictions'"), '0 stored', 'and it does not come twice');
$id = $node->safe_psql('postgres', "SELECT prediction_id FROM predict_query_execution($queryid)");
$storing->query_safe('BEGIN; SELECT * FROM maintain_models();');
$validating->query_until(qr/again/, "\\echo again\nSELECT measured_ms FROM validate_prediction($id, 4);\n");
$node->poll_query_until('postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%validate_prediction($id%'")
  or die 'validating does not wait';
$storing->query_safe('COMMIT');
ok($node->poll_query_until('postgres', "SELECT actual_ms = 4 FROM pganalytics.predictions WHERE prediction_id = $id"),
	'committed: it finds it in the table');
# who validates and leaves his transaction open holds nobody up
$id = $node->safe_psql('postgres', "SELECT prediction_id FROM predict_query_execution($queryid)");
$validating->query_safe("BEGIN; SELECT measured_ms FROM validate_prediction($id, 5);");
is($node->safe_psql('postgres', "SET lock_timeout = '5s'; SELECT result FROM maintain_models() WHERE step = 'predictions'"),
	'0 stored', 'storing does not wait for who validates');
$validating->query_safe('COMMIT');
$validating->quit;
$storing->quit;
is($node->safe_psql('postgres', "SELECT count(*), min(actual_ms) FROM pganalytics.predictions WHERE prediction_id = $id"),
	'1|5', 'and the row is there once');

# --- two wait for a third: neither for the other, and nobody else for them ---
$id = $node->safe_psql('postgres', "SELECT prediction_id FROM predict_query_execution($queryid)");
my ($first, @waiting) = map { $node->background_psql('postgres') } 1 .. 3;
$first->query_safe("BEGIN; SELECT measured_ms FROM validate_prediction($id, 6);");
$_->query_until(qr/start/, "\\echo start\nSELECT measured_ms FROM validate_prediction($id, 7);\n") for @waiting;
$node->poll_query_until('postgres',
	"SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%validate_prediction($id%'")
  or die 'they do not wait';
$node->safe_psql('postgres', "SELECT predict_query_time($queryid)");
is($node->safe_psql('postgres', "SET lock_timeout = '5s'; SELECT result FROM maintain_models() WHERE step = 'predictions'"),
	'1 stored', 'storing does not wait for them');
$first->query_safe('COMMIT');
$_->quit for $first, @waiting;
is($node->safe_psql('postgres', "SELECT count(*), min(actual_ms) FROM pganalytics.predictions WHERE prediction_id = $id"),
	'1|7', 'the last of them has told the truth');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'without a deadlock');

# --- over a restart, and on a standby ---
my $last = $node->safe_psql('postgres', 'SELECT max(prediction_id) FROM pganalytics.predictions');
my $rows = $node->safe_psql('postgres', $stored);
$node->restart;
pgaml_visited($node, 'postgres');
is($node->safe_psql('postgres', $stored), $rows, 'the log outlives a restart');
$node->poll_query_until('postgres', "SELECT prediction_id IS NOT NULL FROM predict_query_execution($queryid)");
cmp_ok($node->safe_psql('postgres', "SELECT prediction_id FROM predict_query_execution($queryid)"), '>', $last, 'and numbers go on rising');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT prediction_id IS NULL, count(*) FROM predict_query_executions(ARRAY[$queryid]) GROUP BY 1"),
	't|1', 'a standby answers and logs nothing');
cmp_ok($standby->safe_psql('postgres', 'SELECT predictions FROM prediction_summary()'), '>', 0, 'but shows what is logged');
($ret, $out, $err) = $standby->psql('postgres', "SELECT validate_prediction($last, 1)");
like($err, qr/cannot|standby|recovery/, 'and says why it does not take a truth');
$standby->stop;
$node->stop;
is(pgaml_log_lines($node, qr{pganalytics_ml could not|PANIC|TRAP}), 0, 'no worker failed');
done_testing();
