# What the TAP tests of training jobs share: something to learn from, and waiting for a job.

package PgamlJobs;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(pgaml_samples pgaml_job_is pgaml_job pgaml_train_later);

# Generated executions of 10 statements, enough to train on.
sub pgaml_samples
{
	my ($node, $db, $each) = @_;

	$each //= 40;
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

# Wait until a job has this status.
sub pgaml_job_is
{
	my ($node, $job, $status, $db) = @_;

	return $node->poll_query_until($db // 'postgres',
		"SELECT status = '$status' FROM pganalytics.training_jobs WHERE job_id = $job");
}

# Columns of a job.
sub pgaml_job
{
	my ($node, $job, $columns, $db) = @_;

	return $node->safe_psql($db // 'postgres', "SELECT $columns FROM pganalytics.training_jobs WHERE job_id = $job");
}

# Queue a job; returns its number.
sub pgaml_train_later
{
	my ($node, $arguments, $db) = @_;

	return $node->safe_psql($db // 'postgres', "SELECT job_id FROM train_performance_model($arguments)");
}

1;
