-- Does the model in production still fit what runs?

CREATE TABLE pganalytics.drift_state (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    checked_at timestamptz
);
INSERT INTO pganalytics.drift_state DEFAULT VALUES;
COMMENT ON TABLE pganalytics.drift_state IS 'when drift was last looked for';

CREATE TABLE pganalytics.drift_signals (
    signal     text PRIMARY KEY,
    model_id   bigint NOT NULL,
    value      double precision,        -- NULL: cannot be judged, detail says why
    threshold  double precision,
    crossed    boolean NOT NULL,
    since      timestamptz,             -- crossed, or not crossed
    checked_at timestamptz NOT NULL,
    detail     jsonb NOT NULL
);
COMMENT ON TABLE pganalytics.drift_signals IS 'signals of drift of the model in production, as of the last check';

CREATE TABLE pganalytics.model_truth (
    model_id           bigint NOT NULL,
    day                date NOT NULL,   -- of UTC
    executions         bigint NOT NULL, -- looked at, new to the model
    mean_abs_log_error double precision NOT NULL,
    q_error_p50        double precision NOT NULL,
    q_error_p90        double precision NOT NULL,
    judged             bigint NOT NULL, -- of the executions, those with a calibrated 90 % interval
    covered            bigint NOT NULL, -- of these, those within it
    PRIMARY KEY (model_id, day)
);
COMMENT ON TABLE pganalytics.model_truth IS 'how right a model was on executions new to it, whether anybody asked it or not';

CREATE FUNCTION model_drift()
RETURNS TABLE (model_id bigint, signal text, value double precision, threshold double precision, crossed boolean,
               since timestamptz, checked_at timestamptz, detail jsonb)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.model_id, k.signal, d.value, d.threshold, coalesce(d.crossed, false), d.since, d.checked_at,
           CASE WHEN p.model_id IS NULL THEN jsonb_build_object('why', 'no model in production')
                WHEN d.signal IS NULL THEN jsonb_build_object('why', 'the model has not been checked yet')
                ELSE d.detail END
      FROM (VALUES (1, 'features'), (2, 'levels'), (3, 'conformal_scores'), (4, 'error_trend'), (5, 'coverage'),
                   (6, 'novelty')) k (place, signal)
      LEFT JOIN pganalytics.models p ON p.stage = 'production'
      LEFT JOIN pganalytics.drift_signals d ON d.signal = k.signal AND d.model_id = p.model_id
     ORDER BY k.place
$$;
COMMENT ON FUNCTION model_drift() IS
    'does the model in production still fit what runs: every signal with its threshold and since when it is (not) crossed; a value that is NULL cannot be judged yet, and detail says why';
REVOKE ALL ON FUNCTION model_drift() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION model_drift() TO pg_monitor;
