-- How does it do?

CREATE FUNCTION service_status(
    OUT version text,
    OUT preloaded boolean,
    OUT capture_state text,                 -- on, off, off after errors, waiting for the launcher, not preloaded
    OUT reason text,                        -- why it is not on, or less than the settings allow
    OUT overhead double precision,          -- share of the backends' CPU time that capture took of late, 0..1
    OUT overhead_budget double precision,
    OUT capture_level double precision,     -- share of what the settings allow that the budget lets through, 0..1
    OUT effective_rate double precision,    -- share of executions captured of late, 0..1
    OUT ns_per_execution double precision,  -- what an execution pays that is not captured
    OUT ns_per_sample double precision,     -- what a captured one pays on top
    OUT executions bigint,                  -- since the server started, like those that follow
    OUT samples bigint,                     -- captured
    OUT thinned bigint,                     -- not captured on purpose
    OUT skipped bigint,                     -- of the thinned: not even looked at
    OUT dropped bigint,                     -- captured, but the ring was full
    OUT errors bigint,                      -- captured, but lost to an error of ours
    OUT unfinished bigint,                  -- captured, but dropped before the outcome was known
    OUT facts_skipped bigint,               -- plan facts not stored: lock busy or table full
    OUT repeats bigint,                     -- records of repeated statements handed to the worker
    OUT repeats_dropped bigint,             -- records of them lost for want of room
    OUT guard_checked bigint,               -- executions that the admission guard looked at; more in guard_status()
    OUT guard_warned bigint,
    OUT guard_cancelled bigint,
    OUT ring_size integer,
    OUT ring_used integer,
    OUT active_backends integer,            -- executing a statement now
    OUT last_collection timestamptz,
    OUT coverage_24h double precision,      -- share of the last 24 hours, or since the installation, that history surely holds, 0..1
    OUT production_model bigint,
    OUT production_model_age interval,      -- since it was put into production
    OUT jobs_pending bigint,
    OUT jobs_running bigint,
    OUT launcher_pid integer,
    OUT workers integer,                    -- visits to databases under way
    OUT training_workers integer,
    OUT last_error text,                    -- newest of capture, of the visits to this database, of its jobs
    OUT last_error_at timestamptz)
    AS 'MODULE_PATHNAME', 'pgaml_service_status'
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION service_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION service_status() TO pg_monitor;
COMMENT ON FUNCTION service_status() IS
    'how the extension does here: capture and what it costs, workers, collection, the model in production, the last error; executions = samples + thinned + dropped + errors + unfinished';
