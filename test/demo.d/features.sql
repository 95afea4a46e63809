-- The canonical features: do they vary, and are they what other queries say?
\pset footer off
\pset null -

CREATE TABLE demo.features AS
SELECT w.queryid, w.query, f.position, f.feature, f.value, f.unit, f.reason
FROM demo.watched w, query_features(w.queryid) f WHERE f.canonical;

\echo
\echo 'The twelve canonical features over all statements of the workload'
SELECT feature, unit, count(value) AS known, round(min(value)::numeric, 3) AS least, round(max(value)::numeric, 3) AS most,
       max(value) - min(value) > 0.01 * abs(max(value)) AS varies
FROM demo.features GROUP BY position, feature, unit ORDER BY position;

INSERT INTO demo.verdict (what, holds)
SELECT format('%s of %s canonical features vary between statements', count(*) FILTER (WHERE varies), count(*)), count(*) FILTER (WHERE varies) >= 10
FROM (SELECT max(value) - min(value) > 0.01 * abs(max(value)) AS varies FROM demo.features GROUP BY feature) x;

-- Three statements, the tables they read, and one way to call them.
CREATE TABLE demo.probe AS
SELECT w.queryid, v.name, v.tables::regclass[], v.example
FROM (VALUES
    ('orders of a customer', 'SELECT o.id, o.placed, sum(%', '{shop.orders,shop.order_items}',
     'SELECT o.id, o.placed, sum(i.quantity * i.price) AS worth FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id WHERE o.customer_id = 20000 GROUP BY o.id ORDER BY o.placed DESC LIMIT 10'),
    ('orders above the customer''s average', 'SELECT count(*) FROM shop.orders o WHERE o.id BETWEEN%', '{shop.orders}',
     'SELECT count(*) FROM shop.orders o WHERE o.id BETWEEN 5000 AND 5000 + 300 AND o.total > (SELECT avg(x.total) FROM shop.orders x WHERE x.customer_id = o.customer_id)'),
    ('returns by segment', 'SELECT c.segment, count(*) FILTER%', '{shop.orders,shop.customers}',
     'SELECT c.segment, count(*) FILTER (WHERE o.status = ''returned'')::float8 / count(*) AS share FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id GROUP BY c.segment ORDER BY 2 DESC')
) v (name, pattern, tables, example)
JOIN demo.watched w ON w.query LIKE v.pattern;

CREATE FUNCTION demo.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO answer;
    RETURN answer;
END $$;

-- Calls in the newest 24 complete buckets, or in all since the statement's first one.
CREATE FUNCTION demo.calls(id bigint, upto timestamptz, OUT mean float8, OUT std_dev float8, OUT peak float8) LANGUAGE sql AS $$
SELECT avg(per_hour), stddev_pop(per_hour), max(per_hour) FROM (
    SELECT coalesce((SELECT sum(h.calls) FROM pganalytics.statement_history h WHERE h.queryid = id AND h.bucket_start = b), 0)::float8 * 3600 / 5 AS per_hour
    FROM generate_series(upto - 24 * interval '5 s', upto - interval '5 s', interval '5 s') b
    WHERE b >= (SELECT min(bucket_start) FROM pganalytics.statement_history WHERE queryid = id)) x
$$;

CREATE FUNCTION demo.oracle(p demo.probe, upto timestamptz) RETURNS TABLE (feature text, value float8) LANGUAGE sql AS $$
SELECT 'query_calls_per_hour', mean FROM demo.calls(p.queryid, upto) UNION ALL
SELECT 'std_dev_calls', std_dev FROM demo.calls(p.queryid, upto) UNION ALL
SELECT 'peak_hour_calls', peak FROM demo.calls(p.queryid, upto) UNION ALL
SELECT 'mean_table_size_mb', avg(pg_relation_size(t)) / 1048576 FROM unnest(p.tables) t UNION ALL
SELECT 'index_count', count(*) FROM pg_indexes WHERE format('%I.%I', schemaname, tablename)::regclass = ANY (p.tables) UNION ALL
SELECT 'table_row_count', sum(n) FROM (SELECT count(*) AS n FROM shop.orders WHERE 'shop.orders'::regclass = ANY (p.tables)
    UNION ALL SELECT count(*) FROM shop.order_items WHERE 'shop.order_items'::regclass = ANY (p.tables)
    UNION ALL SELECT count(*) FROM shop.customers WHERE 'shop.customers'::regclass = ANY (p.tables)) x UNION ALL
SELECT 'avg_row_width_bytes', avg(width) FROM (SELECT sum(avg_width)::float8 AS width FROM pg_stats
    WHERE format('%I.%I', schemaname, tablename)::regclass = ANY (p.tables) GROUP BY schemaname, tablename) x UNION ALL
SELECT 'has_seq_scan', (demo.plan(p.example) ~ '"Node Type": "Seq Scan"')::int UNION ALL
SELECT 'has_nested_loop', (demo.plan(p.example) ~ '"Node Type": "Nested Loop"')::int UNION ALL
SELECT 'subquery_depth', (demo.plan(p.example) ~ '"Subplan Name"')::int UNION ALL
SELECT 'concurrent_queries_avg', avg(active_backends) FROM (SELECT active_backends FROM pganalytics.execution_samples
    WHERE queryid = p.queryid AND toplevel AND outcome = 'done' ORDER BY sampled_at DESC LIMIT 32) x UNION ALL
SELECT 'available_memory_pct', 100.0 * substring(m FROM 'MemAvailable: +(\d+)')::float8 / substring(m FROM 'MemTotal: +(\d+)')::float8
    FROM pg_read_file('/proc/meminfo', 0, 4096) m
$$;

-- Both sides are read within one bucket: a border between them would be a difference.
CREATE TABLE demo.checked (name text, "position" int, feature text, ours float8, independent float8);
DO $$
DECLARE bucket timestamptz;
BEGIN
    LOOP
        DELETE FROM demo.checked;
        bucket := date_bin('5 s', clock_timestamp(), '2000-01-01 00:00:00+00');
        INSERT INTO demo.checked
        SELECT p.name, f.position, f.feature, f.value, o.value
        FROM demo.probe p, LATERAL query_features(p.queryid) f LEFT JOIN LATERAL demo.oracle(p, bucket) o USING (feature)
        WHERE f.canonical;
        EXIT WHEN bucket = date_bin('5 s', clock_timestamp(), '2000-01-01 00:00:00+00');
    END LOOP;
END $$;

CREATE VIEW demo.agreement AS
SELECT *, coalesce(abs(ours - independent) <= CASE feature WHEN 'available_memory_pct' THEN 3 ELSE 1e-5 * greatest(1, abs(independent)) END, false) AS agrees
FROM demo.checked;

\echo
\echo 'Three statements: query_features() | what independent queries of catalog, history and /proc say'
SELECT feature, max(v) FILTER (WHERE n = 1) AS "orders above the customer's average",
       max(v) FILTER (WHERE n = 2) AS "orders of a customer", max(v) FILTER (WHERE n = 3) AS "returns by segment", bool_and(agrees) AS agree
FROM (SELECT position, feature, agrees, dense_rank() OVER (ORDER BY name) AS n,
             coalesce(round(ours::numeric, 3)::text, '-') || ' | ' || coalesce(round(independent::numeric, 3)::text, '-') AS v
      FROM demo.agreement) x
GROUP BY position, feature ORDER BY position;

INSERT INTO demo.verdict (what, holds)
SELECT format('%s of %s feature values of three statements agree with independent queries', count(*) FILTER (WHERE agrees), count(*)),
       count(*) = 36 AND bool_and(agrees)
FROM demo.agreement;

-- Nothing lost, nothing twice: what the collector wrote is what the server counted.
INSERT INTO demo.verdict (what, holds)
SELECT format('history holds %s calls of the workload, pg_stat_statements counted %s', sum(h.calls), sum(c.calls)), sum(h.calls) = sum(c.calls)
FROM demo.watched w
JOIN LATERAL (SELECT sum(calls) AS calls FROM pganalytics.statement_history h WHERE h.queryid = w.queryid) h ON true
JOIN LATERAL (SELECT sum(calls) AS calls FROM pg_stat_statements(false) s
              WHERE s.queryid = w.queryid AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) c ON true;
