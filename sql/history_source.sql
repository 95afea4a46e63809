-- Nothing but pg_stat_statements itself is read as the owner of this extension.
SET client_min_messages = warning;
CREATE EXTENSION pg_stat_statements VERSION '1.8';
CREATE EXTENSION pganalytics_ml;
RESET client_min_messages;
-- What an old version lacks, somebody else may have made in its schema.
CREATE FUNCTION pg_stat_statements_info(OUT dealloc bigint, OUT stats_reset timestamptz) LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'called as somebody else'; END $$;
SELECT collect_statements();
DROP FUNCTION pg_stat_statements_info;
ALTER EXTENSION pg_stat_statements UPDATE;
SELECT count(*) FROM collect_statements();
