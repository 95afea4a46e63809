-- Statements that are executed again and again, drained from shared memory.

CREATE TABLE pganalytics.statement_repeats (
    bucket_start     timestamptz NOT NULL,  -- hour of the last execution
    queryid          bigint NOT NULL,
    previous_queryid bigint NOT NULL,       -- statement before the runs, or the list they went through; 0: none
    userid           oid NOT NULL,
    application_name text NOT NULL,
    toplevel         boolean NOT NULL,      -- false: inside a function
    kind             text NOT NULL CHECK (kind IN ('transaction', 'burst')),
    runs             bigint NOT NULL,
    executions       bigint NOT NULL,
    longest          bigint NOT NULL,       -- executions of the longest run
    previous_runs    bigint NOT NULL,       -- runs with known rows of the statement before
    previous_rows    bigint NOT NULL,       -- sum of those
    matched_runs     bigint NOT NULL,       -- runs as long as that statement returned rows, give or take a tenth or 1
    total_ms         double precision NOT NULL, -- of the executions
    first_seen       timestamptz NOT NULL,
    last_seen        timestamptz NOT NULL,
    last_session     bigint NOT NULL,       -- as in execution_samples
    PRIMARY KEY (queryid, bucket_start, previous_queryid, userid, application_name, toplevel, kind)
) WITH (fillfactor = 70);
CREATE INDEX statement_repeats_seen ON pganalytics.statement_repeats (last_seen);
COMMENT ON TABLE pganalytics.statement_repeats IS
    'runs of 5 and more executions of one statement within a transaction, or in a burst of short ones after a list; every execution, sampled or not; bounded in rows and age';

CREATE FUNCTION repeated_statements(min_runs integer DEFAULT 1, max_rows integer DEFAULT 100)
RETURNS TABLE (queryid bigint, previous_queryid bigint, query text, previous_query text,
               application_name text, userid oid, username name, pattern text, in_function boolean, kind text,
               runs bigint, executions bigint, mean_length double precision, longest bigint,
               mean_previous_rows double precision, matched_share double precision, total_ms double precision,
               share_of_statement double precision, share_of_time double precision,
               first_seen timestamptz, last_seen timestamptz)
LANGUAGE C STABLE PARALLEL SAFE STRICT
AS 'MODULE_PATHNAME', 'pgaml_repeated_statements';
REVOKE ALL ON FUNCTION repeated_statements(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION repeated_statements(integer, integer) TO pg_monitor;
COMMENT ON FUNCTION repeated_statements(integer, integer) IS
    'statements that an application or a function executes again and again in one go, with the statement before them and its rows, costliest first; 1 to 1000 rows';

CREATE FUNCTION pganalytics.repeats_state(
    OUT put bigint, OUT dropped bigint, OUT waiting integer, OUT room integer,
    OUT evicted bigint, OUT unexplained bigint)
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'pgaml_repeats_state';
REVOKE ALL ON FUNCTION pganalytics.repeats_state() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pganalytics.repeats_state() TO pg_monitor;
COMMENT ON FUNCTION pganalytics.repeats_state() IS
    'records of repeated statements in shared memory since the server started: put there, dropped because it was full, waiting to be stored, room for; repeated statements that a session had no room to follow; runs over several transactions that no list explains; NULL when not preloaded';
