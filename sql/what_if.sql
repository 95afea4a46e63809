-- What if: errors, rights, nothing left over; accuracy is TAP 431's and the bench's.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
CREATE TABLE t AS SELECT i AS id, i % 100 AS k, md5(i::text) AS name, point(i, i) AS at, ARRAY[i] AS tags FROM generate_series(1, 20000) i;
CREATE INDEX t_k ON t (k);
CREATE TABLE s (id int PRIMARY KEY, k int UNIQUE, v int);
CREATE TABLE f (s int REFERENCES s (k));
INSERT INTO s SELECT i, i, i FROM generate_series(1, 5000) i;
CREATE VIEW v AS SELECT * FROM t;
CREATE TABLE p (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE p2 (at date, gone int, id int);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');
INSERT INTO p SELECT i, date '2025-01-01' + i % 59 FROM generate_series(1, 20000) i;
VACUUM ANALYZE t, s, p;
CREATE FUNCTION what_if(query text, VARIADIC commands text[]) RETURNS TABLE (changed boolean, cheaper boolean, used text[], sized text[])
LANGUAGE sql AS $$
	SELECT plan_changed, after_cost < before_cost, indexes_used, ARRAY(SELECT jsonb_object_keys(index_sizes))
	  FROM predict_with_settings(query, hypothetical_indexes => commands) $$;

-- One row; without a model nobody knows, and says so.
\x
SELECT before_ms, before_source, before_in_range, after_ms, after_lower_ms, after_upper_ms, after_source, improvement_percent, before_cost = after_cost AS same,
       plan_changed, indexes_used, index_sizes, reason FROM predict_with_settings('SELECT * FROM t WHERE id = 5');
SELECT after_ms, after_cost < before_cost AS cheaper, plan_changed, indexes_used, (index_sizes ->> 'i')::int / 8192 AS pages, reason
  FROM predict_with_settings('SELECT * FROM t WHERE id = $1', '{}', '{CREATE INDEX i ON t (id)}');
\x

-- Kinds of indexes.
SELECT * FROM what_if('SELECT * FROM t WHERE id = 5', 'CREATE INDEX ON t (id)');
SELECT * FROM what_if('SELECT * FROM t WHERE id = 5', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON public.t USING hash (id)');
SELECT * FROM what_if('SELECT * FROM t WHERE id < 500', 'CREATE INDEX i ON t USING brin (id)');
SELECT * FROM what_if('SELECT * FROM t WHERE at <@ box ''(1,1),(9,9)''', 'CREATE INDEX i ON t USING gist (at)');
SELECT * FROM what_if('SELECT * FROM t ORDER BY id DESC LIMIT 3', 'CREATE INDEX i ON t (id DESC NULLS LAST)', 'CREATE INDEX j ON t (id DESC)');
SELECT * FROM what_if('SELECT id, k FROM t WHERE id < 90', 'CREATE INDEX i ON t (id)', 'CREATE INDEX j ON t (id) INCLUDE (k)');
SELECT * FROM what_if('SELECT * FROM t WHERE lower(name) = ''x''', 'CREATE INDEX ON t (lower(name), (id + 1))');
SELECT * FROM what_if('SELECT * FROM t WHERE k = 3 AND id = 5', 'CREATE INDEX i ON t (id) WHERE k = 3', 'CREATE INDEX j ON t (id) WHERE k = 4');
SELECT * FROM what_if('SELECT * FROM t WHERE name LIKE ''abc%''', 'CREATE INDEX i ON t (name text_pattern_ops)', 'CREATE INDEX j ON t ((name) COLLATE "C")');
SELECT * FROM what_if('SELECT * FROM p WHERE id = 7', 'CREATE INDEX i ON p (id)');
SELECT * FROM what_if('SELECT * FROM p WHERE id = 7 AND at < ''2025-01-05''', 'CREATE INDEX i ON p2 (id)');
SELECT * FROM what_if('DELETE FROM t USING s WHERE t.id = s.id AND s.k = 3', 'CREATE INDEX i ON t (id)');
SELECT * FROM what_if('SELECT (SELECT max(name) FROM t WHERE t.id = s.id) FROM s WHERE s.id < 3', 'CREATE INDEX i ON t (id)');
SELECT * FROM what_if('SELECT * FROM (SELECT id, count(*) FROM t GROUP BY id) x WHERE id = 3 UNION ALL SELECT 1, 2', 'CREATE INDEX i ON t (id)');
SELECT indexes_used, reason FROM predict_with_settings('SELECT * FROM t WHERE id = 5', hypothetical_indexes => '{CREATE UNIQUE INDEX i ON t (id)}');

-- Gone instead of made up.
SELECT * FROM what_if('SELECT * FROM t WHERE k = 5', 'DROP INDEX t_k');
SELECT * FROM what_if('SELECT * FROM t WHERE k = 5', 'DROP INDEX IF EXISTS t_k, nowhere', 'CREATE INDEX t_k ON t (k) INCLUDE (id, name, at, tags)');
SELECT * FROM what_if('SELECT 1', 'DROP INDEX nowhere');
SELECT * FROM what_if('SELECT 1', 'DROP INDEX t');
SELECT * FROM what_if('SELECT 1', 'DROP INDEX s_pkey');
SELECT * FROM what_if('SELECT 1', 'DROP INDEX s_k_key');

-- What CREATE INDEX would say.
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON nowhere (id)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (nowhere)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id) INCLUDE (nowhere)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (at)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id nowhere_ops)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id COLLATE "C")');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (ctid)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (random())');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id) WHERE random() < 0.5');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (max(id))');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id) INCLUDE (k DESC)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING hash (id, k)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING hash (id DESC)');
SELECT * FROM what_if('SELECT 1', 'CREATE UNIQUE INDEX ON t USING brin (id)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING nowhere (id)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id) WITH (fillfactor = 200)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id) WITH (nowhere = 1)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t (id) TABLESPACE nowhere');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX t_k ON t (id)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t (id)', 'CREATE INDEX i ON t (k)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON v (id)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON pg_class (relname)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX CONCURRENTLY ON p (id)');

-- What is refused although the server would do it.
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING gin (tags)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING spgist (at)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING gist (to_tsvector(''simple'', name))');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX ON t USING brin (id) WITH (pages_per_range = 4)');
SELECT * FROM what_if('SELECT 1', 'CREATE UNIQUE INDEX ON p (id, at)');
SELECT * FROM what_if('SELECT 1', 'CREATE TABLE x ()');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t (id); DROP INDEX t_k');
SELECT * FROM what_if('SELECT 1', '');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t (');
SELECT * FROM what_if('SELECT 1', NULL, 'DROP INDEX t_k');
SELECT * FROM predict_with_settings('SELECT 1', hypothetical_indexes => '{{a},{b}}');
SELECT * FROM predict_with_settings('SELECT 1', hypothetical_indexes => array_fill('DROP INDEX t_k'::text, '{101}'));

-- Statements.
SELECT * FROM what_if('CREATE INDEX ON t (id)', 'CREATE INDEX ON t (id)');
SELECT * FROM what_if('SELECT * FROM nowhere', 'CREATE INDEX ON t (id)');
SELECT * FROM predict_with_settings('SELECT 1; SELECT 2');
SELECT count(*) FROM predict_with_settings(NULL);
SELECT plan_changed, indexes_used, index_sizes FROM predict_with_settings('SELECT 1', NULL, NULL);
SELECT plan_changed, indexes_used, index_sizes FROM predict_with_settings('SELECT 1', '{}', '{}');

-- Settings: those that choose between plans, with the rights and values of SET.
SELECT plan_changed, reason FROM predict_with_settings('SELECT * FROM t WHERE k = 5', '{"enable_bitmapscan": false, "enable_indexscan": "off"}');
SELECT plan_changed, reason FROM predict_with_settings('SELECT * FROM t WHERE k = 5', '{"random_page_cost": 1.5}');
SELECT plan_changed, reason FROM predict_with_settings('SELECT * FROM t ORDER BY name', '{"work_mem": 64}');
SHOW work_mem;
SELECT * FROM predict_with_settings('SELECT 1', '{"work_mem": "lots"}');
\set VERBOSITY sqlstate
SELECT * FROM predict_with_settings('SELECT 1', '{"work_mem": -1}');
\set VERBOSITY terse
SELECT * FROM predict_with_settings('SELECT 1', '{"work_mem": null}');
SELECT * FROM predict_with_settings('SELECT 1', '{"work_mem": [1]}');
SELECT * FROM predict_with_settings('SELECT 1', '[1]');
SELECT * FROM predict_with_settings('SELECT 1', '"work_mem"');
SELECT * FROM predict_with_settings('SELECT 1', '{"no_such_setting": 1}');
SELECT * FROM predict_with_settings('SELECT 1', '{"shared_buffers": "1GB"}');
SELECT * FROM predict_with_settings('SELECT 1', '{"role": "postgres"}');

-- A function that planning evaluates sees only what is there, and may ask the same.
CREATE FUNCTION five() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE found int;
BEGIN
	EXECUTE 'SELECT min(k) FROM t WHERE id = 5' INTO found;
	RETURN found;
END $$;
SELECT * FROM what_if('SELECT * FROM t WHERE id = five()', 'CREATE INDEX i ON t (id)');
CREATE FUNCTION asks() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN (SELECT cardinality(indexes_used) FROM predict_with_settings('SELECT * FROM s WHERE v = 5', '{}', '{CREATE INDEX j ON s (v)}'));
EXCEPTION WHEN OTHERS THEN
	RETURN -1;
END $$;
SELECT * FROM what_if('SELECT * FROM t WHERE id = asks()', 'CREATE INDEX i ON t (id)');

-- Nothing is left over, after errors too.
SELECT relname FROM pg_class WHERE relname IN ('i', 'j', 't_id_idx', 't_lower_expr_idx') OR oid > 4000000000;
SELECT count(*) FROM pg_class WHERE relname = 't_k';
EXPLAIN (COSTS off) SELECT * FROM t WHERE id = 5;
EXPLAIN (COSTS off) SELECT * FROM t WHERE k = 5;
BEGIN READ ONLY;
SELECT * FROM what_if('SELECT * FROM t WHERE id = 5', 'CREATE INDEX i ON t (id)');
COMMIT;
BEGIN;
SELECT * FROM what_if('SELECT * FROM t WHERE id = 5', 'CREATE INDEX i ON t (id)');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
SELECT mode, count(*) FROM pg_locks WHERE relation = 't'::regclass GROUP BY mode;
COMMIT;

-- Rights: those of reading the columns.  Row-level security hides what a size would tell.
CREATE ROLE regress_what_if;
SET ROLE regress_what_if;
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t (id)');
SELECT * FROM what_if('SELECT 1', 'DROP INDEX t_k');
SELECT * FROM what_if('SELECT * FROM t', 'CREATE INDEX i ON t (id)');
RESET ROLE;
GRANT SELECT (id, name) ON t TO regress_what_if;
SET ROLE regress_what_if;
SELECT * FROM what_if('SELECT name FROM t WHERE id = 5', 'CREATE INDEX i ON t (id) INCLUDE (name)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t (id) INCLUDE (k)');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t (id) WHERE k = 3');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t ((id + k))');
SELECT * FROM what_if('SELECT 1', 'CREATE INDEX i ON t ((t IS NULL))');
RESET ROLE;
GRANT SELECT ON s TO regress_what_if;
ALTER TABLE s ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON s USING (id < 10);
SELECT * FROM what_if('SELECT * FROM s WHERE v = 5', 'CREATE INDEX i ON s (v)');
SET ROLE regress_what_if;
SELECT * FROM what_if('SELECT * FROM s WHERE v = 5', 'CREATE INDEX i ON s (v)');
RESET ROLE;
DROP OWNED BY regress_what_if;
DROP ROLE regress_what_if;
