-- Captured executions, drained from shared memory.

CREATE TABLE pganalytics.execution_samples (
    sampled_at           timestamptz NOT NULL,
    queryid              bigint NOT NULL,
    plan_id              bigint NOT NULL,
    execution_ms         double precision NOT NULL,
    planning_ms          double precision,
    jit_ms               double precision,      -- of execution_ms, compiling in the leader
    rows                 bigint NOT NULL,
    top_rows_estimated   double precision,
    top_rows_true        double precision,
    worst_rows_estimated double precision,
    worst_rows_true      double precision,
    shared_blks_hit      bigint,
    shared_blks_read     bigint,
    shared_blks_dirtied  bigint,
    shared_blks_written  bigint,
    temp_blks_read       bigint,
    temp_blks_written    bigint,
    blk_read_ms          double precision,
    blk_write_ms         double precision,
    wal_bytes            bigint,
    sort_memory_kb       bigint,                -- of the largest sort that stayed in memory
    sort_disk_kb         bigint,                -- of the largest one that did not; 0: all stayed
    hash_memory_kb       bigint,                -- of the largest hash table
    session_id           bigint NOT NULL,
    transaction_no       bigint NOT NULL,
    previous_queryid     bigint,
    previous_rows        bigint,
    userid               oid NOT NULL,
    batches              integer,               -- most of any hash; 1: all in memory
    worst_node           integer,               -- in the order of EXPLAIN, from 0
    place                integer NOT NULL,      -- in its transaction, from 1
    application_hash     integer NOT NULL,
    weight               real NOT NULL,         -- executions this one stands for
    active_backends      smallint NOT NULL,
    toplevel             boolean NOT NULL,
    nodes_counted        boolean NOT NULL DEFAULT false,    -- rows of every node were counted
    outcome              text NOT NULL CHECK (outcome IN ('done', 'error', 'cancelled', 'explained')),
    plan_facts           real[] NOT NULL        -- layout: src/base/sample.h
);
CREATE INDEX execution_samples_queryid ON pganalytics.execution_samples (queryid, sampled_at);
CREATE INDEX execution_samples_time ON pganalytics.execution_samples USING brin (sampled_at) WITH (pages_per_range = 16);
COMMENT ON TABLE pganalytics.execution_samples IS 'captured single executions; NULL where not instrumented; bounded in rows and age';

CREATE TABLE pganalytics.statement_recent (
    queryid      bigint PRIMARY KEY,
    last_at      timestamptz NOT NULL,
    recent_ms    real[] NOT NULL,       -- last 32 completed executions, oldest first
    recent_plans bigint[] NOT NULL,     -- their plan ids
    recent_costs real[],                -- ln(1 + cost) of each one's own plan
    recent_plan_rows real[],            -- ln(1 + rows) that it expected
    active_backends real,               -- mean over the same executions
    rows_per_call real,
    hit_ratio    real                   -- shared blocks found in cache, 0..1
) WITH (fillfactor = 60);
COMMENT ON TABLE pganalytics.statement_recent IS 'the newest captured executions per statement, so that prediction reads one row';

CREATE FUNCTION capture_reset() RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'pgaml_capture_reset';
REVOKE ALL ON FUNCTION capture_reset() FROM PUBLIC;
COMMENT ON FUNCTION capture_reset() IS
    'turns capture on again, for the whole server, after it was switched off because of errors of its own; was it off?';
