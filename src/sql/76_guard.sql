-- The admission guard: what it did.  It is set by max_predicted_time and guard_mode.

CREATE FUNCTION guard_status(
    OUT since timestamptz,              -- start of the server
    OUT checked bigint,                 -- executions that were looked at
    OUT warned bigint,
    OUT repeated bigint,                -- over the limit too, within a client's statement that was warned already
    OUT cancelled bigint,
    OUT open_no_prediction bigint,      -- let through: nothing known of it,
    OUT open_not_calibrated bigint,     -- an interval that promises nothing,
    OUT open_out_of_range bigint,       -- outside of what the model was trained on,
    OUT open_not_read bigint,           -- a lock that was not free, or an error,
    OUT open_parallel bigint,           -- within a parallel query,
    OUT open_recovery bigint)           -- on a standby
    LANGUAGE C VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'pgaml_guard_status';
REVOKE ALL ON FUNCTION guard_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION guard_status() TO pg_monitor;
COMMENT ON FUNCTION guard_status() IS
    'what the guard did since the server started, all databases together: executions checked, warned, cancelled, and let through by reason';

CREATE FUNCTION guard_decisions(max_rows integer DEFAULT 100)
RETURNS TABLE (prediction_id bigint, decided_at timestamptz, queryid bigint, userid oid,
               mode text,                       -- warn or cancel
               limit_ms double precision,
               predicted_ms double precision, lower_ms double precision, upper_ms double precision,
               source text, model_id bigint,
               actual_ms double precision,      -- what it took; cancelled: what comparable executions take
               actual_source text,              -- execution, manual or comparable
               verdict text)                    -- right, false alarm or unknown
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgaml_guard_decisions';
REVOKE ALL ON FUNCTION guard_decisions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION guard_decisions(integer) TO pg_monitor;
COMMENT ON FUNCTION guard_decisions(integer) IS
    'executions that the guard warned of or cancelled, newest first, with what they took or comparable ones take; 1 to 1000 rows';
