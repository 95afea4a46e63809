-- What holds for every object of the extension.
SET client_min_messages = warning;
CREATE SCHEMA elsewhere;
CREATE EXTENSION pganalytics_ml SCHEMA elsewhere CASCADE;

-- Every function and table says what it is.
SELECT p.oid::regprocedure AS function_without_comment
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pganalytics_ml'
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND obj_description(p.oid, 'pg_proc') IS NULL
ORDER BY p.oid::regprocedure::text COLLATE "C";

SELECT c.oid::regclass AS relation_without_comment
FROM pg_class c
WHERE c.relnamespace = 'pganalytics'::regnamespace AND c.relkind IN ('r', 'v', 'm')
  AND c.relname <> 'installation' AND obj_description(c.oid, 'pg_class') IS NULL
ORDER BY c.relname COLLATE "C";

-- Rights are explicit: no function keeps the default of PUBLIC by omission.
SELECT p.oid::regprocedure AS function_with_default_rights
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pganalytics_ml'
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND p.proacl IS NULL
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- What answers the same in one statement may run beside parallel workers, nothing else in one.
SELECT p.oid::regprocedure AS odd_labels, p.provolatile, p.proparallel
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pganalytics_ml'
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND CASE p.provolatile WHEN 'v' THEN p.proparallel = 's' ELSE p.proparallel = 'u' END
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Nobody but the owner reads state directly.
SELECT c.oid::regclass AS readable_by_public
FROM pg_class c
WHERE c.relnamespace = 'pganalytics'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S')
  AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)
ORDER BY c.relname COLLATE "C";
SELECT has_schema_privilege('public', 'pganalytics', 'CREATE') AS public_may_create;

-- Functions live in the schema chosen, state in pganalytics.
SELECT p.oid::regprocedure AS function_in_another_schema
FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pganalytics_ml'
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  AND p.pronamespace NOT IN ('pganalytics'::regnamespace, 'elsewhere'::regnamespace)
ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Settings: every one has a description, and the prefix is ours.
SELECT name FROM pg_settings WHERE name LIKE 'pganalytics\_ml.%' AND coalesce(short_desc, '') = '' ORDER BY name;
SET pganalytics_ml.no_such_setting = 1;

-- Leaves nothing behind, and comes back.
DROP EXTENSION pganalytics_ml;
SELECT count(*) AS left_behind FROM pg_namespace WHERE nspname = 'pganalytics';
CREATE EXTENSION pganalytics_ml;
DROP EXTENSION pganalytics_ml, pg_stat_statements;
