# Odd statements: scripts whose answers do not depend on who watches, a random
# mixture of them, and a client that speaks the extended protocol with portals.
# Run on two servers, everything that comes back must be the same.

package PgamlOdd;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::UNIX;
use IPC::Run;

our @EXPORT = qw(odd_schema odd_scripts odd_random odd_psql odd_portals);

sub commas
{
	my ($format, $from, $to, $between) = @_;

	return join($between // ', ', map { my $n = $_; (my $s = $format) =~ s/%d/$n/g; $s } $from .. $to);
}

# Tables, functions and views that the scripts use.  $size: partitions.
sub odd_schema
{
	my ($size, $file) = @_;
	my $views = "CREATE VIEW o_v0 AS SELECT a, b, c FROM o_t;\n"
	  . join('', map { "CREATE VIEW o_v$_ AS SELECT * FROM o_v" . ($_ - 1) . " WHERE a <> -$_;\n" } 1 .. 60);
	my $wide = join('', map { "CREATE TABLE o_w$_ (" . commas("c%d int DEFAULT %d", 1, 1250) . "); INSERT INTO o_w$_ DEFAULT VALUES;\n" } 1 .. 8);

	return qq{
SET client_min_messages = warning;
CREATE TABLE o_t (a int PRIMARY KEY, b text, c numeric, d date);
INSERT INTO o_t SELECT g, 'x' || g % 97, g / 3.0, date '2020-01-01' + g % 900 FROM generate_series(1, 3000) g;
CREATE INDEX ON o_t (b);
CREATE TABLE o_u (a int REFERENCES o_t ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, n int, s text);
INSERT INTO o_u SELECT 1 + g % 500, g, 's' || g FROM generate_series(1, 4000) g;
CREATE TABLE o_nulls (a int); INSERT INTO o_nulls VALUES (1), (NULL), (3);
CREATE TABLE o_p (k int, v text) PARTITION BY RANGE (k);
SELECT format('CREATE TABLE o_p%s PARTITION OF o_p FOR VALUES FROM (%s) TO (%s)', g, g * 10, g * 10 + 10) FROM generate_series(0, $size - 1) g \\gexec
INSERT INTO o_p SELECT g, 'p' || g FROM generate_series(0, $size * 10 - 1, 3) g;
$wide $views
CREATE TABLE o_log (what text, n int);
CREATE FUNCTION o_deep(n int) RETURNS int LANGUAGE plpgsql AS \$\$BEGIN IF n <= 0 THEN RETURN (SELECT count(*) FROM o_nulls); END IF; RETURN (SELECT o_deep(n - 1) + 1); END\$\$;
CREATE FUNCTION o_sql(n int) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM o_t WHERE a < n; SELECT sum(a) FROM o_t WHERE a <= n';
CREATE FUNCTION o_atomic(n int) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM o_t WHERE o_t.a < n; END;
CREATE FUNCTION o_set(n int) RETURNS SETOF o_t LANGUAGE sql STABLE AS 'SELECT * FROM o_t WHERE a <= n';
CREATE FUNCTION o_folded(n int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS \$\$BEGIN RETURN (SELECT count(*) FROM o_t WHERE a <= n); END\$\$;
CREATE FUNCTION o_caught(n int) RETURNS int LANGUAGE plpgsql AS \$\$DECLARE bad int := 0;
BEGIN
  FOR i IN 1 .. n LOOP
    BEGIN PERFORM 1 / (a % 3) FROM o_t WHERE a = i; EXCEPTION WHEN division_by_zero THEN bad := bad + 1; END;
  END LOOP;
  RETURN bad;
END\$\$;
CREATE FUNCTION o_definer() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS \$\$BEGIN RETURN (SELECT count(*) FROM o_log); END\$\$;
CREATE FUNCTION o_setting() RETURNS text LANGUAGE plpgsql SET work_mem = '77kB' AS \$\$BEGIN RETURN current_setting('work_mem') || (SELECT count(*) FROM (SELECT * FROM o_t ORDER BY c) s); END\$\$;
CREATE FUNCTION o_cursors(n int) RETURNS int LANGUAGE plpgsql AS \$\$DECLARE r record; c CURSOR (k int) FOR SELECT a FROM o_t WHERE a < k; t int := 0;
BEGIN
  FOR r IN c(n) LOOP t := t + (SELECT count(*) FROM o_u WHERE a = r.a); EXIT WHEN t > 100; END LOOP;
  OPEN c(n); FETCH c INTO r; MOVE FORWARD 2 FROM c; FETCH c INTO r; CLOSE c;
  RETURN t + coalesce(r.a, 0);
END\$\$;
CREATE FUNCTION o_dynamic(n int) RETURNS bigint LANGUAGE plpgsql AS \$\$DECLARE t bigint := 0; x bigint;
BEGIN FOR i IN 1 .. n LOOP EXECUTE format('SELECT count(*) AS dyn%s FROM o_t WHERE a > \$1', i % 7) INTO x USING i; t := t + x; END LOOP; RETURN t; END\$\$;
CREATE FUNCTION o_trigger() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN INSERT INTO o_log VALUES (TG_OP, TG_NARGS); IF TG_LEVEL = 'ROW' AND TG_OP = 'INSERT' AND NEW.a = -13 THEN RAISE EXCEPTION 'unlucky'; END IF; RETURN NULL; END\$\$;
CREATE TRIGGER o_row AFTER INSERT OR UPDATE OR DELETE ON o_t FOR EACH ROW EXECUTE FUNCTION o_trigger(1, 2);
CREATE TRIGGER o_all AFTER TRUNCATE OR UPDATE ON o_t FOR EACH STATEMENT EXECUTE FUNCTION o_trigger();
CREATE FUNCTION o_transition() RETURNS trigger LANGUAGE plpgsql AS \$\$BEGIN INSERT INTO o_log SELECT 'new', count(*) FROM new_rows; RETURN NULL; END\$\$;
CREATE TRIGGER o_new AFTER INSERT ON o_u REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION o_transition();
CREATE PROCEDURE o_proc(n int) LANGUAGE plpgsql AS \$\$BEGIN FOR i IN 1 .. n LOOP INSERT INTO o_log VALUES ('proc', i); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END\$\$;
CREATE VIEW o_ruled AS SELECT a, b FROM o_t WHERE a < 50;
CREATE RULE o_rule AS ON DELETE TO o_ruled DO INSTEAD (UPDATE o_t SET c = 0 WHERE a = OLD.a; SELECT count(*) FROM o_ruled);
CREATE ROLE o_role; GRANT SELECT ON o_t, o_v0 TO o_role;
CREATE TABLE o_rls (a int, owner name); INSERT INTO o_rls SELECT g, CASE WHEN g % 2 = 0 THEN 'o_role' ELSE 'postgres' END FROM generate_series(1, 20) g;
ALTER TABLE o_rls ENABLE ROW LEVEL SECURITY; CREATE POLICY o_own ON o_rls USING (owner = current_user AND (SELECT count(*) FROM o_t) > 0); GRANT ALL ON o_rls TO o_role;
CREATE EXTENSION file_fdw; CREATE SERVER o_files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE o_file (line text) SERVER o_files OPTIONS (filename '$file');
ANALYZE o_t, o_u, o_p, o_nulls;
};
}

# name => script.  None leaves anything behind that another one would see.
sub odd_scripts
{
	my $terms = commas('a', 1, 1500, ' + ');
	my $quiet = sub { "\\o /dev/null\n$_[0]\n\\o\n" };
	my $endless = 'SELECT count(*) FROM generate_series(1, 1000000000000)';

	return (
		errors => q{
SELEC 1; SELECT nothing FROM o_t; SELECT * FROM o_nowhere; SELECT o_t(1); SELECT 1 / 0; SELECT a / (a - a) FROM o_t WHERE a = 1;
SELECT 'x'::int; SELECT $1; EXECUTE nobody; SELECT sum(a), b FROM o_t; INSERT INTO o_t VALUES (1, 'dup'); INSERT INTO o_t (a) VALUES (-13);
INSERT INTO o_u VALUES (99999, 0, 'no parent'); BEGIN; INSERT INTO o_u VALUES (99999, 0, 'no parent'); SELECT count(*) FROM o_u; COMMIT;
BEGIN; INSERT INTO o_u VALUES (99999, 0, ''); SET CONSTRAINTS ALL IMMEDIATE; SELECT 1; ROLLBACK; SELECT a FROM o_t LIMIT -1; FETCH 1 FROM nobody;
SELECT (SELECT a FROM o_t); SELECT o_deep(100000); CREATE TABLE o_t (); DROP TABLE o_nowhere; CALL o_sql(1); SELECT o_proc(1); VACUUM o_nowhere;
BEGIN; VACUUM; SELECT 1; COMMIT; SELECT 1; SELECT lo_get(4711); SELECT * FROM o_t FOR UPDATE OF o_x; PREPARE TRANSACTION 'none';
SELECT 1 \; SELECT 1 / 0 \; SELECT 2; SELECT 3; LOCK TABLE o_t; COPY o_t FROM '/nowhere'; COPY (SELECT 1 / 0) TO STDOUT;},
		subtransactions => q{
SELECT o_caught(300);
} . "BEGIN;\n" . join('', map { "SAVEPOINT s$_; INSERT INTO o_log VALUES ('s', $_); SELECT count(*) FROM o_log WHERE n <= $_;" . ($_ % 3 ? '' : "ROLLBACK TO s$_;") . ($_ % 5 ? '' : "RELEASE s$_;") . "\n" } 1 .. 150) . q{
SELECT count(*), sum(n) FROM o_log; SELECT 1 / 0; ROLLBACK TO s31; SELECT count(*) FROM o_log; ROLLBACK;
BEGIN; SAVEPOINT x; DECLARE oc CURSOR FOR SELECT a FROM o_t ORDER BY a; FETCH 2 FROM oc; ROLLBACK TO x; FETCH 1 FROM oc; COMMIT;
DO $$BEGIN FOR i IN 1 .. 200 LOOP BEGIN INSERT INTO o_log VALUES ('d', i); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END$$;
SELECT count(*) FROM o_log;},
		nesting => 'SELECT ' . ('(SELECT count(*) + ' x 60) . '0' . (' FROM o_nulls)' x 60) . ";\n"
		  . 'SELECT count(*) FROM ' . ('(SELECT * FROM ' x 100) . 'o_nulls' . join('', map { ") s$_" } 1 .. 100) . ";\n"
		  . 'SELECT ' . ('(' x 800) . '1' . (')' x 800) . ";\n"
		  . 'SELECT count(*) FROM o_t WHERE ' . ('NOT (' x 700) . 'a > 5' . (')' x 700) . ";\n"
		  . 'SELECT ' . ('CASE WHEN a > 1 THEN ' x 200) . 'a' . (' ELSE 0 END' x 200) . " FROM o_t WHERE a < 4 ORDER BY a;\n"
		  . 'SELECT count(*) FROM o_t o WHERE ' . ('EXISTS (SELECT 1 FROM o_nulls n WHERE n.a = o.a AND ' x 30) . 'true' . (')' x 30) . ";\n"
		  . "SELECT count(*), sum(a) FROM o_v60; SELECT o_deep(90); SELECT o_sql(5), o_atomic(6), o_folded(7) FROM o_nulls;\n"
		  . 'WITH ' . commas('q%d AS (SELECT 1)', 1, 1) . join('', map { ", q$_ AS MATERIALIZED (SELECT * FROM q" . ($_ - 1) . ')' } 2 .. 150) . " SELECT count(*) FROM q150;\n"
		  . 'SELECT count(*) FROM ' . commas('o_nulls n%d', 1, 9, ' NATURAL JOIN ') . ";\n",
		wide => 'SELECT ' . commas('%d AS c%d', 1, 1664) . ";\nSELECT " . commas('%d', 1, 10000) . ";\n"
		  . "SELECT * FROM o_w1; SELECT * FROM o_w1, o_w2; SELECT count(*) FROM (SELECT * FROM " . commas('o_w%d', 1, 8, ' CROSS JOIN ') . ") s;\n"
		  . 'SELECT greatest(' . join(', ', map { my $w = $_; map { "o_w$w.c$_" } 1 .. 1250 } 1 .. 8) . ') FROM ' . commas('o_w%d', 1, 8) . ";\n"
		  . 'SELECT greatest(' . join(', ', map { my $w = $_; map { "o_w$w.c$_" } 1 .. 200 } 1 .. 8) . ') FROM ' . commas('o_w%d', 1, 8) . ";\n"
		  . 'SELECT count(*) FROM o_w1 JOIN o_w2 ON ' . commas('o_w1.c%d = o_w2.c%d', 1, 100, ' AND ') . ";\n"
		  . 'SELECT count(*) FROM o_t WHERE ' . commas('a <> %d', 1, 10000, ' AND ') . ";\n"
		  . 'SELECT count(*) FROM o_t WHERE ' . commas('a = %d', 1, 3000, ' OR ') . ";\n"
		  . 'SELECT coalesce(' . commas('NULL', 1, 10000) . ', 5), array_length(ARRAY[' . commas('%d', 1, 10000) . "], 1);\n"
		  . 'SELECT CASE a ' . commas('WHEN %d THEN -%d', 1, 5000, ' ') . " END FROM o_t WHERE a IN (7, 4000);\nSELECT sum($terms) FROM o_t;\n",
		lists => 'SELECT count(*) FROM o_t WHERE a IN (' . commas('%d', 1, 100000) . ");\n"
		  . 'SELECT count(*) FROM o_t WHERE a NOT IN (' . commas('%d', 5, 5000) . ", NULL);\nSELECT count(*), sum(column1) FROM (VALUES " . commas('(%d, %d)', 1, 20000) . ") v;\n"
		  . "SELECT count(*) FROM o_t WHERE a = ANY ('{" . commas('%d', 1, 50000) . "}');\nSELECT count(*) FROM o_t WHERE (a, b) IN (" . commas("(%d, 'x%d')", 1, 2000) . ");\n"
		  . 'INSERT INTO o_log VALUES ' . commas("('v', %d)", 1, 5000) . ";\nSELECT sum(n) FROM o_log; DELETE FROM o_log;\nSELECT count(*) FROM (" . commas('SELECT %d', 1, 700, ' UNION ALL ') . ") s;\n",
		cursors => q{
BEGIN; DECLARE oc SCROLL CURSOR FOR SELECT a, b FROM o_t ORDER BY a; FETCH 3 FROM oc; FETCH BACKWARD 2 FROM oc; MOVE 100 IN oc; FETCH LAST FROM oc; FETCH ABSOLUTE 5 FROM oc; FETCH RELATIVE -2 FROM oc; FETCH 0 FROM oc; CLOSE oc;
DECLARE oh CURSOR WITH HOLD FOR SELECT count(*) OVER (), a FROM o_t WHERE a < 6; DECLARE ob BINARY CURSOR FOR SELECT 1; COMMIT;
FETCH ALL FROM oh; FETCH ALL FROM oh; CLOSE oh; CLOSE ALL;
BEGIN; DECLARE ou CURSOR FOR SELECT * FROM o_nulls FOR UPDATE; FETCH 1 FROM ou; UPDATE o_nulls SET a = a WHERE CURRENT OF ou; ROLLBACK;
BEGIN; DECLARE oe CURSOR FOR SELECT 10 / (3 - a) FROM o_t ORDER BY a; FETCH 2 FROM oe; FETCH 1 FROM oe; FETCH 1 FROM oe; ROLLBACK;
BEGIN; DECLARE o1 CURSOR FOR SELECT a FROM o_t ORDER BY 1; DECLARE o2 CURSOR FOR SELECT a FROM o_t ORDER BY 1 DESC; FETCH 1 FROM o1; FETCH 1 FROM o2; FETCH 1 FROM o1; FETCH 2 FROM o2; ROLLBACK;
SELECT o_cursors(40);},
		ddl => q{
CREATE SCHEMA o_s; CREATE TABLE o_s.t (a int GENERATED ALWAYS AS IDENTITY, b int DEFAULT 5, g int GENERATED ALWAYS AS (b * 2) STORED, CHECK (b > 0), UNIQUE (b, a)); INSERT INTO o_s.t (b) SELECT generate_series(1, 10);
ALTER TABLE o_s.t ADD COLUMN d text DEFAULT md5('x'), DROP COLUMN g, ALTER b TYPE bigint; SELECT * FROM o_s.t ORDER BY a; ALTER TABLE o_s.t ALTER b SET STATISTICS 5; CREATE INDEX CONCURRENTLY o_ci ON o_s.t ((b * 2)); REINDEX TABLE o_s.t; CLUSTER o_s.t USING o_ci;
ANALYZE o_s.t; VACUUM (FULL) o_s.t; CREATE STATISTICS o_s.st ON a, b FROM o_s.t; CREATE TYPE o_s.e AS ENUM ('a', 'b'); ALTER TYPE o_s.e ADD VALUE 'c'; CREATE DOMAIN o_s.dom AS int CHECK (VALUE < 10 AND o_folded(1) = 1); SELECT 5::o_s.dom; SELECT 50::o_s.dom;
CREATE MATERIALIZED VIEW o_s.m AS SELECT b, count(*) FROM o_s.t GROUP BY b; CREATE UNIQUE INDEX ON o_s.m (b); REFRESH MATERIALIZED VIEW CONCURRENTLY o_s.m; REFRESH MATERIALIZED VIEW o_s.m; SELECT * FROM o_s.m ORDER BY 1;
CREATE TABLE o_s.c AS SELECT a, b FROM o_t WHERE a < 10; SELECT a INTO o_s.i FROM o_t WHERE a < 5; CREATE TABLE o_s.n AS SELECT 1 AS x WITH NO DATA; CREATE TABLE o_s.l (LIKE o_t INCLUDING ALL); TRUNCATE o_s.c; CREATE SEQUENCE o_s.q; SELECT nextval('o_s.q'), currval('o_s.q');
CREATE AGGREGATE o_s.agg (int) (SFUNC = int4pl, STYPE = int, INITCOND = 0); SELECT o_s.agg(a) FROM o_t WHERE a < 9; CREATE OPERATOR o_s.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq); SELECT 1 OPERATOR(o_s.===) 1; COMMENT ON TABLE o_s.t IS 'x';
CREATE FUNCTION o_s.ev() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM count(*) FROM pg_event_trigger_ddl_commands(); END$$; CREATE EVENT TRIGGER o_ev ON ddl_command_end EXECUTE FUNCTION o_s.ev(); CREATE TABLE o_s.evt (a int); DROP EVENT TRIGGER o_ev;
CREATE TABLE o_s.part (a int) PARTITION BY LIST (a); CREATE TABLE o_s.p1 PARTITION OF o_s.part FOR VALUES IN (1); ALTER TABLE o_s.part DETACH PARTITION o_s.p1; ALTER TABLE o_s.part ATTACH PARTITION o_s.p1 FOR VALUES IN (2); INSERT INTO o_s.part VALUES (1); INSERT INTO o_s.part VALUES (2);
CREATE CAST (text AS o_s.e) WITH INOUT; DROP CAST (text AS o_s.e); CREATE PUBLICATION o_pub FOR TABLE o_t; DROP PUBLICATION o_pub; GRANT USAGE ON SCHEMA o_s TO o_role; SECURITY LABEL ON TABLE o_t IS 'x'; CHECKPOINT; DISCARD PLANS; DISCARD ALL; RESET ALL;
BEGIN; DROP TABLE o_t CASCADE; SELECT count(*) FROM o_u; ROLLBACK; SELECT count(*) FROM o_t; DROP SCHEMA o_s CASCADE;},
		writes => q{
BEGIN; WITH m AS (UPDATE o_t SET c = c + 1 WHERE a < 20 RETURNING a, c), d AS (DELETE FROM o_u WHERE a IN (SELECT a FROM m) RETURNING *) INSERT INTO o_log SELECT 'w', count(*) FROM d RETURNING *; SELECT count(*) FROM o_u; ROLLBACK;
BEGIN; INSERT INTO o_t VALUES (1, 'c'), (9001, 'n') ON CONFLICT (a) DO UPDATE SET b = excluded.b || o_t.b RETURNING a, b; INSERT INTO o_t VALUES (1, 'x') ON CONFLICT DO NOTHING;
MERGE INTO o_t USING (SELECT a, n FROM o_u WHERE n < 30) s ON o_t.a = s.n + 2990 WHEN MATCHED AND s.n > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET b = 'm' WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.n + 2990, 'i'); SELECT count(*), sum(a) FROM o_t; SELECT what, count(*), sum(n) FROM o_log GROUP BY 1 ORDER BY 1; ROLLBACK;
BEGIN; DELETE FROM o_t WHERE a < 300; SELECT count(*) FROM o_u; SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM o_ruled WHERE a = 301; UPDATE o_t SET a = a + 100000; INSERT INTO o_u SELECT a, 1, 'z' FROM o_t LIMIT 5; SELECT what, count(*) FROM o_log GROUP BY 1 ORDER BY 1; TRUNCATE o_t CASCADE; SELECT count(*) FROM o_u; ROLLBACK;
BEGIN; DELETE FROM o_ruled WHERE a = 9; UPDATE o_p SET k = k + 10 WHERE k < 20; DELETE FROM o_p WHERE k > 100; INSERT INTO o_p VALUES (-5, 'none'); ROLLBACK; CALL o_proc(6); SELECT * FROM o_log ORDER BY 2; DELETE FROM o_log; DO $$BEGIN CALL o_proc(3); END$$; DELETE FROM o_log; BEGIN; CALL o_proc(2); ROLLBACK;
COPY o_log FROM STDIN;
in	1
in	2
\.
COPY o_log FROM STDIN;
bad
\.
COPY o_log TO STDOUT; COPY (SELECT a, b FROM o_t ORDER BY a LIMIT 3) TO STDOUT CSV HEADER; COPY (DELETE FROM o_log RETURNING *) TO STDOUT;
SELECT lo_from_bytea(424242, '\x0102'); SELECT lo_get(424242); SELECT lo_unlink(424242);},
		queries => q{
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 2000) SELECT count(*), sum(n) FROM r; WITH RECURSIVE r(n, p) AS (SELECT 1, ARRAY[1] UNION SELECT (n * 7) % 13, p || n FROM r WHERE array_length(p, 1) < 9) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING q SELECT n, c FROM r ORDER BY o LIMIT 5;
SELECT a, count(*) OVER w, lag(b) OVER w FROM o_t WINDOW w AS (PARTITION BY a % 10 ORDER BY a ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) ORDER BY a LIMIT 5; SELECT a % 3, b, count(*) FROM o_t WHERE a < 30 GROUP BY GROUPING SETS ((1), (2), (1, 2), ()) ORDER BY 1, 2 LIMIT 20; SELECT b, count(DISTINCT a), string_agg(a::text, ',' ORDER BY a) FILTER (WHERE a < 99) FROM o_t GROUP BY b HAVING count(*) > 30 ORDER BY b COLLATE "C" LIMIT 3;
SELECT t.a, l.* FROM o_t t, LATERAL (SELECT sum(n) FROM o_u u WHERE u.a = t.a) l WHERE t.a < 8 ORDER BY 1; SELECT generate_series(1, a), unnest(ARRAY['x', 'y']) FROM o_nulls; SELECT * FROM ROWS FROM (generate_series(1, 3), o_set(2)) WITH ORDINALITY; SELECT count(*) FROM o_t TABLESAMPLE BERNOULLI (100); SELECT DISTINCT ON (a % 4) a % 4, a FROM o_t ORDER BY 1, 2; SELECT a FROM o_t WHERE a < 9 INTERSECT SELECT n FROM o_u EXCEPT SELECT 3 ORDER BY 1;
SELECT x FROM jsonb_path_query('{"a": [1, 2, 3]}', '$.a[*] ? (@ > 1)') x; SELECT xmlforest(a AS q) FROM o_nulls; SELECT count(*) FROM o_t FULL JOIN o_u USING (a); SELECT count(*) FROM o_t WHERE a NOT IN (SELECT a FROM o_nulls); SELECT count(*) FROM o_t WHERE a NOT IN (SELECT a FROM o_nulls WHERE a IS NOT NULL); SELECT * FROM o_t ORDER BY a FETCH FIRST 2 ROWS WITH TIES; SELECT a FROM o_t WHERE a < 4 FOR UPDATE SKIP LOCKED; SELECT FROM o_t LIMIT 2; SELECT; TABLE o_nulls; VALUES (1), (2);
SELECT count(*) FROM o_p; SELECT count(*), min(v) FROM o_p WHERE k = 33; SELECT count(*) FROM o_p x JOIN o_p y USING (k) WHERE k < 50; SELECT tableoid::regclass, count(*) FROM o_p WHERE k BETWEEN 5 AND 35 GROUP BY 1 ORDER BY 1; SET enable_partitionwise_join = on; SELECT count(*) FROM o_p x JOIN o_p y USING (k) WHERE k < 90; SELECT count(*) FROM o_file; SELECT o_setting(); SELECT o_dynamic(30); SELECT o_cursors(9) FROM o_nulls;},
		parallel => q{
SET max_parallel_workers_per_gather = 3; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;
SELECT count(*), sum(c)::numeric(20, 3) FROM o_t; SELECT count(*) FROM o_t JOIN o_u USING (a); SELECT a FROM o_t ORDER BY c DESC, a LIMIT 3; SELECT count(*) FROM o_t WHERE a IN (SELECT a FROM o_u); SELECT sum(1 / (a - 1)) FROM o_t; CREATE TABLE o_par AS SELECT a FROM o_t; SELECT count(*) FROM o_par; DROP TABLE o_par;
BEGIN; DECLARE op CURSOR FOR SELECT count(*) FROM o_t; FETCH ALL FROM op; COMMIT; PREPARE pp(int) AS SELECT count(*) FROM o_t WHERE a > $1; EXECUTE pp(5); EXECUTE pp(50); DEALLOCATE pp; SELECT count(*) FROM o_t UNION ALL SELECT count(*) FROM o_u; SELECT (SELECT max(a) FROM o_t), (SELECT min(n) FROM o_u);},
		roles => q{
SET ROLE o_role; SELECT count(*) FROM o_t; SELECT count(*) FROM o_u; SELECT count(*) FROM o_v0; SELECT o_definer(); SELECT count(*), min(a) FROM o_rls; INSERT INTO o_rls VALUES (99, 'postgres'); UPDATE o_rls SET a = a RETURNING 1; DELETE FROM o_rls WHERE a < 0; CREATE TABLE public.o_mine (a int); RESET ROLE;
SET SESSION AUTHORIZATION o_role; SELECT count(*) FROM o_log; SET row_security = off; SELECT * FROM o_rls; RESET SESSION AUTHORIZATION; BEGIN; SET LOCAL ROLE o_role; SELECT count(*) FROM o_nulls; ROLLBACK; SELECT current_user; SET search_path = pg_temp, public; SELECT count(*) FROM o_t; RESET search_path;},
		temporary => q{
CREATE TEMP TABLE o_tmp (a int) ON COMMIT DELETE ROWS; BEGIN; INSERT INTO o_tmp SELECT generate_series(1, 100); SELECT count(*) FROM o_tmp; COMMIT; SELECT count(*) FROM o_tmp; BEGIN; CREATE TEMP TABLE o_gone ON COMMIT DROP AS SELECT a FROM o_t; SELECT count(*) FROM o_gone; COMMIT; SELECT count(*) FROM o_gone;
CREATE TEMP VIEW o_tv AS SELECT * FROM o_tmp; SELECT * FROM o_tv; CREATE TEMP TABLE o_t (a int); SELECT count(*) FROM o_t; DISCARD TEMP; SELECT count(*) FROM o_t;
LISTEN o_channel; NOTIFY o_channel, 'one'; BEGIN; NOTIFY o_channel, 'two'; ROLLBACK; SELECT pg_notify('o_channel', 'three'); UNLISTEN *;
BEGIN; INSERT INTO o_log VALUES ('2pc', 1); SELECT count(*) FROM o_log; PREPARE TRANSACTION 'o_one'; SELECT count(*) FROM o_log; COMMIT PREPARED 'o_one'; SELECT count(*) FROM o_log; BEGIN; DELETE FROM o_log; PREPARE TRANSACTION 'o_two'; ROLLBACK PREPARED 'o_two'; BEGIN; CREATE TEMP TABLE o_bad (a int); PREPARE TRANSACTION 'o_three'; DELETE FROM o_log;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; SELECT count(*) FROM o_t; INSERT INTO o_log VALUES ('no', 1); COMMIT; BEGIN; SET TRANSACTION SNAPSHOT 'none'; ROLLBACK;},
		prepared => 'PREPARE many(' . commas('int', 1, 300) . ') AS SELECT ' . commas('$%d', 1, 300, ' + ') . ";\n"
		  . join('', map { 'EXECUTE many(' . commas("%d", $_, $_ + 299) . ");\n" } 1 .. 8) . q{
PREPARE g(int, text) AS SELECT count(*) FROM o_t WHERE a > $1 AND b = $2; SET plan_cache_mode = force_generic_plan; EXECUTE g(1, 'x1'); EXECUTE g(2, 'x2'); SET plan_cache_mode = force_custom_plan; EXECUTE g(1, 'x1'); EXECUTE g('bad', 'x'); EXECUTE g(1); CREATE TABLE o_ex AS EXECUTE g(5, 'x5'); SELECT * FROM o_ex; DROP TABLE o_ex;
PREPARE d AS DELETE FROM o_log RETURNING *; BEGIN; INSERT INTO o_log VALUES ('d', 1); EXECUTE d; ROLLBACK; ALTER TABLE o_log ADD COLUMN z int; EXECUTE d; ALTER TABLE o_log DROP COLUMN z; EXECUTE d; DEALLOCATE ALL; EXECUTE d; PREPARE u AS UPDATE o_t SET c = c WHERE a = $1; BEGIN; EXECUTE u(5); ROLLBACK;},
		cancelled => join('', map { "SET statement_timeout = '100ms'; $_; RESET statement_timeout; SELECT 1;\n" }
			  $endless, "COPY ($endless) TO STDOUT", "CREATE TABLE o_cut AS $endless", "$endless UNION ALL $endless", "SELECT o_folded(g) FROM generate_series(1, 2000000000) g",
			  'DO $$BEGIN BEGIN PERFORM count(*) FROM generate_series(1, 1000000000000); EXCEPTION WHEN query_canceled THEN NULL; END; END$$',
			  'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n % 9 + 1 FROM r) SELECT count(*) FROM r', 'UPDATE o_t SET c = c FROM o_t x, o_t y, o_t z')
		  . "BEGIN; SAVEPOINT a; SET LOCAL statement_timeout = '100ms'; $endless; ROLLBACK TO a; SELECT 2; COMMIT;\n"
		  . "BEGIN; DECLARE o_c CURSOR FOR $endless; SET LOCAL statement_timeout = '100ms'; FETCH 1 FROM o_c; ROLLBACK;\n"
		  . "SELECT pg_cancel_backend(pg_backend_pid()), a FROM o_t; SELECT 3; BEGIN; SELECT pg_cancel_backend(pg_backend_pid()), a FROM o_t; SELECT 4; ROLLBACK;\n"
		  . 'DO $$BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM count(*) FROM generate_series(1, 1000000000000); END$$; SELECT 5;' . "\n",
		explained => $quiet->(q{EXPLAIN SELECT * FROM o_t; EXPLAIN (ANALYZE, BUFFERS, VERBOSE, WAL) SELECT count(*) FROM o_t JOIN o_u USING (a); EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM o_t ORDER BY c; EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT XML) SELECT 1; EXPLAIN (FORMAT YAML) SELECT * FROM o_p;
EXPLAIN ANALYZE INSERT INTO o_log SELECT 'e', a FROM o_t WHERE a < 5; EXPLAIN ANALYZE DELETE FROM o_ruled WHERE a = 3; EXPLAIN ANALYZE CREATE TABLE o_ea AS SELECT 1; EXPLAIN EXECUTE nobody; EXPLAIN DECLARE oc CURSOR FOR SELECT 1; EXPLAIN SELECT o_deep(5); EXPLAIN ANALYZE SELECT o_deep(5); EXPLAIN ANALYZE SELECT 1 / (a - 1) FROM o_t; PREPARE e(int) AS SELECT $1 + a FROM o_nulls; EXPLAIN (ANALYZE) EXECUTE e(1); EXPLAIN REFRESH MATERIALIZED VIEW o_none; EXPLAIN SELECT * FROM o_v60;})
		  . "SELECT what, count(*) FROM o_log GROUP BY 1; SELECT count(*) FROM o_ea; DROP TABLE o_ea; DELETE FROM o_log;\n",
		toggles => q{
SET pg_stat_statements.track = 'none'; SELECT o_deep(4); SET pg_stat_statements.track = 'top'; SELECT o_deep(4), o_sql(3); SELECT count(*) FROM o_t; SET pg_stat_statements.track_utility = off; DO $$BEGIN PERFORM o_sql(4); END$$; SET pg_stat_statements.track = 'all'; SELECT o_caught(20); SET jit = on; SET jit_above_cost = 0; SELECT sum(a) FROM o_t; SET jit = off; SET compute_query_id = on; SELECT o_sql(3); SET track_io_timing = on; SET log_statement_stats = off; SELECT count(*) FROM o_u; SET work_mem = '64kB'; SELECT count(*) FROM (SELECT * FROM o_u ORDER BY s OFFSET 0) s;
SELECT b, count(*) FROM o_t GROUP BY b ORDER BY 1 LIMIT 2; SET hash_mem_multiplier = 1; SELECT count(*) FROM o_t x JOIN o_u y ON x.b = y.s; SET max_stack_depth = '100kB'; SELECT o_deep(500); RESET max_stack_depth; SELECT o_deep(3);},
	);
}

# A session of statements out of all scripts, in an order and under settings that the seed decides.
sub odd_random
{
	my ($seed, $count) = @_;
	my %scripts = odd_scripts();
	my @pools;
	my @settings = ('jit = on', 'jit_above_cost = 0', 'work_mem = 64', 'enable_hashjoin = off', 'enable_seqscan = off', 'enable_material = off',
		'plan_cache_mode = force_generic_plan', q{pg_stat_statements.track = 'none'}, q{pg_stat_statements.track = 'top'}, q{pg_stat_statements.track = 'all'},
		'pg_stat_statements.track_utility = off', 'pganalytics_ml.capture = off', 'pganalytics_ml.capture = on', 'from_collapse_limit = 1', 'geqo_threshold = 2',
		'cursor_tuple_fraction = 1', 'track_io_timing = on', 'pganalytics_ml.capture_rate = 0.5', 'pganalytics_ml.overhead_budget = 0.01', 'enable_memoize = off');
	my $sql = '';

	srand($seed);
	for my $name (qw(errors subtransactions queries writes toggles cursors prepared nesting temporary))
	{
		# statements of one line each, without bodies and data of COPY, that no later session would miss
		my @pool = grep { /^[A-Z]/ && !/STDIN|o_role|DISCARD|DROP|SET |RESET|TRANSACTION|PREPARED|o_proc|100000|lo_|CREATE|LISTEN|NOTIFY|TRUNCATE|DELETE FROM o_t|_timeout|^(DO|COMMIT|ROLLBACK|BEGIN|LOCK|COPY)\b/ && !/generate_series\(1, \d{7}/ }
		  map { s/^\s+|\s+$//gr } split /;/, $scripts{$name} =~ s/\$\$.*?\$\$//gsr;

		push @pools, \@pool if @pool;
	}
	my $pick = sub {
		my $n = int(rand 2500);

		if (rand() < 0.6) { my $pool = $pools[ rand @pools ]; return $pool->[ rand @$pool ] }
		my @made = (
			"SELECT x.a % " . (2 + $n % 9) . ", count(*), sum(y.n) FROM o_t x " . ('JOIN', 'LEFT JOIN', 'FULL JOIN')[ $n % 3 ] . " o_u y ON x.a = y." . ('a', 'n')[ $n % 2 ]
			  . " WHERE x.a < $n GROUP BY 1 HAVING count(*) > " . ($n % 7) . " ORDER BY 1, 2 LIMIT " . ($n % 12),
			"SELECT a FROM o_t WHERE a > $n AND b " . ('=', '<>', '<', '>=')[ $n % 4 ] . " 'x" . ($n % 97) . "' ORDER BY a LIMIT 3",
			"SELECT o_deep(" . ($n % 40) . "), o_caught(" . ($n % 50) . ")", "SELECT o_dynamic(" . ($n % 20) . "), o_sql($n), o_atomic($n), o_folded($n)", "SELECT o_cursors($n), o_setting()",
			"SELECT count(*) FROM o_t WHERE a IN (SELECT n FROM o_u WHERE a < $n) OR EXISTS (SELECT FROM o_nulls n WHERE n.a = o_t.a)",
			"INSERT INTO o_log SELECT 'r', a FROM o_t WHERE a < " . ($n % 60), "UPDATE o_t SET c = c + 1 WHERE a = $n RETURNING b", "SELECT sum(1 / (a - $n)) FROM o_t WHERE a > " . ($n - 3),
			"SELECT count(*), max(v) FROM o_p WHERE k < $n", "SELECT count(*) FROM o_t WHERE a IN (" . join(', ', 1 .. 1 + $n % 200) . ")", "SELECT what, count(*) FROM o_log GROUP BY 1 ORDER BY 1",
			"DECLARE rc$n CURSOR" . ($n % 2 ? ' WITH HOLD' : '') . " FOR SELECT a FROM o_t WHERE a > $n ORDER BY a;\nFETCH " . ($n % 5) . " FROM rc$n");
		return $made[ rand @made ];
	};
	for (1 .. $count)
	{
		my $what = rand();
		my $statement = $pick->();

		if ($what < 0.10) { $sql .= 'SET ' . $settings[ rand @settings ] . ";\n" }
		elsif ($what < 0.20) { $sql .= "BEGIN;\n" }
		elsif ($what < 0.30) { $sql .= (rand() < 0.3 ? 'COMMIT' : 'ROLLBACK') . ";\n" }
		elsif ($what < 0.38) { $sql .= "SAVEPOINT r" . int(rand 4) . ";\n" }
		elsif ($what < 0.46) { $sql .= "ROLLBACK TO r" . int(rand 4) . ";\n" }
		elsif ($what < 0.50) { $sql .= "$statement \\; " . $pick->() . ";\n" }
		elsif ($what < 0.53) { $sql .= "DISCARD ALL;\n" }
		elsif ($what < 0.58) { my $n = 2 + int(rand 20); $sql .= "SELECT a FROM o_t WHERE a <= $n;\n" . join('', map { "SELECT b FROM o_t WHERE a = $_;\n" } 1 .. $n) }
		else { $sql .= "$statement;\n" }
	}
	return $sql . "ROLLBACK;\n";
}

# A session of psql: everything that comes back, without process ids.
sub odd_psql
{
	my ($node, $sql) = @_;
	my $out = '';

	# Also after RESET ALL: the guard warns as soon as there is a model.
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';

	IPC::Run::run([ 'psql', '-XAt', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('postgres') ],
		'<', \"SET client_min_messages = error; DELETE FROM o_log;\n$sql", '>&', \$out);
	$out =~ s/(with PID )\d+/$1/g;
	return $out;
}

# ---- the extended protocol ----

sub message
{
	my ($type, $body) = @_;

	return $type . pack('N', 4 + length $body) . $body;
}

sub bind_message
{
	my ($portal, $statement, @values) = @_;

	return message('B', pack('Z* Z* n n', $portal, $statement, 0, scalar @values) . join('', map { pack('N/a', $_) } @values) . pack('n', 0));
}

sub parse_message { return message('P', pack('Z* Z* n', @_, 0)) }
sub execute_message { return message('E', pack('Z* N', @_)) }
sub sync_message { return message('S', '') }

# What the server says until it is ready so many times: types, rows, tags, SQLSTATEs.
sub answers
{
	my ($socket, $ready) = @_;
	my @said;

	while ($ready > 0)
	{
		my ($head, $body) = ('', '');

		last unless (read($socket, $head, 5) // 0) == 5;
		my ($type, $length) = unpack('a N', $head);
		read($socket, $body, $length - 4) if $length > 4;
		$ready-- if $type eq 'Z';
		if ($type eq 'E') { push @said, 'E ' . ($body =~ /\0?C([0-9A-Z]{5})\0/)[0] }
		elsif ($type =~ /[DCZ]/) { push @said, "$type " . ($body =~ s/[^ -~]/./gr) }
		elsif ($type !~ /[KSRNA]/) { push @said, $type }
	}
	return join("\n", @said) . "\n";
}

# Portals that are fetched in turn, left open, failed, closed; pipelines; many parameters.
sub odd_portals
{
	my ($node) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or die "no connection: $!";
	my $said = '';
	my $start = pack('N Z* Z* Z* Z* x', 196608, 'user', getpwuid($<) . '', 'database', 'postgres');

	binmode $socket;
	$socket->autoflush(1);
	print $socket pack('N', 4 + length $start) . $start;
	$said .= answers($socket, 1);

	my @rounds = (
		[ parse_message('', 'SET client_min_messages = error'), bind_message('', ''), execute_message('', 0) ],
		# two portals of one statement in turn, the second one never to its end
		[ parse_message('s1', 'SELECT a, b FROM o_t WHERE a > $1 ORDER BY a'), bind_message('p1', 's1', 5), bind_message('p2', 's1', 2990),
			(map { (execute_message('p1', 2), execute_message('p2', 3)) } 1 .. 3), message('C', "Pp2\0") ],
		# the portal is gone with its transaction
		[ execute_message('p1', 1) ],
		# in a transaction: portals over several messages, others in between
		[ parse_message('', 'BEGIN'), bind_message('', ''), execute_message('', 0) ],
		[ bind_message('p1', 's1', 0), execute_message('p1', 4) ],
		(map { [ bind_message('', 's1', 2990 + $_), execute_message('', 0), execute_message('p1', 1) ] } 1 .. 6),
		[ parse_message('', 'SELECT 1 / (a - 3) FROM o_t ORDER BY a'), bind_message('pe', ''), execute_message('pe', 1), execute_message('pe', 1), execute_message('pe', 1) ],
		[ execute_message('p1', 1) ],
		[ parse_message('', 'ROLLBACK'), bind_message('', ''), execute_message('', 0) ],
		# errors of each step, and what follows them in the pipeline
		[ parse_message('', 'SELEC'), bind_message('', ''), execute_message('', 0) ],
		[ bind_message('', 's1', 'no number'), execute_message('', 0) ],
		[ bind_message('', 'nobody', 1) ],
		[ bind_message('', 's1') ],
		[ bind_message('', 's1', 2998), execute_message('', 0), bind_message('', 's1', 2999), execute_message('', 0), bind_message('', 's1', 3000), execute_message('', 0) ],
		[ message('D', "Ss1\0"), message('C', "Ss1\0"), bind_message('', 's1', 1) ],
		# writes with portals, a limit of rows included
		[ parse_message('w', 'INSERT INTO o_log SELECT $1, g FROM generate_series(1, 5) g RETURNING n'), bind_message('pw', 'w', 'ext'), execute_message('pw', 2), execute_message('pw', 0) ],
		[ parse_message('', 'DELETE FROM o_log'), bind_message('', ''), execute_message('', 0), execute_message('', 0) ],
		# a loop, prepared once
		[ parse_message('l', 'SELECT a FROM o_t WHERE a <= $1'), bind_message('', 'l', 10), execute_message('', 0) ],
		[ parse_message('i', 'SELECT b FROM o_t WHERE a = $1') ],
		(map { [ bind_message('', 'i', $_), execute_message('', 0) ] } 1 .. 10),
		# many parameters
		[ parse_message('', 'SELECT ' . join(' + ', map { "\$$_\::int" } 1 .. 1000)), bind_message('', '', 1 .. 1000), execute_message('', 0) ],
		[ parse_message('', 'SELECT count(*) FROM o_t WHERE a IN (' . join(', ', map { "\$$_" } 1 .. 5000) . ')'), bind_message('', '', 1 .. 5000), execute_message('', 0) ],
		[ message('Q', "SELECT 1; SELECT 2 / 0; SELECT 3\0") ],
	);

	for my $round (@rounds)
	{
		my $simple = $round->[0] =~ /^Q/;

		print $socket join('', @$round) . ($simple ? '' : sync_message());
		$said .= answers($socket, 1);
	}
	# the session ends with a portal open in a transaction
	print $socket parse_message('', 'BEGIN') . bind_message('', '') . execute_message('', 0)
	  . parse_message('', 'SELECT a FROM o_t') . bind_message('last', '') . execute_message('last', 1) . sync_message();
	$said .= answers($socket, 1);
	close $socket;
	return $said;
}

1;
