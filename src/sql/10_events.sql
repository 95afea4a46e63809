-- What the extension did by itself.

CREATE TABLE pganalytics.events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL,
    kind     text NOT NULL,             -- for example promotion, rollback, retrain_skipped, drift
    model_id bigint,
    job_id   bigint,
    message  text NOT NULL,
    detail   jsonb
);
CREATE INDEX events_at ON pganalytics.events (at);
COMMENT ON TABLE pganalytics.events IS 'what the extension did by itself, and why';

CREATE FUNCTION recent_events(max_rows integer DEFAULT 100)
RETURNS TABLE (event_id bigint, at timestamptz, kind text, model_id bigint, job_id bigint, message text, detail jsonb)
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_recent_events';
COMMENT ON FUNCTION recent_events(integer) IS 'what the extension did by itself, newest first; 1 to 1000 rows';
REVOKE ALL ON FUNCTION recent_events(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recent_events(integer) TO pg_monitor;
