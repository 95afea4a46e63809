-- Relative difference of costs, only where an index changes the plan's cost.
\pset tuples_only on
\pset format unaligned
CREATE VIEW differences AS
SELECT kind, abs(ours / built - 1) AS ours, abs(hypopg / built - 1) AS hypopg, ours_used = built_used AS same_use,
       abs(ours_size / built_size - 1) AS ours_size, abs(hypopg_size / built_size - 1) AS hypopg_size
  FROM compared WHERE built_used OR ours_used OR hypopg < plain * 0.999;
SELECT '| kind | pairs | median | p90 | worst | HypoPG: pairs | median | p90 | worst | used as the real one | size: median | p90 | HypoPG''s size: median | p90 |';
SELECT '|---|---|---|---|---|---|---|---|---|---|---|---|---|---|';
SELECT format('| %s | %s | %s %% | %s %% | %s %% | %s | %s %% | %s %% | %s %% | %s of %s | %s %% | %s %% | %s %% | %s %% |', kind, n, m, p, w, hn, hm, hp, hw, same, n, sm, sp, hsm, hsp)
  FROM (SELECT coalesce(kind, 'all') AS kind, count(*) AS n, grouping(kind) AS last,
               round(100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY ours)::numeric, 2) AS m,
               round(100 * percentile_cont(0.9) WITHIN GROUP (ORDER BY ours)::numeric, 2) AS p,
               round(100 * max(ours)::numeric, 2) AS w, count(hypopg) AS hn,
               round(100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY hypopg)::numeric, 2) AS hm,
               round(100 * percentile_cont(0.9) WITHIN GROUP (ORDER BY hypopg)::numeric, 2) AS hp,
               round(100 * max(hypopg)::numeric, 2) AS hw, count(*) FILTER (WHERE same_use) AS same,
               round(100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY ours_size)::numeric, 1) AS sm,
               round(100 * percentile_cont(0.9) WITHIN GROUP (ORDER BY ours_size)::numeric, 1) AS sp,
               round(100 * percentile_cont(0.5) WITHIN GROUP (ORDER BY hypopg_size)::numeric, 1) AS hsm,
               round(100 * percentile_cont(0.9) WITHIN GROUP (ORDER BY hypopg_size)::numeric, 1) AS hsp
          FROM differences GROUP BY ROLLUP (kind)) k ORDER BY last, kind;
