-- Why a prediction is what it is.

CREATE FUNCTION explain_prediction(queryid bigint)
RETURNS TABLE (rank integer,                        -- by size, after the start and the model's base
               part text,                           -- start, base, feature or limit; NULL: no prediction
               feature text,
               value double precision,              -- of the feature, as the model saw it; NULL: not known
               unit text,
               contribution_log double precision,   -- they add up to ln of the predicted ms
               factor double precision,             -- exp of it: they multiply to the predicted ms
               running_ms double precision,         -- the product so far
               meaning text)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_explain_prediction';
GRANT EXECUTE ON FUNCTION explain_prediction(bigint) TO PUBLIC;
COMMENT ON FUNCTION explain_prediction(bigint) IS
    'the prediction for a statement taken apart: where it starts, and by which factor each feature changes it (exact Shapley values); the factors multiply to the predicted ms';
