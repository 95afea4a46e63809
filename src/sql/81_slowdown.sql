-- Why does a statement take longer than it did?  Open to everybody: each sees what pg_stat_statements would show.

CREATE FUNCTION explain_slowdown(queryid bigint, since timestamptz)
RETURNS TABLE (factor text,                     -- total, plan change, rows, cache misses, spill, concurrency, unexplained
               change_ms double precision,      -- of the mean time; those of the causes add up to the total's
               lower_ms double precision, upper_ms double precision,    -- 95 %
               share_percent double precision,  -- of the total; NULL: no change
               before double precision, after double precision, unit text,  -- what was measured of it, a mean per execution
               executions_before bigint, executions_since bigint,       -- captured
               evidence text)
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgaml_explain_slowdown';
GRANT EXECUTE ON FUNCTION explain_slowdown(bigint, timestamptz) TO PUBLIC;
COMMENT ON FUNCTION explain_slowdown(bigint, timestamptz) IS
    'splits the change in mean time of a statement since a moment into plan change, rows, cache misses, spill, concurrency and what remains';
