-- CPU us of one EXPLAIN, of one with the predicted time, and of one prediction of the same text, medians of turns.
SET client_min_messages = warning;
CREATE TEMP TABLE took (what text, us float8);
CREATE FUNCTION pg_temp.cpu_us() RETURNS float8 LANGUAGE sql VOLATILE AS
    $$ SELECT split_part(pg_read_file('/proc/self/schedstat', 0, 100), ' ', 1)::float8 / 1000 $$;
CREATE PROCEDURE pg_temp.clock(what text, shown boolean, one text, times int) LANGUAGE plpgsql AS $$
DECLARE began float8 := pg_temp.cpu_us();
BEGIN
    PERFORM set_config('pganalytics_ml.explain_predicted_time', shown::text, false);
    FOR i IN 1..times LOOP
        EXECUTE one;
    END LOOP;
    INSERT INTO took VALUES (what, (pg_temp.cpu_us() - began) / times);
END $$;
\set text 'SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = ''r'' AND a.attnum > 0'
SELECT format('SELECT predict_query_time(%L)', :'text') AS by_text, 'EXPLAIN ' || :'text' AS explain \gset
CALL pg_temp.clock('first by text in a session', false, :'by_text', 1);
SELECT format('CALL pg_temp.clock(%L, %L, %L, 500)', what, shown, one)
  FROM generate_series(1, 20) n, (VALUES (1, 'EXPLAIN', false, :'explain'), (2, 'EXPLAIN with the line', true, :'explain'),
                                         (3, 'by text', false, :'by_text')) v(turn, what, shown, one)
 ORDER BY n, turn \gexec
SELECT format('| %s | %s |', what, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY us)::numeric, 1)) FROM took GROUP BY what ORDER BY min(us);
