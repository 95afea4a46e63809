-- Models that leave and enter as bytes.

CREATE FUNCTION export_model(model_id bigint, format text DEFAULT 'native') RETURNS bytea
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_export_model';
COMMENT ON FUNCTION export_model(bigint, text) IS
    'a model as bytes: native (everything, as stored) or xgboost-json (its trees, for XGBoost)';
REVOKE ALL ON FUNCTION export_model(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION export_model(bigint, text) TO pg_monitor;

CREATE FUNCTION import_model(data bytea, format text DEFAULT 'native') RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_import_model';
COMMENT ON FUNCTION import_model(bytea, text) IS
    'a candidate out of bytes of export_model() or of XGBoost''s save_model("x.json"); the number of the new model';
REVOKE ALL ON FUNCTION import_model(bytea, text) FROM PUBLIC;
