# Every kind of statement against what pg_stat_statements and EXPLAIN say of
# it: calls, rows, time, blocks, WAL, planning; what failed is kept apart, and
# no literal is kept of anything.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlCapture;
use PgamlProtocol;

my $node = capture_node('kinds', 'pganalytics_ml.capture_node_rate = 0.5', 'track_io_timing = on', 'jit = off');

$node->safe_psql('postgres', q{
CREATE TABLE k_t (a int PRIMARY KEY, b int, c text);
INSERT INTO k_t SELECT g, g % 100, repeat('x', 40) FROM generate_series(1, 20000) g;
CREATE TABLE k_child (a int REFERENCES k_t ON DELETE CASCADE, n int);
CREATE INDEX ON k_child (a);
INSERT INTO k_child SELECT g, g FROM generate_series(1, 2000) g;
CREATE TABLE k_late (a int PRIMARY KEY, b int, CONSTRAINT k_deferred FOREIGN KEY (b) REFERENCES k_t DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE k_log (what text, n int);
CREATE TABLE k_copied (a int, b int);
CREATE MATERIALIZED VIEW k_mat AS SELECT b, count(*) AS n FROM k_t GROUP BY b;
CREATE FUNCTION k_row() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO k_log VALUES ('row', NEW.a); RETURN NEW; END$$;
CREATE FUNCTION k_statement() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO k_log SELECT 'statement', count(*) FROM k_copied; RETURN NULL; END$$;
CREATE TRIGGER k_each AFTER INSERT ON k_copied FOR EACH ROW EXECUTE FUNCTION k_row();
CREATE TRIGGER k_all AFTER INSERT ON k_copied FOR EACH STATEMENT EXECUTE FUNCTION k_statement();
CREATE CONSTRAINT TRIGGER k_end AFTER INSERT ON k_late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION k_row();
CREATE FUNCTION k_plpgsql(n int) RETURNS bigint LANGUAGE plpgsql AS
$$DECLARE total bigint := 0; r record; c CURSOR FOR SELECT a FROM k_t WHERE a < n * 100;
BEGIN
  FOR i IN 1 .. n LOOP SELECT count(*) + total INTO total FROM k_t WHERE b = i; END LOOP;
  FOR r IN SELECT a, b FROM k_t WHERE a <= n LOOP total := total + r.a; END LOOP;
  OPEN c; FETCH c INTO r; FETCH c INTO r; CLOSE c;
  RETURN total;
END$$;
CREATE FUNCTION k_sql(n int) RETURNS bigint LANGUAGE sql VOLATILE AS $$SELECT count(*) FROM k_t WHERE b < n; SELECT sum(a) FROM k_t WHERE b <= n$$;
CREATE FUNCTION k_rows(n int) RETURNS SETOF k_t LANGUAGE sql VOLATILE AS $$SELECT * FROM k_t WHERE a <= n$$;
CREATE FUNCTION k_tries(n int) RETURNS int LANGUAGE plpgsql AS
$$DECLARE done int := 0; BEGIN
  FOR i IN 1 .. n LOOP
    BEGIN
      PERFORM 1 / (a % 2) FROM k_t WHERE a = 500 + i; done := done + 1;
    EXCEPTION WHEN division_by_zero THEN UPDATE k_log SET n = k_log.n WHERE what = 'caught'; END;
  END LOOP; RETURN done; END$$;
CREATE FUNCTION k_cursor(query text) RETURNS refcursor LANGUAGE plpgsql AS
$$DECLARE c refcursor := 'k_c'; BEGIN OPEN c SCROLL FOR EXECUTE query; RETURN c; END$$;
CREATE PROCEDURE k_commits(n int) LANGUAGE plpgsql AS
$$BEGIN FOR i IN 1 .. n LOOP INSERT INTO k_log VALUES ('commit', i); COMMIT; END LOOP; END$$;
VACUUM ANALYZE;
});

# -- one kind after the other: samples add up to what pg_stat_statements counted
my %kind = (
	'plain statements' => 'SELECT b, count(*) FROM k_t GROUP BY b; SELECT * FROM k_t WHERE a = 5; UPDATE k_t SET c = upper(c) WHERE b = 7; VALUES (1), (2)',
	'several statements in one message' => "SELECT 1 AS x \\; SELECT 2 AS y, a FROM k_t WHERE a < 3 \\; SELECT 3 AS z",
	'sorts and hashes on disk' => "SET work_mem = '64kB'; SELECT * FROM k_t ORDER BY c, b, a; SELECT a, count(*) FROM k_t GROUP BY a",
	'parallel query' => 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
		SELECT sum(b) FROM k_t; SELECT count(*) FROM k_t x JOIN k_t y USING (b) WHERE x.a < 500; SELECT * FROM k_t WHERE c LIKE $$%y%$$',
	'parallel query with temporary files' => "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET work_mem = '64kB';
		SELECT a FROM k_t ORDER BY c, b, a",
	'a cursor of a function in pieces' => 'BEGIN; SELECT k_cursor($$SELECT a FROM k_t ORDER BY a$$); FETCH 10 FROM k_c; FETCH 20 FROM k_c; FETCH 5 FROM k_c; CLOSE k_c; COMMIT',
	'a cursor that scrolls' => 'BEGIN; SELECT k_cursor($$SELECT a, b FROM k_t WHERE a < 100$$); FETCH 10 FROM k_c; FETCH BACKWARD 5 FROM k_c; MOVE LAST FROM k_c; FETCH ABSOLUTE 3 FROM k_c; FETCH ALL FROM k_c; COMMIT',
	'a cursor that is left open' => 'BEGIN; SELECT k_cursor($$SELECT a, c FROM k_t$$); FETCH 7 FROM k_c; COMMIT',
	'a cursor that is never read' => 'BEGIN; SELECT k_cursor($$SELECT c, a FROM k_t$$); COMMIT',
	'DECLARE CURSOR, with and without hold' => 'BEGIN; DECLARE k_d CURSOR FOR SELECT a FROM k_t; FETCH 3 FROM k_d; DECLARE k_h CURSOR WITH HOLD FOR SELECT b FROM k_t WHERE a < 50; FETCH 3 FROM k_h; COMMIT; FETCH 3 FROM k_h; CLOSE k_h',
	'prepared, generic and custom plans' => 'PREPARE k_p(int) AS SELECT count(*) FROM k_t WHERE b = $1; EXECUTE k_p(1); EXECUTE k_p(2); SET plan_cache_mode = force_generic_plan; EXECUTE k_p(3); EXECUTE k_p(4); SET plan_cache_mode = force_custom_plan; EXECUTE k_p(5)',
	'PL/pgSQL' => 'SELECT k_plpgsql(5); SELECT k_plpgsql(3) FROM generate_series(1, 3)',
	'SQL functions' => 'SELECT k_sql(5); SELECT count(*) FROM k_rows(50); SELECT k_rows(30) LIMIT 4',
	'triggers' => 'INSERT INTO k_copied SELECT g, g FROM generate_series(1, 20) g; INSERT INTO k_copied VALUES (1, 1)',
	'deferred triggers and checks' => 'BEGIN; INSERT INTO k_late SELECT g, g FROM generate_series(1, 10) g; INSERT INTO k_late VALUES (11, 11); COMMIT; DELETE FROM k_late',
	'a cascade' => 'DELETE FROM k_t WHERE a <= 200',
	'caught errors' => 'SELECT k_tries(10); SELECT k_tries(3)',
	'savepoints' => 'BEGIN; UPDATE k_log SET n = n + 1 WHERE n = 3; SAVEPOINT s; UPDATE k_log SET n = n + 2; ROLLBACK TO s; SELECT count(*) FROM k_log; RELEASE s; COMMIT',
	'a rolled back transaction' => 'BEGIN; UPDATE k_t SET b = b; ROLLBACK',
	'CREATE TABLE AS' => 'CREATE TABLE k_made AS SELECT a, b FROM k_t WHERE a < 5000; SELECT a INTO k_into FROM k_t WHERE b = 3; PREPARE k_q AS SELECT b FROM k_t WHERE a < 300; CREATE TABLE k_executed AS EXECUTE k_q; DROP TABLE k_made, k_into, k_executed',
	'REFRESH MATERIALIZED VIEW' => 'REFRESH MATERIALIZED VIEW k_mat; CREATE UNIQUE INDEX ON k_mat (b); REFRESH MATERIALIZED VIEW CONCURRENTLY k_mat',
	'COPY' => "COPY (SELECT a, b FROM k_t WHERE a < 1000) TO '/dev/null'; COPY k_t TO '/dev/null'; COPY k_copied FROM PROGRAM 'printf \"1\\\\t2\\\\n3\\\\t4\\\\n\"'; COPY (INSERT INTO k_log VALUES ('copy', 1) RETURNING n) TO '/dev/null'",
	'EXPLAIN ANALYZE' => 'EXPLAIN ANALYZE SELECT count(*) FROM k_t WHERE b > 5; EXPLAIN (ANALYZE, BUFFERS) UPDATE k_t SET b = b WHERE a = 300',
	'DO' => 'DO $$BEGIN FOR i IN 1 .. 5 LOOP PERFORM count(*) FROM k_t WHERE a = i; END LOOP; EXECUTE $q$SELECT max(b) FROM k_t$q$; END$$',
	'CALL that commits' => 'CALL k_commits(4)',
	'utility statements' => 'VACUUM k_log; CREATE TABLE k_util (a int); ALTER TABLE k_util ADD b int; ANALYZE k_util; DROP TABLE k_util; CHECKPOINT; LOCK TABLE k_log; SET work_mem = 100; SHOW work_mem; RESET ALL; DISCARD ALL',
);

# Statements without a plan are left to pg_stat_statements; all others must agree.  A plain EXPLAIN plans only.
my $utility = q{'^\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET|SHOW|DISCARD|CREATE|ALTER|DROP|VACUUM|ANALYZE|CHECKPOINT|LOCK|REFRESH|COPY|FETCH|MOVE|CLOSE|DECLARE|CALL|DO|EXPLAIN|PREPARE|EXECUTE|DEALLOCATE|SELECT a INTO)'};
my $difference = qq{
WITH counted AS (
  SELECT queryid, toplevel, sum(calls) AS calls, sum(rows) AS rows, sum(total_exec_time) AS ms,
    ARRAY[sum(shared_blks_hit), sum(shared_blks_read), sum(shared_blks_dirtied), sum(shared_blks_written),
      sum(temp_blks_read), sum(temp_blks_written), sum(wal_bytes)] AS used, min(query) AS query
  FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query !~ 'pg_stat_statements_reset|collect_statements|execution_samples'
  GROUP BY 1, 2),
captured AS (
  SELECT queryid, toplevel, count(*) AS calls, sum(rows) AS rows, sum(execution_ms) AS ms,
    ARRAY[sum(shared_blks_hit), sum(shared_blks_read), sum(shared_blks_dirtied), sum(shared_blks_written),
      sum(temp_blks_read), sum(temp_blks_written), sum(wal_bytes)] AS used
  FROM pganalytics.execution_samples WHERE outcome IN ('done', 'explained') GROUP BY 1, 2)
SELECT c.queryid, s.queryid, c.calls, s.calls, c.rows, s.rows, c.ms, s.ms, c.used, s.used, left(c.query, 60)
FROM counted c FULL JOIN captured s USING (queryid, toplevel)
WHERE (s.queryid IS NULL AND c.query !~ $utility)
   OR (c.queryid IS NULL AND s.queryid NOT IN (SELECT queryid FROM ignored))
   OR (s.calls, s.rows, s.used) <> (c.calls, c.rows, c.used) OR abs(s.ms - c.ms) > 1e-6 * c.ms};

# What reads and resets the counters is not compared.
$node->safe_psql('postgres', 'CREATE TABLE ignored (queryid bigint)');
forget_all($node);
forget_all($node);
store($node);
$node->safe_psql('postgres', 'INSERT INTO ignored SELECT queryid FROM pganalytics.execution_samples');

for my $name (sort keys %kind)
{
	forget_all($node);
	$node->psql('postgres', $kind{$name}, on_error_stop => 0);
	store($node);
	is(value_of($node, $difference), '', "adds up: $name");
	next if $name =~ /utility|cursor that is never|DECLARE/;
	cmp_ok(value_of($node, 'SELECT count(*) FROM pganalytics.execution_samples WHERE queryid NOT IN (SELECT queryid FROM ignored)'),
		'>', 0, "there were samples: $name");
}

# -- the extended protocol: a portal in pieces counts once, with what each piece took
forget_all($node);
my $client = PgamlProtocol->connect($node, 'postgres', getpwuid($<) // 'postgres');
$client->prepare('pieces', 'SELECT a AS k_pieces FROM k_t WHERE b < $1::int ORDER BY a');
is($client->execute('pieces', [50], 10, 20, 0), '2' . 'D' x 10 . 's' . 'D' x 20 . 's' . 'D' x (value_of($node, 'SELECT count(*) FROM k_t WHERE b < 50') - 30) . 'CZ',
	'a portal in three pieces');
is($client->execute('pieces', [3], 5), '2DDDDDsZ', 'one that is left');
$client->prepare('all', 'SELECT b AS k_all FROM k_t WHERE a = $1::int');
$client->execute('all', [ 300 + $_ ], 0) for 1 .. 8;
$client->close;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'");
store($node);
is(value_of($node, $difference), '', 'adds up: the extended protocol');
is(value_of($node, q{SELECT string_agg(coalesce(top_rows_true::text, 'not known'), ', ' ORDER BY sampled_at) FROM pganalytics.execution_samples
	WHERE queryid = (SELECT queryid FROM pg_stat_statements WHERE query LIKE '%k_pieces%')}),
	value_of($node, 'SELECT count(*) FROM k_t WHERE b < 50') . ', not known', 'the true rows of what came to its end');

# -- planning and execution apart, against what pg_stat_statements measured around the same planner
capture_set($node, 'pg_stat_statements.track_planning' => 'on');
forget_all($node);
$node->safe_psql('postgres', q{
SELECT count(*) AS k_planned FROM k_t x JOIN k_t y USING (a) JOIN k_t z USING (a) JOIN k_child USING (a) WHERE x.b = 3;
SELECT count(*) AS k_planned FROM k_t x JOIN k_t y USING (a) JOIN k_t z USING (a) JOIN k_child USING (a) WHERE x.b = 4;
PREPARE k_generic(int) AS SELECT max(c) AS k_generic FROM k_t WHERE b = $1;
SET plan_cache_mode = force_generic_plan; EXECUTE k_generic(1); EXECUTE k_generic(2); EXECUTE k_generic(3);
PREPARE k_custom(int) AS SELECT min(c) AS k_custom FROM k_t WHERE b = $1;
SET plan_cache_mode = force_custom_plan; EXECUTE k_custom(1); EXECUTE k_custom(2); EXECUTE k_custom(3);
});
store($node);
for my $case ([ 'k_planned', 2, 2 ], [ 'k_generic', 3, 1 ], [ 'k_custom', 3, 3 ])
{
	my ($name, $calls, $plans) = @$case;

	is(value_of($node, qq{
		WITH p AS (SELECT queryid, sum(plans) AS plans, sum(total_plan_time) AS ms FROM pg_stat_statements WHERE query LIKE '%$name%' AND plans + calls > 0 GROUP BY 1)
		SELECT count(*), count(planning_ms), max(p.plans), coalesce(sum(planning_ms) BETWEEN 0.8 * max(p.ms) AND 1.5 * max(p.ms) + 1, false)
		FROM pganalytics.execution_samples JOIN p USING (queryid)}), "$calls|$plans|$plans|t", "planning of $name");
}
capture_set($node, 'pg_stat_statements.track_planning' => 'off');

# -- one execution as EXPLAIN (ANALYZE, BUFFERS, WAL) sees the same one
sub explained
{
	my ($setting, $sql) = @_;
	my $json = $node->safe_psql('postgres', "$setting; EXPLAIN (ANALYZE, BUFFERS, WAL, FORMAT JSON, TIMING OFF) $sql");
	my %top;

	# The first of each is that of the top node, which counts everything below it.
	for my $key ('Shared Hit Blocks', 'Shared Read Blocks', 'Shared Dirtied Blocks', 'Temp Read Blocks', 'Temp Written Blocks', 'WAL Bytes', 'Actual Rows')
	{
		($top{$key}) = $json =~ /"$key": ([\d.]+)/;
	}
	return join ' ', map { $top{$_} // 0 } 'Shared Hit Blocks', 'Shared Read Blocks', 'Shared Dirtied Blocks', 'Temp Read Blocks', 'Temp Written Blocks', 'WAL Bytes';
}
for my $case ([ '', 'SELECT count(*) AS k_seen FROM k_t WHERE b < 9' ],
	[ "SET work_mem = '64kB'", 'SELECT a AS k_seen FROM k_t ORDER BY c, b, a' ],
	[ 'SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0', 'SELECT sum(b) AS k_seen FROM k_t' ],
	[ '', 'UPDATE k_log AS k_seen SET n = n + 1' ])
{
	forget_all($node);
	my $seen = explained(@$case);

	store($node);
	is(value_of($node, q{SELECT concat_ws(' ', shared_blks_hit, shared_blks_read, shared_blks_dirtied, temp_blks_read, temp_blks_written, wal_bytes)
		FROM pganalytics.execution_samples WHERE queryid IN (SELECT queryid FROM pg_stat_statements WHERE query LIKE '%k_seen%')}), $seen, "as EXPLAIN says: $case->[1]");
}

# -- what EXPLAIN ran is told apart, and what auto_explain looked at is not
forget_all($node);
$node->safe_psql('postgres', q{
EXPLAIN ANALYZE SELECT count(*) AS k_how FROM k_t; EXPLAIN (ANALYZE, TIMING OFF) SELECT sum(b) AS k_how FROM k_t;
PREPARE k_how AS SELECT max(b) AS k_how FROM k_t; EXPLAIN ANALYZE EXECUTE k_how; EXECUTE k_how; SELECT min(b) AS k_how FROM k_t;
LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_nested_statements = on;
SELECT avg(b) AS k_how FROM k_t; UPDATE k_log AS k_how SET n = n; DO 'BEGIN PERFORM count(b) AS k_how FROM k_t; END';
BEGIN; DECLARE k_how CURSOR FOR SELECT a AS k_how FROM k_t; FETCH 3 FROM k_how; COMMIT});
store($node);
is(value_of($node, q{SELECT string_agg(outcome, ' ' ORDER BY sampled_at) FROM pganalytics.execution_samples
	WHERE queryid NOT IN (SELECT queryid FROM ignored) AND queryid IN (SELECT queryid FROM pg_stat_statements WHERE query LIKE '%k_how%')}),
	'explained explained explained done done done done done' . (value_of($node, "SELECT current_setting('server_version_num')::int >= 180000") eq 't' ? ' done' : ''),
	'executions by EXPLAIN are told apart');

# -- compiling, as pg_stat_statements sums it up
SKIP:
{
	skip 'this server does not compile', 1 if value_of($node, 'SET jit = on; SELECT pg_jit_available()') ne 't';
	forget_all($node);
	$node->safe_psql('postgres', 'SET jit = on; SET jit_above_cost = 0; SELECT sum(b + a) AS k_jit FROM k_t WHERE b > 2; SET jit = off; SELECT max(b) AS k_nojit FROM k_t');
	store($node);
	is(value_of($node, q{SELECT string_agg(coalesce((abs(e.jit_ms - (s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time)) < 1e-6)::text, 'none'), ', ' ORDER BY e.sampled_at)
		FROM pganalytics.execution_samples e JOIN pg_stat_statements s USING (queryid, toplevel) WHERE s.query LIKE '%k\_%jit %'}), 'true, none', 'compiling');
}

# -- what did not end well is marked, and is nowhere averaged
forget_all($node);
$node->psql('postgres', q{
SELECT b / (a - a) AS k_bad FROM k_t;
SET statement_timeout = '50ms'; SELECT count(*) AS k_slow FROM k_t x, k_t y WHERE x.b + y.b = -1; RESET statement_timeout;
SELECT k_tries(2);
SAVEPOINT k_no;
INSERT INTO k_late SELECT g, 1000000 FROM generate_series(1, 3) g;
INSERT INTO k_log SELECT 'dup', a FROM k_t; INSERT INTO k_t SELECT a, b FROM k_t WHERE a < 1000;
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT sum(1 / (b - 50)) AS k_worker FROM k_t;
}, on_error_stop => 0);
store($node);
is(value_of($node, "SELECT string_agg(outcome || ' ' || toplevel, ', ' ORDER BY sampled_at) FROM pganalytics.execution_samples WHERE outcome <> 'done'"),
	'error true, cancelled true, error false, error true, error true', 'a division, a timeout, a caught one, a duplicate key, one in a worker');
is(value_of($node, "SELECT count(*) FROM pganalytics.execution_samples WHERE outcome <> 'done' AND (top_rows_true IS NOT NULL OR worst_node IS NOT NULL OR nodes_counted)"),
	0, 'nothing is said of rows that did not all come');
is(value_of($node, q{SELECT count(*) FROM pganalytics.statement_recent WHERE queryid IN (SELECT queryid FROM pganalytics.execution_samples GROUP BY 1 HAVING bool_and(outcome <> 'done'))}),
	0, 'they are no recent runs');
is(value_of($node, q{SELECT count(*) FROM pganalytics.statement_recent r, unnest(recent_ms) m WHERE NOT EXISTS
	(SELECT FROM pganalytics.execution_samples e WHERE e.queryid = r.queryid AND e.outcome = 'done' AND e.execution_ms::real = m)
	AND queryid IN (SELECT queryid FROM pganalytics.execution_samples WHERE outcome <> 'done')}), 0, 'also where others of the statement ended well');
is(value_of($node, $difference), '', 'and pg_stat_statements does not count them either');

# -- nothing that was written in a statement is in any table of ours
my $secret = 'zq9secret';
$node->psql('postgres', qq{
SET application_name = 'k_application';
SELECT '$secret' AS x, b FROM k_t WHERE c = '$secret' ORDER BY c || '$secret' LIMIT 3;
SELECT 1 / (length('$secret') - 9); SELECT '$secret'::int; SELECT * FROM "$secret"; SELECT '$secret' WHERE; SELECT $secret;
DO \$\$BEGIN RAISE EXCEPTION '$secret'; END\$\$; DO \$\$BEGIN EXECUTE format('SELECT %L', '$secret'); PERFORM '$secret'; END\$\$;
CREATE TABLE k_secret (a text DEFAULT '$secret', CHECK (a <> '$secret')); INSERT INTO k_secret VALUES (DEFAULT); INSERT INTO k_secret VALUES ('x$secret');
COPY k_secret FROM PROGRAM 'echo $secret'; COPY (SELECT '$secret') TO '/dev/null'; COPY k_secret TO PROGRAM 'cat > /dev/null # $secret';
CREATE TABLE k_secret2 AS SELECT '$secret' AS x; CREATE MATERIALIZED VIEW k_secret3 AS SELECT '$secret' AS x; REFRESH MATERIALIZED VIEW k_secret3;
CREATE VIEW k_secret4 AS SELECT '$secret' AS x; SELECT * FROM k_secret4; CREATE INDEX ON k_secret (a) WHERE a = '$secret';
CREATE FUNCTION k_secret5(x text DEFAULT '$secret') RETURNS text LANGUAGE sql AS 'SELECT ''$secret'' || x'; SELECT k_secret5(); CALL k_secret5('$secret');
CREATE ROLE k_role PASSWORD '$secret'; ALTER ROLE k_role SET work_mem = '$secret'; COMMENT ON TABLE k_secret IS '$secret'; DROP ROLE k_role;
EXPLAIN ANALYZE SELECT '$secret'; EXPLAIN (ANALYZE, FORMAT JSON) INSERT INTO k_secret VALUES ('$secret');
PREPARE k_s AS SELECT '$secret'::text; EXECUTE k_s; PREPARE k_s1(text) AS SELECT \$1; EXECUTE k_s1('$secret');
DECLARE k_s2 CURSOR WITH HOLD FOR SELECT '$secret'; FETCH k_s2; LISTEN $secret; NOTIFY $secret, '$secret'; SET k.secret = '$secret'; SET search_path = '$secret';
RESET search_path; SAVEPOINT $secret; PREPARE TRANSACTION '$secret';
SET statement_timeout = '20ms'; SELECT count(*) FROM k_t x, k_t y WHERE x.c = '$secret' OR y.c <> '$secret'; RESET statement_timeout;
SELECT * FROM k_t WHERE c IN ('$secret', '1$secret', '2$secret'); MERGE INTO k_secret USING (VALUES ('$secret')) v(a) ON false WHEN NOT MATCHED THEN INSERT VALUES ('$secret');
DELETE FROM k_secret WHERE a LIKE '%$secret%'; SELECT set_config('application_name', 'k_second', false);
}, on_error_stop => 0);
store($node);
cmp_ok(value_of($node, "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%k\\_secret%'"), '>', 10, 'they were seen');
is_deeply([ secret_places($node, $secret) ], [], 'no literal in any table of the extension');

# -- what has no plan is known by its command only, and nothing is learned of it
is(value_of($node, "SELECT string_agg(DISTINCT command_tag, ', ' ORDER BY command_tag) FROM pganalytics.statements
	WHERE NOT plannable AND query IS NULL AND command_tag IN ('COPY', 'REFRESH MATERIALIZED VIEW', 'VACUUM', 'DO', 'CALL', 'EXPLAIN', 'CREATE TABLE AS')"),
	'CALL, COPY, CREATE TABLE AS, DO, EXPLAIN, REFRESH MATERIALIZED VIEW, VACUUM', 'the commands are known');
is(value_of($node, 'SELECT count(*) FROM pganalytics.statements WHERE NOT plannable AND query IS NOT NULL'), 0, 'and no text of them');
forget_all($node);
$node->psql('postgres', "$kind{'utility statements'}; COPY k_t TO '/dev/null'; REFRESH MATERIALIZED VIEW CONCURRENTLY k_no", on_error_stop => 0);
store($node);
is(value_of($node, 'SELECT count(*) FROM pganalytics.execution_samples WHERE queryid NOT IN (SELECT queryid FROM ignored)'), 0, 'no execution to learn from');

my %counts = capture_counts($node);
is($counts{errors}, 0, 'no internal errors');
is($counts{executions}, $counts{samples} + $counts{thinned} + $counts{dropped} + $counts{errors}, 'executions add up');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11/, 'nothing odd in the log');
done_testing();
