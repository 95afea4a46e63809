# The admission guard: warns of what is predicted to take too long, or stops it,
# whichever way it is started; lets through on any doubt; and what it decided is
# kept and found to be right or a false alarm.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;
use PgamlTap;

my $node = capture_node('guard', 'pganalytics_ml.retrain_interval = 0', 'jit = off', 'max_parallel_workers_per_gather = 0',
	"pganalytics_ml.min_training_samples = 20", "pganalytics_ml.prediction_interval = 0.5");
my $major = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");

# What a statement takes does not show in its plan, so that it can change under the guard's eyes.
$node->safe_psql('postgres', q{
CREATE ROLE app LOGIN; CREATE ROLE other LOGIN;
CREATE TABLE g_size_now AS SELECT 160000 AS n;
CREATE TABLE g_t AS SELECT g AS a FROM generate_series(1, 5000) g;
CREATE INDEX ON g_t (a);
VACUUM ANALYZE g_t;
CREATE FUNCTION g_size() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT n FROM g_size_now';
GRANT SELECT ON g_t, g_size_now TO app, other;
CREATE FUNCTION g_loop(times int) RETURNS int LANGUAGE plpgsql AS
	$$BEGIN FOR i IN 1 .. times LOOP PERFORM count(*) FROM generate_series(1, g_size()) s; END LOOP; RETURN times; END$$;
CREATE FUNCTION g_catch() RETURNS text LANGUAGE plpgsql AS
	$$BEGIN PERFORM count(*) FROM generate_series(1, g_size()) s; RETURN 'ran'; EXCEPTION WHEN query_canceled THEN RETURN 'caught'; END$$;
});
my $slow = 'SELECT count(*) FROM generate_series(1, g_size()) s';
my $fast = 'SELECT a FROM g_t WHERE a = 7';
my $warning = qr/^(psql:\S+ )?WARNING:  statement is predicted to take longer than pganalytics_ml\.max_predicted_time$/m;
my $error = qr/ERROR:  (57014: )?canceling statement that is predicted to take longer than pganalytics_ml\.max_predicted_time/;

# Run statements with the guard in some mode; ($rc, $out, $err).
sub guarded
{
	my ($mode, $sql, %options) = @_;

	local $ENV{PGOPTIONS} = "-c pganalytics_ml.guard_mode=$mode -c pganalytics_ml.max_predicted_time=8";
	$options{on_error_stop} //= 0;
	return $node->psql('postgres', $sql, %options);
}

sub warnings_of
{
	my ($mode, $sql) = @_;
	my (undef, undef, $err) = guarded($mode, $sql);
	my $n = () = $err =~ /$warning/g;

	return $n;
}

sub status
{
	my ($what) = @_;

	return $node->safe_psql('postgres', "SELECT $what FROM guard_status()");
}

# -- before there is a model: nothing promises anything
my ($rc, $out, $err) = guarded('cancel', $slow);
is($out, '160000', 'no model: let through');
cmp_ok(status('open_no_prediction + open_not_calibrated'), '>', 0, 'and counted');
is(status('warned + cancelled'), '0', 'nothing else');

# -- a model; app runs the statements too, so it may know of them
$node->safe_psql('postgres', join('', map { "$slow;\n" . "$fast;\n" x 3 } 1 .. 60), extra_params => [ '-U', $_ ]) for 'postgres', 'app';
$node->safe_psql('postgres', 'SELECT g_loop(3)');
store($node);
like($node->safe_psql('postgres', 'SELECT message FROM train_performance_model(wait => true)'), qr/in production/, 'trained');

# -- warn
($rc, $out, $err) = guarded('warn', "$fast; $slow;");
is("$rc $out", "0 7\n160000", 'warn: statements run');
is(() = $err =~ /$warning/g, 1, 'one of them is warned of');
like($err, qr/DETAIL:  It is predicted to take [\d.]+ ms, between [\d.]+ and [\d.]+ ms in 90 % of the cases; the limit is 8 ms\.\nHINT:  EXPLAIN shows its plan\. A superuser lifts the limit/,
	'with prediction, limit and the way out');
my $err_of_warning = $err;
is(warnings_of('off', $slow), 0, 'off');
is(warnings_of('warn', "SET pganalytics_ml.max_predicted_time = 0; $slow"), 0, 'a limit of 0 is none');
is(warnings_of('warn', "SET pganalytics_ml.max_predicted_time = '1h'; $slow"), 0, 'a limit that is not reached');
is(warnings_of('warn', "$slow; SET pganalytics_ml.max_predicted_time = '1h'; $slow; SET pganalytics_ml.max_predicted_time = 1; $slow"), 2,
	'a changed limit counts at once');

# It is the lower bound that counts, of the 90 % interval and not of prediction_interval, which is narrower here.
my ($predicted, $lower) = $err_of_warning =~ /predicted to take ([\d.]+) ms, between ([\d.]+) and/;
is(warnings_of('warn', "SET pganalytics_ml.max_predicted_time = " . $lower * 0.98 . "; $slow"), 1, 'a limit just below the lower bound');
is(warnings_of('warn', "SET pganalytics_ml.max_predicted_time = " . $lower * 1.02 . "; $slow"), 0, 'a limit just above it');
cmp_ok($predicted, '>', $lower * 1.02, 'which is below what is predicted');

# -- cancel
($rc, $out, $err) = guarded('cancel', "\\set VERBOSITY verbose\n$slow");
like($err, $error, 'cancel');
like($err, qr/ERROR:  57014:/, 'with the code of a cancelled query');
is($out, '', 'it did not run');
is((guarded('cancel', $fast))[1], '7', 'the fast one does');
is((guarded('cancel', "BEGIN; SAVEPOINT s; $slow; ROLLBACK TO s; $fast; COMMIT; SELECT 'over'"))[1], "7\nover", 'a transaction goes on after a savepoint');

# -- ways to start a statement
my %ways = (
	'PREPARE' => "PREPARE p AS $slow; EXECUTE p;",
	'a cached plan' => "SET plan_cache_mode = force_generic_plan; SET pganalytics_ml.guard_mode = off; PREPARE p AS $slow; EXECUTE p; EXECUTE p; SET pganalytics_ml.guard_mode = cancel; EXECUTE p;",
	'EXPLAIN ANALYZE' => "EXPLAIN ANALYZE $slow;",
	'EXPLAIN ANALYZE EXECUTE' => "PREPARE p AS $slow; EXPLAIN ANALYZE EXECUTE p;",
	'a cursor' => "DO \$\$DECLARE c CURSOR FOR $slow; BEGIN OPEN c; END\$\$;",
	'COPY' => "COPY ($slow) TO STDOUT;",
	'a function' => 'SELECT g_loop(1);',
	'DO' => "DO \$\$BEGIN PERFORM g_loop(1); END\$\$;",
);
for my $way (sort keys %ways)
{
	($rc, $out, $err) = guarded('cancel', $ways{$way});
	like($err, $error, "cancelled: $way");
}
is((guarded('cancel', "EXPLAIN (COSTS off) $slow"))[1], "Aggregate\n  ->  Function Scan on generate_series s", 'EXPLAIN is not');
is((guarded('cancel', 'SELECT g_catch()'))[1], 'caught', 'a function may catch it');

for my $protocol ('simple', 'extended', 'prepared')
{
	my $script = $node->basedir . "/$protocol.sql";
	my @bench = ('pgbench', '-n', '-M', $protocol, '-f', $script, '-t', '3', '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres');

	append_to_file($script, "$slow;\n");
	local $ENV{PGOPTIONS} = '-c pganalytics_ml.guard_mode=warn -c pganalytics_ml.max_predicted_time=8';
	my ($stdout, $stderr) = run_command(\@bench);
	is(() = $stderr =~ /WARNING:  statement is predicted/g, 3, "$protocol protocol: warned each time");
	$ENV{PGOPTIONS} =~ s/warn/cancel/;
	($stdout, $stderr) = run_command(\@bench);
	like($stderr, $error, "$protocol protocol: cancelled");
}

# -- a function that starts many of them
my $before = status("warned || ' ' || repeated");
is(warnings_of('warn', 'SELECT g_loop(5)'), 1, 'one warning for a statement of the client');
my ($warned, $repeated) = split / /, $before;
is(status("warned || ' ' || repeated"), ($warned + 1) . ' ' . ($repeated + 4), 'the others are counted');

# -- foreign keys: their statements belong to one that was let in, and could end a COMMIT
$node->safe_psql('postgres', q{
CREATE TABLE g_one (id int PRIMARY KEY);
CREATE TABLE g_many (id int REFERENCES g_one ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO g_one VALUES (1), (2);
});
my $checked = status('checked');
is((guarded('cancel', 'INSERT INTO g_many VALUES (1), (2)'))[0], 0, 'two rows that refer to others');
is(status('checked'), $checked + 1, 'the statement is asked about, what the foreign key looks up is not');
is((guarded('cancel', 'DELETE FROM g_one'))[0], 0, 'rows that others refer to');
is(status('checked'), $checked + 2, 'nor what it cascades');

# -- set by role and database, not to be lifted
sub as_app
{
	my ($sql) = @_;

	return $node->psql('postgres', $sql, extra_params => [ '-U', 'app' ], on_error_stop => 0);
}
$node->safe_psql('postgres', "ALTER ROLE app SET pganalytics_ml.guard_mode = 'cancel'; ALTER ROLE app SET pganalytics_ml.max_predicted_time = '8ms'");
($rc, $out, $err) = as_app($slow);
like($err, $error, 'set for a role');
($rc, $out, $err) = as_app("SET pganalytics_ml.guard_mode = off; $slow");
like($err, qr/permission denied to set parameter "pganalytics_ml\.guard_mode"/, 'who cannot lift it');
like($err, $error, 'and is stopped');
($rc, $out, $err) = as_app("SET pganalytics_ml.max_predicted_time = 0; RESET ALL; SET pganalytics_ml.prediction_interval = 0.99; $slow");
like($err, qr/permission denied to set parameter "pganalytics_ml\.max_predicted_time"/, 'nor the limit');
like($err, $error, 'nor by another interval');
is($node->safe_psql('postgres', $slow), '160000', 'other roles are not stopped');
$node->safe_psql('postgres', "ALTER ROLE app RESET ALL; ALTER DATABASE postgres SET pganalytics_ml.guard_mode = 'cancel'; ALTER DATABASE postgres SET pganalytics_ml.max_predicted_time = 8");
($rc, $out, $err) = as_app($slow);
like($err, $error, 'set for a database');
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');

# -- capture off
is(warnings_of('warn', "SET pganalytics_ml.capture = off; $slow"), 1, 'the guard does not need capture');

# -- doubts
my $open = status('open_not_read');
is(warnings_of('warn', "SET pganalytics_ml.fault = 'predict_plan=error'; $slow"), 0, 'an error of ours: let through');
cmp_ok(status('open_not_read'), '>', $open, 'and counted');

my $holder = $node->background_psql('postgres');
for my $table ('query_performance_models', 'statement_recent', 'statement_users')
{
	$open = status('open_not_read');
	$holder->query_safe("BEGIN; LOCK TABLE pganalytics.$table IN ACCESS EXCLUSIVE MODE");
	is((guarded('cancel', "SET statement_timeout = '20s'; $slow"))[1], '160000', "$table is locked: let through at once");
	$holder->query_safe('ROLLBACK');
	cmp_ok(status('open_not_read'), '>', $open, 'and counted');
}
$holder->quit;
like((guarded('cancel', $slow))[2], $error, 'and stopped when the locks are gone');

$open = status('open_out_of_range');
is((guarded('cancel', "SET cpu_operator_cost = 1e6; $slow"))[1], '160000', 'far from what training saw: let through');
cmp_ok(status('open_out_of_range'), '>', $open, 'and counted');

my $force = 'SET max_parallel_workers_per_gather = 2; SET ' . ($major >= 16 ? 'debug_parallel_query' : 'force_parallel_mode') . ' = on';
$node->safe_psql('postgres', 'ALTER FUNCTION g_loop PARALLEL SAFE; ALTER FUNCTION g_size PARALLEL SAFE');
is((guarded('cancel', "$force; SELECT g_loop(1) FROM g_t WHERE a = 1"))[1], '1', 'parallel workers are not asked');
$node->safe_psql('postgres', 'ALTER FUNCTION g_loop PARALLEL RESTRICTED');
$open = status('open_parallel');
is((guarded('cancel', "$force; SELECT g_loop(1) FROM g_t WHERE a = 1"))[1], '1', 'within a parallel query: let through');
cmp_ok(status('open_parallel'), '>', $open, 'and counted');
$node->safe_psql('postgres', 'ALTER FUNCTION g_loop PARALLEL UNSAFE; ALTER FUNCTION g_size PARALLEL UNSAFE');

# -- decisions
$node->safe_psql('postgres', 'SELECT count(*) FROM maintain_models()');
is($node->safe_psql('postgres', "SELECT count(*) FILTER (WHERE mode = 'warn') > 5 AND count(*) FILTER (WHERE mode = 'cancel') > 15,
	bool_and(limit_ms > 0.9), bool_and(lower_ms > limit_ms AND lower_ms < predicted_ms AND predicted_ms < upper_ms) FROM guard_decisions(1000)"), 't|t|t', 'decisions are kept');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pganalytics.predictions WHERE guard IS NOT NULL'), status('warned + cancelled'), 'every one of them');
store($node);
$node->safe_psql('postgres', 'DELETE FROM pganalytics.predictions');

my $ask = 'SELECT mode, verdict, actual_source FROM guard_decisions()';
guarded('warn', $slow);
guarded('cancel', $slow);
store($node);
$node->safe_psql('postgres', 'SELECT count(*) FROM maintain_models()');
is($node->safe_psql('postgres', $ask), "cancel|right|comparable\nwarn|right|execution", 'both were right');
is($node->safe_psql('postgres', 'SELECT judged FROM pganalytics.predictions WHERE actual_ms IS NOT NULL'), 'f', 'and are no part of the accuracy');

# It became fast, and its plan does not tell.
$node->safe_psql('postgres', 'UPDATE g_size_now SET n = 10');
guarded('warn', $slow);
guarded('cancel', $slow);
$node->safe_psql('postgres', "$slow;\n" x 25);
store($node);
$node->safe_psql('postgres', 'SELECT count(*) FROM maintain_models()');
is($node->safe_psql('postgres', "$ask LIMIT 2"), "cancel|false alarm|comparable\nwarn|false alarm|execution", 'both are false alarms now');
is($node->safe_psql('postgres', 'SELECT actual_ms < limit_ms FROM guard_decisions(1)'), 't', 'with the time');
$node->safe_psql('postgres', 'UPDATE g_size_now SET n = 160000');
is($node->safe_psql('postgres', "$ask LIMIT 1", extra_params => [ '-U', 'postgres' ]) ne '', 1, 'a reader sees them');
like((as_app($ask))[2], qr/permission denied for function guard_decisions/, 'everybody does not');

# -- other models are activated meanwhile
$node->safe_psql('postgres', "SELECT train_performance_model('linear_regression', wait => true)");
my $script = $node->basedir . '/fast.sql';
append_to_file($script, "$fast;\n");
{
	local $ENV{PGOPTIONS} = '-c pganalytics_ml.guard_mode=cancel -c pganalytics_ml.max_predicted_time=8';
	my ($in, $stdout, $stderr) = ('', '', '');
	my $bench = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-f', $script, '-c', '2', '-t', '1000', '-h', $node->host, '-p', $node->port, '-U', 'postgres', 'postgres' ],
		'<', \$in, '>', \$stdout, '2>', \$stderr);
	$node->safe_psql('postgres', "SELECT activate_model($_)") for 1, 2, 1, 2, 1;
	$bench->finish;
	like($stdout, qr/number of transactions actually processed: 2000\/2000/, 'models change under a guarded load');
}

# -- a model that cannot be read
$node->safe_psql('postgres', q{UPDATE pganalytics.query_performance_models SET model = '\x00' WHERE stage = 'production'});
$open = status('open_no_prediction + open_not_calibrated + open_not_read');
is((guarded('cancel', $slow))[1], '160000', 'a damaged model: let through');
cmp_ok(status('open_no_prediction + open_not_calibrated + open_not_read'), '>', $open, 'and counted');

$node->safe_psql('postgres', 'DROP EXTENSION pganalytics_ml');
is((guarded('cancel', $slow))[1], '160000', 'without the extension: let through');

$node->stop;
done_testing();
