# A worker and a session that collect at the same time: one waits for the other.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('busy');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE; CREATE TABLE item (id int)');
ok(pgaml_visited($node, 'postgres'), 'the database is watched');

my $log = -s $node->logfile;
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT FROM collect_statements()');
$node->safe_psql('postgres', 'SELECT max(id) FROM item');
$node->wait_for_log(qr/could not store captured executions in database "postgres": canceling statement due to lock timeout/, $log);
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM service_status() WHERE ring_used > 0'),
	't', 'what was captured waits where it is');
$session->query_safe('COMMIT');
$session->quit;
$node->wait_for_log(qr/can store captured executions in database "postgres" again/, $log);
is($node->safe_psql('postgres', "SELECT count(*) FROM pganalytics.execution_samples e
                                 JOIN pg_stat_statements s USING (queryid, userid)
                                 WHERE s.query = 'SELECT max(id) FROM item'"),
	1, 'and is stored afterwards');

$node->stop;
done_testing();
