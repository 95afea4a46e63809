# A standby: every function that reads answers, every one that writes says why
# it cannot and where to go, nothing is written.  After promotion the workers
# start, what was under way on the old primary is found and done again, and
# the schedule goes on.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlFunctions;
use PgamlTap;

my $primary = pgaml_node('primary', "pganalytics_ml.collect_interval = '1d'");
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE; CREATE ROLE nobody_special');
ok(pgaml_visited($primary, 'postgres'), 'the primary is visited');
functions_prepare($primary);
functions_complete($primary);
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "pganalytics_ml.collect_interval = 1s\n");
$standby->start;
$primary->wait_for_catchup($standby);

# --- every function ---
my @wrong;
my $writers = 0;
for (functions_calls($primary))
{
	my ($name, $who, $sql) = @$_;
	my ($rc, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	if ($who eq 'changer')
	{
		$writers++;
		push @wrong, "$sql: $err" unless $rc != 0 && $err =~ /ERROR:  25006: cannot execute $name\(\) during recovery/ && $err =~ /HINT:  .*primary/;
	}
	elsif ($rc != 0)
	{
		push @wrong, "$sql: $err";
	}
}
is(join("\n", @wrong), '', 'readers answer, writers say why they cannot');
cmp_ok($writers, '>', 8, 'there are many that write');
my $answers = 'SELECT sum(predicted_execution_time_ms), min(model_version) FROM predict_query_executions(ARRAY(SELECT q::bigint FROM generate_series(1, 50) q))';
is($standby->safe_psql('postgres', $answers), $primary->safe_psql('postgres', $answers), 'predictions are those of the primary');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pganalytics_ml%'"), 0, 'no worker on a standby');

# --- an activation reaches a session of the standby that holds the other model ---
my $session = $standby->background_psql('postgres');
my $model = 'SELECT model_version FROM predict_query_execution(1)';
my $archived = $primary->safe_psql('postgres', q{SELECT max(model_id) FROM list_models() WHERE stage = 'archived'});
$session->query_safe($model);
$primary->safe_psql('postgres', "SELECT activate_model($archived)");
$primary->wait_for_catchup($standby);
is($session->query_safe($model), $primary->safe_psql('postgres', "SELECT version FROM list_models() WHERE model_id = $archived"), 'a session of the standby follows an activation');
$session->quit;

# --- the primary is lost in the middle of a training ---
pgaml_configure($primary, "pganalytics_ml.collect_interval = '1d'", "pganalytics_ml.fault = 'job_fit=wait'");
$primary->poll_query_until('postgres', "SELECT current_setting('pganalytics_ml.fault') = 'job_fit=wait'") or die;
my $job = $primary->safe_psql('postgres', q{SELECT job_id FROM train_performance_model('linear_regression')});
ok($primary->poll_query_until('postgres', "SELECT status = 'training' FROM get_training_status($job)"), 'a job is under way on the primary');
# its worker commits asynchronously: what follows takes it along
$primary->safe_psql('postgres', 'CREATE TABLE flush ()');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT status FROM get_training_status($job)"), 'training', 'the standby knows it');
$primary->stop('immediate');
my $tick = $standby->safe_psql('postgres', 'SELECT last_tick FROM pganalytics.collector_state');
my $next = $standby->safe_psql('postgres', 'SELECT next_run IS NOT NULL FROM training_schedule()');
$standby->promote;
ok(pgaml_visited($standby, 'postgres'), 'promoted: workers come');
ok($standby->poll_query_until('postgres', "SELECT last_tick > '$tick' FROM pganalytics.collector_state"), 'they collect');
# the wait before the next attempt is over
pgaml_configure($standby, 'pganalytics_ml.clock_offset = 7200');
ok($standby->poll_query_until('postgres', "SELECT status = 'completed' AND attempt >= 2 FROM get_training_status($job)"),
	'the job that was under way is found and done again');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pganalytics.query_performance_models m, pganalytics.training_jobs j
	WHERE j.job_id = $job AND m.model_id = j.model_id"), 1, 'and has made one model');
is($standby->safe_psql('postgres', 'SELECT next_run IS NOT NULL FROM training_schedule()'), $next, 'the schedule goes on');
ok($standby->safe_psql('postgres', 'SELECT count(*) > 0 FROM maintain_models()'), 'functions that write work now');
is(pgaml_log_lines($standby, qr/PANIC|TRAP|pganalytics_ml could not/), 0, 'without a failure');
$standby->stop;

done_testing();
