-- Data splits, tuning and its trials.

CREATE TABLE pganalytics.data_splits (
    name                 text PRIMARY KEY,
    strategy             text NOT NULL CHECK (strategy IN ('time', 'group', 'random')),
    fractions            double precision[] NOT NULL,   -- to train, calibrate, test on
    seed                 bigint NOT NULL,
    window_start         timestamptz NOT NULL,
    window_end           timestamptz NOT NULL,
    borders              double precision[] NOT NULL,   -- by time: s since 2000 UTC; by group, random: 0..1 of a hash
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
    SELECT s.name, s.strategy, s.fractions, s.seed, s.window_start, s.window_end,
           CASE s.strategy WHEN 'time' THEN timestamptz '2000-01-01 00:00:00+00' + s.borders[1] * interval '1 second' END,
           CASE s.strategy WHEN 'time' THEN timestamptz '2000-01-01 00:00:00+00' + s.borders[2] * interval '1 second' END,
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

CREATE TABLE pganalytics.experiments (
    experiment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id        bigint,                       -- the last one that was to run it
    request       jsonb NOT NULL,               -- type, default parameters, and the split with its window
    split         text NOT NULL,                -- as asked for
    sampler       text NOT NULL,
    pruner        text NOT NULL,
    n_trials      integer NOT NULL,             -- the default included
    folds         integer NOT NULL,
    n_confirm     integer NOT NULL,             -- of the best are measured again, on other folds
    seed          bigint NOT NULL,
    time_limit    interval NOT NULL,            -- of the search
    ran_ms        double precision NOT NULL DEFAULT 0,  -- of it, since it was started or resumed
    data_hash     text,                         -- of the rows that it began with
    rows_read     bigint,
    outcome       text CHECK (outcome IN ('completed', 'out_of_time')),  -- NULL: what became of the job says it
    best_trial    integer,
    model_id      bigint,                       -- what the best parameters gave
    message       text,
    requested_by  oid NOT NULL,
    requested_at  timestamptz NOT NULL,
    started_at    timestamptz,
    finished_at   timestamptz
);
COMMENT ON TABLE pganalytics.experiments IS 'searches for the parameters that suit the rows of a split best';

CREATE TABLE pganalytics.trials (
    experiment_id   bigint NOT NULL REFERENCES pganalytics.experiments ON DELETE CASCADE,
    number          integer NOT NULL,           -- 0: the default
    state           text NOT NULL CHECK (state IN ('running', 'complete', 'pruned', 'failed')),
    hyperparameters jsonb NOT NULL,
    fold_values     double precision[] NOT NULL,    -- error on each fold, with halving once per budget
    value           double precision,           -- mean over the folds with all rows
    confirm_values  double precision[] NOT NULL,    -- on other folds, of the best
    cpu_ms          double precision NOT NULL,
    message         text,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    PRIMARY KEY (experiment_id, number)
);
COMMENT ON TABLE pganalytics.trials IS 'what an experiment tried, and the errors that were measured';

CREATE VIEW pganalytics.experiment_states AS
SELECT e.experiment_id,
       CASE WHEN e.outcome IS NOT NULL THEN e.outcome
            WHEN j.status = 'training' THEN 'running'
            WHEN j.status IN ('pending', 'cancelled') THEN j.status
            ELSE 'failed' END AS status,
       j.error
  FROM pganalytics.experiments e LEFT JOIN pganalytics.training_jobs j ON j.job_id = e.job_id;
COMMENT ON VIEW pganalytics.experiment_states IS 'how each experiment stands; an error is that of its last job';

CREATE FUNCTION tune_performance_model(
    model_type text DEFAULT NULL, n_trials integer DEFAULT 25, sampler text DEFAULT 'tpe', pruner text DEFAULT 'none',
    time_limit interval DEFAULT NULL, split text DEFAULT 'time', seed bigint DEFAULT 1,
    OUT job_id bigint, OUT experiment_id bigint, OUT status text, OUT message text)
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgaml_tune_performance_model';
COMMENT ON FUNCTION tune_performance_model(text, integer, text, text, interval, text, bigint) IS
    'queues a search for better parameters; the best become a candidate, see get_trials() and list_experiments()';
REVOKE ALL ON FUNCTION tune_performance_model(text, integer, text, text, interval, text, bigint) FROM PUBLIC;

CREATE FUNCTION resume_tuning(
    INOUT experiment_id bigint, OUT job_id bigint, OUT status text, OUT message text)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_resume_tuning';
COMMENT ON FUNCTION resume_tuning(bigint) IS
    'queues what is left of an experiment that was cancelled, failed or ran out of time; its time limit begins anew';
REVOKE ALL ON FUNCTION resume_tuning(bigint) FROM PUBLIC;

CREATE FUNCTION list_experiments()
RETURNS TABLE (experiment_id bigint, status text, model_type text, split text, sampler text, pruner text, n_trials integer,
               trials_done bigint, trials_pruned bigint, trials_failed bigint,
               default_value double precision, best_value double precision, best_trial integer,
               model_id bigint, job_id bigint, message text,
               requested_at timestamptz, started_at timestamptz, finished_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.experiment_id, s.status, e.request ->> 'model_type', e.split, e.sampler, e.pruner, e.n_trials,
           t.done, t.pruned, t.failed, t.default_value, t.best_value, e.best_trial, e.model_id, e.job_id,
           coalesce(e.message, s.error), e.requested_at, e.started_at, e.finished_at
      FROM pganalytics.experiments e
      JOIN pganalytics.experiment_states s ON s.experiment_id = e.experiment_id
      CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE t.state <> 'running') AS done,
                                 count(*) FILTER (WHERE t.state = 'pruned') AS pruned,
                                 count(*) FILTER (WHERE t.state = 'failed') AS failed,
                                 max(t.value) FILTER (WHERE t.number = 0) AS default_value,
                                 min(t.value) AS best_value
                            FROM pganalytics.trials t WHERE t.experiment_id = e.experiment_id) t
     ORDER BY e.experiment_id
$$;
COMMENT ON FUNCTION list_experiments() IS
    'searches for parameters, oldest first: status, how many trials are done, and the best held-out error beside that of the default';
REVOKE ALL ON FUNCTION list_experiments() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_experiments() TO pg_monitor;

CREATE FUNCTION get_trials(experiment_id bigint)
RETURNS TABLE (number integer, state text, hyperparameters jsonb, value double precision, fold_values double precision[],
               confirm_values double precision[], cpu_ms double precision, started_at timestamptz, finished_at timestamptz,
               message text, chosen boolean)
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_get_trials';
COMMENT ON FUNCTION get_trials(bigint) IS
    'what an experiment tried, in order: parameters, held-out errors on log time, and which was chosen; trial 0 is the default';
REVOKE ALL ON FUNCTION get_trials(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION get_trials(bigint) TO pg_monitor;
