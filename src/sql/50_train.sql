-- Training jobs.

CREATE TABLE pganalytics.training_jobs (
    job_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind             text NOT NULL DEFAULT 'train' CHECK (kind IN ('train', 'tune', 'import')),
    arguments        jsonb NOT NULL DEFAULT '{}',
    status           text NOT NULL CHECK (status IN ('pending', 'training', 'completed', 'failed', 'cancelled')),
    progress         double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    attempt          integer NOT NULL DEFAULT 1,
    model_id         bigint,
    rows_read        bigint,
    trees_grown      integer,
    error            text,
    requested_by     oid NOT NULL,
    requested_at     timestamptz NOT NULL,
    not_before       timestamptz,       -- when the next attempt may start
    started_at       timestamptz,
    finished_at      timestamptz,
    worker_pid       integer,
    cancel_requested boolean NOT NULL DEFAULT false,
    result           jsonb              -- r_squared, rmse, mae, training_samples, message
);
CREATE INDEX training_jobs_status ON pganalytics.training_jobs (status, requested_at);
COMMENT ON TABLE pganalytics.training_jobs IS 'training runs: asked for, running, done';

CREATE FUNCTION train_performance_model(
    model_type text DEFAULT NULL, lookback_days integer DEFAULT 90, hyperparameters jsonb DEFAULT '{}',
    split text DEFAULT 'time', wait boolean DEFAULT true,
    OUT job_id bigint, OUT status text, OUT message text)
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgaml_train_performance_model';
COMMENT ON FUNCTION train_performance_model(text, integer, jsonb, text, boolean) IS
    'learns from history and captured executions; a model at least as good as the one in production takes its place';
REVOKE ALL ON FUNCTION train_performance_model(text, integer, jsonb, text, boolean) FROM PUBLIC;
