-- Features.

CREATE FUNCTION query_features(queryid bigint)
RETURNS TABLE ("position" integer, feature text, value double precision, unit text, meaning text,
               reason text, canonical boolean)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_query_features';
GRANT EXECUTE ON FUNCTION query_features(bigint) TO PUBLIC;
COMMENT ON FUNCTION query_features(bigint) IS
    'the features that predictions of a statement rest on; a value that is not known is NULL and has a reason';
