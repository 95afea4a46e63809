# Errors of capture's own: no statement notices, they are counted, and when there are too many capture is switched off.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;
use PgamlTap;

my $node = capture_node('capture_off');

if ($node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'pganalytics_ml.fault'") eq '0')
{
	plan skip_all => 'built without fault points';
}
$node->safe_psql('postgres', q{
CREATE TABLE o_t (a int PRIMARY KEY);
INSERT INTO o_t SELECT generate_series(1, 100);
ANALYZE o_t;
CREATE FUNCTION o_nested(n int) RETURNS int LANGUAGE plpgsql AS
$$DECLARE r int := 0; BEGIN
  FOR i IN 1 .. n LOOP
    BEGIN SELECT a + r INTO r FROM o_t WHERE a = i; EXCEPTION WHEN OTHERS THEN r := -1000; END;
  END LOOP;
  RETURN r; END$$;
CREATE ROLE o_reader LOGIN IN ROLE pg_monitor;
CREATE ROLE o_changer LOGIN;
GRANT EXECUTE ON FUNCTION capture_reset() TO o_changer;
});

my $work = q{
SELECT count(*), sum(a) FROM o_t;
BEGIN; SAVEPOINT s; SELECT o_nested(2); ROLLBACK TO s; SELECT max(a) FROM o_t; COMMIT;
PREPARE p(int) AS SELECT a FROM o_t WHERE a = $1;
EXECUTE p(3);
SELECT 1 / (a - 1) FROM o_t WHERE a = 1;
SELECT 'still here';
};
# What PL/pgSQL evaluates is analyzed too: a function alone would be too much for this point.
my $little_work = q{
SELECT count(*), sum(a) FROM o_t;
PREPARE p(int) AS SELECT a FROM o_t WHERE a = $1;
EXECUTE p(3);
SELECT 1 / (a - 1) FROM o_t WHERE a = 1;
};

# -- each point fails alone, fewer than ten times, and nobody notices
for my $point (qw(capture-statement capture-follow capture-nodes capture-finish))
{
	my $sql = $point eq 'capture-statement' ? $little_work : $work;
	my ($expected_rc, $expected_out, $expected_err) = $node->psql('postgres', "\n$sql", on_error_stop => 0);
	my %before = capture_counts($node);
	my ($rc, $out, $err) = $node->psql('postgres', "SET pganalytics_ml.fault = '$point=error';\n$sql", on_error_stop => 0);
	my %after = capture_counts($node);
	my %grown = map { $_ => $after{$_} - $before{$_} } keys %after;

	is($out, $expected_out, "the same answers while $point fails");
	is($err =~ s/^psql:<stdin>:\d+: //mgr, $expected_err =~ s/^psql:<stdin>:\d+: //mgr, 'the same errors');
	is($grown{executions}, $grown{samples} + $grown{thinned} + $grown{dropped} + $grown{errors} + $grown{unfinished},
		'executions add up');
	if ($point eq 'capture-statement')
	{
		is($grown{errors}, 0, 'no execution is lost to what parse analysis tells');
	}
	else
	{
		cmp_ok($grown{errors}, '>', 0, "$grown{errors} executions are counted as lost");
	}
	is(value_of($node, 'SELECT last_error FROM service_status()'), qq{fault at "$point"}, 'the status names the error');
	is(value_of($node, 'SELECT capture_state FROM service_status()'), 'on', 'a few errors do not switch capture off');
	store($node);
}

# -- too many of them between two ticks
my $log = -s $node->logfile;
is($node->safe_psql('postgres', "SET pganalytics_ml.fault = 'capture-follow=error'; SELECT o_nested(30)"), '465',
	'a function that executes 30 statements while each fails to be captured');
is(value_of($node, 'SELECT capture_state FROM service_status()'), 'off after errors', 'capture is off');
is(pgaml_log_lines($node, 'has switched capture off after 10 errors', $log), 1, 'one line in the log');
is(pgaml_log_lines($node, 'HINT:.*capture_reset\(\)', $log), 1, 'with the hint');
is(value_of($node, "SELECT last_error || ' / ' || reason FROM service_status()"),
	'fault at "capture-follow" / capture failed too often; see last_error, then call capture_reset()', 'the status says why');
my %before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT o_nested(20)');
my %after = capture_counts($node);
is($after{executions}, $before{executions}, 'nothing is looked at while it is off');
store($node);
is(value_of($node, 'SELECT capture_state FROM service_status()'), 'off after errors', 'a tick does not turn it on');
store($node);
is(value_of($node, "SELECT string_agg(message, ' / ') FROM recent_events() WHERE kind = 'capture_off'"),
	'capture has switched itself off after errors, the last one: fault at "capture-follow"; capture_reset() turns it on again', 'one event tells of it');

# -- turning it on again
my ($reader_rc, undef, $reader_err) = $node->psql('postgres', 'SELECT capture_reset()', extra_params => [ '-U', 'o_reader' ]);
like($reader_err, qr/permission denied for function capture_reset/, 'who may only read may not turn it on');
is($node->safe_psql('postgres', 'SELECT capture_state FROM service_status()', extra_params => [ '-U', 'o_reader' ]),
	'off after errors', 'but sees it');
is($node->safe_psql('postgres', 'SELECT capture_reset()', extra_params => [ '-U', 'o_changer' ]), 't', 'who was granted it may');
is(value_of($node, "SELECT capture_state || coalesce(last_error, ' without error') FROM service_status()"), 'on without error',
	'it is on');
like(value_of($node, "SELECT message FROM recent_events() WHERE kind = 'capture_reset'"), qr/fault at "capture-follow"/,
	'an event tells of it');
is($node->safe_psql('postgres', 'SELECT capture_reset()'), 'f', 'there is nothing to do a second time');
is(value_of($node, "SELECT count(*) FROM recent_events() WHERE kind = 'capture_reset'"), 1, 'nor an event');
%before = capture_counts($node);
$node->safe_psql('postgres', 'SELECT o_nested(20)');
%after = capture_counts($node);
cmp_ok($after{samples} - $before{samples}, '>=', 20, 'executions are captured again');

# -- a statement in whose hook something failed can still be cancelled
my (undef, undef, $cancelled) = $node->psql('postgres',
	"SET pganalytics_ml.fault = 'capture-follow=error'; SET statement_timeout = '500ms'; SELECT count(*) FROM o_t a, o_t b, o_t c, o_t d, o_t e");
like($cancelled, qr/canceling statement due to statement timeout/, 'a cancel is still heard');

# -- the other states
is($node->safe_psql('postgres', "SET pganalytics_ml.capture = off; SELECT capture_state || ': ' || reason FROM service_status()"),
	'off: pganalytics_ml.capture is off', 'off by setting');
is($node->safe_psql('postgres', "SET pganalytics_ml.overhead_budget = 0; SELECT capture_state FROM service_status()"), 'off',
	'off without a budget');

# -- what the tables say
sub status
{
	my ($columns) = @_;

	return value_of($node, "SELECT $columns FROM service_status()");
}
store($node);
$node->safe_psql('postgres', "DELETE FROM pganalytics.history_windows; UPDATE pganalytics.installation SET installed_at = now() - interval '40 minutes'");
is(status('coverage_24h BETWEEN 0.9 AND 1'), 't', 'what was before the installation is not missing');
$node->safe_psql('postgres', q{
INSERT INTO pganalytics.history_windows (bucket_start, bucket_width, reason, coverage, uncertain_from, uncertain_to, entries, origin)
SELECT installed_at - interval '30 minutes', 3600, 'gap', 0.5, installed_at - interval '30 minutes', installed_at, 0, origin FROM pganalytics.installation});
is(status('coverage_24h BETWEEN 0.9 AND 1'), 't', 'nor is what the bucket of the installation lacks');
$node->safe_psql('postgres', q{UPDATE pganalytics.installation SET installed_at = now() - interval '9 days';
DELETE FROM pganalytics.history_windows;
INSERT INTO pganalytics.history_windows (bucket_start, bucket_width, reason, coverage, uncertain_from, uncertain_to, entries, origin)
SELECT now() - make_interval(hours => h), 3600, 'gap', 0.25, now(), now(), 0, origin FROM pganalytics.installation, unnest(ARRAY[5, 9, 50]) h});
is(status('abs(coverage_24h - (1 - 2 * 0.75 / 24)) < 0.005'), 't', 'three quarters of two hours are missing of the last 24');
is(status("concat_ws('|', production_model, production_model_age, jobs_pending, jobs_running)"), '0|0', 'no model, no jobs');
$node->safe_psql('postgres', q{
INSERT INTO pganalytics.training_jobs (status, requested_by, requested_at, not_before)
SELECT s, (SELECT oid FROM pg_roles WHERE rolname = current_user), now(), now() + interval '1 day' FROM unnest(ARRAY['pending', 'pending', 'failed', 'cancelled']) s});
is(status("concat_ws('|', jobs_pending, jobs_running)"), '2|0', 'jobs that wait');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11/, 'nothing odd in the log');
done_testing();
