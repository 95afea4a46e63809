# What is kept of statements and plans: parameter types, search_path, plan ids
# and facts; no literal; and hostile statements answer as they do without us.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('facts', 'max_stack_depth = 2MB');
my $major = value_of($node, "SELECT current_setting('server_version_num')::int / 10000");

$node->safe_psql('postgres', q{
CREATE TABLE f_t (a int, b text, c numeric, d date, e bigint, v varchar(9), j jsonb, t timestamptz);
INSERT INTO f_t SELECT g, 'x' || g, g, '2026-01-01', g, 'v', '{}', now() FROM generate_series(1, 5000) g;
ANALYZE f_t;
CREATE FUNCTION f_plpgsql(p int) RETURNS bigint LANGUAGE plpgsql AS
$$BEGIN RETURN (SELECT count(*) FROM f_t f_in WHERE a > p AND b <> 'lit'); END$$;
});

# -- parameter types, in the order of $n of the normalized text
# statement => types; the normalized text must also prepare with them.
my @typed = (
	[ 'SELECT a AS f1 FROM f_t', '{}' ],
	[ 'SELECT a AS f2 FROM f_t WHERE a = 5', '{integer}' ],
	[ "SELECT a AS f3 FROM f_t WHERE b = 'x' AND c > 1.5 AND e < 5", '{text,numeric,integer}' ],
	[ "SELECT a AS f4, 'k', 3.5 FROM f_t WHERE d > '2026-01-01' LIMIT 3", '{text,numeric,date,integer}' ],
	[ "SELECT a AS f5 FROM f_t WHERE v LIKE 'v%' OR b IS NULL OFFSET 2", '{text,integer}' ],
	[ "SELECT a AS f6 FROM f_t WHERE j \@> '{}' AND t < now() - '1 day'::interval", '{jsonb,interval}' ],
	[ "SELECT a AS f7 FROM f_t WHERE a BETWEEN -1 AND +2 AND b = 'it''s' AND c = 1e3", '{integer,integer,text,numeric}' ],
	[ "INSERT INTO f_t (a, b, c) VALUES (7, 'f8', 7), (8, NULL, DEFAULT)", '{integer,text,integer,integer,text}' ],
	[ "UPDATE f_t SET b = 'f9', c = c + 1 WHERE a = 7", '{text,integer,integer}' ],
	[ 'WITH w AS (SELECT 1 AS x) SELECT x AS f10 FROM w, f_t WHERE a = x AND EXISTS (SELECT FROM f_t WHERE e = 2)', '{integer,integer}' ],
	[ "SELECT CASE a WHEN 1 THEN 'one' ELSE 'f11' END FROM f_t ORDER BY 1", '{integer,text,text}' ],
	[ "SELECT count(*) FILTER (WHERE a > 1) AS f12, sum(a) OVER (ORDER BY a ROWS 2 PRECEDING) FROM f_t GROUP BY a HAVING max(e) > 3", '{integer,integer,integer}' ],
	[ "SELECT a AS f13 FROM f_t TABLESAMPLE bernoulli (10) REPEATABLE (3)", '{integer,integer}' ],
	[ "SELECT a AS f14 FROM f_t UNION SELECT 4 UNION ALL SELECT 5", '{integer,integer}' ],
	[ "SELECT a AS f15, B'101', X'1F', E'\\\\n', \$q\$dollar\$q\$, true FROM f_t WHERE a < 2", '{bit,bit,text,text,boolean,integer}' ],
	[ "SELECT a AS f16 FROM f_t WHERE a = ANY ('{1,2}') AND (a, e) = (1, 2)", '{integer[],integer,integer}' ],
	[ "SELECT \$1::int AS f17, a FROM f_t WHERE b = \$2 AND a = 3 AND c = \$3", '{integer,text,numeric,integer}', 'prepared' ],
	[ "SELECT a AS f18 FROM f_t WHERE a = \$2 AND b = 'z' AND e = \$1", '{bigint,integer,text}', 'prepared' ],
	[ "SELECT a AS f19 FROM f_t WHERE a IN (1, 2, 3) AND b = 'q'", $major >= 18 ? '{integer,text}' : '{integer,integer,integer,text}' ],
	[ "SELECT a AS f20 FROM f_t WHERE a IN (\$1, 5) AND b = \$2 AND e = 6", $major >= 18 ? '{integer,text,integer}' : '{integer,text,integer,integer}', 'prepared' ],
	[ "SELECT ARRAY[1, 2] AS f21, a FROM f_t WHERE c = 3.0", $major >= 18 ? '{integer,numeric}' : '{integer,integer,numeric}' ],
	[ "SELECT a AS f22 FROM f_t WHERE v IN ('a', 'b') AND d = '2026-02-02'", $major >= 18 ? '{"character varying",date}' : '{"character varying","character varying",date}' ],
);

# Facts of what one session ran, and of nothing else.
my %control = ();

sub facts_of
{
	my ($sql, $what) = @_;

	store($node);
	$node->safe_psql('postgres', 'DELETE FROM pganalytics.statement_users');
	$node->psql('postgres', $sql) if $sql ne '';
	store($node);
	my @rows = grep { !$control{ (split /\|/)[0] } } split /\n/,
	  value_of($node, "SELECT queryid, $what FROM pganalytics.statement_users u WHERE search_path_hash <> 0 ORDER BY last_seen, queryid");

	s/^[^|]*\|// for @rows;
	return @rows;
}
$control{$_} = 1 for facts_of('', '0'), split /\n/,
  value_of($node, 'SELECT queryid FROM pganalytics.statement_users');

for my $case (@typed)
{
	my ($sql, $types, $prepared) = @$case;
	my ($row) = facts_of($prepared ? "PREPARE p AS $sql" : $sql,
		'parameter_types::regtype[], (SELECT min(query) FROM pg_stat_statements s WHERE s.queryid = u.queryid)');
	my ($found, $query) = split /\|/, $row // '', 2;

	is($found, $types, "types: $sql");
	next if !defined $query || $query eq '' || $types eq '{}';
	(my $list = $types) =~ tr/{}"/() /;
	$query =~ s/^PREPARE \w+ AS //;
	is($node->safe_psql('postgres', "PREPARE p $list AS $query;\nSELECT parameter_types FROM pg_prepared_statements"),
		$types, "and the normalized text prepares with them");
}

my ($many) = facts_of('SELECT a FROM f_t WHERE ' . join(' OR ', map { "a = $_" } 1 .. 60), 'parameter_types IS NULL');
is($many, 't', 'more parameters than a record holds are not known');

# -- search_path
$node->safe_psql('postgres', q{
CREATE SCHEMA sa; CREATE TABLE sa.same AS SELECT 1 AS x;
CREATE SCHEMA sb; CREATE TABLE sb.same AS SELECT 1 AS x;
});
my @paths = facts_of(q{SET search_path = sa; SELECT x FROM same; SET search_path = sb, public; SELECT x FROM same;
	SET search_path = ''; SELECT x FROM sb.same}, 'search_path, relations::regclass[], search_path_hash <> 0');
is_deeply(\@paths, [ 'sa|{sa.same}|t', 'sb, public|{sb.same}|t', '""|{sb.same}|t' ],
	'a statement is known per search_path, with the relations it meant there');
my $long = join(', ', map { "a_schema_with_quite_a_long_name_$_" } 1 .. 12);
is_deeply([ facts_of("SET search_path = $long; SELECT 1 AS long_path", 'search_path IS NULL, search_path_hash <> 0') ],
	['t|t'], 'a search_path that does not fit is not cut in the middle');

# -- plan id and facts; plan_facts[n + 1] is PgamlPlanFact n
sub plan_of
{
	my ($sql, $what) = @_;
	my ($row) = facts_of($sql, $what);

	return $row;
}
my $ask = 'SELECT b AS planned FROM f_t WHERE a = 17';
my $first = plan_of($ask, 'plan_id');
is(plan_of($ask, 'plan_id'), $first, 'the same plan has the same id in another session');
is(plan_of('SELECT b AS planned FROM f_t WHERE a = 1234', 'plan_id'), $first, 'and with another constant');
$node->safe_psql('postgres', 'INSERT INTO f_t SELECT * FROM f_t LIMIT 500; ANALYZE f_t');
is(plan_of($ask, 'plan_id'), $first, 'and with other costs');
is(plan_of($ask, "plan_facts[10] || ' ' || plan_facts[11]"), '1 0', 'one sequential scan, no index scan');
$node->safe_psql('postgres', 'CREATE INDEX f_a ON f_t (a); ANALYZE f_t');
my $indexed = "SET enable_bitmapscan = off; $ask";
isnt(plan_of($indexed, 'plan_id'), $first, 'an index makes it another plan');
is(plan_of($indexed, "plan_facts[10] || ' ' || plan_facts[11] || ' ' || relations::regclass[]::text"),
	'0 1 {f_t}', 'one index scan, no sequential scan');
my ($total) = value_of($node, "SET enable_bitmapscan = off; EXPLAIN (FORMAT JSON) $ask") =~ /"Total Cost": ([\d.]+)/;
is(plan_of($indexed, "round((exp(plan_facts[1]) - 1)::numeric, 1) = round($total, 1)"), 't',
	'the cost is that of EXPLAIN');

forget_all($node);
$node->safe_psql('postgres', "$ask; $ask; SET enable_indexscan = off; SET enable_bitmapscan = off; $ask; RESET ALL; $ask");
store($node);
is(value_of($node, "SELECT count(DISTINCT plan_id) || ' ' || count(DISTINCT plan_facts) FROM pganalytics.execution_samples
	WHERE queryid = (SELECT queryid FROM pg_stat_statements WHERE query LIKE 'SELECT b AS planned%')"), '2 2',
	'samples carry the id and the facts of their own plan');

is(plan_of(q{SELECT count(*) FROM f_t x JOIN f_t y USING (a) WHERE x.e > (SELECT avg(e) FROM f_t z WHERE z.a < x.a) LIMIT 5},
	q{format('%s subplan %s deep, costly %s, %s scans, %s joins, %s limits', plan_facts[24], plan_facts[25], plan_facts[31] > 5,
	  plan_facts[9], plan_facts[15] + plan_facts[16] + plan_facts[17], plan_facts[23])}),
	'1 subplan 1 deep, costly t, 3 scans, 1 joins, 1 limits', 'the shape of a plan with a correlated subplan');
is(plan_of("SET work_mem = '64kB'; SELECT * FROM f_t ORDER BY c", 'plan_facts[18] = 1 AND plan_facts[28] > 5'), 't', 'a sort that spills');
is(plan_of('SELECT * FROM f_t ORDER BY c LIMIT 3', 'plan_facts[18] = 1 AND plan_facts[28] = 0'), 't', 'a sort of a few rows does not');
is(plan_of('UPDATE f_t SET b = b WHERE a = 1', 'plan_facts[26]'), '1', 'a change of data');
is(plan_of('UPDATE f_t SET c = c', 'plan_facts[37] = ln(1 + (SELECT reltuples FROM pg_class WHERE relname = $$f_t$$))::real'), 't',
	'as many rows changed as there are');
is(plan_of('SELECT * FROM f_t LIMIT 1', 'plan_facts[33] > plan_facts[1] + 2 AND plan_facts[34] > 5'), 't',
	'the cost of what a limit stops early');
is(plan_of('SELECT count(*) FROM (SELECT DISTINCT c FROM f_t ORDER BY c) s', 'plan_facts[35] > 2 AND plan_facts[36] > 5'), 't',
	'rows that are sorted and grouped');
is(plan_of('SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off; '
	. 'SELECT count(x.c + y.c) FROM f_t x JOIN f_t y ON y.a = x.a + 1', 'plan_facts[34] >= plan_facts[30] AND plan_facts[30] > 5'), 't',
	'rows of an inner side count as often as it is executed');

# -- wide joins
my $wide = 'SELECT count(*) FROM f_t j1' . join('', map { " JOIN f_t j$_ ON j$_.a = j1.a AND j$_.a = 4000" } 2 .. 100);
is(plan_of("SET join_collapse_limit = 1; SET from_collapse_limit = 1; $wide", 'plan_facts[9], cardinality(relations), plan_facts[7] >= 199'),
	'100|1|t', 'a join of 100 tables is walked');
$node->safe_psql('postgres', join(';', map { "CREATE TABLE m_$_ (a int)" } 1 .. 40));
is(plan_of('SELECT FROM ' . join(', ', map { "m_$_" } 1 .. 40) . ' LIMIT 1', "cardinality(relations) || ' ' || plan_facts[9]"),
	'24 40', 'more relations than a record holds are cut');

# -- no literal is stored
my $secret = 'zq7literal';
$node->psql('postgres', qq{
SELECT * FROM f_t WHERE b = '$secret' OR v LIKE '%$secret%';
INSERT INTO f_t (b) VALUES ('$secret');
DO \$\$BEGIN PERFORM * FROM f_t WHERE b = '$secret'; EXECUTE 'SELECT ''$secret'''; END\$\$;
PREPARE s AS SELECT '$secret'::text; EXECUTE s;
EXPLAIN SELECT '$secret';
CREATE TABLE lit AS SELECT '$secret' AS x;
COPY (SELECT '$secret') TO STDOUT;
DECLARE c CURSOR WITH HOLD FOR SELECT '$secret';
SELECT 1 / (length('$secret') - 10);
}, on_error_stop => 0);
store($node);
cmp_ok(value_of($node, "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%f_t WHERE b = %'"), '>', 0, 'they were seen');
is_deeply([ secret_places($node, $secret) ], [], 'no literal in any table of the extension');

# -- odd statements answer as they do without capture
my $odd = q{
SELECT; SELECT WHERE false; VALUES (1), (2) ORDER BY 1 DESC; TABLE m_1;
SELECT * FROM (SELECT NULL) x; SELECT ARRAY[[1,2],[3,4]] = '{{1,2},{3,4}}'; SELECT ROW(1, ROW(2, 'x'));
SELECT (SELECT (SELECT (SELECT (SELECT count(*) FROM m_1 a WHERE a.a = b.a) FROM m_2 b LIMIT 1)));
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 2000) SELECT sum(n) FROM r;
SELECT } . ('(' x 200) . '1' . (')' x 200) . q{;
SELECT } . join(' + ', (1) x 1500) . q{;
SELECT a FROM f_t WHERE a IN (} . join(',', 1 .. 3000) . q{) ORDER BY a LIMIT 1;
SELECT count(*) FROM generate_series(1, 10) WITH ORDINALITY AS g(a, b), LATERAL (SELECT g.a * 2) l(x) WHERE x > 4;
SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS f(a, b);
SELECT grouping(a), count(*) FROM m_1 GROUP BY GROUPING SETS ((a), ());
SELECT 'unterminated;
';
SELECT 1/0; SELECT no_such_column FROM f_t; SELCT 1;
BEGIN; SELECT 1/0; SELECT 1; COMMIT; SELECT 2;
SELECT a FROM f_t WHERE CURRENT OF nothing;
SELECT set_config('search_path', 'sa', false); SELECT x FROM same; SET search_path TO DEFAULT;
SET pg_stat_statements.track = 'none'; SELECT 3; RESET ALL; SELECT 4;
SET compute_query_id = off; SELECT 5; RESET ALL;
DISCARD ALL; SELECT 6;
BEGIN; CREATE TEMP TABLE tt ON COMMIT DROP AS SELECT 1; COMMIT; SELECT count(*) FROM pg_class WHERE relname = 'tt';
CREATE FUNCTION f_deep(n int) RETURNS int LANGUAGE plpgsql AS
$$DECLARE r int; BEGIN IF n = 0 THEN RETURN 0; END IF; SELECT 1 + f_deep(n - 1) INTO r FROM m_1 RIGHT JOIN (VALUES (1)) v ON true; RETURN r; END$$;
SELECT f_deep(30); SELECT f_deep(100000); SELECT f_deep(3);
DROP FUNCTION f_deep;
};
my @answers;
for my $capture (qw(off on))
{
	capture_set($node, 'pganalytics_ml.capture' => $capture);
	my ($rc, $out, $err) = $node->psql('postgres', $odd, on_error_stop => 0);

	# How often the context of the deep error repeats depends on the size of stack frames.
	$err =~ s/^(CONTEXT:|PL\/pgSQL function|SQL statement).*\n//mg;
	push @answers, "$rc\n$out\n$err";
}
is($answers[1], $answers[0], 'the same answers and errors with capture as without');
like($answers[1], qr/stack depth limit exceeded/, 'the stack limit was met');
my %counts = capture_counts($node);
is($counts{errors}, 0, 'no internal error');
store($node);

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11/, 'nothing odd in the log');
done_testing();
