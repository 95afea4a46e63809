-- The launcher and its visiting workers.

CREATE FUNCTION pganalytics.announce_database() RETURNS void
    AS 'MODULE_PATHNAME', 'pgaml_announce_database'
    LANGUAGE c VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION pganalytics.announce_database() FROM PUBLIC;
COMMENT ON FUNCTION pganalytics.announce_database() IS 'tells the launcher, when this transaction commits, to visit this database now; does nothing without preload';

CREATE FUNCTION pganalytics.worker_status(
    OUT component  text,                -- launcher, database, worker or training
    OUT pid        integer,             -- of the launcher or worker
    OUT datid      oid,
    OUT datname    name,
    OUT state      text,                -- launcher: running, not running; database: new, visited, failing; worker, training: starting, running, leaving
    OUT progress   double precision,    -- of the visit or job, 0..1
    OUT started_at timestamptz,         -- of the visit or of the training worker
    OUT last_visit timestamptz,         -- start of the last completed one
    OUT next_visit timestamptz,
    OUT failures   integer,             -- in a row
    OUT error_at   timestamptz,
    OUT last_error text
) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'pgaml_worker_status'
    LANGUAGE c STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION pganalytics.worker_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pganalytics.worker_status() TO pg_monitor;
GRANT USAGE ON SCHEMA pganalytics TO pg_monitor;
COMMENT ON FUNCTION pganalytics.worker_status() IS 'the launcher, the databases it looks after with their visits and failures, the visits and the training workers under way';

SELECT pganalytics.announce_database();
