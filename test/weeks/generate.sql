-- A server's history by the hour, from a seed: a few dozen statements that
-- differ in cost, time, spread and rate, with hours of the day, weekends,
-- nightly jobs, levels that wander, tables that grow, heavy tails, and ad hoc
-- statements that come, run a few times and never again.  Days differ, of
-- single statements and of all together: rates by a quarter, times by a tenth.
--
--   SELECT weeks_begin(seed, base, executions_per_day);
--   SELECT weeks_run(from, until);      -- writes what ran then
--   UPDATE weeks_config SET drift_at = ..., drift = ...;
--
-- drift: 'slower' a quarter of the statements, and all that is ad hoc, take
-- 2.5 times as long from then on; 'mix' a third of the executions are of
-- statements that did not exist before, of plans that cost little and take
-- long; 'plans' plans change their shape and cost, and times follow.

CREATE TABLE weeks_config (
    seed bigint, base timestamptz, per_day float8, drift_at timestamptz DEFAULT 'infinity', drift text DEFAULT 'none'
);
CREATE TABLE weeks_statement (
    queryid bigint PRIMARY KEY, kind text, shape int, log_cost float8, center float8, spread float8,
    rate float8,        -- executions per day
    weekend float8,     -- its rate on Saturday and Sunday, as a share
    night boolean,      -- runs between 1 and 4 only
    growth float8,      -- of log cost and log time, per day
    born timestamptz, died timestamptz, slowed boolean
);

CREATE FUNCTION weeks_uniform(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT ((hashint8extended(key, salt) & 9007199254740991) + 0.5) / 9007199254740992.0';
CREATE FUNCTION weeks_normal(key bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    'SELECT sqrt(-2 * ln(weeks_uniform(key, salt))) * cos(2 * pi() * weeks_uniform(key, salt + 1))';

-- Plans of a shape differ by their cost only.
CREATE FUNCTION weeks_plan_facts(shape int, log_cost float8) RETURNS real[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(CASE i WHEN 1 THEN log_cost WHEN 2 THEN log_cost / 3 WHEN 3 THEN 2 + shape % 5 WHEN 33 THEN log_cost
                     ELSE floor(4 * weeks_uniform(shape, 1000 + i)) END ORDER BY i)::real[]
      FROM generate_series(1, 37) i
$$;

-- A statement of a kind, born at a moment.
CREATE FUNCTION weeks_add(kind text, n bigint, rate float8, born timestamptz, died timestamptz) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO weeks_statement
    SELECT k.key, kind, s.shape, s.log_cost,
           -2.5 + 0.9 * s.log_cost + 0.5 * weeks_normal(s.shape, 20) + 0.25 * weeks_normal(k.key, 21)
             + CASE kind WHEN 'new' THEN 2.5 ELSE 0 END,
           CASE kind WHEN 'adhoc' THEN 0.15 ELSE 0.05 + 0.25 * weeks_uniform(k.key, 22) END,
           rate, CASE WHEN weeks_uniform(k.key, 23) < 0.7 THEN 0.3 + 0.3 * weeks_uniform(k.key, 24) ELSE 1 END,
           kind = 'night', CASE WHEN weeks_uniform(k.key, 25) < 0.3 THEN 0.004 ELSE 0 END, born, died,
           kind = 'adhoc' OR weeks_uniform(k.key, 26) < 0.25
      FROM weeks_config c, LATERAL (SELECT hashint8extended(n, c.seed * 1000 + ascii(kind)) AS key) k,
           LATERAL (SELECT CASE kind WHEN 'new' THEN 100 ELSE 1 END + (abs(k.key) % 12)::int AS shape,
                           CASE kind WHEN 'sensitive' THEN 4 ELSE 1.5 + 6 * weeks_uniform(k.key, 27) END AS log_cost) s
$$;

CREATE FUNCTION weeks_begin(seed bigint, base timestamptz, per_day float8) RETURNS void LANGUAGE sql AS $$
    TRUNCATE weeks_config, weeks_statement, pganalytics.statements, pganalytics.statement_users,
             pganalytics.execution_samples, pganalytics.statement_recent, pganalytics.statement_history,
             pganalytics.system_history, pganalytics.query_performance_models, pganalytics.training_jobs,
             pganalytics.events, pganalytics.drift_signals, pganalytics.model_truth;
    UPDATE pganalytics.drift_state SET checked_at = NULL;
    INSERT INTO weeks_config VALUES (seed, base, per_day);
    -- heavy tails: the first statements run most
    SELECT weeks_add(CASE WHEN n % 5 = 0 THEN 'sensitive' WHEN n % 11 = 0 THEN 'night' ELSE 'steady' END, n,
                     0.85 * per_day * (1 / (n + 4.0)) / (SELECT sum(1 / (m + 4.0)) FROM generate_series(1, 48) m),
                     base - interval '30 days', 'infinity')
      FROM generate_series(1, 48) n
$$;

-- Statements that come in these days: ad hoc ones, one that stays, and with the drift those of another mix.
CREATE FUNCTION weeks_births(since timestamptz, until timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT weeks_add('adhoc', 100000 + 100 * (extract(epoch FROM d - c.base) / 86400)::bigint + n, 3, d, d + interval '1 day')
      FROM weeks_config c, generate_series(c.base, until - interval '1 second', interval '1 day') d,
           generate_series(1, greatest(1, (c.per_day * 0.04)::int)) n
     WHERE d >= since AND d < until;
    SELECT weeks_add('steady', 50000 + (extract(epoch FROM d - c.base) / 86400)::bigint, c.per_day * 0.004, d, 'infinity')
      FROM weeks_config c, generate_series(c.base, until - interval '1 second', interval '3 days') d
     WHERE d >= since AND d < until;
    SELECT weeks_add('new', 70000 + n, c.per_day * 0.4 / 15, c.drift_at, 'infinity')
      FROM weeks_config c, generate_series(1, 15) n
     WHERE c.drift = 'mix' AND c.drift_at >= since AND c.drift_at < until;
$$;

-- One row for each execution that starts in the span.
CREATE FUNCTION weeks_executions(since timestamptz, until timestamptz)
RETURNS TABLE (queryid bigint, started timestamptz, ms float8, plan_id bigint, facts real[], active int) LANGUAGE sql AS $$
    SELECT s.queryid, h.at + weeks_uniform(k.key, 31) * interval '1 hour', exp(t.y), p.shape, weeks_plan_facts(p.shape, p.cost),
           (1 + 8 * l.load * weeks_uniform(k.key, 32))::int
      FROM weeks_config c, generate_series(since, until - interval '1 second', interval '1 hour') h(at),
           LATERAL (SELECT extract(epoch FROM h.at - c.base) / 3600 AS hour) o,
           LATERAL (SELECT 1 + 0.8 * sin(2 * pi() * (o.hour - 9) / 24) AS day,
                           floor(o.hour / 24)::int % 7 IN (5, 6) AS weekend, o.hour::int % 24 AS clock) d,
           LATERAL (SELECT d.day * CASE WHEN d.weekend THEN 0.5 ELSE 1 END AS load) l,
           weeks_statement s,
           LATERAL (SELECT hashint8extended(s.queryid, o.hour::bigint) AS key) a,
           LATERAL (SELECT hashint8extended(s.queryid, floor(o.hour / 24)::bigint) AS key,
                           hashint8extended(c.seed, floor(o.hour / 24)::bigint) AS all_key) q,
           LATERAL (SELECT floor(s.rate / CASE WHEN s.night THEN 3.0 ELSE 24.0 END
                           * CASE WHEN s.night THEN (d.clock BETWEEN 1 AND 3)::int ELSE d.day END
                           * CASE WHEN d.weekend THEN s.weekend ELSE 1 END
                           * exp(0.25 * weeks_normal(q.key, 50) + 0.1 * weeks_normal(q.all_key, 52))
                           + weeks_uniform(a.key, 30))::int AS n) r,
           generate_series(1, r.n) j,
           LATERAL (SELECT hashint8extended(a.key, j) AS key) k,
           LATERAL (SELECT h.at >= c.drift_at AS after) x,
           LATERAL (SELECT s.growth * o.hour / 24 AS grown) g,
           LATERAL (SELECT CASE WHEN x.after AND c.drift = 'plans' AND s.slowed THEN 200 + s.shape ELSE s.shape END AS shape,
                           s.log_cost + g.grown + CASE s.kind WHEN 'sensitive' THEN 0.9 ELSE 0.02 END * weeks_normal(k.key, 33)
                           + CASE WHEN x.after AND c.drift = 'plans' AND s.slowed THEN 1.5 ELSE 0 END AS cost) p,
           LATERAL (SELECT s.center + 0.9 * (p.cost - s.log_cost) + 0.1 * l.load
                           + 0.07 * weeks_normal(q.key, 54) + 0.07 * weeks_normal(q.all_key, 56)
                           + 0.15 * sin(o.hour / (24 * (1.3 + 3 * weeks_uniform(s.queryid, 34))) + 6 * weeks_uniform(s.queryid, 35))
                           + 0.05 * weeks_normal(a.key, 36) + s.spread * weeks_normal(k.key, 38)
                           + CASE WHEN weeks_uniform(k.key, 40) < 0.03 THEN 1.5 ELSE 0 END
                           + CASE WHEN x.after AND c.drift = 'slower' AND s.slowed THEN ln(2.5) ELSE 0 END AS y) t
     WHERE s.born <= h.at AND s.died > h.at AND NOT (x.after AND c.drift = 'mix' AND s.kind = 'steady' AND s.slowed)
$$;

CREATE FUNCTION weeks_run(since timestamptz, until timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM weeks_births(since, until);
    INSERT INTO pganalytics.statements (queryid, origin, first_seen, last_seen, command_tag, plannable, query)
    SELECT s.queryid, i.origin, s.born, s.born, 'SELECT', true, 'SELECT ' || s.queryid
      FROM weeks_statement s, pganalytics.installation i WHERE s.born < until
    ON CONFLICT DO NOTHING;
    CREATE TEMP TABLE weeks_now ON COMMIT DROP AS SELECT * FROM weeks_executions(since, until);
    GET DIAGNOSTICS written = ROW_COUNT;
    INSERT INTO pganalytics.execution_samples
      (sampled_at, queryid, plan_id, execution_ms, rows, shared_blks_hit, shared_blks_read, session_id, transaction_no,
       userid, place, application_hash, weight, active_backends, toplevel, outcome, plan_facts)
    SELECT started + ms * interval '1 millisecond', queryid, plan_id, ms, 1, 100, 1, 1, 1, 10, 1, 0, 1, active, true, 'done', facts
      FROM weeks_now;
    INSERT INTO pganalytics.statement_recent AS r
      (queryid, last_at, recent_ms, recent_plans, active_backends, rows_per_call, hit_ratio)
    SELECT queryid, max(started), array_agg(ms ORDER BY started)::real[], array_agg(plan_id ORDER BY started), 1, 1, 1
      FROM (SELECT *, row_number() OVER (PARTITION BY queryid ORDER BY started DESC) AS n FROM weeks_now) w
     WHERE n <= 32 GROUP BY queryid
    ON CONFLICT (queryid) DO UPDATE SET last_at = excluded.last_at, recent_ms = excluded.recent_ms,
      recent_plans = excluded.recent_plans;
    INSERT INTO pganalytics.statement_history
      (queryid, bucket_start, calls, total_ms, sum_squares, rows, plan_ms, shared_blks_hit, shared_blks_read,
       shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, blk_read_ms, blk_write_ms, wal_bytes,
       bucket_width, toplevel, origin)
    SELECT w.queryid, date_trunc('hour', w.started), count(*), sum(w.ms), sum(w.ms ^ 2), count(*), 0, 100 * count(*),
           count(*), 0, 0, 0, 0, 0, 0, 0, 3600, true, i.origin
      FROM weeks_now w, pganalytics.installation i GROUP BY 1, 2, i.origin
    ON CONFLICT DO NOTHING;
    INSERT INTO pganalytics.system_history (bucket_start, bucket_width, ticks, available_memory_pct, active_backends)
    SELECT date_trunc('hour', h), 3600, 60, 50 + 10 * sin(extract(epoch FROM h) / 86400 / 2.1)
           + 2 * weeks_normal(extract(epoch FROM h)::bigint, c.seed), 4
      FROM weeks_config c, generate_series(since, until - interval '1 second', interval '1 hour') h
    ON CONFLICT DO NOTHING;
    DROP TABLE weeks_now;
    RETURN written;
END
$$;
