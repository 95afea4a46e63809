# Databases come and go, and workers are never in the way.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('databases', "pganalytics_ml.bucket_interval = 1d");
my @with = ('db03', 'db11', 'postgres');

# SQL: names of the databases that are looked after
my $known = "SELECT string_agg(datname, ' ' ORDER BY datname COLLATE \"C\")
             FROM pganalytics.worker_status() WHERE component = 'database'";

# 20 databases of which 3 have the extension, made while nobody listens.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'\n");
$node->start;
$node->safe_psql('postgres', join ';', map { sprintf 'CREATE DATABASE db%02d', $_ } 1 .. 17);
$node->safe_psql($_, 'CREATE EXTENSION pganalytics_ml CASCADE') for @with;
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_database'), '20', 'there are 20 databases');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'\n");
$node->restart;

# --- discovery ---
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 3 FROM pganalytics.worker_status()
		 WHERE component = 'database' AND last_visit IS NOT NULL"),
	'three databases are visited');
is($node->safe_psql('postgres', $known), join(' ', @with), 'those with the extension');
ok($node->poll_query_until('postgres',
		"SELECT bool_and(xact_commit > 0) FROM pg_stat_database WHERE datname LIKE 'db%' OR datname = 'template1'"),
	'all were asked');
my $others = "SELECT sum(xact_commit) FROM pg_stat_database
              WHERE (datname LIKE 'db%' AND datname NOT IN ('db03', 'db11')) OR datname = 'template1'";
my $asked = $node->safe_psql('postgres', $others);
pgaml_visited_again($node, $_) for (@with, @with);
is($node->safe_psql('postgres', $others), $asked, 'but once');
is($node->safe_psql('postgres', $known), join(' ', @with), 'there are still three');

# --- a reload asks again ---
pgaml_configure($node);
ok($node->poll_query_until('postgres', "SELECT ($others) > $asked"), 'reload asks again where the answer was no');

# --- DROP DATABASE, plain, with a tick due every second ---
for my $i (1 .. 3)
{
	$node->safe_psql('postgres', "CREATE DATABASE gone$i");
	$node->safe_psql("gone$i", 'CREATE EXTENSION pganalytics_ml CASCADE');
	pgaml_visited($node, "gone$i");
}
for my $i (1 .. 3)
{
	pgaml_visited_again($node, "gone$i");
	is($node->psql('postgres', "DROP DATABASE gone$i"), 0, "DROP DATABASE $i");
}
ok($node->poll_query_until('postgres', "SELECT ($known) = '@with'"), 'dropped databases are forgotten');

# --- CREATE DATABASE ... TEMPLATE ---
for my $i (1 .. 3)
{
	is($node->psql('postgres', "CREATE DATABASE copy$i TEMPLATE db03"), 0, "CREATE DATABASE ... TEMPLATE $i");
}
ok(pgaml_visited($node, "copy$_"), "copy $_ is found and visited") for 1 .. 3;

# --- rename ---
is($node->psql('postgres', 'ALTER DATABASE copy1 RENAME TO renamed'), 0, 'ALTER DATABASE ... RENAME');
ok(pgaml_visited_again($node, 'renamed'), 'a renamed database is visited on');

# --- connections not allowed ---
$node->safe_psql('postgres', 'ALTER DATABASE copy2 ALLOW_CONNECTIONS false');
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pganalytics.worker_status() WHERE datname = 'copy2'"),
	'a database that lets nobody in is left alone');
$node->safe_psql('postgres', 'ALTER DATABASE copy2 ALLOW_CONNECTIONS true');
ok(pgaml_visited($node, 'copy2'), 'until it does again');

# --- a long visit makes room ---
sub hold_visit
{
	my ($datname) = @_;

	$node->safe_psql('postgres', "ALTER DATABASE $datname SET pganalytics_ml.fault = 'visit_step=wait'");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml worker'
		 AND wait_event = 'Extension' AND datname = '$datname'")
	  or die "no worker came to $datname";
}

for my $sql ('CREATE DATABASE copy4 TEMPLATE copy2', 'ALTER DATABASE copy2 RENAME TO copy5', 'DROP DATABASE copy5')
{
	hold_visit($sql =~ /copy5$/ && $sql =~ /DROP/ ? 'copy5' : 'copy2');
	is($node->psql('postgres', $sql), 0, "$sql in the middle of a visit");
}
is(pgaml_log_lines($node, qr/could not collect/), 0, 'which is no failure');

# --- DROP EXTENSION while ticks come, and again ---
for my $i (1 .. 3)
{
	is($node->psql('db11', 'DROP EXTENSION pganalytics_ml'), 0, "DROP EXTENSION $i");
	is($node->psql('db11', 'CREATE EXTENSION pganalytics_ml'), 0, "CREATE EXTENSION $i");
	ok(pgaml_visited($node, 'db11'), "visited $i");
}
hold_visit('db11');
is($node->psql('db11', 'DROP EXTENSION pganalytics_ml'), 0, 'DROP EXTENSION in the middle of a visit');
$node->safe_psql('postgres', "ALTER DATABASE db11 RESET pganalytics_ml.fault");
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	 WHERE backend_type = 'pganalytics_ml worker' AND datname = 'db11'");
ok($node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pganalytics.worker_status() WHERE datname = 'db11'"),
	'then the database is forgotten');

# --- an announcement counts when it is committed ---
$node->safe_psql('db11', 'BEGIN; CREATE EXTENSION pganalytics_ml; ROLLBACK');
pgaml_visited_again($node, 'postgres');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.worker_status() WHERE component = 'database' AND datname = 'db11'"),
	'0', 'CREATE EXTENSION that is rolled back announces nothing');

$node->stop;
is(pgaml_log_lines($node, qr/deadlock|PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
