-- Data splits, tuning and its trials.

CREATE TABLE pganalytics.data_splits (
    name                 text PRIMARY KEY,
    strategy             text NOT NULL CHECK (strategy IN ('time', 'group', 'random')),
    fractions            double precision[] NOT NULL,   -- to train, calibrate, test on
    seed                 bigint NOT NULL,
    window_start         timestamptz NOT NULL,
    window_end           timestamptz NOT NULL,
    calibrate_from       timestamptz,                   -- by time: the borders
    test_from            timestamptz,
    train_rows           bigint NOT NULL,               -- as counted when it was created
    calibrate_rows       bigint NOT NULL,
    test_rows            bigint NOT NULL,
    train_statements     bigint NOT NULL,
    calibrate_statements bigint NOT NULL,
    test_statements      bigint NOT NULL,
    created_by           oid NOT NULL,
    created_at           timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE pganalytics.data_splits IS 'named divisions of a window of history into rows to train, calibrate and test on';

CREATE FUNCTION create_data_split(
    INOUT name text, INOUT strategy text DEFAULT 'time', fractions double precision[] DEFAULT '{0.6,0.2,0.2}',
    lookback_days integer DEFAULT 90, seed bigint DEFAULT 1,
    OUT window_start timestamptz, OUT window_end timestamptz,
    OUT train_rows bigint, OUT calibrate_rows bigint, OUT test_rows bigint,
    OUT train_statements bigint, OUT calibrate_statements bigint, OUT test_statements bigint)
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgaml_create_data_split';
COMMENT ON FUNCTION create_data_split(text, text, double precision[], integer, bigint) IS
    'names a division of the rows of the last days, the same rows for ever; what each part has now';
REVOKE ALL ON FUNCTION create_data_split(text, text, double precision[], integer, bigint) FROM PUBLIC;

CREATE FUNCTION list_data_splits()
RETURNS TABLE (name text, strategy text, fractions double precision[], seed bigint,
               window_start timestamptz, window_end timestamptz, calibrate_from timestamptz, test_from timestamptz,
               train_rows bigint, calibrate_rows bigint, test_rows bigint,
               train_statements bigint, calibrate_statements bigint, test_statements bigint, created_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.name, s.strategy, s.fractions, s.seed, s.window_start, s.window_end, s.calibrate_from, s.test_from,
           s.train_rows, s.calibrate_rows, s.test_rows, s.train_statements, s.calibrate_statements, s.test_statements,
           s.created_at
      FROM pganalytics.data_splits s ORDER BY s.created_at, s.name COLLATE "C"
$$;
COMMENT ON FUNCTION list_data_splits() IS 'named splits, with rows and statements of each part as they were counted when it was created';
REVOKE ALL ON FUNCTION list_data_splits() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_data_splits() TO pg_monitor;

CREATE FUNCTION drop_data_split(name text) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_drop_data_split';
COMMENT ON FUNCTION drop_data_split(text) IS 'forgets a named split; jobs and experiments that use it keep its definition';
REVOKE ALL ON FUNCTION drop_data_split(text) FROM PUBLIC;
