-- How long it takes with an index: predicted beforehand, and measured with it.
-- Learnt from statements of the same kinds, with and without indexes.
\pset tuples_only on
\pset format unaligned
\o /dev/null
CREATE INDEX ON even (thousand); CREATE INDEX ON even (ten); CREATE INDEX ON skew (zipf); CREATE INDEX ON lines (part);
CREATE INDEX ON orders (ordered); CREATE INDEX ON correlated (a); CREATE INDEX ON customers (nation);
CREATE TABLE shapes (query text, index text);
INSERT INTO shapes VALUES
	('SELECT * FROM even WHERE thousand = #', NULL), ('SELECT count(*) FROM even WHERE ten = # % 10', NULL), ('SELECT sum(x) FROM skew WHERE zipf = #', NULL),
	('SELECT avg(price) FROM lines WHERE part = #', NULL), ('SELECT count(*) FROM orders WHERE ordered = date ''1993-01-01'' + #', NULL),
	('SELECT * FROM correlated WHERE a = #', NULL), ('SELECT * FROM even WHERE id = #', NULL), ('SELECT * FROM orders WHERE id = #', NULL),
	('SELECT * FROM customers WHERE id = #', NULL), ('SELECT count(*) FROM customers WHERE nation = # % 24', NULL), ('SELECT count(*) FROM skew WHERE power > #', NULL),
	('SELECT max(price) FROM lines WHERE quantity = # % 50', NULL), ('SELECT count(*) FROM orders WHERE total > 300 * #', NULL),
	('SELECT mode, count(*) FROM lines WHERE part < # GROUP BY mode', NULL), ('SELECT * FROM orders WHERE ordered < date ''1992-01-05'' + # / 50', NULL),
	('SELECT o.* FROM orders o JOIN customers c ON c.id = o.customer WHERE c.nation = # % 24 AND o.total < 500', NULL),
	('SELECT * FROM lines WHERE supplier = #', 'lines (supplier)'), ('SELECT * FROM orders WHERE customer = #', 'orders (customer)'),
	('SELECT * FROM sparse WHERE tenth = #', 'sparse (tenth)'), ('SELECT * FROM correlated WHERE other = # % 100', 'correlated (other)'),
	('SELECT * FROM even WHERE f = #', 'even (f)'), ('SELECT count(*) FROM lines WHERE quantity = # % 50', 'lines (quantity)'),
	('SELECT * FROM even WHERE big < # * 1000', 'even (big)'), ('SELECT sum(price) FROM lines WHERE order_id = #', 'lines (order_id)'),
	('SELECT * FROM wide WHERE k = #', 'wide (k)'), ('SELECT count(*) FROM skew WHERE status = ''new'' AND id > 100 * #', 'skew (status, id)');
SELECT replace(query, '#', (n * 37 % 1000 + 1)::text) FROM shapes, generate_series(1, 40) n ORDER BY hashint4(n), query
\gexec
SELECT * FROM collect_statements();
SELECT * FROM train_performance_model(split => 'random', wait => true);
CREATE TABLE timed (query text, index text, before float8, after float8, lower float8, upper float8, source text, reason text, real float8);
CREATE PROCEDURE measure(query text, index text) LANGUAGE plpgsql AS $$
DECLARE answer record; plan json; took float8[] := '{}';
BEGIN
	SELECT * INTO answer FROM predict_with_settings(replace(query, '#', '500'), '{}', array['CREATE INDEX made_up ON ' || index]);
	EXECUTE 'CREATE INDEX made_up ON ' || index;
	FOR n IN 1 .. 31 LOOP
		EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT json) ' || replace(query, '#', (n * 31 % 1000 + 1)::text) INTO plan;
		took := took || (plan -> 0 ->> 'Execution Time')::float8;
	END LOOP;
	DROP INDEX made_up;
	INSERT INTO timed SELECT query, index, answer.before_ms, answer.after_ms, answer.after_lower_ms, answer.after_upper_ms, answer.after_source, answer.reason,
		(SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(took) t);
END $$;
SELECT format('CALL measure(%L, %L)', query, index) FROM shapes WHERE index IS NOT NULL ORDER BY query
\gexec
\o
SELECT '| statement | index | before, ms | predicted, ms | 90 % interval | source | really, ms | q-error |';
SELECT '|---|---|---|---|---|---|---|---|';
SELECT format('| %s | %s | %s | %s | %s..%s | %s | %s | %s |', query, index, round(before::numeric, 3), round(after::numeric, 3), round(lower::numeric, 3), round(upper::numeric, 3),
              coalesce(source, reason), round(real::numeric, 3), round(greatest(after / real, real / after)::numeric, 2)) FROM timed ORDER BY index;
SELECT format('%s of %s answered; median q-error %s (no change at all: %s), interval covers %s', count(after), count(*),
              round(percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(after / real, real / after))::numeric, 2),
              round(percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(before / real, real / before))::numeric, 2),
              count(*) FILTER (WHERE real BETWEEN lower AND upper)) FROM timed;
