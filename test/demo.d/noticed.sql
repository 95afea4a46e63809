-- What capture costs, and a loop that it noticed.
\pset footer off
\pset null -
SELECT capture_state, round(100 * overhead::numeric, 2) AS overhead_pct, round(100 * overhead_budget::numeric, 2) AS budget_pct,
       executions, samples, thinned, dropped, errors
FROM service_status();
\echo 'A list, and then each of its rows by itself:'
SELECT application_name, left(regexp_replace(query, '\s+', ' ', 'g'), 52) AS query, left(regexp_replace(previous_query, '\s+', ' ', 'g'), 30) AS after,
       runs, mean_length, mean_previous_rows AS rows_of_list, matched_share
FROM repeated_statements() WHERE NOT in_function ORDER BY application_name = 'orders page' DESC, total_ms DESC LIMIT 3;
INSERT INTO demo.verdict (what, holds)
SELECT 'the loop of an application was noticed, with the list it goes through',
       EXISTS (SELECT FROM repeated_statements() WHERE application_name = 'orders page' AND longest = 40 AND matched_share = 1);
