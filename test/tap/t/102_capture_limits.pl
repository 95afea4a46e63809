# Outcomes, a full ring, thinning, and where nothing is captured.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('limits', 'pganalytics_ml.capture_ring_size = 1024');

$node->safe_psql('postgres', q{
CREATE TABLE l_t (a int PRIMARY KEY, b text);
INSERT INTO l_t SELECT g, 'x' FROM generate_series(1, 1000) g;
ANALYZE l_t;
CREATE FUNCTION l_loop(n int) RETURNS void LANGUAGE plpgsql AS
$$BEGIN FOR i IN 1 .. n LOOP PERFORM b FROM l_t WHERE a = i % 1000; END LOOP; END$$;
});

sub samples_of
{
	my ($text, $what) = @_;

	return value_of($node, "SELECT $what FROM pganalytics.execution_samples e
		WHERE e.queryid IN (SELECT s.queryid FROM pg_stat_statements s WHERE s.query LIKE '$text')");
}

# Failed statements have no text in pg_stat_statements unless they had constants: tell them by application.
sub outcomes_of
{
	my ($sql, $name) = @_;

	$node->psql('postgres', "SET application_name = '$name'; $sql");
	store($node);
	return value_of($node, "SELECT string_agg(outcome, ',' ORDER BY sampled_at) FROM pganalytics.execution_samples e
		WHERE application_hash IN (SELECT x.application_hash FROM pganalytics.execution_samples x
		                           ORDER BY x.sampled_at DESC LIMIT 0)
		   OR session_id = (SELECT session_id FROM pganalytics.execution_samples ORDER BY sampled_at DESC OFFSET 0 LIMIT 1)");
}

# -- outcomes
forget_all($node);
$node->psql('postgres', 'SELECT 10 / (a - 5) FROM l_t');
store($node);
is(value_of($node, "SELECT outcome, rows < 5, execution_ms > 0, toplevel FROM pganalytics.execution_samples WHERE outcome <> 'done'"),
	'error|t|t|t', 'an error in run is seen, with its time');

forget_all($node);
$node->psql('postgres', "SET statement_timeout = '100ms'; SELECT count(*) FROM l_t x, l_t y, l_t z");
store($node);
is(value_of($node, "SELECT outcome, execution_ms BETWEEN 50 AND 5000 FROM pganalytics.execution_samples WHERE outcome <> 'done'"),
	'cancelled|t', 'a statement timeout is a cancel');

forget_all($node);
my $session = $node->background_psql('postgres') if $node->can('background_psql') && PostgreSQL::Test::Utils->can('pump_until');
my ($in, $out, $timer) = ('', '', IPC::Run::timer(180));
my $victim = $node->background_psql('postgres', \$in, \$out, $timer, on_error_stop => 0);
$in .= "SELECT count(*) FROM l_t x, l_t y, l_t z, l_t victim;\n";
$victim->pump_nb;
$node->poll_query_until('postgres',
	"SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity WHERE query LIKE '%l_t victim%' AND pid <> pg_backend_pid() AND state = 'active'");
$in .= "\\q\n";
$victim->finish;
store($node);
is(value_of($node, "SELECT outcome FROM pganalytics.execution_samples WHERE outcome <> 'done'"),
	'cancelled', 'pg_cancel_backend is a cancel');
done_testing();
