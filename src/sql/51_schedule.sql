-- When training starts by itself.

CREATE TABLE pganalytics.training_schedule (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_run    timestamptz,            -- start of the last training, asked for or not
    last_job_id bigint,                 -- its job
    skipped_at  timestamptz,            -- when the training that is due was last put off; NULL: none is
    skip_kind   text,                   -- of the last event: window, overhead, busy, samples, new_data
    skip_reason text
) WITH (fillfactor = 50);
INSERT INTO pganalytics.training_schedule DEFAULT VALUES;
COMMENT ON TABLE pganalytics.training_schedule IS 'when training began last, and why the next one was put off';

CREATE FUNCTION training_schedule(
    OUT enabled boolean, OUT retrain_interval interval, OUT retrain_window text, OUT time_zone text,
    OUT last_run timestamptz, OUT last_job_id bigint, OUT next_run timestamptz,
    OUT skip_reason text, OUT skipped_at timestamptz, OUT new_samples bigint, OUT needed_samples bigint)
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pgaml_training_schedule';
COMMENT ON FUNCTION training_schedule() IS
    'when the next training may start by itself, why one that is due was put off, and how much there is to learn from that the model in production has not seen';
REVOKE ALL ON FUNCTION training_schedule() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION training_schedule() TO pg_monitor;

CREATE FUNCTION maintain_models(wait boolean DEFAULT false)
RETURNS TABLE (step text, result text)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_maintain_models';
COMMENT ON FUNCTION maintain_models(boolean) IS
    'does now what the workers do for models; with wait a training that is due runs in this session';
REVOKE ALL ON FUNCTION maintain_models(boolean) FROM PUBLIC;
