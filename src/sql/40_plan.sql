-- Plans of stored statements, made as the role that ran them.

CREATE FUNCTION explain_stored(queryid bigint, settings jsonb DEFAULT '{}',
    OUT planned_as name,                -- the role that ran it; NULL: it did not come to planning
    OUT total_cost double precision,
    OUT query_plan text,                -- without conditions for those who are no members of planned_as
    OUT reason text)                    -- why there is no plan
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_explain_stored';
GRANT EXECUTE ON FUNCTION explain_stored(bigint, jsonb) TO PUBLIC;
COMMENT ON FUNCTION explain_stored(bigint, jsonb) IS
    'the generic plan of a statement that ran here, as EXPLAIN prints it, made as the role that ran it and with its search_path; with other settings if asked for; or the reason why there is none';

CREATE FUNCTION stored_plans(max_rows integer DEFAULT 1000)
RETURNS TABLE (queryid bigint, planned_as name, total_cost double precision, reason text)
LANGUAGE C VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_stored_plans';
REVOKE ALL ON FUNCTION stored_plans(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stored_plans(integer) TO pg_monitor;
COMMENT ON FUNCTION stored_plans(integer) IS
    'which of the statements seen last can be planned again without having run, at which cost, and why others cannot: those have no advice';
