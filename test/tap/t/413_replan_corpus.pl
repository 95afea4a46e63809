# How many statements can be planned again from what is kept of them: TPC-H,
# pgbench and a corpus of odd ones, with the types that capture saw and without.
# Then: ten thousand plannings leave no memory and no lock behind; a standby plans.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $corpus = dirname(__FILE__) . '/../corpus';
my $node = pgaml_node('corpus', "pganalytics_ml.collect_interval = '1d'", 'pganalytics_ml.text_interval = 0',
	'pganalytics_ml.overhead_budget = 1', 'pg_stat_statements.max = 5000');
$node->start;
$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN") for qw(tpch odd bench);

# A database in which each corpus has run as its own role.
sub fill
{
	my ($database, @settings) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql('postgres', "ALTER DATABASE $database SET $_") for @settings;
	$node->safe_psql($database, 'CREATE EXTENSION pganalytics_ml CASCADE; GRANT CREATE ON SCHEMA public TO PUBLIC; SELECT collect_statements()');
	for my $name (qw(tpch odd))
	{
		my @as = (extra_params => [ '-U', $name, '-o', '/dev/null' ], on_error_die => 1);

		$node->psql($database, slurp_file("$corpus/${name}_schema.sql"), @as);
		$node->psql($database, slurp_file("$corpus/$name.sql"), @as);
	}
	my @bench = ('pgbench', '-h', $node->host, '-p', $node->port, '-U', 'bench');
	$node->run_log([ @bench, '-i', '-s', '1', '-q', $database ]);
	$node->run_log([ @bench, '-n', '-t', '3', '-b', $_, '-M', 'prepared', $database ]) for qw(tpcb select simple);
	$node->run_log([ @bench, '-n', '-t', '3', '-b', $_, $database ]) for qw(tpcb select);
	$node->safe_psql($database, 'SELECT collect_statements(); SELECT collect_statements();');
}

# Statements of a role, and how many can be planned: as the text stands, and by us.
sub shares
{
	my ($database, $role) = @_;

	return split /\|/, $node->safe_psql($database, qq{
		CREATE OR REPLACE FUNCTION pg_temp.parses(query text) RETURNS bool LANGUAGE plpgsql AS \$\$BEGIN
			EXECUTE 'PREPARE p AS ' || query; DEALLOCATE p; RETURN true;
		EXCEPTION WHEN OTHERS THEN RETURN false; END\$\$;
		SET client_min_messages = error;
		SELECT count(*), count(*) FILTER (WHERE pg_temp.parses(s.query)), count(*) FILTER (WHERE p.reason IS NULL)
		  FROM pganalytics.statements s JOIN stored_plans(100000) p USING (queryid)
		 WHERE EXISTS (SELECT FROM pganalytics.statement_users u WHERE u.queryid = s.queryid AND u.userid = '$role'::regrole)});
}

fill('seen');
fill('unseen', 'pganalytics_ml.capture = off');
is($node->safe_psql('unseen', 'SELECT count(*) FROM pganalytics.statement_users WHERE parameter_types IS NOT NULL'), '0', 'no types were captured there');

for my $database (qw(seen unseen))
{
	my ($all, $raw, $planned) = (0, 0, 0);

	for my $role (qw(tpch bench odd))
	{
		my ($n, $parse, $plan) = shares($database, $role);

		note("$database, $role: $n statements, $parse plannable as they stand, $plan planned");
		note($node->safe_psql($database, "SELECT p.reason, s.query FROM stored_plans(100000) p JOIN pganalytics.statements s USING (queryid)
			WHERE p.reason IS NOT NULL AND p.planned_as = '$role'"));
		$all += $n;
		$raw += $parse;
		$planned += $plan;
		is($plan, $n, "$database: all of $role are planned") if $role ne 'odd';
	}
	cmp_ok($all, '>=', 115, "$database: the corpora ran");
	cmp_ok($raw / $all, '<', 0.75, "$database: much cannot be planned as it stands");
	cmp_ok($planned / $all, '>=', $database eq 'seen' ? 0.98 : 0.95, "$database: nearly all is planned")
	  or diag("$planned of $all");
}

# A statement that is planned has the plan that its text with constants has, where they play no part.
is( $node->safe_psql('seen', q{SELECT query_plan FROM pganalytics.statements s, explain_stored(s.queryid) WHERE query LIKE 'SELECT abalance%' LIMIT 1}),
	"Index Scan using pgbench_accounts_pkey on pgbench_accounts  (cost=0.29..8.31 rows=1 width=4)\n  Index Cond: (aid = \$1)",
	'the plan of pgbench -S');

# Nothing is left of ten thousand plannings, of which many fail.
my $residue = $node->safe_psql('unseen', q{
	CREATE TEMP TABLE ids AS SELECT queryid FROM stored_plans(100000);
	SELECT count(*) FROM ids, LATERAL explain_stored(queryid);
	CREATE VIEW memory AS SELECT sum(total_bytes) AS bytes FROM pg_backend_memory_contexts
	 WHERE name NOT IN ('CacheMemoryContext', 'index info', 'relation rules', 'CatCache', 'Portals') AND name !~ '^(TopTransaction|CurTransaction|Portal|Executor|ExprContext|Message)';
	SELECT bytes AS before FROM memory \gset
	BEGIN;
	SELECT count(*) FILTER (WHERE reason IS NULL) > 8000, count(*) >= 10000
	  FROM generate_series(1, 10000 / (SELECT count(*)::int FROM ids) + 1) g, ids, LATERAL explain_stored(queryid);
	SELECT count(*) FROM pg_locks l WHERE pid = pg_backend_pid() AND relation IN (SELECT oid FROM pg_class WHERE relname IN ('lineitem', 'numbers', 'pgbench_accounts'));
	SELECT bytes - :before < 300000, bytes - :before FROM memory;
	COMMIT;
	SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype NOT IN ('virtualxid', 'relation');});
like($residue, qr/\nt\|t\n0\nt\|-?\d+\n0$/, 'ten thousand plannings leave neither locks nor memory');
note($residue);

# A standby plans as well.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my $on = q{SELECT count(*), count(*) FILTER (WHERE reason IS NULL) FROM stored_plans(100000) WHERE planned_as IN ('tpch', 'odd', 'bench')};
is($standby->safe_psql('seen', $on), $node->safe_psql('seen', $on), 'a standby plans what its primary plans');
is($standby->safe_psql('seen', q{SELECT predict_query_time('UPDATE pgbench_accounts SET abalance = $1 WHERE aid = $2'::text) IS DISTINCT FROM 0}), 't', 'and texts');

$standby->stop;
$node->stop;
done_testing();
