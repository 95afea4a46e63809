# What the TAP tests of training jobs share: something to learn from, and waiting for a job.

package PgamlJobs;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

our @EXPORT = qw(pgaml_samples pgaml_job_database pgaml_job_is pgaml_job pgaml_train_later pgaml_trainer $pgaml_long);

# Arguments of a training that takes minutes.
our $pgaml_long = q{'random_forest', hyperparameters => '{"n_trees": 10000}'};

# Install the extension in a database, with something to train on.
sub pgaml_job_database
{
	my ($node, $db, $each) = @_;

	$node->safe_psql($db, 'CREATE EXTENSION pganalytics_ml CASCADE');
	pgaml_visited($node, $db) or die "$db was not visited";
	pgaml_samples($node, $db, $each // 40);
}

# Generated executions of 10 statements, so many of each, a minute apart.
sub pgaml_samples
{
	my ($node, $db, $each) = @_;

	$node->safe_psql($db, qq{
		INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
		SELECT k, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || k
		  FROM generate_series(1, 10) k, pganalytics.installation i;
		INSERT INTO pganalytics.execution_samples
		  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place,
		   application_hash, weight, active_backends, toplevel, outcome, plan_facts)
		SELECT now() - ($each - j) * interval '1 minute', k, k, k * (1 + (hashint8(k * 1000 + j) & 255) / 256.0), 1, 1, j,
		       'postgres'::regrole, 1, 0, 1, 1, true, 'done',
		       (SELECT array_agg(CASE i WHEN 1 THEN k ELSE 1 END ORDER BY i) FROM generate_series(1, 37) i)::real[]
		  FROM generate_series(1, 10) k, generate_series(1, $each) j});
}

# Wait until a condition over the row of a job holds; a word alone is a status.
sub pgaml_job_is
{
	my ($node, $job, $condition, $db) = @_;

	$condition = "status = '$condition'" if $condition =~ /^\w+$/;
	return $node->poll_query_until($db // 'postgres',
		"SELECT $condition FROM pganalytics.training_jobs WHERE job_id = $job");
}

# Columns of get_training_status().
sub pgaml_job
{
	my ($node, $job, $columns, $db) = @_;

	return $node->safe_psql($db // 'postgres', "SELECT $columns FROM get_training_status($job)");
}

# Queue a job; returns its number.
sub pgaml_train_later
{
	my ($node, $arguments, $db) = @_;

	return $node->safe_psql($db // 'postgres', "SELECT job_id FROM train_performance_model($arguments)");
}

# Wait for a training worker that stands at a fault point, and return its pid.
sub pgaml_trainer
{
	my ($node, $db) = @_;
	my $query = "FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml training' AND wait_event = 'Extension'
	             AND datname = '" . ($db // 'postgres') . "'";

	$node->poll_query_until('postgres', "SELECT count(*) > 0 $query")
	  or die 'no training worker came';
	return $node->safe_psql('postgres', "SELECT min(pid) $query");
}

1;
