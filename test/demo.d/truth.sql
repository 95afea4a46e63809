-- What the server itself keeps of its predictions, and of what then happened.
\pset footer off
\pset null -
\echo 'prediction_accuracy: logged predictions matched with the executions that followed'
SELECT item AS source, predictions, statements, round(q_error_p50::numeric, 3) AS q_p50, round(q_error_p90::numeric, 3) AS q_p90,
       round(bias::numeric, 3) AS bias, round(100 * coverage::numeric, 1) AS inside_interval_pct, round(100 * nominal_coverage::numeric, 1) AS nominal_pct
FROM prediction_accuracy('source') ORDER BY predictions DESC;
\echo
\echo 'prediction_summary'
SELECT predictions, round(mean_confidence::numeric, 2) AS mean_confidence, round(mean_latency_us::numeric, 1) AS mean_latency_us,
       round(100 * cache_hit_rate::numeric, 1) AS cache_hit_pct, round(100 * matched_share::numeric, 1) AS with_truth_pct, dropped
FROM prediction_summary();
\echo
\echo 'training_schedule, recent_events'
SELECT enabled, last_run IS NOT NULL AS has_run, next_run, skip_reason, new_samples, needed_samples FROM training_schedule();
SELECT kind, left(message, 110) AS message FROM recent_events(5);
