-- Features.

CREATE FUNCTION query_features(queryid bigint)
RETURNS TABLE ("position" integer, feature text, value double precision, unit text, meaning text,
               reason text, canonical boolean)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_query_features';
GRANT EXECUTE ON FUNCTION query_features(bigint) TO PUBLIC;
COMMENT ON FUNCTION query_features(bigint) IS
    'the features that predictions of a statement rest on; a value that is not known is NULL and has a reason';

CREATE FUNCTION list_features()
RETURNS TABLE ("position" integer, feature text, unit text, meaning text, canonical boolean)
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_list_features';
GRANT EXECUTE ON FUNCTION list_features() TO PUBLIC;
COMMENT ON FUNCTION list_features() IS
    'the features of every statement in their order: what position n of training_rows().features means';
