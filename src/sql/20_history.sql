-- History: what ran, as differences of pg_stat_statements.

CREATE TABLE pganalytics.statements (
    queryid     bigint NOT NULL,
    origin      uuid NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    command_tag text,                   -- NULL: text not read yet
    plannable   boolean,                -- false: utility statement, kept without text; NULL: not known yet
    query       text,                   -- normalized, without literals and comments
    PRIMARY KEY (queryid, origin)
) WITH (fillfactor = 80, toast_tuple_target = 128);
COMMENT ON TABLE pganalytics.statements IS 'one row per queryid seen in this database';

CREATE TABLE pganalytics.statement_users (
    userid           oid NOT NULL,
    queryid          bigint NOT NULL,
    search_path_hash bigint NOT NULL,   -- 0: not captured
    first_seen       timestamptz NOT NULL,
    last_seen        timestamptz NOT NULL,
    search_path      text,
    parameter_types  oid[],             -- of $1..$n of the normalized text
    relations        oid[],             -- stored relations of the last plan
    plan_id          bigint,
    plan_facts       real[],            -- last plan; layout: query_features() and src/base/sample.h
    plan_seen        timestamptz,
    PRIMARY KEY (queryid, userid, search_path_hash)
) WITH (fillfactor = 80);
COMMENT ON TABLE pganalytics.statement_users IS 'who ran a statement, under which search_path, with which parameter types and plan';

-- CAUTION: src/history/counters.c reads the columns by their place.
CREATE TABLE pganalytics.statement_counters (
    userid              oid NOT NULL,
    queryid             bigint NOT NULL,
    toplevel            boolean NOT NULL,
    plannable           boolean,        -- NULL: text not read yet; false: not followed any further
    kept                boolean NOT NULL,   -- false: beyond max_statements, counted under queryid 0
    seen_at             timestamptz NOT NULL,   -- what last_seen says in statements and statement_users
    stats_since         timestamptz,    -- 17 and later
    calls               bigint NOT NULL,
    plans               bigint NOT NULL,
    rows                bigint NOT NULL,
    shared_blks_hit     bigint NOT NULL,
    shared_blks_read    bigint NOT NULL,
    shared_blks_dirtied bigint NOT NULL,
    shared_blks_written bigint NOT NULL,
    temp_blks_read      bigint NOT NULL,
    temp_blks_written   bigint NOT NULL,
    wal_bytes           bigint NOT NULL,
    total_ms            double precision NOT NULL,
    sum_squares         double precision NOT NULL,  -- ms * ms
    plan_ms             double precision NOT NULL,
    blk_read_ms         double precision NOT NULL,
    blk_write_ms        double precision NOT NULL,
    PRIMARY KEY (queryid, userid, toplevel)
) WITH (fillfactor = 45);               -- room for a new version of every row on its page
CREATE INDEX statement_counters_unknown ON pganalytics.statement_counters (queryid) WHERE plannable IS NULL;
COMMENT ON TABLE pganalytics.statement_counters IS 'counters of pg_stat_statements as last read, written in the transaction that writes their growth to statement_history';

CREATE TABLE pganalytics.statement_history (
    queryid             bigint NOT NULL,    -- 0: statements beyond max_statements
    bucket_start        timestamptz NOT NULL,
    calls               bigint NOT NULL CHECK (calls > 0),
    total_ms            double precision NOT NULL,
    sum_squares         double precision NOT NULL,  -- ms * ms
    rows                bigint NOT NULL,
    plan_ms             double precision NOT NULL,
    shared_blks_hit     bigint NOT NULL,
    shared_blks_read    bigint NOT NULL,
    shared_blks_dirtied bigint NOT NULL,
    shared_blks_written bigint NOT NULL,
    temp_blks_read      bigint NOT NULL,
    temp_blks_written   bigint NOT NULL,
    blk_read_ms         double precision NOT NULL,
    blk_write_ms        double precision NOT NULL,
    wal_bytes           bigint NOT NULL,
    bucket_width        integer NOT NULL CHECK (bucket_width > 0),  -- seconds
    toplevel            boolean NOT NULL,
    origin              uuid NOT NULL,
    PRIMARY KEY (queryid, bucket_start, toplevel, bucket_width, origin)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX statement_history_bucket ON pganalytics.statement_history USING brin (bucket_start) WITH (pages_per_range = 16);
COMMENT ON TABLE pganalytics.statement_history IS 'calls, time, rows and blocks per statement and bucket; exact where history_windows has no row';

CREATE TABLE pganalytics.history_windows (
    bucket_start timestamptz NOT NULL,
    bucket_width integer NOT NULL CHECK (bucket_width > 0), -- seconds
    reason       text NOT NULL CHECK (reason IN ('reset', 'eviction', 'restart', 'crash', 'gap')),
    coverage     double precision NOT NULL CHECK (coverage BETWEEN 0 AND 1),
    uncertain_from timestamptz NOT NULL,    -- first and last moment of the bucket that may be incomplete
    uncertain_to timestamptz NOT NULL,
    entries      bigint NOT NULL DEFAULT 0, -- counters that fell or vanished
    origin       uuid NOT NULL,
    PRIMARY KEY (bucket_start, bucket_width, reason, origin)
);
COMMENT ON TABLE pganalytics.history_windows IS 'what may be missing in a bucket of history, and why; a bucket without a row is complete';

CREATE TABLE pganalytics.collector_state (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_tick      timestamptz,
    boot_at        timestamptz,             -- of the shared memory, or start of the postmaster without preload
    stats_reset    timestamptz,             -- of pg_stat_statements_info
    dealloc        bigint,
    database       oid,                     -- a copy of a database starts anew
    bucket_width   integer,                 -- seconds, in force
    bucket_start   timestamptz,             -- of the last tick's growth
    entries        bigint NOT NULL DEFAULT 0,   -- rows of statement_counters
    last_text_read timestamptz,
    last_join      timestamptz,             -- of restored statements with own ones
    last_retention timestamptz,
    jump_from      timestamptz,             -- the clock jumped ahead from here ...
    jump_at        timestamptz,             -- ... to here: nothing ages for a day; NULL: it did not
    tick_ms        double precision         -- duration of the last tick
) WITH (fillfactor = 50);
INSERT INTO pganalytics.collector_state DEFAULT VALUES;
COMMENT ON TABLE pganalytics.collector_state IS 'where the collector stands';

CREATE TABLE pganalytics.statement_aliases (
    origin      uuid NOT NULL,
    queryid     bigint NOT NULL,        -- there
    own_queryid bigint NOT NULL,        -- here
    PRIMARY KEY (origin, queryid)
);
COMMENT ON TABLE pganalytics.statement_aliases IS 'which statement of this installation a restored one is: the one with the same normalized text';

CREATE TABLE pganalytics.system_history (
    bucket_start         timestamptz NOT NULL,
    bucket_width         integer NOT NULL,  -- seconds
    ticks                integer NOT NULL,
    available_memory_pct double precision,  -- mean over the ticks, of physical memory
    active_backends      double precision,  -- mean over the ticks
    PRIMARY KEY (bucket_start, bucket_width)
) WITH (fillfactor = 50);
COMMENT ON TABLE pganalytics.system_history IS 'memory and activity of the server per bucket';

SELECT pg_catalog.pg_extension_config_dump('pganalytics.statements', '');
SELECT pg_catalog.pg_extension_config_dump('pganalytics.statement_history', '');
SELECT pg_catalog.pg_extension_config_dump('pganalytics.history_windows', '');

-- History as readers see it: one stream per statement, whoever collected it.  A restored statement that
-- is none of the own ones has a key that no queryid of this server has.  Two branches, because every first
-- prediction of a session reads this: where nothing was restored the second is not run at all.
CREATE VIEW pganalytics.joined_history AS
SELECT h.queryid, false AS restored, true AS known,
       s.plannable, h.bucket_start, h.bucket_width, h.toplevel, h.calls, h.total_ms, h.sum_squares, h.rows, h.plan_ms,
       h.shared_blks_hit, h.shared_blks_read, h.shared_blks_dirtied, h.shared_blks_written,
       h.temp_blks_read, h.temp_blks_written, h.blk_read_ms, h.blk_write_ms, h.wal_bytes
  FROM pganalytics.statement_history h
  LEFT JOIN pganalytics.statements s ON s.queryid = h.queryid AND s.origin = h.origin
 WHERE h.origin = (SELECT i.origin FROM pganalytics.installation i)
UNION ALL
SELECT CASE WHEN h.queryid = 0 THEN 0 ELSE coalesce(a.own_queryid, uuid_hash_extended(h.origin, h.queryid)) END,
       true, a.own_queryid IS NOT NULL,
       s.plannable, h.bucket_start, h.bucket_width, h.toplevel, h.calls, h.total_ms, h.sum_squares, h.rows, h.plan_ms,
       h.shared_blks_hit, h.shared_blks_read, h.shared_blks_dirtied, h.shared_blks_written,
       h.temp_blks_read, h.temp_blks_written, h.blk_read_ms, h.blk_write_ms, h.wal_bytes
  FROM pganalytics.statement_history h
  LEFT JOIN pganalytics.origin_spans o ON o.origin = h.origin
  LEFT JOIN pganalytics.statement_aliases a ON a.origin = h.origin AND a.queryid = h.queryid
  LEFT JOIN pganalytics.statements s ON s.queryid = h.queryid AND s.origin = h.origin
 WHERE h.origin <> (SELECT i.origin FROM pganalytics.installation i)
   AND h.bucket_start < coalesce(o.until, (SELECT i.installed_at FROM pganalytics.installation i))
   AND (SELECT count(*) > 1 FROM pganalytics.origins);
COMMENT ON VIEW pganalytics.joined_history IS 'statement_history with the query identifiers of this server; restored: collected elsewhere; known: a statement of this server';

-- Buckets in one width.  Narrower ones that fill it add up; others stay as they are: they tell the time
-- of a call, but not how many calls fell into a bucket of the width asked for.
CREATE FUNCTION pganalytics.history_buckets(width integer, since timestamptz, until timestamptz)
RETURNS TABLE (queryid bigint, bucket_start timestamptz, bucket_width integer, restored boolean, known boolean,
               plannable boolean, calls double precision, total_ms double precision, sum_squares double precision,
               rows double precision, shared_blks_hit double precision, shared_blks_read double precision)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT h.queryid,
           CASE WHEN h.bucket_width <> $1 AND $1 % h.bucket_width = 0
                THEN date_bin($1 * interval '1 second', h.bucket_start, '2000-01-01 00:00:00+00'::timestamptz)
                ELSE h.bucket_start END,
           CASE WHEN $1 % h.bucket_width = 0 THEN $1 ELSE h.bucket_width END,
           bool_and(h.restored), bool_or(h.known), bool_or(h.plannable), sum(h.calls::float8), sum(h.total_ms),
           sum(h.sum_squares), sum(h.rows::float8), sum(h.shared_blks_hit::float8), sum(h.shared_blks_read::float8)
      FROM pganalytics.joined_history h
     WHERE h.bucket_start >= $2 AND h.bucket_start <= $3 - h.bucket_width * interval '1 second' AND h.queryid <> 0
     GROUP BY 1, 2, 3;
END;
COMMENT ON FUNCTION pganalytics.history_buckets(integer, timestamptz, timestamptz) IS
    'history of the statements that are kept, of buckets that ended by then, in this width (s) where they fit into it, else in their own';
REVOKE ALL ON FUNCTION pganalytics.history_buckets(integer, timestamptz, timestamptz) FROM PUBLIC;

-- What the buckets of history are worth: the losses of all reasons together.
-- A bucket without a row is complete.
CREATE VIEW pganalytics.bucket_coverage AS
SELECT w.origin, w.bucket_start, w.bucket_width,
       CASE WHEN min(w.coverage) <= 0 THEN 0
            ELSE exp(sum(ln(CASE WHEN w.coverage > 0 THEN w.coverage ELSE 1 END))) END AS coverage,
       bool_or(w.reason IN ('gap', 'restart')) AS has_gap
FROM pganalytics.history_windows w
CROSS JOIN pganalytics.installation i
LEFT JOIN pganalytics.origin_spans o ON o.origin = w.origin
WHERE w.origin = i.origin OR w.bucket_start < coalesce(o.until, i.installed_at)
GROUP BY w.origin, w.bucket_start, w.bucket_width;
COMMENT ON VIEW pganalytics.bucket_coverage IS 'share of a bucket that history surely holds, 0..1, and whether calls may stand in the wrong bucket; a bucket without a row is complete';

CREATE FUNCTION collect_statements(
    OUT entries bigint, OUT grown bigint, OUT calls bigint, OUT unknown_texts bigint,
    OUT samples bigint, OUT first boolean, OUT reason text)
AS 'MODULE_PATHNAME', 'pgaml_collect_statements'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION collect_statements() FROM PUBLIC;
COMMENT ON FUNCTION collect_statements() IS 'read pg_stat_statements now and add its growth to history; needed by hand only where the library is not preloaded';
