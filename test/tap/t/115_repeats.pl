# Repeated statements: loops over a list are seen as such, exactly, whatever
# protocol, transaction or thinning; a statement that is called often is not.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('repeats');

$node->safe_psql('postgres', q{
CREATE TABLE r_list (id int PRIMARY KEY, kind int, other int);
CREATE TABLE r_item (id int PRIMARY KEY, note text);
INSERT INTO r_list SELECT g, g % 3, g FROM generate_series(1, 100) g;
INSERT INTO r_item SELECT g, 'note ' || g FROM generate_series(1, 100) g;
CREATE FUNCTION r_loop(n int) RETURNS int LANGUAGE plpgsql AS
$$DECLARE r record; total int := 0;
BEGIN
  FOR r IN SELECT other FROM r_list WHERE id <= n LOOP
    PERFORM note FROM r_item WHERE id = r.other;
    total := total + 1;
  END LOOP;
  RETURN total;
END$$;
CREATE FUNCTION r_each(i int) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT max(note) FROM r_item WHERE id = i); END$$;
CREATE ROLE r_role;
GRANT SELECT ON r_list, r_item TO r_role;
ANALYZE r_list, r_item});

my $item = 'SELECT note FROM r_item WHERE id = $1';
my $list = 'SELECT id FROM r_list WHERE id <= $1';

# What is stored, one line for each kind, without times; texts by the beginning of the table's name.
my $stored = q{
SELECT coalesce(s.query, r.queryid::text), coalesce(p.query, '-'), r.kind, r.toplevel, sum(r.runs), sum(r.executions), max(r.longest),
       sum(r.previous_rows), sum(r.matched_runs)
  FROM pganalytics.statement_repeats r LEFT JOIN pganalytics.statements s USING (queryid)
  LEFT JOIN pganalytics.statements p ON p.queryid = r.previous_queryid
 WHERE s.query LIKE '%r\_%' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4};

sub fresh
{
	store($node);
	$node->safe_psql('postgres', 'DELETE FROM pganalytics.statement_repeats');
}

# Run SQL in a session of its own, which ends; what is stored then.
sub repeats_after
{
	my ($sql) = @_;

	fresh();
	$node->psql('postgres', $sql, on_error_stop => 0);
	store($node);
	return value_of($node, $stored);
}

sub lookups
{
	my ($from, $to, $sql) = @_;

	$sql //= 'SELECT note FROM r_item WHERE id = %d';
	return join('', map { sprintf("$sql;\n", $_) } $from .. $to);
}

my $loop = 'SELECT id FROM r_list WHERE id <= 20;' . lookups(1, 20);
my $found = "$item|$list|%s|t|1|20|20|20|1";

# ---- one transaction, single statements, and what poolers and ORMs make of them ----

is(repeats_after("BEGIN; $loop COMMIT;"), sprintf($found, 'transaction'), 'a loop in a transaction');
is(repeats_after("BEGIN; $loop ROLLBACK;"), sprintf($found, 'transaction'), 'one that is rolled back');
is(repeats_after($loop), sprintf($found, 'burst'), 'a loop of single statements');
(my $wrapped = $loop) =~ s/;\n?/; COMMIT; BEGIN; /g;
is(repeats_after("BEGIN; $wrapped COMMIT;"), sprintf($found, 'burst'), 'each statement in a transaction of its own');
(my $discarded = $loop) =~ s/;\n?/;\nDISCARD ALL;\n/g;
is(repeats_after($discarded), sprintf($found, 'burst'), 'DISCARD ALL after each statement');
(my $pinged = $loop) =~ s/(SELECT note)/SELECT 1 AS r_ping; $1/g;
like(repeats_after($pinged), qr/^\Q$item|$list\E\|burst\|t\|1\|20\|20\|20\|1$/m, 'a ping before each');
is(repeats_after("BEGIN; SAVEPOINT a; $loop ROLLBACK TO a; SELECT 1 / 0; ROLLBACK"), sprintf($found, 'transaction'),
	'a subtransaction that is rolled back');
is(repeats_after('BEGIN; SELECT id FROM r_list WHERE id <= 20;'
		. join('', map { "SAVEPOINT s; SELECT note FROM r_item WHERE id = $_; ROLLBACK TO s;" } 1 .. 20) . 'COMMIT'),
	sprintf($found, 'transaction'), 'a savepoint around each');

# ---- several lookups per row, loops in loops ----

my $two = 'SELECT id FROM r_list WHERE id <= 12;'
  . join('', map { "SELECT note FROM r_item WHERE id = $_; SELECT count(*) AS r_count FROM r_list WHERE kind = $_;" } 1 .. 12);
is(repeats_after("BEGIN; $two COMMIT"),
	"SELECT count(*) AS r_count FROM r_list WHERE kind = \$1|$list|transaction|t|1|12|12|12|1\n"
	  . "$item|$list|transaction|t|1|12|12|12|1",
	'two lookups per row');
is(repeats_after('BEGIN; SELECT kind AS r_kind FROM r_list WHERE id < 7;'
		. join('', map { "SELECT id FROM r_list WHERE id <= 10;" . lookups(1, 10) } 1 .. 6) . 'COMMIT'),
	"$list|SELECT kind AS r_kind FROM r_list WHERE id < \$1|transaction|t|1|6|6|6|1\n"
	  . "$item|$list|transaction|t|6|60|10|60|6",
	'a loop in a loop: each turn is a run');
is(repeats_after('BEGIN; INSERT INTO r_list VALUES (1000, 0, 0);' . lookups(1, 30, "INSERT INTO r_item VALUES (1000 + %d, '')") . 'ROLLBACK'),
	'INSERT INTO r_item VALUES ($1 + $2, $3)|INSERT INTO r_list VALUES ($1, $2, $3)|transaction|t|1|30|30|1|0',
	'rows that are written one by one are repeated, but go through no list');
# Before 18 the query of a client's cursor has no identifier: the loop is seen, its list is not.
like(repeats_after("BEGIN; DECLARE r_c CURSOR FOR SELECT id AS r_open FROM r_list WHERE id <= 20; FETCH 10 FROM r_c;"
		. lookups(1, 10) . 'FETCH 10 FROM r_c;' . lookups(11, 20) . 'CLOSE r_c; COMMIT'),
	qr/^\Q$item\E\|(-\|transaction\|t\|1\|20\|20\|0\|0|[^|]*r_open[^|]*\|transaction\|t\|1\|20\|20\|20\|1)$/, 'a list that is a cursor, open during the loop');

# ---- functions ----

is(repeats_after('SELECT r_loop(30)'),
	'SELECT note FROM r_item WHERE id = r.other|SELECT other FROM r_list WHERE id <= n|transaction|f|1|30|30|30|1',
	'a loop in a function is one inside a function');
is(repeats_after('SELECT r_each(id) FROM r_list WHERE id <= 15'),
	'(SELECT max(note) FROM r_item WHERE id = i)|SELECT r_each(id) FROM r_list WHERE id <= $1|transaction|f|1|15|15|15|1',
	'a function per row of a statement');
is(repeats_after('DO $$BEGIN FOR i IN 1 .. 9 LOOP PERFORM note AS r_done FROM r_item WHERE id = i; END LOOP; END$$'),
	'SELECT note AS r_done FROM r_item WHERE id = i|-|transaction|f|1|9|9|0|0', 'a loop in DO');

is(repeats_after('BEGIN;' . 'SELECT count(*) AS r_par FROM r_list WHERE r_each(id) IS NOT NULL;' x 6 . 'COMMIT'),
	"(SELECT max(note) FROM r_item WHERE id = i)|SELECT count(*) AS r_par FROM r_list WHERE r_each(id) IS NOT NULL|transaction|f|6|600|100|6|0\n"
	. 'SELECT count(*) AS r_par FROM r_list WHERE r_each(id) IS NOT NULL|-|transaction|t|1|6|6|0|0', 'each call of a function in a loop is a turn');

# ---- no run ----

is(repeats_after('BEGIN; SELECT id FROM r_list WHERE id <= 4;' . lookups(1, 4) . 'COMMIT'), '', 'four are no run');
is(repeats_after(lookups(1, 100)), '', 'a statement that a client calls often is no run');
is(repeats_after(join('', map { "BEGIN; SELECT id FROM r_list WHERE id <= 1;" . lookups($_, $_) . 'COMMIT;' } 1 .. 50)), '',
	'nor are transactions that come often');
is(repeats_after("BEGIN; $loop"), sprintf($found, 'transaction'), 'a session that ends inside its transaction');

# ---- who, as what ----

fresh();
$node->safe_psql('postgres', "SET application_name = 'first app'; BEGIN; $loop COMMIT; SET application_name = 'second'; BEGIN; $loop $loop COMMIT;
	SET ROLE r_role; BEGIN; $loop COMMIT");
store($node);
is(value_of($node, 'SELECT application_name, userid::regrole, sum(runs), sum(executions) FROM pganalytics.statement_repeats GROUP BY 1, 2 ORDER BY 1, 2'),
	"first app|postgres|1|20\nsecond|postgres|2|40\nsecond|r_role|1|20", 'by application and user');
is(value_of($node, "SELECT pattern, in_function, kind, username, runs, executions, mean_length, longest, mean_previous_rows, matched_share,
		query = '$item' AND previous_query = '$list' AND total_ms > 0 AND share_of_statement > 0 AND share_of_time > 0
		AND share_of_time <= 1 AND last_seen >= first_seen FROM repeated_statements() WHERE application_name = 'first app'"),
	'n_plus_one|f|transaction|postgres|1|20|20|20|20|1|t', 'the reader');
is(value_of($node, 'SELECT count(*) FROM repeated_statements(2)'), 1, 'those with two runs');
is(value_of($node, 'SELECT count(*) FROM repeated_statements(1, 2)'), 2, 'the first two');
is(value_of($node, 'SELECT sum(r.total_ms) <= sum(s.execution_ms) + 0.001 FROM pganalytics.statement_repeats r,
	LATERAL (SELECT sum(execution_ms) AS execution_ms FROM pganalytics.execution_samples e WHERE e.queryid = r.queryid AND e.userid = r.userid) s'),
	't', 'time of runs is time of executions');

# ---- protocols, and exactness while capture thins ----

capture_set($node, 'pganalytics_ml.overhead_budget' => '0', 'pganalytics_ml.capture_rate' => '0');
append_to_file($node->basedir . '/loop.sql', join('', 'BEGIN;', "\nSELECT id FROM r_list WHERE id <= 8;\n",
		map({ "\\set i $_\nSELECT note FROM r_item WHERE id = :i;\n" } 1 .. 8), "COMMIT;\n"));
append_to_file($node->basedir . '/single.sql', "\\set i random(1, 100)\nSELECT note FROM r_item WHERE id = :i;\n");
for my $protocol (qw(simple extended prepared))
{
	fresh();
	my $thinned = { capture_counts($node) }->{thinned};

	$node->command_ok([ 'pgbench', '-n', '-c', 2, '-t', 100, '-M', $protocol, '-f', $node->basedir . '/loop.sql', 'postgres' ], "pgbench, $protocol");
	store($node);
	is(value_of($node, "SELECT kind, sum(runs), sum(executions), max(longest), sum(previous_rows), sum(matched_runs)
		FROM pganalytics.statement_repeats WHERE queryid IN (SELECT queryid FROM pganalytics.statements WHERE query = '$item') GROUP BY 1"),
		'transaction|200|1600|8|1600|200', "every execution of every run, $protocol protocol, none of them sampled");
	cmp_ok({ capture_counts($node) }->{thinned} - $thinned, '>=', 1800, 'they were thinned');
	$node->command_ok([ 'pgbench', '-n', '-c', 2, '-t', 500, '-M', $protocol, '-f', $node->basedir . '/single.sql', 'postgres' ], "pgbench, single, $protocol");
	store($node);
	is(value_of($node, "SELECT sum(executions) FROM pganalytics.statement_repeats WHERE queryid IN (SELECT queryid FROM pganalytics.statements WHERE query = '$item')"), 1600,
		'called often is not repeated');
}
cmp_ok(value_of($node, 'SELECT unexplained FROM pganalytics.repeats_state()'), '>=', 6, 'such runs without a list are counted');
is(value_of($node, 'SELECT dropped FROM pganalytics.repeats_state()'), 0, 'nothing was dropped');

# ---- off, a transaction that fails to store them, retention ----

is(repeats_after("SET pganalytics_ml.capture = off; BEGIN; $loop COMMIT"), '', 'capture = off');
$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
fresh();
$node->safe_psql('elsewhere', 'BEGIN;' . 'SELECT 1;' x 10 . 'COMMIT');
store($node);
is(value_of($node, 'SELECT count(*) FROM pganalytics.statement_repeats'), 0, 'a database without the extension');

fresh();
$node->safe_psql('postgres', "BEGIN; $loop COMMIT");
my ($status, undef, $stderr) = $node->psql('postgres', "SET pganalytics_ml.fault = 'repeats_stored=error'; SELECT collect_statements()");
isnt($status, 0, 'storing fails');
is(value_of($node, 'SELECT count(*) FROM pganalytics.statement_repeats'), 0, 'nothing is stored');
store($node);
is(value_of($node, $stored), sprintf($found, 'transaction'), 'what failed to be stored comes the next time, once');
store($node);
is(value_of($node, $stored), sprintf($found, 'transaction'), 'and not again');

$node->safe_psql('postgres', 'UPDATE pganalytics.collector_state SET last_retention = NULL');
$node->safe_psql('postgres', "UPDATE pganalytics.statement_repeats SET last_seen = now() - interval '31 days'");
$node->restart;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pganalytics.statement_repeats'), 'they age as samples do');

my %counts = capture_counts($node);
is($counts{errors}, 0, 'no internal errors');
$node->stop;
done_testing();
