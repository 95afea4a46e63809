# A job that does not stop by itself: the launcher ends its worker, half as long after the limit again and 30 s.

use strict;
use warnings;

use PgamlJobs;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('limit', 'pganalytics_ml.retrain_interval = 0', 'pganalytics_ml.training_time_limit = 1s');
$node->start;
pgaml_job_database($node, 'postgres');

# Where it stands it asks nobody whether time is up.
pgaml_fault($node, 'job_fit=wait');
my $job = pgaml_train_later($node, q{'linear_regression'});
my $next = pgaml_train_later($node, q{'linear_regression'});
pgaml_trainer($node);
$node->append_conf('postgresql.conf', "pganalytics_ml.fault = ''\npganalytics_ml.training_time_limit = 10min\n");
$node->wait_for_log(qr/pganalytics_ml ends the worker of job $job \(train\) in database "postgres"/);
$node->reload;
ok(pgaml_job_is($node, $job, 'failed'), 'a job that hangs is ended');
like(pgaml_job($node, $job, 'attempt, error'), qr/^1\|its worker did not stop in time after pganalytics_ml\.training_time_limit/,
	'with the reason, and not tried again');
cmp_ok(pgaml_job($node, $job, 'extract(epoch FROM finished_at - started_at)'), '>=', 31, 'not before its time');
ok(pgaml_job_is($node, $next, 'completed'), 'the next one follows');

$node->stop;
is(pgaml_log_lines($node, qr/PANIC|TRAP|segfault|signal 11/), 0, 'nothing broke');
done_testing();
