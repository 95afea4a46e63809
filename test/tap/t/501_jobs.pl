# The life of a training job: queued, taken by a worker, completed; failed; cancelled.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('jobs');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
pgaml_visited($node, 'postgres');
pgaml_samples($node, 'postgres');

# --- the work starts when the asking transaction commits ---
my $session = $node->background_psql('postgres');
my $row = $session->query_safe("BEGIN; SELECT job_id, status FROM train_performance_model('linear_regression')");
is($row, '1|pending', 'one gets the number of the job at once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pganalytics.training_jobs'), '0', 'nobody else sees it yet');
$session->query_safe('COMMIT');
ok(pgaml_job_is($node, 1, 'completed'), 'a worker completes it');
$session->quit;

$node->stop;
done_testing();
