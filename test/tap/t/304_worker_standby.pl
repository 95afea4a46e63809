# Nothing starts on a standby or in binary upgrade; everything starts at promotion.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $launchers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pganalytics_ml%'";
my $primary = pgaml_node('primary');
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
pgaml_visited($primary, 'postgres');
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
pgaml_visited_again($primary, 'postgres');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $launchers), '0', 'no worker on a standby');
is($standby->safe_psql('postgres', 'SELECT string_agg(state, $$,$$) FROM pganalytics.worker_status()'),
	'not running', 'worker_status() says so');
my $tick = $standby->safe_psql('postgres', 'SELECT last_tick FROM pganalytics.collector_state');
$primary->stop;

$standby->promote;
ok(pgaml_visited($standby, 'postgres'), 'after promotion the launcher starts and visits');
ok($standby->poll_query_until('postgres',
		"SELECT last_tick > '$tick' FROM pganalytics.collector_state"),
	'and collects');
$standby->stop;
is(pgaml_log_lines($standby, qr{pganalytics_ml could not|PANIC|TRAP}), 0, 'without a failure');

# --- binary upgrade ---
command_ok(['pg_ctl', '-w', '-D', $primary->data_dir, '-l', $primary->logfile, '-o', '-b', 'start'],
	'the server starts in binary upgrade mode');
is($primary->safe_psql('postgres', $launchers), '0', 'no worker there');
command_ok(['pg_ctl', '-w', '-D', $primary->data_dir, 'stop'], 'it stops');

done_testing();
