-- Answers before anything runs: by text, in EXPLAIN, and with an index that is not there.
\pset footer off
\pset null -

-- One statement, 60 values: its time depends on the tenant more than a hundredfold.
CREATE TABLE demo.ahead AS
SELECT t AS tenant, format('SELECT count(*), sum(amount), max(at) FROM shop.events WHERE tenant_id = %s', t) AS query
FROM (SELECT 1 + i * 0 AS t FROM generate_series(1, 4) i UNION ALL SELECT i FROM generate_series(2, 11) i
      UNION ALL SELECT 12 + 83 * i FROM generate_series(0, 45) i) x;

ALTER TABLE demo.ahead ADD number int GENERATED ALWAYS AS IDENTITY, ADD predicted float8, ADD lower float8, ADD upper float8,
    ADD source text, ADD by_queryid float8, ADD actual float8, ADD made_at timestamptz;
UPDATE demo.ahead a SET (predicted, lower, upper, source) =
    (SELECT predicted_execution_time_ms, lower_bound_ms, upper_bound_ms, p.source FROM predict_query_execution(a.query) p);
UPDATE demo.ahead SET made_at = clock_timestamp(), by_queryid = predict_query_time((SELECT queryid FROM demo.watched
    WHERE query LIKE 'SELECT count(*), sum(amount), max(at) FROM shop.events WHERE tenant_id%'));

\echo
\echo 'EXPLAIN, with pganalytics_ml.explain_predicted_time on'
SET pganalytics_ml.explain_predicted_time = on;
EXPLAIN SELECT c.country, sum(o.total) FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id WHERE o.placed >= '2024-06-01' GROUP BY c.country;

-- The execution alone, as EXPLAIN (ANALYZE) measures it, median of 5.
CREATE FUNCTION demo.run(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    took float8[];
BEGIN
    FOR i IN 1 .. 5 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
        took := took || (plan -> 0 ->> 'Execution Time')::float8;
    END LOOP;
    RETURN percentile_cont(0.5) WITHIN GROUP (ORDER BY t) FROM unnest(took) t;
END $$;
\echo 'What an index would bring, and what it brings once it is built'
CREATE TABLE demo.index_before AS
SELECT * FROM predict_with_settings('SELECT count(*), avg(amount) FROM shop.events WHERE kind = 5 AND amount > 95', '{}',
                                    ARRAY['CREATE INDEX ON shop.events (kind, amount)']);
CREATE INDEX events_kind_amount ON shop.events (kind, amount);
CREATE TABLE demo.index_after AS
SELECT p.*, demo.run('SELECT count(*), avg(amount) FROM shop.events WHERE kind = 5 AND amount > 95') AS actual_ms,
       pg_relation_size('shop.events_kind_amount') AS bytes
FROM predict_with_settings('SELECT count(*), avg(amount) FROM shop.events WHERE kind = 5 AND amount > 95') p;
SELECT round(b.before_cost::numeric) AS cost_now, round(b.after_cost::numeric, 1) AS cost_with, round(a.before_cost::numeric, 1) AS cost_built,
       to_char(b.before_ms, 'FM9990.00') AS ms_now, coalesce(to_char(b.after_ms, 'FM9990.00'), 'do not know') AS ms_with, to_char(a.actual_ms, 'FM9990.00') AS ms_built,
       pg_size_pretty((SELECT sum(value::bigint) FROM jsonb_each_text(b.index_sizes))) AS size_expected, pg_size_pretty(a.bytes) AS size_built
FROM demo.index_before b, demo.index_after a;
INSERT INTO demo.verdict (what, holds)
SELECT format('cost with an index that is not there %s, once it is built %s (within 15 %%)', round(b.after_cost::numeric, 1), round(a.before_cost::numeric, 1)),
       abs(b.after_cost / a.before_cost - 1) <= 0.15 AND b.plan_changed
FROM demo.index_before b, demo.index_after a;
