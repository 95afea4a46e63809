# A model is activated while a thousand predictions are in flight: none fails,
# none mixes models, and whoever asks after the activation gets the new one.

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('activation', "pganalytics_ml.collect_interval = '1d'", 'max_connections = 30', 'restart_after_crash = on');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
ok(pgaml_visited($node, 'postgres'), 'visited');

# 200 statements with 60 hours of history, two models of different age.
$node->safe_psql('postgres', q{
	INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
	SELECT q, origin, now() - interval '3 days', now(), 'SELECT', true, 'SELECT ' || q FROM pganalytics.installation, generate_series(1, 200) q;
	INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
	SELECT 'postgres'::regrole, q, 0, now(), now() FROM generate_series(1, 200) q;
	INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
	       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
	       wal_bytes, bucket_width, toplevel, origin)
	SELECT q, date_bin('1 hour', now(), '2000-01-01 00:00:00+00') - make_interval(hours => h), 10, 10 * ms, 10 * ms * ms * 1.25, 10, 0,
	       0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
	  FROM pganalytics.installation, generate_series(1, 200) q, generate_series(1, 60) h, LATERAL (SELECT 1 + q % 17 + h % 3 AS ms) m});
$node->safe_psql('postgres', "SELECT train_performance_model('linear_regression', wait => true)") for 1 .. 2;
my ($one, $two) = split /\|/, $node->safe_psql('postgres', 'SELECT min(model_id), max(model_id) FROM list_models()');
my %version = map { split /\|/ } split /\n/, $node->safe_psql('postgres', 'SELECT model_id, version FROM list_models()');
isnt($version{$one}, $version{$two}, 'two models, told apart by their version');

my $all = 'predict_query_executions(ARRAY(SELECT q::bigint FROM generate_series(1, 200) q))';
my $versions = "SELECT string_agg(DISTINCT model_version::text, ',') FROM $all";

# --- exactly: an activation between two rows of one call ---
$node->safe_psql('postgres', "SELECT activate_model($one)");
is($node->safe_psql('postgres', "SELECT production_model, production_model_age BETWEEN interval '0' AND interval '1 hour' FROM service_status()"), "$one|t",
	'the status names the model in production');
my $asking = $node->background_psql('postgres');
is($asking->query_safe($versions), $version{$one}, 'the first model answers');
pgaml_fault($node, 'predict_next=wait');
$node->poll_query_until('postgres', "SELECT current_setting('pganalytics_ml.fault') = 'predict_next=wait'") or die;
$asking->query_until(qr/asked/, "\\echo asked\n$versions;\n\\echo answered\n");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE '%predict_query_executions%' AND pid <> pg_backend_pid()")
  or die 'the prediction does not wait';
$node->safe_psql('postgres', "SELECT activate_model($two)");
pgaml_fault($node);
like($asking->query('SELECT 1'), qr/^$version{$one}\nanswered\n1$/, 'a call that was under way stays with its model');
is($asking->query_safe($versions), $version{$two}, 'the next call has the new one');

# --- in a long transaction that touches no table ---
$asking->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
my $single = 'SELECT model_version FROM predict_query_execution(7)';
is($asking->query_safe($single), $version{$two}, 'one model in a long transaction');
$node->safe_psql('postgres', "SELECT activate_model($one)");
is($asking->query_safe($single), $version{$one}, 'the other one after it was activated elsewhere');
$asking->query_safe('COMMIT');

# --- within the activating transaction, rolled back ---
is($asking->query_safe("BEGIN; SELECT activate_model($two)"), '', 'activated, not committed');
is($asking->query_safe($versions), $version{$two}, 'the transaction sees its own activation');
is($node->safe_psql('postgres', $versions), $version{$one}, 'others do not');
$asking->query_safe('ROLLBACK');
is($asking->query_safe($versions), $version{$one}, 'nor does anybody after the rollback');

# --- a thousand transactions of eight clients ---
my $check = "SELECT 1 / (count(*) = 200 AND count(DISTINCT model_version) = 1 AND count(model_version) = 200)::int FROM $all;\n";
append_to_file($node->basedir . '/calls.sql', $check);
append_to_file($node->basedir . '/single.sql', "\\set q random(1, 200)\n" . join('', ("SELECT 1 / (model_version IS NOT NULL)::int FROM predict_query_execution(:q);\nSELECT 1 / (predict_query_time(:q) > 0)::int;\n") x 5));
append_to_file($node->basedir . '/long.sql', "BEGIN ISOLATION LEVEL REPEATABLE READ;\n" . $check x 3 . "SELECT sum(contribution_log) FROM explain_prediction(9);\nCOMMIT;\n");
my ($stdout, $stderr) = ('', '');
my $bench = IPC::Run::start(['pgbench', '-n', '-c', 8, '-j', 2, '-t', 130, map({ ('-f', $node->basedir . "/$_.sql") } 'calls', 'single', 'long'),
	'-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres'], '<', \undef, '>', \$stdout, '2>', \$stderr);
my $activating = $node->background_psql('postgres');
my $wrong = 0;
my $turns = 0;
while ($bench->pumpable)
{
	for my $model ($two, $one)
	{
		$activating->query_safe("SELECT activate_model($model)");
		# committed: a session that has the other one in its memory sees it now
		$wrong++ if $asking->query_safe($single) ne $version{$model};
		$turns++;
	}
	$bench->pump_nb;
}
$bench->finish;
is($bench->full_result(0), 0, 'no prediction failed or mixed models') or diag($stderr);
like($stdout, qr/actually processed: 1040\/1040/, 'all of them were made');
cmp_ok($turns, '>', 20, 'while models went to and fro');
is($wrong, 0, 'who asks after the commit gets the new model');
$activating->quit;
$asking->quit;
is($node->safe_psql('postgres', "SELECT count(*) FROM list_models() WHERE stage = 'production'"), 1, 'one model is in production');

# --- a backend that dies in the middle of predicting takes nothing with it ---
pgaml_fault($node, 'predict_next=kill');
$node->poll_query_until('postgres', "SELECT current_setting('pganalytics_ml.fault') = 'predict_next=kill'") or die;
my ($rc) = $node->psql('postgres', $versions);
isnt($rc, 0, 'killed while predicting');
pgaml_fault($node);
$node->poll_query_until('postgres', "SELECT current_setting('pganalytics_ml.fault') = ''") or die 'the server did not come back';
is($node->safe_psql('postgres', $versions), $version{$one}, 'predictions go on after the crash');
is(pgaml_log_lines($node, qr/PANIC|TRAP/), 0, 'no panic');
$node->stop;

done_testing();
