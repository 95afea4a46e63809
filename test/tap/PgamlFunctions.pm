# Every SQL function of the extension: who may call it, and a call that works.
# A test that walks them fails when one is missing here, so that a new function
# says what it does on a standby, without preload, and to whom.

package PgamlFunctions;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

use PgamlTap;

our @EXPORT = qw(functions_prepare functions_calls functions_complete);

# name => [who, call, ...].  who: everybody, reader (pg_monitor), changer (only
# by explicit GRANT, writes), owner (nobody else, writes nothing by itself).
my %functions = (
	activate_model => [changer => 'activate_model(:archived)'],
	announce_database => [owner => 'pganalytics.announce_database()'],
	archive_model => [changer => 'archive_model(:candidate)'],
	cancel_training => [changer => 'cancel_training(:job)'],
	capture_reset => [changer => 'capture_reset()'],
	collect_statements => [changer => 'collect_statements()'],
	compare_models => [reader => 'compare_models(:production, :archived)'],
	create_data_split => [changer => q{create_data_split('another')}],
	delete_model => [changer => 'delete_model(:archived)'],
	drop_data_split => [changer => q{drop_data_split('kept')}],
	explain_prediction => [everybody => 'explain_prediction(1)', q{explain_prediction('SELECT 1')}],
	explain_slowdown => [everybody => q{explain_slowdown(1, now() - interval '1 hour')}],
	explain_stored => [everybody => 'explain_stored(1)', q{explain_stored(4711, '{"work_mem": "1MB"}')}],
	export_model => [reader => 'export_model(:production)', q{export_model(:trees, 'xgboost-json')}],
	feature_importance => [reader => 'feature_importance(:production)', q{feature_importance(:production, 'shap')}],
	feature_report => [reader => 'feature_report(:production)'],
	get_latest_model => [reader => 'get_latest_model()'],
	get_model => [reader => 'get_model(:production)'],
	get_training_status => [reader => 'get_training_status(:job)'],
	get_trials => [reader => 'get_trials(1)'],
	guard_decisions => [reader => 'guard_decisions(10)'],
	guard_status => [reader => 'guard_status()'],
	history_buckets => [owner => q{pganalytics.history_buckets(3600, '-infinity', 'infinity')}],
	import_model => [changer => 'import_model((SELECT bytes FROM bytes_of_model))'],
	list_data_splits => [reader => 'list_data_splits()'],
	list_experiments => [reader => 'list_experiments()'],
	list_features => [everybody => 'list_features()'],
	list_models => [reader => 'list_models()'],
	list_training_jobs => [reader => 'list_training_jobs()', q{list_training_jobs('pending', 1)}],
	maintain_models => [changer => 'maintain_models()', 'maintain_models(true)'],
	model_drift => [reader => 'model_drift()'],
	predict_query_execution => [everybody => 'predict_query_execution(1)', 'predict_query_execution(4711)', q{predict_query_execution('SELECT 1')}],
	predict_query_executions => [everybody => 'predict_query_executions(ARRAY[1, 2, 3, 4711])', q{predict_query_executions(ARRAY['SELECT 1'])}],
	predict_query_time => [everybody => 'predict_query_time(1)', 'predict_query_time(4711)', q{predict_query_time('SELECT 1')}],
	predict_with_settings => [everybody => q{predict_with_settings('SELECT 1', '{"work_mem": "8MB"}')}],
	prediction_accuracy => [reader => 'prediction_accuracy()', q{prediction_accuracy('statement')}],
	prediction_distribution => [reader => 'prediction_distribution()'],
	prediction_log_state => [reader => 'pganalytics.prediction_log_state()'],
	prediction_summary => [reader => 'prediction_summary()'],
	query_features => [everybody => 'query_features(1)'],
	recent_events => [reader => 'recent_events()'],
	recent_predictions => [reader => 'recent_predictions(10)'],
	repeated_statements => [reader => 'repeated_statements()', 'repeated_statements(2, 10)'],
	repeats_state => [reader => 'pganalytics.repeats_state()'],
	resume_tuning => [changer => 'resume_tuning(1)'],
	rollback_model => [changer => 'rollback_model()'],
	service_status => [reader => 'service_status()'],
	stored_plans => [reader => 'stored_plans()', 'stored_plans(1)'],
	train_performance_model => [changer => 'train_performance_model()', q{train_performance_model('linear_regression', wait => true)}],
	training_rows => [reader => 'training_rows()'],
	training_schedule => [reader => 'training_schedule()'],
	tune_performance_model => [changer => q{tune_performance_model('linear_regression', n_trials => 2)}],
	validate_prediction => [changer => 'validate_prediction(:prediction, 1.5)'],
	worker_status => [reader => 'pganalytics.worker_status()'],
);

# What the calls need, in the database postgres: history, models in every stage, a job that waits, a split.
sub functions_prepare
{
	my ($node) = @_;

	$node->safe_psql('postgres', q{
		INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
		SELECT q, origin, now() - interval '3 days', now(), 'SELECT', true, 'SELECT ' || q FROM pganalytics.installation, generate_series(1, 50) q;
		INSERT INTO pganalytics.statement_users (userid, queryid, search_path_hash, first_seen, last_seen)
		SELECT 'postgres'::regrole, q, 0, now(), now() FROM generate_series(1, 50) q;
		INSERT INTO pganalytics.statement_history (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit,
		       shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms,
		       wal_bytes, bucket_width, toplevel, origin)
		SELECT q, date_bin('1 hour', now(), '2000-01-01 00:00:00+00') - make_interval(hours => h), 10, 10 * ms, 10 * ms * ms * 1.25, 10, 0,
		       0, 0, 0, 0, 0, 0, 0, 0, 0, 3600, true, origin
		  FROM pganalytics.installation, generate_series(1, 50) q, generate_series(1, 60) h, LATERAL (SELECT 1 + q % 17 + h % 3 AS ms) m;
		SELECT create_data_split('kept');
		SELECT train_performance_model('linear_regression', wait => true);
		SELECT activate_model(max(model_id)) FROM list_models();
		SELECT train_performance_model('random_forest', hyperparameters => '{"n_trees": 3}', wait => true);
		SELECT activate_model(max(model_id)) FROM list_models();
		SELECT train_performance_model('linear_regression', lookback_days => 2, wait => true);
		CREATE TABLE bytes_of_model AS SELECT export_model(model_id) AS bytes FROM get_latest_model();
		GRANT SELECT ON bytes_of_model TO PUBLIC;
		-- an experiment that can be resumed
		INSERT INTO pganalytics.experiments (request, split, sampler, pruner, n_trials, folds, n_confirm, seed, time_limit, requested_by, requested_at)
		VALUES ('{"model_type": "linear_regression", "lookback_days": 90, "hyperparameters": {}, "split": "time"}', 'time',
		        'tpe', 'none', 2, 5, 3, 1, '1 hour', 'postgres'::regrole, now());
		-- a job that nobody takes while the tests run
		INSERT INTO pganalytics.training_jobs (status, requested_by, requested_at, not_before)
		VALUES ('pending', 'postgres'::regrole, now(), now() + interval '1 year')});
	# By hand: whether training puts a model into production is another test's question.
	$node->safe_psql('postgres', q{
		SELECT activate_model(model_id) FROM list_models() WHERE model_type = 'linear_regression' ORDER BY model_id LIMIT 1;
		SELECT activate_model(model_id) FROM list_models() WHERE model_type = 'random_forest';
		UPDATE pganalytics.query_performance_models SET stage = 'candidate', activated_at = NULL, archived_at = NULL
		 WHERE model_id = (SELECT max(model_id) FROM pganalytics.query_performance_models)});
	return;
}

# [name, who, statement] of every call of a function that is there.
sub functions_calls
{
	my ($node) = @_;
	my %ids;

	$ids{production} = $ids{trees} = $node->safe_psql('postgres', q{SELECT model_id FROM list_models() WHERE stage = 'production'});
	$ids{$_} = $node->safe_psql('postgres', "SELECT max(model_id) FROM list_models() WHERE stage = '$_'") for 'candidate', 'archived';
	$ids{job} = $node->safe_psql('postgres', q{SELECT max(job_id) FROM pganalytics.training_jobs WHERE status = 'pending'});
	$ids{prediction} = $node->safe_psql('postgres', 'SELECT coalesce((SELECT prediction_id FROM predict_query_execution(1)), 1)');
	# what was predicted leaves shared memory for its table
	$node->safe_psql('postgres', 'SELECT count(*) FROM maintain_models()');
	my @calls;
	for my $name (sort keys %functions)
	{
		next if $node->safe_psql('postgres', "SELECT count(*) FROM pg_proc WHERE proname = '$name'") == 0;
		my ($who, @of) = @{ $functions{$name} };
		for my $call (@of)
		{
			(my $sql = $call) =~ s/(?<!:):([a-z]+)/$ids{$1}/g;
			push @calls, [ $name, $who, "SELECT * FROM $sql" ];
		}
	}
	return @calls;
}

# No function of the extension is missing above, and each has the rights that stand there.
sub functions_complete
{
	my ($node) = @_;
	my @rows = split /\n/, $node->safe_psql('postgres', q{
		SELECT DISTINCT p.proname, has_function_privilege('nobody_special', p.oid, 'EXECUTE'), has_function_privilege('pg_monitor', p.oid, 'EXECUTE'),
		       p.provolatile
		  FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pganalytics_ml'
		 WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' ORDER BY 1});
	my @wrong;

	for (@rows)
	{
		my ($name, $public, $monitor, $volatility) = split /\|/;
		my $who = exists $functions{$name} ? $functions{$name}[0] : 'missing in test/tap/PgamlFunctions.pm';
		my $real = $public eq 't' ? 'everybody' : $monitor eq 't' ? 'reader' : 'changer or owner';
		push @wrong, "$name: $who, but callable by $real" unless $who eq $real || $real =~ /\b$who\b/;
		push @wrong, "$name changes state and is not volatile" if $who eq 'changer' && $volatility ne 'v';
	}
	is(join("\n", @wrong), '', 'every function is known, and callable by whom it should be');
	cmp_ok(scalar @rows, '>', 30, 'there are many');
	return;
}

1;
