# What the TAP tests share: a server that preloads the extension, and waiting.

package PgamlTap;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(pgaml_node pgaml_configure pgaml_fault pgaml_status pgaml_visited
  pgaml_visited_again pgaml_calls pgaml_worker_pid pgaml_log_lines);

# A server, not started, that preloads the extension and ticks every second.  Training starts only when asked for.
sub pgaml_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'",
		"pganalytics_ml.collect_interval = 1s",
		"pganalytics_ml.retrain_interval = 0",
		"autovacuum = off",
		@conf) . "\n");
	return $node;
}

# Change settings of a running server.
sub pgaml_configure
{
	my ($node, @conf) = @_;

	$node->append_conf('postgresql.conf', join("\n", @conf) . "\n");
	$node->reload;
}

# Make a point of the code fail (src/base/fault.h), or none of them.
sub pgaml_fault
{
	my ($node, $what) = @_;

	pgaml_configure($node, "pganalytics_ml.fault = '" . ($what // '') . "'");
}

# One expression over worker_status() in the database postgres, where the extension is.
sub pgaml_status
{
	my ($node, $expression, $where) = @_;

	return $node->safe_psql('postgres',
		"SELECT $expression FROM pganalytics.worker_status() WHERE $where");
}

# Wait until a database was visited.
sub pgaml_visited
{
	my ($node, $datname) = @_;

	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pganalytics.worker_status()
		 WHERE component = 'database' AND datname = '$datname' AND last_visit IS NOT NULL");
}

# Wait for a visit that begins from now on and comes to its end.
sub pgaml_visited_again
{
	my ($node, $datname) = @_;
	my $now = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pganalytics.worker_status()
		 WHERE component = 'database' AND datname = '$datname' AND last_visit > '$now'");
}

# SQL: calls of a normalized statement in history, by the text that pg_stat_statements has.
sub pgaml_calls
{
	my ($query) = @_;

	return "(SELECT coalesce(sum(h.calls), 0) FROM pganalytics.statement_history h
	         WHERE h.queryid IN (SELECT s.queryid FROM pganalytics.statements s
	                             WHERE s.query = '$query'))";
}

# Wait for a visiting worker that stands at a fault point, and return its pid.
sub pgaml_worker_pid
{
	my ($node) = @_;
	my $query = "FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml worker'
	             AND wait_event = 'Extension'";

	$node->poll_query_until('postgres', "SELECT count(*) > 0 $query")
	  or die 'no worker came';
	return $node->safe_psql('postgres', "SELECT min(pid) $query");
}

# How many lines of the log, from a position on, match?
sub pgaml_log_lines
{
	my ($node, $regexp, $from) = @_;
	my @lines = split /\n/, substr(slurp_file($node->logfile), $from // 0);

	return scalar grep { /$regexp/ } @lines;
}

1;
