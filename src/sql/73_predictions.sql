-- The log of predictions, and what came true.

CREATE TABLE pganalytics.predictions (
    prediction_id  bigint PRIMARY KEY,          -- rising: start of the server in microseconds since 2000-01-01 UTC, and a count
    predicted_at   timestamptz NOT NULL,
    queryid        bigint NOT NULL,
    plan_id        bigint,                      -- plan it rests on; NULL: none captured
    model_id       bigint,                      -- NULL: answered without a model
    predicted_ms   double precision NOT NULL,   -- median
    expected_ms    double precision NOT NULL,   -- mean
    lower_ms       double precision NOT NULL,
    upper_ms       double precision NOT NULL,
    actual_ms      double precision,            -- NULL: not known yet
    log_error      double precision,            -- ln(actual / predicted), both at least 0.0001 ms
    actual_at      timestamptz,                 -- start of that execution or bucket; NULL: told by hand
    matched_at     timestamptz,
    userid         oid NOT NULL,                -- who asked
    model_version  integer,
    coverage       double precision NOT NULL,               -- nominal, of the interval
    confidence     double precision NOT NULL,               -- 0..1
    latency_us     real,                        -- NULL: not measured this time
    plan_cost      real,                        -- ln(1 + cost) of the execution's own plan; NULL: predicted without it
    source         text NOT NULL CHECK (source IN ('history', 'model', 'planner')),
    interval_group text NOT NULL,               -- whose errors the interval was calibrated on
    actual_source  text CHECK (actual_source IN ('execution', 'bucket', 'manual')),
    in_range       boolean NOT NULL,
    novel          boolean,                     -- NULL: no plan or no model to compare
    cache_hit      boolean NOT NULL,
    judged         boolean,                     -- false: a newer one of the same model was made before that execution
    guard          text CHECK (guard IN ('warn', 'cancel')),    -- what the guard did; NULL: somebody asked
    limit_ms       double precision             -- of the guard
);
-- The queue of the matching: a statement's predictions that wait for their truth.
CREATE INDEX predictions_unmatched ON pganalytics.predictions (queryid, predicted_at) WHERE actual_ms IS NULL;
CREATE INDEX predictions_guard ON pganalytics.predictions (prediction_id) WHERE guard IS NOT NULL;
COMMENT ON TABLE pganalytics.predictions IS 'logged predictions, later with what came true; not dumped, bounded in rows and age';

CREATE TABLE pganalytics.truth_state (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    buckets_until timestamptz,                  -- buckets of history that began before this were looked at
    plans_until timestamptz                     -- so were executions that ended before this, for predictions by plan
);
INSERT INTO pganalytics.truth_state DEFAULT VALUES;
COMMENT ON TABLE pganalytics.truth_state IS 'how far predictions were matched with buckets of history and with executions of their plans';

CREATE FUNCTION pganalytics.prediction_log_state(
    OUT logged bigint, OUT dropped bigint, OUT waiting integer, OUT room integer)
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgaml_prediction_log_state';
REVOKE ALL ON FUNCTION pganalytics.prediction_log_state() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pganalytics.prediction_log_state() TO pg_monitor;
COMMENT ON FUNCTION pganalytics.prediction_log_state() IS
    'the log of predictions in shared memory since the server started, all databases together: logged, dropped because it was full, waiting to be stored, room for; NULL when not preloaded';

CREATE FUNCTION validate_prediction(
    prediction_id bigint, actual_ms double precision,
    OUT predicted_ms double precision, OUT measured_ms double precision,
    OUT error_percent double precision,         -- |predicted - actual| / actual; NULL: the actual is 0
    OUT accuracy_score double precision,        -- 1 - |predicted - actual| / the larger, 0..1
    OUT within_interval boolean,
    OUT q_error double precision)               -- the larger / the smaller
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'pgaml_validate_prediction';
REVOKE ALL ON FUNCTION validate_prediction(bigint, double precision) FROM PUBLIC;
COMMENT ON FUNCTION validate_prediction(bigint, double precision) IS
    'tells how long a predicted execution really took, in ms, and how good the prediction was; also right after the prediction';

CREATE FUNCTION prediction_accuracy(group_by text DEFAULT 'model')
RETURNS TABLE (item text,                       -- model_id or none, queryid, source, day (UTC)
               predictions bigint,              -- judged: one per execution and model
               statements bigint,
               q_error_p50 double precision, q_error_p90 double precision, q_error_p95 double precision,
               bias double precision,           -- mean of ln(actual / predicted): above 0 things took longer
               coverage double precision,       -- share of single executions within their interval
               nominal_coverage double precision,
               intervals bigint)                -- single executions
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgaml_prediction_accuracy';
REVOKE ALL ON FUNCTION prediction_accuracy(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prediction_accuracy(text) TO pg_monitor;
COMMENT ON FUNCTION prediction_accuracy(text) IS
    'how predictions compare with what happened, by model, statement, source or day; an execution counts once for each model, however often it was predicted';

CREATE FUNCTION recent_predictions(max_rows integer DEFAULT 100)
RETURNS TABLE (prediction_id bigint, predicted_at timestamptz, queryid bigint, userid oid, source text,
               model_id bigint, model_version integer, predicted_ms double precision,
               lower_ms double precision, upper_ms double precision, confidence double precision,
               in_range boolean, novel boolean, cache_hit boolean, latency_us double precision,
               actual_ms double precision, actual_source text, q_error double precision,
               within_interval boolean, judged boolean)
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgaml_recent_predictions';
REVOKE ALL ON FUNCTION recent_predictions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recent_predictions(integer) TO pg_monitor;
COMMENT ON FUNCTION recent_predictions(integer) IS
    'logged predictions, newest first, with what came true; 1 to 1000 rows, never a text';

CREATE FUNCTION prediction_summary()
RETURNS TABLE (predictions bigint,
               mean_confidence double precision,
               mean_latency_us double precision,
               min_predicted_ms double precision, max_predicted_ms double precision,
               first_at timestamptz, last_at timestamptz,
               cache_hit_rate double precision,
               matched_share double precision,  -- with a known truth
               waiting integer,                 -- to be stored, of all databases
               dropped bigint)                  -- since the server started, of all databases
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(p.prediction_id), avg(p.confidence),
           -- hits are measured now and then, misses nearly always: each kind by its own mean
           (count(*) FILTER (WHERE p.cache_hit) * coalesce(avg(p.latency_us) FILTER (WHERE p.cache_hit), 0)
            + count(*) FILTER (WHERE NOT p.cache_hit) * coalesce(avg(p.latency_us) FILTER (WHERE NOT p.cache_hit), 0))
           / nullif(count(p.prediction_id), 0),
           min(p.predicted_ms), max(p.predicted_ms), min(p.predicted_at), max(p.predicted_at),
           avg(p.cache_hit::int::float8),
           avg((p.actual_ms IS NOT NULL)::int::float8) FILTER (WHERE p.prediction_id IS NOT NULL),
           min(s.waiting), min(s.dropped)
      FROM pganalytics.prediction_log_state() s LEFT JOIN pganalytics.predictions p ON true
$$;
REVOKE ALL ON FUNCTION prediction_summary() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prediction_summary() TO pg_monitor;
COMMENT ON FUNCTION prediction_summary() IS
    'the stored predictions in one row: how many, how sure, how fast, in which range, from the cache or not, with known truth';

CREATE FUNCTION prediction_distribution()
RETURNS TABLE (from_ms double precision, to_ms double precision, predictions bigint, share double precision)
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    -- limits ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ...; step 3 d + k is that of 10 ^ d * (1, 2, 5)
    WITH steps AS (
        SELECT 3 * d.decade + CASE WHEN d.ms >= 5 * 10.0 ^ d.decade THEN 2 WHEN d.ms >= 2 * 10.0 ^ d.decade THEN 1 ELSE 0 END AS step,
               count(*) AS n
          FROM (SELECT greatest(p.predicted_ms, 0.0001) AS ms,
                       floor(log(greatest(p.predicted_ms, 0.0001)) + 1e-12)::int AS decade
                  FROM pganalytics.predictions p) d
         GROUP BY 1),
    limits AS (
        SELECT g AS step, 10.0::float8 ^ floor(g / 3.0) * (ARRAY[1, 2, 5])[g - 3 * floor(g / 3.0)::int + 1] AS from_ms,
               10.0::float8 ^ floor((g + 1) / 3.0) * (ARRAY[1, 2, 5])[g + 1 - 3 * floor((g + 1) / 3.0)::int + 1] AS to_ms
          FROM generate_series((SELECT min(step) FROM steps), (SELECT max(step) FROM steps)) g)
    SELECT l.from_ms, l.to_ms, coalesce(s.n, 0), (coalesce(s.n, 0) / sum(s.n) OVER ())::float8
      FROM limits l LEFT JOIN steps s ON s.step = l.step
     ORDER BY l.step
$$;
REVOKE ALL ON FUNCTION prediction_distribution() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prediction_distribution() TO pg_monitor;
COMMENT ON FUNCTION prediction_distribution() IS
    'how many of the stored predictions lie between 1, 2, 5, 10, ... ms';
