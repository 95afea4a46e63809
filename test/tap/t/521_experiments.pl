# A search for parameters as a job: its trials while it runs, killed and gone on with, cancelled and resumed, out of time.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('experiments', 'restart_after_crash = on', 'pganalytics_ml.capture = off');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
pgaml_visited($node, 'postgres');
# 60 executions of each of 10 statements
$node->safe_psql('postgres', q{
	INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
	SELECT k, i.origin, now() - interval '2 days', now(), 'SELECT', true, 'SELECT ' || k
	  FROM generate_series(1, 10) k, pganalytics.installation i;
	INSERT INTO pganalytics.execution_samples
	  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place,
	   application_hash, weight, active_backends, toplevel, outcome, plan_facts)
	SELECT now() - (60 - j) * interval '1 minute', k, k, k * (1 + (hashint8(k * 1000 + j) & 255) / 256.0), 1, 1, j,
	       'postgres'::regrole, 1, 0, 1, 1, true, 'done',
	       (SELECT array_agg(CASE i WHEN 1 THEN k ELSE 1 END ORDER BY i) FROM generate_series(1, 37) i)::real[]
	  FROM generate_series(1, 10) k, generate_series(1, 60) j});
$node->safe_psql('postgres', q{SELECT create_data_split('fixed', 'group', '{0.7,0.15,0.15}', seed => 3)});

# What a trial tried and measured, to the last bit.
sub trials
{
	my ($experiment) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT number, state, hyperparameters, value, fold_values, confirm_values, chosen
		  FROM get_trials($experiment) ORDER BY number});
}

sub experiment
{
	my ($columns, $experiment) = @_;

	return $node->safe_psql('postgres', "SELECT $columns FROM list_experiments() WHERE experiment_id = $experiment");
}

# Columns of the job of an experiment.
sub job
{
	my ($columns, $experiment) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT $columns FROM pganalytics.training_jobs j JOIN pganalytics.experiments e ON e.job_id = j.job_id
		 WHERE e.experiment_id = $experiment});
}

sub experiment_is
{
	my ($experiment, $status) = @_;

	return $node->poll_query_until('postgres',
		"SELECT status = '$status' FROM list_experiments() WHERE experiment_id = $experiment");
}

my $search = q{SELECT experiment_id FROM
	tune_performance_model('gradient_boosting', 9, pruner => 'halving', split => 'fixed', seed => 5)};

# --- nothing in between ---
is($node->safe_psql('postgres', q{SELECT status FROM train_performance_model('decision_tree', split => 'fixed', wait => true)}),
	'completed', 'a model is in production');
is($node->safe_psql('postgres', $search), '1', 'an experiment has its number at once');
ok(experiment_is(1, 'completed'), 'a worker completes it');
is(experiment('trials_done, trials_failed', 1), '9|0', 'all its trials are there');
like(experiment('trials_pruned', 1), qr/^[1-8]$/, 'halving ended some of them early');
my $whole = trials(1);
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ' ORDER BY state), count(*) FILTER (WHERE chosen),
	bool_and(cpu_ms > 0 AND finished_at >= started_at) FROM get_trials(1)}), 'complete pruned|1|t', 'they say how they ended');
is($node->safe_psql('postgres', q{SELECT hyperparameters = (SELECT request -> 'hyperparameters' FROM pganalytics.experiments WHERE experiment_id = 1)
	AND state = 'complete' FROM get_trials(1) WHERE number = 0}), 't', 'trial 0 is the default');
is($node->safe_psql('postgres', q{SELECT m.stage, m.hyperparameters = t.hyperparameters, m.training_samples = s.train_rows,
	m.heldout_samples = s.test_rows FROM list_experiments() e, get_model(e.model_id) m, get_trials(1) t, list_data_splits() s
	WHERE e.experiment_id = 1 AND t.chosen}), 'candidate|t|t|t', 'its best parameters, fitted to the whole split, are a candidate');
is($node->safe_psql('postgres', 'SELECT model_type FROM get_latest_model()'), 'decision_tree', '... and no more than that');
like(experiment('message', 1), qr/^(trial \d+ of 9 is the best: |none of 9 trials ).*; model 2 \(gradient_boosting, version 1\), kept as candidate: .* model 1/,
	'the message tells what won, and how it does against production');
like(job(q{progress, result ->> 'message'}, 1), qr/^1\|model 2 /, 'so does the job');

# --- the worker is killed twice: after a trial, and in one ---
pgaml_fault($node, 'trial_ended=kill');
is($node->safe_psql('postgres', $search), '2', 'the same again');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pganalytics.trials WHERE experiment_id = 2 AND state = 'complete'});
pgaml_fault($node, 'trial_begun=kill');
# the delay before the next attempt is over at once
pgaml_configure($node, 'pganalytics_ml.clock_offset = 3600');
ok($node->poll_query_until('postgres', q{SELECT count(*) >= 2 FROM pganalytics.trials WHERE experiment_id = 2}), 'it went on');
pgaml_fault($node);
pgaml_configure($node, 'pganalytics_ml.clock_offset = 7200');
ok(experiment_is(2, 'completed'), 'and completes in the end');
is(trials(2), $whole, 'having tried what it would have tried, with the same errors');
like(job('attempt', 2), qr/^[23]$/, 'in more than one attempt');

# --- seen while it runs; cancelled; resumed ---
# (numbers are not counted on any more: a crash skips some)
pgaml_fault($node, 'trial_ended=wait');
my $third = $node->safe_psql('postgres', $search);
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM get_trials($third) WHERE state = 'complete'"),
	'a trial is there while others are to come');
is(experiment('status, trials_done, best_trial', $third), 'running|1|', '... and counted');
isnt($node->psql('postgres', "SELECT resume_tuning($third)"), 0, 'what runs cannot be resumed');
$node->safe_psql('postgres', "SELECT cancel_training(job_id) FROM list_experiments() WHERE experiment_id = $third");
ok(experiment_is($third, 'cancelled'), 'cancelled');
pgaml_fault($node);
is(experiment('trials_done, model_id', $third), '1|', 'its trial is still there');
is($node->safe_psql('postgres', "SELECT status FROM resume_tuning($third)"), 'pending', 'resumed');
ok(experiment_is($third, 'completed'), '... it completes');
is(trials($third), $whole, 'as if it had never been cancelled');
isnt($node->psql('postgres', "SELECT resume_tuning($third)"), 0, 'then nothing is left to resume');

# --- out of time ---
my $long = $node->safe_psql('postgres', q{SELECT experiment_id FROM
	tune_performance_model('random_forest', 1000, 'random', time_limit => '2 seconds', split => 'fixed')});
ok(experiment_is($long, 'out_of_time'), 'a long one ends with its time');
is(experiment('trials_done BETWEEN 0 AND 998, best_trial IS NOT NULL, model_id IS NOT NULL', $long), 't|t|t', '... with the best so far');
like(experiment('message', $long), qr/the time ran out, resume_tuning\(\) goes on/, '... and says so');
my $done = experiment('trials_done', $long);
$node->safe_psql('postgres', "SELECT resume_tuning($long)");
ok($node->poll_query_until('postgres', "SELECT trials_done > $done FROM list_experiments() WHERE experiment_id = $long"), 'and goes on');
$node->safe_psql('postgres', "SELECT cancel_training(job_id) FROM list_experiments() WHERE experiment_id = $long");
ok(experiment_is($long, 'cancelled'), 'until it is cancelled');

# --- the default that serves already is not stored again ---
$node->safe_psql('postgres', q{SELECT count(*) FROM train_performance_model('linear_regression', split => 'fixed', wait => true)});
$node->safe_psql('postgres', q{SELECT activate_model(max(model_id)) FROM list_models() WHERE model_type = 'linear_regression' AND stage <> 'production'});
my $models = $node->safe_psql('postgres', 'SELECT count(*) FROM list_models()');
my $around = $node->safe_psql('postgres', q{SELECT experiment_id FROM tune_performance_model('linear_regression', 2, split => 'fixed')});
ok(experiment_is($around, 'completed'), 'a search around the model in production');
is(experiment('best_trial, model_id', $around), '0|', 'its parameters are the best');
like(experiment('message', $around), qr/^none of 2 trials is surely better than the default: .*; model \d+ in production has these parameters already$/,
	'... and serve already');
is($node->safe_psql('postgres', 'SELECT count(*) FROM list_models()'), $models, '... so nothing is stored twice');

$node->stop;
done_testing();
