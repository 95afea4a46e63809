-- Predictions beside executions that came later.
\pset footer off
\pset null -

-- At most 200 executions of a statement, so that none drowns the others.
CREATE TABLE demo.unseen AS
SELECT * FROM (
    SELECT e.sampled_at, e.queryid, e.execution_ms AS ms, e.plan_facts[1] AS log_cost,
           row_number() OVER (PARTITION BY e.queryid ORDER BY md5(e.sampled_at::text)) AS pick
    FROM pganalytics.execution_samples e JOIN demo.watched USING (queryid)
    WHERE e.toplevel AND e.outcome = 'done' AND e.execution_ms > 0
      AND e.sampled_at - e.execution_ms * interval '1 ms' > (SELECT max(made_at) FROM demo.predicted WHERE round = 1)) x
WHERE pick <= 200;

CREATE TABLE demo.seen AS
SELECT e.sampled_at, e.queryid, e.execution_ms AS ms, e.plan_facts[1] AS log_cost
FROM pganalytics.execution_samples e JOIN demo.watched USING (queryid)
WHERE e.toplevel AND e.outcome = 'done' AND e.execution_ms > 0 AND e.sampled_at <= (SELECT at FROM demo.trained);
CREATE INDEX ON demo.seen (queryid, sampled_at);
ANALYZE demo.seen, demo.unseen;

CREATE FUNCTION demo.q(a float8, b float8) RETURNS float8 IMMUTABLE LANGUAGE sql
RETURN greatest(a, b) / nullif(least(a, b), 0);

\echo
\echo 'Predicted right after training; actual: executions after that.  q-error = the larger through the smaller.'
SELECT left(w.query, 46) AS statement, p.source, to_char(p.ms, 'FM99990.000') AS predicted_ms,
       to_char(p.lower_ms, 'FM99990.000') || ' .. ' || to_char(p.upper_ms, 'FM99990.000') AS interval_90,
       a.n AS actual_runs, to_char(a.median, 'FM99990.000') AS actual_median_ms,
       round(demo.q(p.ms, a.median)::numeric, 2) AS q_error, round(100 * a.inside) AS inside_pct
FROM demo.watched w JOIN demo.predicted p ON p.queryid = w.queryid AND p.round = 1
JOIN LATERAL (SELECT count(*) AS n, percentile_cont(0.5) WITHIN GROUP (ORDER BY u.ms) AS median,
                     avg((u.ms BETWEEN p.lower_ms AND p.upper_ms)::int) AS inside
              FROM demo.unseen u WHERE u.queryid = w.queryid) a ON a.n > 0
ORDER BY p.ms DESC NULLS LAST;

-- Every unseen execution with the prediction in force when it began, and what simpler answers would have been.
CREATE TABLE demo.judged AS
WITH line AS (SELECT regr_slope(ln(ms), log_cost) AS slope, regr_intercept(ln(ms), log_cost) AS intercept FROM demo.seen),
     everything AS (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS median FROM demo.seen),
     own AS (SELECT queryid, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS median,
                    percentile_cont(0.9) WITHIN GROUP (ORDER BY ms) / percentile_cont(0.1) WITHIN GROUP (ORDER BY ms) AS spread
             FROM demo.seen GROUP BY queryid)
SELECT u.queryid, u.ms, own.spread, p.ms AS predicted, u.ms BETWEEN p.lower_ms AND p.upper_ms AS inside,
       everything.median AS global_median, exp(line.intercept + line.slope * u.log_cost) AS cost_only,
       own.median AS own_median, r.running_median, r.moving_average
FROM demo.unseen u CROSS JOIN line CROSS JOIN everything JOIN own USING (queryid)
CROSS JOIN LATERAL (SELECT * FROM demo.predicted p
                    WHERE p.queryid = u.queryid AND p.made_at < u.sampled_at - u.ms * interval '1 ms'
                    ORDER BY p.made_at DESC LIMIT 1) p
CROSS JOIN LATERAL (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS running_median, avg(ms) FILTER (WHERE n <= 10) AS moving_average
                    FROM (SELECT ms, row_number() OVER (ORDER BY sampled_at DESC) AS n
                          FROM (SELECT ms, sampled_at FROM pganalytics.execution_samples e, LATERAL (SELECT e.execution_ms AS ms) x
                                WHERE e.queryid = u.queryid AND e.toplevel AND e.outcome = 'done' AND e.sampled_at < u.sampled_at - u.ms * interval '1 ms'
                                ORDER BY e.sampled_at DESC LIMIT 32) y) z) r;

CREATE VIEW demo.answers AS
SELECT j.queryid, j.spread, j.ms, v.turn, v.answer, v.value
FROM demo.judged j CROSS JOIN LATERAL (VALUES
    (1, 'predict_query_time', predicted), (2, 'own running median of 32', running_median),
    (3, 'baseline: own median', own_median), (4, 'baseline: own moving average of 10', moving_average),
    (5, 'baseline: cost only', cost_only), (6, 'baseline: global median', global_median)) v (turn, answer, value);

\echo
\echo 'Accuracy on the same unseen executions (own moving average and running median go on learning, and so does history).'
SELECT answer, count(value) AS runs,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY demo.q(value, ms))::numeric, 3) AS q_p50,
       round(percentile_cont(0.9) WITHIN GROUP (ORDER BY demo.q(value, ms))::numeric, 3) AS q_p90,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY demo.q(value, ms)) FILTER (WHERE spread <= 3)::numeric, 3) AS stable_p50,
       round(percentile_cont(0.9) WITHIN GROUP (ORDER BY demo.q(value, ms)) FILTER (WHERE spread <= 3)::numeric, 3) AS stable_p90,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY demo.q(value, ms)) FILTER (WHERE spread > 3)::numeric, 3) AS varying_p50
FROM demo.answers GROUP BY turn, answer ORDER BY turn;
\echo 'stable: the middle 80 % of a statement''s earlier times lie within a factor of 3.'

\echo
SELECT round(100 * avg(inside::int), 1) AS inside_interval_pct, count(*) AS unseen_executions,
       count(DISTINCT queryid) AS statements FROM demo.judged;

\echo
\echo 'What the model itself keeps: its newest fifth of the data, held out while it was fitted (log scale; q-error)'
WITH m AS (SELECT metrics FROM get_model((SELECT model_id FROM get_latest_model()))),
     scores AS (SELECT 1 AS turn, 'serves' AS who, metrics -> 'serving' AS score FROM m UNION ALL
                SELECT 2, 'serves, statements never seen', metrics -> 'serving_cold' FROM m UNION ALL
                SELECT 3, 'stage ' || key, value FROM m, jsonb_each(metrics -> 'stages') UNION ALL
                SELECT 4, 'baseline ' || key, value FROM m, jsonb_each(metrics -> 'baselines'))
SELECT who, round((score ->> 'r2')::numeric, 3) AS r2, round((score ->> 'mae')::numeric, 3) AS mae,
       round((score ->> 'q50')::numeric, 3) AS q_p50, round((score ->> 'q90')::numeric, 3) AS q_p90,
       round(100 * (score ->> 'coverage')::numeric, 1) AS coverage_pct
FROM scores ORDER BY turn, who;

CREATE TABLE demo.verdict (number int GENERATED ALWAYS AS IDENTITY, what text, holds boolean);
INSERT INTO demo.verdict (what, holds)
SELECT format('every one of %s statements has a prediction', count(*)), bool_and(ms IS NOT NULL) FROM demo.predicted WHERE round = 1;
INSERT INTO demo.verdict (what, holds)
SELECT format('a lookup varies %s-fold with its parameter', round(max(s))), max(s) >= 30
FROM (SELECT percentile_cont(0.98) WITHIN GROUP (ORDER BY ms) / percentile_cont(0.02) WITHIN GROUP (ORDER BY ms) AS s
      FROM demo.seen JOIN demo.watched USING (queryid) WHERE query ~ 'shop.events WHERE tenant_id' GROUP BY queryid) x;
INSERT INTO demo.verdict (what, holds)
SELECT format('stable statements: q-error p50 %s and p90 %s, own running median %s and %s (at most 1.1 times those)',
              round(p50::numeric, 3), round(p90::numeric, 3), round(r50::numeric, 3), round(r90::numeric, 3)),
       p50 <= 1.1 * r50 AND p90 <= 1.1 * r90
FROM (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY demo.q(predicted, ms)) AS p50,
             percentile_cont(0.9) WITHIN GROUP (ORDER BY demo.q(predicted, ms)) AS p90,
             percentile_cont(0.5) WITHIN GROUP (ORDER BY demo.q(running_median, ms)) AS r50,
             percentile_cont(0.9) WITHIN GROUP (ORDER BY demo.q(running_median, ms)) AS r90
      FROM demo.judged WHERE spread <= 3) x;
