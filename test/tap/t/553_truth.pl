# What came true: captured executions, buckets of history, each judged once.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('truth', "pganalytics_ml.text_interval = 0", "pganalytics_ml.overhead_budget = 1",
	"pganalytics_ml.bucket_interval = '4s'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE; CREATE TABLE t (i int)');
pgaml_visited($node, 'postgres');

sub value
{
	return $node->safe_psql('postgres', $_[0]);
}

sub becomes
{
	my ($what, $query) = @_;

	ok($node->poll_query_until('postgres', $query), $what);
}

sub queryid_of
{
	my ($text) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_statements WHERE query = '$text'") or die $text;
	return value("SELECT queryid FROM pg_stat_statements WHERE query = '$text'");
}

sub predict
{
	my ($id, $times) = @_;

	return value("SELECT max(prediction_id) FROM predict_query_executions(array_fill(${id}::bigint, ARRAY[$times]))");
}

# --- a captured execution ---
my $run = 'SELECT count(*) FROM t';
$node->safe_psql('postgres', $run);
my $queryid = queryid_of($run);
becomes('the first execution is stored',
	"SELECT count(*) = 1 FROM pganalytics.execution_samples WHERE queryid = $queryid");
my $first = predict($queryid, 3);
$node->safe_psql('postgres', "$run; $run;");
my $second = predict($queryid, 1);
$node->safe_psql('postgres', "$run; $run;");
my $last = predict($queryid, 1);
becomes('four predictions found their truth', "SELECT count(*) = 4 FROM pganalytics.predictions WHERE actual_source = 'execution'");
my $nth = "(SELECT execution_ms FROM pganalytics.execution_samples WHERE queryid = $queryid ORDER BY sampled_at LIMIT 1 OFFSET";
is(value("SELECT bool_and(actual_ms = $nth 1)) FROM pganalytics.predictions WHERE prediction_id <= $first"),
	't', 'it is the first execution after them, not the one before');
is(value("SELECT actual_ms = $nth 3), abs(log_error - ln(actual_ms / predicted_ms)) < 1e-9
	FROM pganalytics.predictions WHERE prediction_id = $second"), 't|t', 'likewise for the next');
is(value("SELECT count(*) FILTER (WHERE judged), count(*) FILTER (WHERE NOT judged), max(prediction_id) FILTER (WHERE judged AND prediction_id < $second)
	FROM pganalytics.predictions"), "2|2|$first", 'of three predictions of one execution the newest is judged');
is(value("SELECT predictions, intervals FROM prediction_accuracy()"), '2|2', 'so it counts once');
becomes('the last is stored', "SELECT count(*) = 1 FROM pganalytics.predictions WHERE prediction_id = $last");
is(value("SELECT actual_ms IS NULL FROM pganalytics.predictions WHERE prediction_id = $last"), 't', 'what did not run since has no truth');

# --- an execution under way when the prediction was made is not its truth ---
my $holder = $node->background_psql('postgres');
my $runner = $node->background_psql('postgres');
my $wait = 'SELECT pg_advisory_xact_lock($1)';
$node->safe_psql('postgres', 'SELECT pg_advisory_xact_lock(7)');
my $waiter = queryid_of($wait);
$holder->query_safe('BEGIN; SELECT pg_advisory_xact_lock(7);');
$runner->query_until(qr/start/, "\\echo start\nSELECT pg_advisory_xact_lock(7);\n");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'") or die 'nobody waits';
my $meanwhile = predict($waiter, 1);
$holder->query_safe('COMMIT');
$runner->quit;
$holder->quit;
becomes('the execution that was under way is stored',
	"SELECT count(*) = 3 FROM pganalytics.execution_samples WHERE queryid = $waiter");
pgaml_visited_again($node, 'postgres') for 1 .. 2;
is(value("SELECT count(*) FROM pganalytics.predictions WHERE prediction_id = $meanwhile AND actual_ms IS NULL"), '1', 'and is not the truth');
$node->safe_psql('postgres', 'SELECT pg_advisory_xact_lock(7)');
becomes('the next one is', "SELECT actual_ms < 1000 AND judged FROM pganalytics.predictions WHERE prediction_id = $meanwhile");

# --- one that takes long is the truth, also when a later one ends before it ---
$holder = $node->background_psql('postgres');
$runner = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT pg_advisory_xact_lock(8);');
my $overtaken = predict($waiter, 1);
$runner->query_until(qr/start/, "\\echo start\nSELECT pg_advisory_xact_lock(8);\n");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'") or die 'nobody waits';
my $before = value("SELECT count(*) FROM pganalytics.execution_samples WHERE queryid = $waiter");
$node->safe_psql('postgres', 'SELECT pg_advisory_xact_lock(9)');
becomes('the one that overtook it is stored', "SELECT count(*) > $before FROM pganalytics.execution_samples WHERE queryid = $waiter");
pgaml_visited_again($node, 'postgres') for 1 .. 2;
is(value("SELECT actual_ms IS NULL FROM pganalytics.predictions WHERE prediction_id = $overtaken"), 't', 'and is not taken');
$holder->query_safe('COMMIT');
$runner->quit;
$holder->quit;
becomes('the one that began first is the truth', "SELECT actual_ms = (SELECT max(execution_ms) FROM
	(SELECT execution_ms FROM pganalytics.execution_samples WHERE queryid = $waiter ORDER BY sampled_at DESC LIMIT 2) e)
	FROM pganalytics.predictions WHERE prediction_id = $overtaken");

# --- executions that fail are nobody's truth; what waited too long is given up ---
$node->safe_psql('postgres', "UPDATE pganalytics.predictions SET predicted_at = predicted_at - interval '8 days' WHERE prediction_id = $last");
my $again = predict($queryid, 1);
$node->safe_psql('postgres', $run);
becomes('a new prediction finds its truth', "SELECT actual_ms IS NOT NULL FROM pganalytics.predictions WHERE prediction_id = $again");
is(value("SELECT actual_ms IS NULL FROM pganalytics.predictions WHERE prediction_id = $last"), 't', 'one that waited for more than a week does not');

# --- no capture: the bucket after the prediction ---
pgaml_configure($node, 'pganalytics_ml.capture = off');
$node->poll_query_until('postgres', "SELECT current_setting('pganalytics_ml.capture') = 'off'");
pgaml_visited_again($node, 'postgres');
my $bucket = predict($queryid, 2);
ok($node->poll_query_until('postgres',
		"$run; SELECT actual_source = 'bucket' FROM pganalytics.predictions WHERE prediction_id = $bucket;", "0\nt"),
	'a bucket of history is the truth where nothing was captured');
is(value("SELECT p.actual_at >= p.predicted_at, abs(ln(p.actual_ms) - (ln(m) - ln(1 + c2) / 2)) < 1e-6
	FROM pganalytics.predictions p JOIN pganalytics.statement_history h ON h.queryid = p.queryid AND h.bucket_start = p.actual_at AND h.toplevel,
	     LATERAL (SELECT h.total_ms / h.calls AS m) m, LATERAL (SELECT greatest(h.sum_squares / h.calls / m ^ 2 - 1, 0) AS c2) c
	WHERE p.prediction_id = $bucket"), 't|t', 'its median, of a bucket that began after the prediction');
is(value("SELECT count(*) FROM pganalytics.statement_history h, pganalytics.predictions p, pganalytics.history_windows w
	WHERE p.prediction_id = $bucket AND h.queryid = p.queryid AND h.bucket_start >= p.predicted_at AND h.bucket_start < p.actual_at
	  AND w.reason NOT IN ('gap', 'restart')"), '0', 'the first one');
is(value("SELECT judged, count(*), count(within_interval) FROM recent_predictions(2) WHERE actual_source = 'bucket' GROUP BY judged ORDER BY judged"),
	"f|1|0\nt|1|0", 'judged once, and not against the interval');
is(value("SELECT predictions - intervals FROM prediction_accuracy()"), '1', 'nor counted for coverage');

# --- the clock was a year ahead, and was set back ---
$node->safe_psql('postgres', "UPDATE pganalytics.truth_state SET buckets_until = now() + interval '1 year'");
$bucket = predict($queryid, 1);
ok($node->poll_query_until('postgres',
		"$run; SELECT actual_source = 'bucket' FROM pganalytics.predictions WHERE prediction_id = $bucket;", "0\nt"),
	'buckets are witnesses before the clock gets there again');
is(value("SELECT buckets_until < now() FROM pganalytics.truth_state"), 't', 'and go on from where it is');

# --- bounded in age and rows ---
$node->safe_psql('postgres', "UPDATE pganalytics.predictions SET prediction_id = prediction_id - 91 * 86400000000::bigint, predicted_at = predicted_at - interval '91 days' WHERE prediction_id = $last;
	UPDATE pganalytics.predictions SET prediction_id = prediction_id - 91 * 86400000000::bigint WHERE prediction_id = $again;
	SET pganalytics_ml.clock_offset = 300; SELECT collect_statements();");
is(value("SELECT count(*), bool_and(predicted_at > now() - interval '1 day') FROM pganalytics.predictions WHERE prediction_id < $first - 86400000000"), '1|t',
	'a prediction of 91 days ago is deleted, a new one of a server that started then is not');
pgaml_configure($node, 'pganalytics_ml.predictions_max_rows = 1000');
predict($queryid, 1000) for 1 .. 2;
$node->safe_psql('postgres', "SELECT count(*) FROM maintain_models()");
my $newest = value('SELECT max(prediction_id) FROM pganalytics.predictions');
$node->safe_psql('postgres', 'ANALYZE pganalytics.predictions');
$node->poll_query_until('postgres', "SELECT pg_stat_get_live_tuples('pganalytics.predictions'::regclass) > 1000");
$node->safe_psql('postgres', 'SET pganalytics_ml.clock_offset = 900; SELECT collect_statements();');
is(value("SELECT count(*) <= 1000, max(prediction_id) = $newest FROM pganalytics.predictions"), 't|t', 'the oldest go when there are too many');
$node->stop;
is(pgaml_log_lines($node, qr{pganalytics_ml could not|PANIC|TRAP}), 0, 'no worker failed');
done_testing();
