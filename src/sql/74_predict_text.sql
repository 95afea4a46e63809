-- Predictions for a text: planned as the caller, never run.

CREATE FUNCTION predict_query_time(query text) RETURNS double precision
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_predict_text_time';
REVOKE ALL ON FUNCTION predict_query_time(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION predict_query_time(text) TO PUBLIC;
COMMENT ON FUNCTION predict_query_time(text) IS
    'median time in ms of an execution of this text, which is planned and not run; $n may stand for values; NULL when nothing is known';

CREATE FUNCTION predict_query_execution(query text) RETURNS SETOF query_prediction
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT ROWS 1
AS 'MODULE_PATHNAME', 'pgaml_predict_text_execution';
REVOKE ALL ON FUNCTION predict_query_execution(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION predict_query_execution(text) TO PUBLIC;
COMMENT ON FUNCTION predict_query_execution(text) IS
    'the prediction for a text, which is planned and not run, with interval, confidence, source and reason';

CREATE FUNCTION predict_query_executions(queries text[]) RETURNS SETOF query_prediction
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_predict_text_executions';
REVOKE ALL ON FUNCTION predict_query_executions(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION predict_query_executions(text[]) TO PUBLIC;
COMMENT ON FUNCTION predict_query_executions(text[]) IS
    'one prediction for each of 1 to 1000 texts, in the order given; of one that cannot be planned the reason';

CREATE FUNCTION explain_prediction(query text)
RETURNS TABLE (rank integer, part text, feature text, value double precision, unit text,
               contribution_log double precision, factor double precision, running_ms double precision, meaning text)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_explain_text';
REVOKE ALL ON FUNCTION explain_prediction(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION explain_prediction(text) TO PUBLIC;
COMMENT ON FUNCTION explain_prediction(text) IS
    'the prediction for a text taken apart, as explain_prediction(bigint) does for a statement; here the plan is the execution''s own';
