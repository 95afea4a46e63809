\echo Use "CREATE EXTENSION pganalytics_ml" to load this file. \quit

-- State lives in the schema pganalytics; functions in the extension's schema.
-- Nobody but the owner reads state tables directly: functions do, after a check.
CREATE SCHEMA pganalytics;
COMMENT ON SCHEMA pganalytics IS 'state of the extension pganalytics_ml, read through its functions';

CREATE TABLE pganalytics.installation (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    origin       uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE pganalytics.installation IS 'identity of this installation: rows that pg_dump carries elsewhere keep it as their origin';
INSERT INTO pganalytics.installation DEFAULT VALUES;
