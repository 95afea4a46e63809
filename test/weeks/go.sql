-- Lets simulated time pass: every step writes what ran in it, moves the clock
-- to its end and does what is due with maintain_models().  Needs generate.sql
-- and a build with faults (pganalytics_ml.clock_offset).
--
--   CALL weeks_go(seed, days_before, days, drift_day, drift, per_day, step);
--
-- days_before of history come before the first model, days pass after it; the
-- drift begins drift_day days after the first model ('none': never).

CREATE TABLE weeks_log (
    seed bigint, drift text, day float8, model_id bigint, signal text, value float8, threshold float8, crossed boolean, detail jsonb
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
        SELECT weeks_go.seed, weeks_go.drift, extract(epoch FROM at - first) / 86400, d.model_id, d.signal, d.value, d.threshold, d.crossed, d.detail
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

-- Signals that crossed where nothing drifted, or before it did: there must be none.
CREATE FUNCTION weeks_false_alarms(drift_day float8)
RETURNS TABLE (seed bigint, drift text, signal text, day float8, value float8, threshold float8) LANGUAGE sql AS $$
    SELECT l.seed, l.drift, l.signal, min(l.day), (array_agg(l.value ORDER BY l.day))[1], (array_agg(l.threshold ORDER BY l.day))[1]
      FROM (SELECT w.seed, w.drift, w.signal, w.day, w.value, w.threshold, w.crossed FROM weeks_log w
            UNION ALL
            SELECT j.seed, j.drift, j.reason, j.day, NULL, NULL, true FROM weeks_jobs j WHERE j.reason LIKE 'drift: %') l
     WHERE l.crossed AND (l.drift = 'none' OR l.day < drift_day) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
$$;

-- How near stationary seeds came to a threshold: the worst share of it, by signal.
CREATE FUNCTION weeks_margins()
RETURNS TABLE (signal text, checks bigint, judged bigint, nearest float8) LANGUAGE sql AS $$
    SELECT l.signal, count(*), count(l.value),
           max(CASE WHEN l.signal = 'coverage' THEN (1 - l.value) / (1 - l.threshold) ELSE l.value / l.threshold END)
      FROM weeks_log l WHERE l.drift = 'none' GROUP BY 1 ORDER BY 1
$$;

-- Of every drift: hours until the first signal, which signals crossed, when a better model was found, and the mean
-- absolute log error of what was in production before, on the worst day, and over the last two days.
CREATE FUNCTION weeks_drifts(drift_day float8)
RETURNS TABLE (drift text, seed bigint, detected_h float8, signals text, jobs bigint, new_model_d float8,
               error_before float8, error_worst float8, error_after float8, restored float8) LANGUAGE sql AS $$
    WITH served AS (        -- the model in production at the end of each day, and its error on that day
        SELECT l.drift, l.seed, t.day, t.error
          FROM (SELECT DISTINCT l.drift, l.seed, l.day, l.model_id FROM weeks_log l WHERE l.day = floor(l.day)) l
          JOIN LATERAL (SELECT t.day, t.error FROM weeks_truth t
                         WHERE t.drift = l.drift AND t.seed = l.seed AND t.day = l.day - 1
                         ORDER BY t.model_id = l.model_id DESC, t.model_id DESC LIMIT 1) t ON true),
    run AS (SELECT l.drift, l.seed, min(l.day) FILTER (WHERE l.crossed AND l.day >= drift_day) AS detected,
                   string_agg(DISTINCT l.signal, ', ') FILTER (WHERE l.crossed) AS signals,
                   min(l.day) FILTER (WHERE l.model_id > first.model_id) AS new_model, max(l.day) AS last_day
              FROM weeks_log l, LATERAL (SELECT min(f.model_id) AS model_id FROM weeks_log f
                                          WHERE f.drift = l.drift AND f.seed = l.seed) first
             WHERE l.drift <> 'none' GROUP BY 1, 2)
    -- a retraining that is waited for may be over, and its model in production, when signals are looked at
    SELECT r.drift, r.seed, (least(r.detected, (SELECT min(j.day) FROM weeks_jobs j WHERE j.drift = r.drift AND j.seed = r.seed
                                                   AND j.reason LIKE 'drift: %' AND j.day >= drift_day)) - drift_day) * 24, r.signals,
           (SELECT count(*) FROM weeks_jobs j WHERE j.drift = r.drift AND j.seed = r.seed AND j.reason LIKE 'drift: %'),
           r.new_model - drift_day, e.before, e.worst, e.after, e.after / e.before
      FROM run r, LATERAL (SELECT avg(s.error) FILTER (WHERE s.day < floor(drift_day)) AS before, max(s.error) AS worst,
                                  avg(s.error) FILTER (WHERE s.day >= r.last_day - 2) AS after
                             FROM served s WHERE s.drift = r.drift AND s.seed = r.seed) e
     ORDER BY 1, 2
$$;
