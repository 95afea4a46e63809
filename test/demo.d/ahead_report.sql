-- Predictions by text beside the executions that followed.
\pset footer off
\pset null -

-- One session ran them in this order.
UPDATE demo.ahead a SET actual = e.execution_ms
FROM (SELECT execution_ms, row_number() OVER (ORDER BY sampled_at) AS number, count(*) OVER () AS executions
      FROM pganalytics.execution_samples
      WHERE queryid = (SELECT queryid FROM demo.watched WHERE query LIKE 'SELECT count(*), sum(amount), max(at) FROM shop.events WHERE tenant_id%')
        AND sampled_at > (SELECT max(made_at) FROM demo.ahead) AND application_hash = hashtext('ahead')) e
WHERE e.number = a.number AND e.executions = (SELECT count(*) FROM demo.ahead);

\echo 'One statement, several values: predicted from its text, then run beside the workload'
SELECT tenant, source, to_char(predicted, 'FM9990.000') AS predicted_ms, to_char(lower, 'FM9990.000') || ' .. ' || to_char(upper, 'FM9990.000') AS interval_90,
       to_char(actual, 'FM9990.000') AS actual_ms, round(demo.q(predicted, actual)::numeric, 2) AS q_error, to_char(by_queryid, 'FM9990.000') AS by_queryid_ms
FROM (SELECT DISTINCT ON (tenant) * FROM demo.ahead WHERE tenant IN (1, 2, 7, 12, 1008, 3000, 3747) ORDER BY tenant, number) a ORDER BY actual DESC;

INSERT INTO demo.verdict (what, holds)
SELECT format('by text, %s values of one statement: mean abs log error %s, by queryid %s (at most half of that)', count(actual), round(own::numeric, 3), round(blind::numeric, 3)), coalesce(own <= blind / 2, false)
FROM (SELECT *, avg(abs(ln(predicted / actual))) OVER () AS own, avg(abs(ln(by_queryid / actual))) OVER () AS blind FROM demo.ahead) x GROUP BY own, blind;
