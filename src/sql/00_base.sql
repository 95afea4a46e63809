\echo Use "CREATE EXTENSION pganalytics_ml" to load this file. \quit

-- State lives in the schema pganalytics; functions in the extension's schema.
-- Nobody but the owner reads state tables directly: functions do, after a check.
CREATE SCHEMA pganalytics;
COMMENT ON SCHEMA pganalytics IS 'state of the extension pganalytics_ml, read through its functions';

CREATE TABLE pganalytics.installation (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    origin       uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    installed_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE pganalytics.installation IS 'identity of this installation: rows that pg_dump carries elsewhere keep it as their origin';
INSERT INTO pganalytics.installation DEFAULT VALUES;

-- Travels with a dump, so that rows of several installations can be put in order.
CREATE TABLE pganalytics.origins (
    origin       uuid PRIMARY KEY,
    installed_at timestamptz NOT NULL
);
COMMENT ON TABLE pganalytics.origins IS 'this installation, and those whose rows a restore brought';
INSERT INTO pganalytics.origins SELECT origin, installed_at FROM pganalytics.installation;
SELECT pg_catalog.pg_extension_config_dump('pganalytics.origins', '');

-- At any time one installation speaks: the youngest that was there.  So nothing counts twice where the
-- histories of two overlap.
CREATE VIEW pganalytics.origin_spans AS
SELECT o.origin, o.origin = i.origin AS own,
       CASE WHEN o.origin = i.origin THEN 'infinity'::timestamptz ELSE least(i.installed_at, o.next_at) END AS until
  FROM (SELECT n.origin, min(n.installed_at) OVER (ORDER BY n.installed_at GROUPS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS next_at
          FROM pganalytics.origins n) o
 CROSS JOIN (SELECT origin, installed_at FROM pganalytics.installation LIMIT 1) i;  -- the planner takes a table never analyzed for 1,540 rows
COMMENT ON VIEW pganalytics.origin_spans IS 'until when the history of an installation counts: the moment the next one was made';
