# Where the extension is not created, and where no worker can be had.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# --- the extension is created nowhere ---
my $node = pgaml_node('limits',
	"max_worker_processes = 2",
	"max_logical_replication_workers = 0",
	"max_parallel_workers = 0");
$node->start;
ok($node->poll_query_until('postgres', "SELECT xact_commit > 0 FROM pg_stat_database WHERE datname = 'template1'"),
	'every database is asked');
$node->stop;
is(pgaml_log_lines($node, qr/pganalytics/i), 1, 'and the log has one line about us')
  or diag(slurp_file($node->logfile));
like(slurp_file($node->logfile), qr/background worker "pganalytics_ml launcher" \(PID \d+\) exited with exit code 1/,
	'which is the postmaster, about the end of the launcher');

# --- no worker process is free ---
my $log = -s $node->logfile;
$node->append_conf('postgresql.conf', "max_worker_processes = 1\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->wait_for_log(qr/pganalytics_ml could not start a worker\n.*DETAIL:.*\n.*HINT:.*max_worker_processes/, $log);
$node->reload;
$node->reload;
is($node->safe_psql('postgres', "SELECT state FROM pganalytics.worker_status() WHERE component = 'database'"),
	'new', 'the database waits');
$node->append_conf('postgresql.conf', "max_worker_processes = 2\n");
$node->restart;
ok(pgaml_visited($node, 'postgres'), 'one process more is enough');
is(pgaml_log_lines($node, qr/could not start a worker/, $log), 1, 'which was logged once');

$node->stop;
done_testing();
