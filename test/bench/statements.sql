-- Runs :count different statements, numbers :from and up.  Two statements are
-- different for pg_stat_statements when their operators are: 17 places, each
-- + or -, spell the number in binary.
\set ON_ERROR_STOP on
\o /dev/null
SELECT 'SELECT 1' || string_agg(CASE WHEN (n >> bit) & 1 = 1 THEN ' + 1' ELSE ' - 1' END, '' ORDER BY bit)
FROM generate_series(:from, :from + :count - 1) n, generate_series(0, 16) bit
GROUP BY n ORDER BY n
\gexec
\o
