-- Training jobs.

CREATE TABLE pganalytics.training_jobs (
    job_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL DEFAULT 'train' CHECK (kind IN ('train', 'tune')),
    arguments        jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL CHECK (status IN ('pending', 'training', 'completed', 'failed', 'cancelled')),
    progress         double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    reason           text NOT NULL DEFAULT 'asked for',  -- why it was queued
    attempt          integer NOT NULL DEFAULT 0,
    model_id         bigint,
    rows_read        bigint,
    trees_grown      integer,
    error            text,
    requested_by     oid NOT NULL,
    requested_at     timestamptz NOT NULL,
    not_before       timestamptz CHECK (status <> 'pending' OR not_before IS NOT NULL),    -- when the next attempt may start
    started_at       timestamptz,
    finished_at      timestamptz,
    worker_pid       integer,
    cancel_requested boolean NOT NULL DEFAULT false,
    result           jsonb              -- r_squared, rmse, mae, training_samples, message
);
CREATE INDEX training_jobs_status ON pganalytics.training_jobs (status, requested_at);
CREATE INDEX training_jobs_pending ON pganalytics.training_jobs (not_before, job_id) WHERE status = 'pending';
COMMENT ON TABLE pganalytics.training_jobs IS 'training runs: asked for, running, done';

CREATE FUNCTION train_performance_model(
    model_type text DEFAULT NULL, lookback_days integer DEFAULT 90, hyperparameters jsonb DEFAULT '{}',
    split text DEFAULT 'time', wait boolean DEFAULT false,
    OUT job_id bigint, OUT status text, OUT message text)
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgaml_train_performance_model';
COMMENT ON FUNCTION train_performance_model(text, integer, jsonb, text, boolean) IS
    'learns from history and captured executions; a model that is shown better than the one in production takes its place';
REVOKE ALL ON FUNCTION train_performance_model(text, integer, jsonb, text, boolean) FROM PUBLIC;

CREATE TYPE training_status AS (
    job_id bigint, kind text, status text, reason text, progress double precision, attempt integer,
    rows_read bigint, trees_grown integer, time_left interval, model_id bigint,
    r_squared double precision, rmse double precision, mae double precision, training_samples bigint,
    message text, error text, requested_at timestamptz, not_before timestamptz,
    started_at timestamptz, finished_at timestamptz
);
COMMENT ON TYPE training_status IS
    'a training job: while it runs with its progress and the time left, afterwards with its model and held-out errors on log time';

CREATE FUNCTION get_training_status(job_id bigint) RETURNS SETOF training_status
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_get_training_status';
COMMENT ON FUNCTION get_training_status(bigint) IS 'one training job: what it does now, or what came of it';
REVOKE ALL ON FUNCTION get_training_status(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION get_training_status(bigint) TO pg_monitor;

CREATE FUNCTION list_training_jobs(status text DEFAULT NULL, max_rows integer DEFAULT 100) RETURNS SETOF training_status
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgaml_list_training_jobs';
COMMENT ON FUNCTION list_training_jobs(text, integer) IS
    'training jobs, newest first: pending, training, completed, failed, cancelled, or all of them; 1 to 10000 rows';
REVOKE ALL ON FUNCTION list_training_jobs(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_training_jobs(text, integer) TO pg_monitor;

CREATE FUNCTION cancel_training(job_id bigint) RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_cancel_training';
COMMENT ON FUNCTION cancel_training(bigint) IS
    'cancels a job that waits (cancelled), stops one that runs when the transaction commits (stopping); says what one has become that has ended';
REVOKE ALL ON FUNCTION cancel_training(bigint) FROM PUBLIC;

CREATE FUNCTION training_rows(lookback_days integer DEFAULT 90)
RETURNS TABLE (queryid bigint, at timestamptz, log_ms double precision, plan_id bigint, single boolean, features real[])
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_training_rows';
COMMENT ON FUNCTION training_rows(integer) IS
    'the rows that training would learn from, as of the start of each run; features in the order of list_features(), NaN where not known';
REVOKE ALL ON FUNCTION training_rows(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION training_rows(integer) TO pg_monitor;
