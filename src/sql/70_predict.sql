-- Predictions.  Open to everybody: each sees what pg_stat_statements would show.

CREATE TYPE query_prediction AS (
    queryid                     bigint,
    predicted_execution_time_ms double precision,   -- median of the next execution
    expected_time_ms            double precision,   -- its mean
    lower_bound_ms              double precision,
    upper_bound_ms              double precision,
    std_dev_ms                  double precision,
    confidence_score            double precision,   -- 0..1, from held-out data
    source                      text,               -- history, model or planner
    reason                      text,
    in_training_range           boolean,
    novel                       boolean,            -- a plan that training did not see
    coverage                    double precision,   -- of the history behind it, 0..1
    model_version               integer,
    cache_hit                   boolean,
    prediction_id               bigint,
    prediction_timestamp        timestamptz
);
COMMENT ON TYPE query_prediction IS 'a prediction of the time of one execution, in ms';

CREATE FUNCTION predict_query_time(queryid bigint) RETURNS double precision
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_predict_query_time';
GRANT EXECUTE ON FUNCTION predict_query_time(bigint) TO PUBLIC;
COMMENT ON FUNCTION predict_query_time(bigint) IS
    'median time in ms of the next execution of a statement; NULL when nothing is known of it';

CREATE FUNCTION predict_query_execution(queryid bigint) RETURNS SETOF query_prediction
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT ROWS 1
AS 'MODULE_PATHNAME', 'pgaml_predict_query_execution';
GRANT EXECUTE ON FUNCTION predict_query_execution(bigint) TO PUBLIC;
COMMENT ON FUNCTION predict_query_execution(bigint) IS
    'the prediction for one statement with interval, confidence, source and reason';

CREATE FUNCTION predict_query_executions(queryids bigint[]) RETURNS SETOF query_prediction
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_predict_query_executions';
GRANT EXECUTE ON FUNCTION predict_query_executions(bigint[]) TO PUBLIC;
COMMENT ON FUNCTION predict_query_executions(bigint[]) IS
    'one prediction for each of 1 to 1000 statements, in the order given';
