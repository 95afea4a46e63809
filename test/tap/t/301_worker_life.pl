# The life of the launcher and of its visits: first collection, reload, ends, restart.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seven = 'SELECT $1 AS seven';
my $node = pgaml_node('life',
	"pganalytics_ml.collect_interval = 1d",
	"pganalytics_ml.bucket_interval = 1d",
	"pganalytics_ml.text_interval = 0");
$node->start;

# --- starts by itself ---
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity
		 WHERE backend_type = 'pganalytics_ml launcher' AND datname IS NULL"),
	'1', 'the launcher runs, without a database');
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
ok($node->poll_query_until('postgres',
		'SELECT last_tick IS NOT NULL FROM pganalytics.collector_state'),
	'CREATE EXTENSION is followed by a first collection');
ok(pgaml_visited($node, 'postgres'), 'the visit is in worker_status()');
like(pgaml_status($node, "next_visit - last_visit", "component = 'database'"),
	qr/^(1 day|\d\d:\d\d:\d\d)/, 'the next visit is due in an interval');
is(pgaml_status($node, 'failures', "component = 'database'"), '0', 'nothing failed');

# --- reload ---
$node->safe_psql('postgres', 'SELECT 1 AS seven;' x 7);
pgaml_configure($node, 'pganalytics_ml.collect_interval = 1s');
ok($node->poll_query_until('postgres', 'SELECT ' . pgaml_calls($seven) . ' = 7'),
	'reload makes the launcher follow a new collect_interval; growth is in history');
ok(pgaml_visited_again($node, 'postgres'), 'ticks go on');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_statements WHERE query LIKE 'SELECT extversion FROM pg_catalog.%'"),
	'0', 'statements of workers are no part of the workload');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml launcher' AND datname IS NULL"),
	'1', 'there is still one launcher');

# --- a visit is ended by an administrator ---
pgaml_fault($node, 'visit_step=wait');
my $pid = pgaml_worker_pid($node);
is($node->safe_psql('postgres',
		"SELECT application_name || ': ' || query FROM pg_stat_activity WHERE pid = $pid"),
	'pganalytics_ml worker: pganalytics_ml: collecting statistics', 'one sees what a worker does');
is(pgaml_status($node, 'state', "component = 'worker' AND pid = $pid"), 'running', 'and in which slot');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres',
		"SELECT failures > 0 AND state = 'failing' FROM pganalytics.worker_status() WHERE component = 'database'"),
	'a visit that was terminated counts as failed');
pgaml_fault($node);
ok(pgaml_visited_again($node, 'postgres'), 'the next one comes');
ok($node->poll_query_until('postgres',
		"SELECT failures = 0 FROM pganalytics.worker_status() WHERE component = 'database'"),
	'and the failure is forgotten');

# --- cancelled, with nobody waiting for the database: the step failed ---
my $log = -s $node->logfile;
pgaml_fault($node, 'visit_step=wait');
$pid = pgaml_worker_pid($node);
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
$node->wait_for_log(qr/could not collect statistics in database "postgres": canceling statement/, $log);
pgaml_fault($node);
ok(pgaml_visited_again($node, 'postgres'), 'a cancelled step does not end the visits');

# --- the launcher is ended: the postmaster brings it back after 10 s ---
my $old = pgaml_status($node, 'pid', "component = 'launcher'");
is($node->safe_psql('postgres', "SELECT pg_terminate_backend($old)"), 't', 'SIGTERM to the launcher');
ok($node->poll_query_until('postgres',
		"SELECT state = 'not running' FROM pganalytics.worker_status() WHERE component = 'launcher'"),
	'it ends');
$node->safe_psql('postgres', 'SELECT 1 AS seven;' x 3);
ok($node->poll_query_until('postgres',
		"SELECT pid <> $old FROM pganalytics.worker_status() WHERE component = 'launcher'"),
	'and comes back');
ok($node->poll_query_until('postgres', 'SELECT ' . pgaml_calls($seven) . ' = 10'),
	'what ran meanwhile is in history');

# --- restart, with a visit under way ---
pgaml_fault($node, 'visit_step=wait');
pgaml_worker_pid($node);
$node->safe_psql('postgres', 'SELECT 1 AS seven;' x 5);
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\n");
$node->restart;
$node->safe_psql('postgres', 'SELECT 1 AS seven;' x 2);
ok($node->poll_query_until('postgres', 'SELECT ' . pgaml_calls($seven) . ' = 17'),
	'history is exact across a restart');
ok(pgaml_visited_again($node, 'postgres'), 'and stays so');
is($node->safe_psql('postgres', 'SELECT ' . pgaml_calls($seven)), '17', 'nothing is counted twice');

# --- rights ---
$node->safe_psql('postgres', 'CREATE ROLE nobody; CREATE ROLE watcher IN ROLE pg_monitor');
my ($ret, $out, $err) = $node->psql('postgres',
	'SET ROLE nobody; SELECT count(*) FROM pganalytics.worker_status()');
like($err, qr/permission denied/, 'worker_status() is not for everybody');
($ret, $out, $err) = $node->psql('postgres',
	"SET ROLE watcher; SELECT count(*) > 1 FROM pganalytics.worker_status()");
is($out, 't', 'but for pg_monitor');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
