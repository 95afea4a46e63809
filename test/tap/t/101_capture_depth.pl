# Every execution that pg_stat_statements counts is captured once, with its
# toplevel, whatever runs it and whatever it tracks.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;

my $node = capture_node('depth');

$node->safe_psql('postgres', q{
CREATE TABLE w_t (a int PRIMARY KEY, b text, c numeric);
CREATE TABLE w_log (a int REFERENCES w_t DEFERRABLE INITIALLY DEFERRED, what text);
INSERT INTO w_t SELECT g, 'x' || g, g FROM generate_series(1, 500) g;
ANALYZE w_t;
CREATE FUNCTION w_plpgsql(n int) RETURNS bigint LANGUAGE plpgsql AS
$$DECLARE total bigint := 0; r record;
BEGIN
  FOR i IN 1 .. n LOOP PERFORM * FROM w_t WHERE a = i; END LOOP;
  FOR r IN SELECT a FROM w_t WHERE a < n LOOP total := total + r.a; END LOOP;
  EXECUTE 'SELECT count(*) FROM w_t WHERE a > $1' INTO total USING n;
  RETURN total;
END$$;
CREATE FUNCTION w_sql(n int) RETURNS bigint LANGUAGE sql VOLATILE AS
$$SELECT count(*) FROM w_t WHERE a < n; SELECT sum(a) FROM w_t WHERE a <= n$$;
CREATE FUNCTION w_inline(n int) RETURNS bigint LANGUAGE sql STABLE AS $$SELECT n::bigint + 1$$;
CREATE FUNCTION w_set(n int) RETURNS SETOF w_t LANGUAGE sql STABLE AS $$SELECT * FROM w_t WHERE a <= n$$;
CREATE FUNCTION w_folded(n int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
$$BEGIN RETURN (SELECT count(*) FROM w_t WHERE a <= n); END$$;
CREATE FUNCTION w_outer(n int) RETURNS bigint LANGUAGE plpgsql AS
$$BEGIN RETURN (SELECT w_plpgsql(n) + w_sql(n)); END$$;
CREATE FUNCTION w_caught(n int) RETURNS int LANGUAGE plpgsql AS
$$BEGIN
  BEGIN PERFORM 1 / (a - a) FROM w_t WHERE a = n; EXCEPTION WHEN division_by_zero THEN NULL; END;
  RETURN (SELECT a FROM w_t WHERE a = n);
END$$;
CREATE FUNCTION w_secdef() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$SELECT count(*) FROM w_log$$;
CREATE FUNCTION w_cursor() RETURNS refcursor LANGUAGE plpgsql AS
$$DECLARE c refcursor := 'w_c'; BEGIN OPEN c FOR SELECT a FROM w_t ORDER BY b; RETURN c; END$$;
CREATE FUNCTION w_trigger() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO w_log VALUES (NEW.a, 'row'); RETURN NEW; END$$;
CREATE TRIGGER w_after AFTER INSERT OR UPDATE ON w_t FOR EACH ROW EXECUTE FUNCTION w_trigger();
CREATE PROCEDURE w_proc(n int) LANGUAGE plpgsql AS
$$BEGIN
  FOR i IN 1 .. n LOOP INSERT INTO w_t VALUES (10000 + i, 'p', i); COMMIT; END LOOP;
  DELETE FROM w_log WHERE a > 10000;
  DELETE FROM w_t WHERE a > 10000;
END$$;
CREATE VIEW w_view AS SELECT a, b FROM w_t WHERE a < 100;
CREATE RULE w_rule AS ON DELETE TO w_view DO INSTEAD (UPDATE w_t SET c = 0 WHERE a = OLD.a; SELECT 1 AS w_ruled);
CREATE ROLE w_role;
GRANT SELECT ON w_t TO w_role;
});

my $workload = q{
SELECT b FROM w_t WHERE a = 5;
SELECT b FROM w_t WHERE a = 6 \; SELECT count(*) FROM w_view;
SELECT w_plpgsql(12);
SELECT w_sql(5), w_inline(3) FROM w_t WHERE a < 4;
SELECT count(*) FROM w_set(20);
SELECT w_folded(7);
SELECT w_outer(3);
SELECT w_caught(4);
SELECT w_secdef();
DO $$BEGIN FOR i IN 1 .. 9 LOOP PERFORM c FROM w_t WHERE a = i; END LOOP; END$$;
DO $$BEGIN EXECUTE 'SELECT max(a) FROM w_t'; PERFORM w_folded(3); END$$;
CALL w_proc(3);
PREPARE w_p(int) AS SELECT c FROM w_t WHERE a = $1;
EXECUTE w_p(1); EXECUTE w_p(2); EXECUTE w_p(3); EXECUTE w_p(4); EXECUTE w_p(5); EXECUTE w_p(6); EXECUTE w_p(7);
EXPLAIN SELECT a AS w_explained FROM w_t;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT a, c FROM w_t WHERE a = 8;
DEALLOCATE w_p;
BEGIN;
DECLARE w_c1 CURSOR FOR SELECT a, b FROM w_t ORDER BY a;
FETCH 5 FROM w_c1; FETCH 7 FROM w_c1; CLOSE w_c1;
DECLARE w_c2 CURSOR FOR SELECT a, b, c FROM w_t ORDER BY a DESC;
FETCH 2 FROM w_c2;
DECLARE w_c3 CURSOR WITH HOLD FOR SELECT b, a FROM w_t WHERE a < 50;
SELECT w_cursor();
FETCH 3 FROM w_c;
COMMIT;
FETCH 3 FROM w_c3; CLOSE w_c3;
BEGIN; DECLARE w_c4 CURSOR FOR SELECT b, c FROM w_t; FETCH 1 FROM w_c4; ROLLBACK;
CREATE TABLE w_made AS SELECT a, b FROM w_t WHERE a < 30;
SELECT a INTO w_made2 FROM w_t WHERE a < 31;
CREATE MATERIALIZED VIEW w_mat AS SELECT count(*) FROM w_t WHERE a < 40;
REFRESH MATERIALIZED VIEW w_mat;
CREATE TABLE w_made3 AS EXECUTE w_gone(1);
PREPARE w_gone AS SELECT a FROM w_t WHERE a < 3;
CREATE TABLE w_made4 AS EXECUTE w_gone;
DROP TABLE w_made, w_made2, w_made4; DROP MATERIALIZED VIEW w_mat;
COPY (SELECT a FROM w_t WHERE a < 5) TO STDOUT;
INSERT INTO w_t SELECT g, 'y', g FROM generate_series(1001, 1010) g;
UPDATE w_t SET c = c + 1 WHERE a BETWEEN 1001 AND 1003 RETURNING a;
DELETE FROM w_log; DELETE FROM w_t WHERE a > 1000;
WITH moved AS (UPDATE w_t SET c = 1 WHERE a = 1 RETURNING a) SELECT * FROM moved;
MERGE INTO w_t USING (VALUES (2, 'm')) AS v(a, b) ON w_t.a = v.a WHEN MATCHED THEN UPDATE SET b = v.b;
DELETE FROM w_view WHERE a = 9;
DELETE FROM w_log;
SAVEPOINT nowhere;
BEGIN; SAVEPOINT s; SELECT 1 / (a - 1) FROM w_t WHERE a = 1; ROLLBACK TO s; SELECT a FROM w_t WHERE a = 77; COMMIT;
SET ROLE w_role; SELECT max(c) FROM w_t; RESET ROLE;
BEGIN; INSERT INTO w_log VALUES (424242, 'no such w_t'); COMMIT;
SELECT a FROM w_t, w_view WHERE w_t.a = w_view.a;
SELECT FROM w_t LIMIT 0;
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT sum(c) FROM w_t;
};

my $utility = q{'^(CREATE|DO|CALL|EXPLAIN|COPY|FETCH|DECLARE|CLOSE|DROP|REFRESH|SELECT a INTO|PREPARE|DEALLOCATE|EXECUTE|BEGIN|SET|GRANT|ANALYZE)'};

# What pg_stat_statements counts and capture does not, or the other way round.
# A plain EXPLAIN does not execute, but pg_stat_statements counts it as a call
# of no rows when it tracks nested statements: that one is left out by name.
my $difference = qq{
WITH counted AS (
  SELECT queryid, toplevel, sum(calls) AS calls, sum(rows) AS rows, min(query) AS query FROM pg_stat_statements
  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query LIKE '%w\\_%' AND query NOT LIKE '%w_explained%' AND query !~ $utility AND query NOT LIKE '%pganalytics%'
  GROUP BY 1, 2),
captured AS (
  SELECT queryid, toplevel, count(*) AS samples, sum(rows) AS rows FROM pganalytics.execution_samples
  WHERE outcome = 'done' AND queryid IN (SELECT queryid FROM counted) GROUP BY 1, 2)
SELECT queryid, toplevel, c.calls, s.samples, c.rows, s.rows, left(c.query, 80)
FROM counted c FULL JOIN captured s USING (queryid, toplevel)
WHERE c.calls <> 0 AND (c.calls, c.rows) IS DISTINCT FROM (s.samples, s.rows)
ORDER BY 7};

for my $track (qw(all top none))
{
	for my $utility_on (qw(on off))
	{
		capture_set($node,
			'pg_stat_statements.track' => $track,
			'pg_stat_statements.track_utility' => $utility_on);
		forget_all($node);
		$node->psql('postgres', $workload, on_error_stop => 0);
		store($node);

		is(value_of($node, $difference), '', "same executions, track = $track, track_utility = $utility_on");
		my $samples = value_of($node, 'SELECT count(*) FROM pganalytics.execution_samples');

		cmp_ok($samples, '>', 40, "$samples samples with track = $track") if $track ne 'none';
		is($samples, 0, 'nothing is captured that is not counted') if $track eq 'none';
	}
}

capture_set($node, 'pg_stat_statements.track' => 'all', 'pg_stat_statements.track_utility' => 'on');
forget_all($node);
$node->psql('postgres', $workload, on_error_stop => 0);
store($node);
my %outcome = split /[|\n]/, value_of($node,
	"SELECT outcome, count(*) FROM pganalytics.execution_samples GROUP BY 1");
is($outcome{error}, 2, 'two executions failed, one of them caught by its caller');

my %counts = capture_counts($node);
is($counts{executions}, $counts{samples} + $counts{thinned} + $counts{dropped} + $counts{errors} + $counts{unfinished},
	'executions add up');
is($counts{errors}, 0, 'no internal errors');
is($counts{thinned}, 0, 'nothing is thinned with overhead_budget = 1');

$node->stop;
done_testing();
