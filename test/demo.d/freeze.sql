-- What was predicted when: every round predicts all statements of the workload.
CREATE SCHEMA demo;
CREATE TABLE demo.trained AS SELECT now() AS at;

-- The statements that the drivers ran, told apart from the demo's own.
CREATE TABLE demo.watched AS
SELECT s.queryid, regexp_replace(s.query, '\s+', ' ', 'g') AS query
FROM pganalytics.statements s
WHERE s.plannable AND s.query ~* '(shop\.|pgbench_(accounts|tellers|branches|history))'
  AND (SELECT count(*) FROM pganalytics.execution_samples e
       WHERE e.queryid = s.queryid AND e.toplevel AND e.outcome = 'done') >= 5;

CREATE TABLE demo.predicted (round int, made_at timestamptz, queryid bigint, ms float8, lower_ms float8,
    upper_ms float8, confidence float8, source text, reason text);

CREATE PROCEDURE demo.predict_all() LANGUAGE sql AS $$
INSERT INTO demo.predicted
SELECT (SELECT coalesce(max(round), 0) + 1 FROM demo.predicted), clock_timestamp(), queryid,
       predicted_execution_time_ms, lower_bound_ms, upper_bound_ms, confidence_score, source, reason
FROM predict_query_executions((SELECT array_agg(queryid ORDER BY queryid) FROM demo.watched));
$$;
CALL demo.predict_all();
