# A new model is promoted, staged or refused on held-out rows; live truth then
# rolls back, promotes or archives, once an hour on an injected clock.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('champion', 'pganalytics_ml.capture = off', 'pganalytics_ml.fault = \'\'', 'pganalytics_ml.clock_offset = 0');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');

# Statements that run once each, so that only their plans tell their time.  They run evenly over three
# days, which end so many days after the start; world 1: as the rows that the planner expects, -1: the other way round.
$node->safe_psql('postgres', q{
	CREATE TABLE start AS SELECT now() AS at;
	CREATE SEQUENCE key;
	CREATE FUNCTION uniform(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE AS
		'SELECT ((hashint8extended(key, salt) & 9007199254740991) + 0.5) / 9007199254740992.0';
	CREATE FUNCTION run(n integer, until_day float8, world integer) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		CREATE TEMP TABLE runs AS
		SELECT k, 4 * uniform(k, 1) AS cost, 4 * uniform(k, 3) AS x, 0.6 * (uniform(k, 5) - 0.5) AS noise,
		       start.at + (until_day - 3.0 * (n - i) / n) * interval '1 day' AS at
		  FROM (SELECT nextval('key') AS k, i FROM generate_series(1, n) i) s, start;
		INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
		SELECT k, origin, at, at, 'SELECT', true, 'SELECT ' || k FROM runs, pganalytics.installation;
		INSERT INTO pganalytics.execution_samples
		  (sampled_at, queryid, plan_id, execution_ms, rows, session_id, transaction_no, userid, place, application_hash,
		   weight, active_backends, toplevel, outcome, plan_facts)
		SELECT at, k, 7, exp(1 + 0.3 * cost + world * (x - 2) + noise), 1, 1, k, 10, 1, 0, 1, 1, true, 'done',
		       (SELECT array_agg(CASE f WHEN 1 THEN cost WHEN 3 THEN x ELSE 1 END ORDER BY f)::real[] FROM generate_series(1, 37) f)
		  FROM runs;
		DROP TABLE runs;
	END $$;
});

sub value
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub train
{
	my ($type, $split, $days) = @_;
	my $message = value("SELECT message FROM train_performance_model('$type', lookback_days => @{[$days // 90]}, split => '$split', wait => true)");

	note($message);
	return $message;
}

sub production
{
	return value('SELECT model_id FROM get_latest_model()');
}

sub stage_of
{
	my ($model) = @_;

	return value("SELECT stage FROM get_model($model)");
}

# Let it be so many days after the start, and wait until live truth was looked at.
sub day
{
	my ($days) = @_;
	my $offset = int($days * 86400);

	pgaml_configure($node, "pganalytics_ml.clock_offset = $offset");
	$node->poll_query_until('postgres', "SELECT checked_at > now() + interval '$offset seconds' - interval '1 hour'
		FROM pganalytics.drift_state") or die 'no look at live truth';
	return;
}

# --- held-out rows: promoted, staged, refused ---
value('SELECT run(300, -1, -1)');
like(train('linear_regression', 'time'), qr/^model 1 .* in production: .*no model was in production/, 'the first one serves');
value('TRUNCATE pganalytics.execution_samples');
value('SELECT run(600, -0.01, 1)');
like(train('linear_regression', 'time'), qr/^model 2 .* in production: .* against .* of model 1 on the same \d+ newest rows, [\d.]+ % lower \(95 % interval .*\): better/,
	'shown better: promoted, and by how much');
like(train('decision_tree', 'time'), qr/^model 3 .* kept as candidate: .* against .* of model 2 .* % higher .*: worse/,
	'shown worse: kept, and by how much it lost');
like(train('linear_regression', 'group'), qr/^model 4 .* in staging: .*0 of 50 rows that are new to both/,
	'nothing to compare on: staged');
like(train('linear_regression', 'time', 2), qr/^model 5 .* in staging: .* of model 2 on the same \d+ newest rows, .*: neither better nor worse is shown/,
	'as good, from other rows: staged');
is(stage_of(4), 'candidate', 'and there is one in staging');

# From here on nobody trains but live truth: what drifts queues jobs that find too little.
pgaml_configure($node, 'pganalytics_ml.min_training_samples = 1000000');
$node->poll_query_until('postgres', q{SELECT current_setting('pganalytics_ml.min_training_samples') = '1000000'});

# --- nothing differs: nothing happens, neither to production nor to staging ---
value('SELECT run(300, 3, 1)');
day(3);
is(production(), '2', 'model 2 stays in production');
is(stage_of(5), 'staging', 'model 5 stays in staging');
value('SELECT activate_model(5)');
value('SELECT run(300, 6, 1)');
my $from = -s $node->logfile;
day(6);
is(production(), '5', 'as good as its predecessor: not rolled back');
unlike(slurp_file($node->logfile, $from), qr/rolled back/, 'nothing is said');

# --- worse than its predecessor: rolled back once ---
value('SELECT activate_model(1)');
value('SELECT run(300, 9, 1)');
day(9);
is(production(), '5', 'worse on live truth: rolled back');
like(slurp_file($node->logfile, $from), qr/LOG:  pganalytics_ml: model 1 rolled back: worse than model 5 on live truth: mean absolute log error/, 'with a line in the log');
is(value(q{SELECT count(*), min(model_id), bool_and(message ~ 'model 5 is in production again'), bool_and((detail #>> '{figures,error,lower}')::float8 > 0),
	bool_and(detail ->> 'by' IS NULL) FROM pganalytics.events WHERE kind = 'rollback'}), '1|1|t|t|t', 'and an event with the figures');
is(value(q{SELECT stage, rolled_back_at IS NOT NULL, stage_reason ~ '^rolled back: worse than model 5' FROM get_model(1)}), 'archived|t|t', 'its card says why');

value('SELECT activate_model(1)');
value('SELECT run(300, 12, 1)');
day(12);
is(production(), '1', 'whoever activates it again keeps it');
is(value('SELECT rollback_model()'), '5', 'but may take it back by hand');

# --- staging on live truth: better, worse, too late ---
value('SELECT activate_model(1)');
value(q{UPDATE pganalytics.query_performance_models SET stage = 'staging', staged_at = (SELECT at + interval '12 days' FROM start) WHERE model_id = 2});
value('SELECT run(300, 15, 1)');
$from = -s $node->logfile;
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE pganalytics.query_performance_models IN SHARE ROW EXCLUSIVE MODE');
day(14.9);
is(production(), '1', 'while somebody else changes models nobody waits and nothing is decided');
$holder->query_safe('COMMIT');
$holder->quit;
day(15);
is(production(), '2', 'staged and better on live truth: promoted');
like(slurp_file($node->logfile, $from), qr/pganalytics_ml: model 2 promoted: better than model 1 on live truth/, 'with a line in the log');
is(value(q{SELECT kind, message ~ 'model 2 promoted in place of model 1' FROM pganalytics.events WHERE model_id = 2 ORDER BY event_id DESC LIMIT 1}),
	'promotion|t', 'and an event');

value(q{UPDATE pganalytics.query_performance_models SET stage = 'staging', staged_at = (SELECT at + interval '15 days' FROM start) WHERE model_id = 1});
value('SELECT run(300, 18, 1)');
day(18);
is(value('SELECT stage, stage_reason ~ \'^worse than model 2 on live truth\' FROM get_model(1)'), 'archived|t', 'staged and worse: archived');
is(production(), '2', 'production as it was');

value(q{UPDATE pganalytics.query_performance_models SET stage = 'staging', staged_at = (SELECT at + interval '18 days' FROM start) WHERE model_id = 5});
value('SELECT run(300, 26, 1)');
day(26);
is(value('SELECT stage, stage_reason FROM get_model(5)'), 'archived|live truth did not show it better within 7 days', 'staged and neither for a week: archived');
is(value(q{SELECT count(*) FROM pganalytics.events WHERE kind = 'rollback' AND detail ->> 'by' IS NULL}), '1', 'one rollback in all');

$node->stop;
done_testing();
