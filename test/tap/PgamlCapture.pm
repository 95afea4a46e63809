# What the capture tests share: a server that captures everything and ticks only by hand.

package PgamlCapture;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(capture_node capture_begin capture_set capture_counts store forget_all
  value_of secret_places);

# A running server with the extension in the database postgres, capturing.
sub capture_node
{
	my ($name, @conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', join("\n",
		"shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'",
		"pg_stat_statements.track = all",
		"pganalytics_ml.collect_interval = '1d'",
		"pganalytics_ml.text_interval = 0",
		"pganalytics_ml.overhead_budget = 1",
		"autovacuum = off",
		@conf) . "\n");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
	capture_begin($node, 'postgres');
	return $node;
}

# Wait until statements of this database are captured, and the first visit is over.
sub capture_begin
{
	my ($node, $database) = @_;

	$node->poll_query_until($database, 'SELECT executions > 0 FROM service_status()')
	  or die 'capture did not begin';
	$node->poll_query_until($database,
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml worker'
		 UNION ALL SELECT false FROM pganalytics.collector_state WHERE last_tick IS NULL")
	  or die 'the first visit did not end';
}

# Change a setting of the server for new sessions, by name and value.
sub capture_set
{
	my ($node, %settings) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $_ = '$settings{$_}'") for keys %settings;
	$node->reload;
	for my $name (keys %settings)
	{
		$node->poll_query_until('postgres', "SELECT current_setting('$name') = '$settings{$name}'")
		  or die "$name did not change";
	}
}

# Counters by name.
sub capture_counts
{
	my ($node) = @_;
	my @names = qw(executions samples thinned skipped dropped errors unfinished facts_skipped ring_size ring_used);
	my @values = split /\|/,
	  $node->safe_psql('postgres', 'SELECT ' . join(', ', @names) . ' FROM service_status()');

	return map { $names[$_] => $values[$_] } 0 .. $#names;
}

# Move what was captured into tables.
sub store
{
	my ($node, $database) = @_;

	$node->safe_psql($database // 'postgres', 'SELECT collect_statements()');
}

# Begin anew: empty counters, an empty ring, no samples.
sub forget_all
{
	my ($node) = @_;

	store($node);
	$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset();');
	$node->safe_psql('postgres', 'DELETE FROM pganalytics.execution_samples');
}

# One value of a query.
sub value_of
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# Tables of the extension in which a text occurs.
sub secret_places
{
	my ($node, $secret) = @_;
	my @places;

	for my $table (split /\n/, $node->safe_psql('postgres',
			"SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pganalytics'::regnamespace AND relkind = 'r'"))
	{
		my $found = $node->safe_psql('postgres',
			"SELECT count(*) FROM $table t WHERE t::text LIKE '%$secret%'");

		push @places, $table if $found;
	}
	return @places;
}

1;
