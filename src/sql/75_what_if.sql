-- What if: the same statement with other settings or indexes.

CREATE FUNCTION predict_with_settings(query text, settings jsonb DEFAULT '{}', hypothetical_indexes text[] DEFAULT '{}',
    OUT queryid bigint,
    OUT before_ms double precision,             -- median of an execution now
    OUT before_lower_ms double precision,
    OUT before_upper_ms double precision,
    OUT before_source text,
    OUT before_in_range boolean,
    OUT after_ms double precision,              -- and with settings and indexes; NULL: do not know, see reason
    OUT after_lower_ms double precision,
    OUT after_upper_ms double precision,
    OUT after_source text,
    OUT after_in_range boolean,
    OUT improvement_percent double precision,   -- negative: it would be slower
    OUT before_cost double precision,           -- the planner's
    OUT after_cost double precision,
    OUT plan_changed boolean,                   -- another shape, not only other estimates
    OUT indexes_used text[],                    -- hypothetical ones in the plan
    OUT index_sizes jsonb,                      -- bytes of each hypothetical one when new
    OUT reason text)
RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1
AS 'MODULE_PATHNAME', 'pgaml_predict_with_settings';
GRANT EXECUTE ON FUNCTION predict_with_settings(text, jsonb, text[]) TO PUBLIC;
COMMENT ON FUNCTION predict_with_settings(text, jsonb, text[]) IS
    'time of a statement as it is and as it would be with other settings, CREATE INDEX and DROP INDEX; nothing is run';
