-- The texts that were predicted, each once, every execution captured.
SET application_name = 'ahead';
SET pganalytics_ml.overhead_budget = 1;
SELECT query FROM demo.ahead ORDER BY number
\gexec
