SELECT left(query, 60), predict_query_time(queryid) FROM pg_stat_statements;
SELECT * FROM predict_query_execution((SELECT queryid FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 1));
SELECT feature, value, unit, reason FROM query_features((SELECT queryid FROM pg_stat_statements ORDER BY calls DESC LIMIT 1));
SELECT * FROM list_models();
SELECT jsonb_pretty(metrics) FROM get_model((SELECT model_id FROM get_latest_model()));
SELECT * FROM train_performance_model('linear_regression', wait => true);
