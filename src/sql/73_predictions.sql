-- The log of predictions, and what came true.

CREATE TABLE pganalytics.predictions (
    prediction_id  bigint PRIMARY KEY,          -- microseconds since 2000-01-01 UTC, made unique and rising
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
    coverage       real NOT NULL,               -- nominal, of the interval
    confidence     real NOT NULL,               -- 0..1
    latency_us     real,                        -- NULL: not measured this time
    source         text NOT NULL CHECK (source IN ('history', 'model', 'planner')),
    interval_group text NOT NULL,               -- whose errors the interval was calibrated on
    actual_source  text CHECK (actual_source IN ('execution', 'bucket', 'manual')),
    in_range       boolean NOT NULL,
    novel          boolean,                     -- NULL: no plan or no model to compare
    cache_hit      boolean NOT NULL,
    judged         boolean                      -- false: a newer one of the same model was made before that execution
);
-- The queue of the matching: a statement's predictions that wait for their truth.
CREATE INDEX predictions_unmatched ON pganalytics.predictions (queryid, prediction_id) WHERE actual_ms IS NULL;
COMMENT ON TABLE pganalytics.predictions IS 'logged predictions, later with what came true; not dumped, bounded in rows and age';

CREATE TABLE pganalytics.truth_state (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    buckets_until timestamptz                   -- buckets of history that began before this were looked at
);
INSERT INTO pganalytics.truth_state DEFAULT VALUES;
COMMENT ON TABLE pganalytics.truth_state IS 'how far predictions were matched with buckets of history';
