-- What a model looks at, and what its training saw.

CREATE FUNCTION feature_importance(model_id bigint, method text DEFAULT 'gain')
RETURNS TABLE (rank integer, feature text, importance double precision, share double precision)
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_feature_importance';
COMMENT ON FUNCTION feature_importance(bigint, text) IS
    'what the learner of a model looks at, most important first: gain (share of what splits gained), permutation (growth of the mean absolute log error without the feature, on held-out rows), shap (mean absolute contribution there, ln)';
REVOKE ALL ON FUNCTION feature_importance(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION feature_importance(bigint, text) TO pg_monitor;

CREATE FUNCTION feature_report(model_id bigint)
RETURNS TABLE ("position" integer, feature text, unit text, meaning text, canonical boolean,
               minimum double precision, p05 double precision, median double precision,
               p95 double precision, maximum double precision, mean double precision,
               missing_share double precision, distinct_values bigint,
               deviation double precision, outliers bigint, outlier_share double precision, finding text)
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_feature_report';
COMMENT ON FUNCTION feature_report(bigint) IS
    'every feature as the training rows of a model had it; outliers are more than 3 robust deviations from the median';
REVOKE ALL ON FUNCTION feature_report(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION feature_report(bigint) TO pg_monitor;
