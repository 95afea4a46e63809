-- Planning as somebody: rights, refusals, errors.
SET client_min_messages = warning;
CREATE EXTENSION pganalytics_ml CASCADE;
SELECT format('ALTER DATABASE %I SET pganalytics_ml.capture = off', current_database()) \gexec
\c -
SET client_min_messages = warning;
CREATE ROLE replan_owner;
CREATE ROLE replan_reader;
CREATE SCHEMA owned AUTHORIZATION replan_owner;
GRANT USAGE ON SCHEMA owned TO PUBLIC;
SET ROLE replan_owner;
CREATE TABLE owned.items (id integer PRIMARY KEY, kind integer, secret text);
CREATE TABLE owned.hidden (id integer);
CREATE VIEW owned.visible AS SELECT id FROM owned.hidden;
CREATE TABLE owned.rows (id integer, who name);
ALTER TABLE owned.rows ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON owned.rows USING (who = current_user);
CREATE FUNCTION owned.not_yours(integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN $1; END';
REVOKE ALL ON FUNCTION owned.not_yours(integer) FROM PUBLIC;
CREATE FUNCTION owned.reads_hidden() RETURNS SETOF owned.hidden LANGUAGE sql STABLE AS 'SELECT * FROM owned.hidden';
GRANT SELECT (id, kind), UPDATE (kind) ON owned.items TO replan_reader;
GRANT SELECT ON owned.visible, owned.rows TO replan_reader;
RESET ROLE;
-- Is a text planned?  Its prediction needs no model to be asked for.
CREATE FUNCTION planned(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; code text; hint text; detail text;
BEGIN
	PERFORM predict_query_time(query);
	RETURN 'planned';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, code = RETURNED_SQLSTATE, hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', code, message, nullif(detail, ''), nullif(hint, ''));
END$$;

-- Rights are those that execution needs, whether or not planning would look at the table.
SET ROLE replan_reader;
SELECT query, planned(query) FROM (VALUES
	('SELECT id FROM owned.items WHERE kind = $1'),
	('SELECT secret FROM owned.items'),
	('SELECT count(*) FROM owned.items WHERE secret = ''x'''),
	('SELECT 1 WHERE EXISTS (SELECT FROM owned.hidden)'),
	('WITH x AS (SELECT * FROM owned.hidden) SELECT 1'),
	('SELECT id FROM owned.visible'),
	('SELECT * FROM owned.rows'),
	('UPDATE owned.items SET kind = kind + $1 WHERE id = $2'),
	('UPDATE owned.items SET id = $1'),
	('DELETE FROM owned.items'),
	('INSERT INTO owned.items (kind) VALUES ($1)'),
	('MERGE INTO owned.items i USING (SELECT 1 AS id) s ON i.id = s.id WHEN MATCHED THEN UPDATE SET kind = 2'),
	('SELECT owned.not_yours(id) FROM owned.items'),
	('SELECT * FROM owned.reads_hidden()'),
	('SELECT id FROM owned.items FOR UPDATE')) AS q (query);
SELECT * FROM explain_stored(4711);
SELECT * FROM stored_plans();
RESET ROLE;
SET ROLE replan_owner;
-- the owner of a view lends its rights
REVOKE ALL ON owned.hidden FROM replan_owner;
SELECT planned('SELECT id FROM owned.visible');
SELECT planned('DELETE FROM owned.items');
SELECT count(*) FROM owned.items;
RESET ROLE;

-- What has no plan, and what to pass instead.
CREATE TABLE ruled (a integer);
CREATE RULE nothing AS ON UPDATE TO ruled DO INSTEAD NOTHING;
CREATE RULE also AS ON DELETE TO ruled DO ALSO SELECT 1;
SELECT query, planned(query) FROM (VALUES
	(''), ('-- nothing'), (';'), ('4711'), (' -4711; '), ('SELECT 1; SELECT 2'), ('SELECT 1;'),
	('EXPLAIN SELECT 1'), ('DECLARE c CURSOR FOR SELECT 1'), ('CREATE TABLE x AS SELECT 1'), ('SELECT 1 AS a INTO x'),
	('COPY (SELECT 1) TO STDOUT'), ('PREPARE p AS SELECT 1'), ('EXECUTE p'), ('CALL p()'), ('DO ''BEGIN END'''),
	('VACUUM'), ('SET work_mem = 1'), ('UPDATE ruled SET a = 1'), ('DELETE FROM ruled'), ('INSERT INTO ruled VALUES (1)'),
	('VALUES (1)'), ('TABLE ruled'), ('SELECT $1 + $2'), ('SELECT $1::int + $2'), ('SELECT $70000'), ('SELECT 1 / 0')) AS q (query);
SELECT count(*) FROM ruled;
-- the position is that in the text
SELECT predict_query_time('SELECT relname FROM pg_class
 WHERE nothing = 1'::text);
SELECT predict_query_time('SELECT relname FRO pg_class'::text);
SELECT predict_query_time('SELECT ''ä'', nothing FROM pg_class'::text);

-- Settings: those that choose between plans, with the rights of the caller.
SELECT after_cost > before_cost AS dearer FROM predict_with_settings('SELECT * FROM pg_class WHERE oid = 1', '{"enable_indexscan": false, "enable_bitmapscan": "off"}');
SHOW enable_indexscan;
SELECT * FROM predict_with_settings('SELECT 1', '{"search_path": "public"}');
SELECT * FROM predict_with_settings('SELECT 1', '{"role": "postgres"}');
SELECT * FROM predict_with_settings('SELECT 1', '{"no.such": "1"}');
SELECT * FROM predict_with_settings('SELECT 1', '{"work_mem": "1 parsec"}');
SELECT * FROM explain_stored(1, '[]');
SELECT * FROM stored_plans(0);

-- What the session has set survives; what is set for planning does not.
BEGIN;
SET LOCAL work_mem = '3MB';
SELECT planned('SELECT 1');
SELECT current_setting('work_mem'), current_setting('client_min_messages'), current_setting('pg_stat_statements.track'), current_setting('transaction_read_only');
CREATE TABLE written_after (a integer);
COMMIT;
DROP TABLE written_after, ruled;
DROP OWNED BY replan_owner, replan_reader;
DROP ROLE replan_owner, replan_reader;
