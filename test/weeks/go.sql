-- Lets simulated time pass: every step writes what ran in it, moves the clock
-- to its end and does what is due with maintain_models().  Needs generate.sql
-- and a build with faults (pganalytics_ml.clock_offset).
--
--   CALL weeks_go(seed, days_before, days, drift_day, drift, per_day, step);
--
-- days_before of history come before the first model, days pass after it; the
-- drift begins drift_day days after the first model ('none': never).

CREATE TABLE weeks_log (
    seed bigint, drift text, day float8, signal text, value float8, threshold float8, crossed boolean, detail jsonb
);
CREATE TABLE weeks_truth (
    seed bigint, drift text, day int, model_id bigint, executions bigint, error float8, coverage float8
);
CREATE TABLE weeks_jobs (seed bigint, drift text, day float8, reason text, status text, message text);

CREATE PROCEDURE weeks_go(seed bigint, days_before int, days int, drift_day float8, drift text, per_day float8,
                          step interval DEFAULT '6 hours')
LANGUAGE plpgsql AS $$
DECLARE
    base timestamptz := date_trunc('day', now()) - days_before * interval '1 day';
    first timestamptz := date_trunc('day', now());
    at timestamptz := first;
BEGIN
    PERFORM set_config('jit', 'off', false);   -- it takes longer than it saves here
    PERFORM weeks_begin(seed, base, per_day);
    IF drift <> 'none' THEN
        UPDATE weeks_config SET drift = weeks_go.drift, drift_at = first + drift_day * interval '1 day';
    END IF;
    PERFORM weeks_run(base, first);
    PERFORM set_config('pganalytics_ml.clock_offset', extract(epoch FROM first - clock_timestamp())::int::text, false);
    COMMIT;
    PERFORM train_performance_model(lookback_days => 90, wait => true);
    COMMIT;
    WHILE at < first + days * interval '1 day' LOOP
        PERFORM weeks_run(at, at + step);
        at := at + step;
        PERFORM set_config('pganalytics_ml.clock_offset', ceil(extract(epoch FROM at - clock_timestamp()))::int::text, false);
        COMMIT;
        PERFORM maintain_models(wait => true);
        COMMIT;
        INSERT INTO weeks_log
        SELECT weeks_go.seed, weeks_go.drift, extract(epoch FROM at - first) / 86400, d.signal, d.value, d.threshold, d.crossed, d.detail
          FROM model_drift() d;
        COMMIT;
    END LOOP;
    INSERT INTO weeks_jobs
    SELECT weeks_go.seed, weeks_go.drift, extract(epoch FROM j.requested_at - first) / 86400, j.reason, j.status,
           j.result ->> 'message'
      FROM pganalytics.training_jobs j;
    INSERT INTO weeks_truth
    SELECT weeks_go.seed, weeks_go.drift, t.day - first::date, t.model_id, t.executions, t.mean_abs_log_error,
           t.covered::float8 / nullif(t.judged, 0)
      FROM pganalytics.model_truth t;
    COMMIT;
END
$$;
