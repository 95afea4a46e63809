# What was captured is stored once, whatever becomes of the transaction that stores it.

use strict;
use warnings;

use PgamlCapture;
use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = capture_node('bag', 'max_prepared_transactions = 2');
$node->safe_psql('postgres', 'CREATE TABLE t (i int)');
forget_all($node);

# Executions stored of the one statement that the test runs.
my $stored = "SELECT count(*) FROM pganalytics.execution_samples s JOIN pganalytics.statements t USING (queryid)
              WHERE t.query = 'SELECT count(*) FROM t'";

sub run_it
{
	my ($times) = @_;

	$node->safe_psql('postgres', 'SELECT count(*) FROM t;' x $times);
}

# --- rolled back ---
run_it(20);
$node->safe_psql('postgres', 'BEGIN; SELECT collect_statements(); ROLLBACK;');
is(value_of($node, $stored), '0', 'rolled back: nothing is stored');
my %counts = capture_counts($node);
cmp_ok($counts{ring_used}, '>=', 20, 'but everything is still in shared memory');
store($node);
is(value_of($node, $stored), '20', 'and stored by the next');

# --- rolled back to a savepoint: what the transaction took outside of it stays taken ---
run_it(10);
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT a; SELECT collect_statements(); ROLLBACK TO a;
	SAVEPOINT b; SELECT collect_statements(); RELEASE b; COMMIT;');
is(value_of($node, $stored), '30', 'a subtransaction gives back, its sibling stores');
run_it(10);
$node->safe_psql('postgres', 'BEGIN; SAVEPOINT a; SAVEPOINT b; SELECT collect_statements(); RELEASE b; ROLLBACK TO a; COMMIT;');
is(value_of($node, $stored), '30', 'released into one that is rolled back: given back');
store($node);
is(value_of($node, $stored), '40', 'and stored by the next');

# --- an error in the middle ---
run_it(15);
my ($ret, $out, $err) = $node->psql('postgres',
	"SET pganalytics_ml.fault = 'drain_batch=error'; SELECT collect_statements();");
like($err, qr/fault at "drain_batch"/, 'storing fails in the middle');
store($node);
is(value_of($node, $stored), '55', 'nothing is lost, nothing comes twice');
$node->safe_psql('postgres', q{SET pganalytics_ml.fault = 'drain_batch=error';
	DO $$ BEGIN PERFORM collect_statements(); EXCEPTION WHEN internal_error THEN NULL; END $$;
	SET pganalytics_ml.fault = ''; SELECT collect_statements();});
is(value_of($node, $stored), '55', 'caught in a block: the same');

# --- the backend ends inside the transaction ---
run_it(5);
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT collect_statements();');
my %during = capture_counts($node);
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'});
$session->{run}->finish;
store($node);
is(value_of($node, $stored), '60', 'the backend was terminated: nothing is lost');

# --- a prepared transaction could be forgotten for weeks ---
run_it(5);
($ret, $out, $err) = $node->psql('postgres', "BEGIN; SELECT collect_statements(); PREPARE TRANSACTION 'x';");
like($err, qr/cannot PREPARE a transaction that has stored captured executions/, 'PREPARE TRANSACTION is refused');
store($node);
is(value_of($node, $stored), '65', 'and loses nothing');

# --- the books balance ---
%counts = capture_counts($node);
is($counts{dropped}, '0', 'nothing was dropped');
cmp_ok($counts{ring_used}, '<', 20, 'and the slots are free again');
$node->stop;
done_testing();
