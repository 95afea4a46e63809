# Stored statements: as whom they are planned, when they are not, and that
# nobody who asks can put an object or a setting of his own under them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('stored', "pganalytics_ml.collect_interval = '1d'",
	'pganalytics_ml.text_interval = 0', 'pg_stat_statements.track = all', 'pganalytics_ml.overhead_budget = 1');
$node->start;

# Output and messages of statements in one session of a role, errors included.
sub say_as
{
	my ($role, $sql) = @_;
	my ($out, $err) = ('', '');

	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $role ]);
	return $out . ($err ne '' ? "\n$err" : '');
}

sub ok_as
{
	my ($role, $sql) = @_;
	my ($out, $err) = ('', '');

	$node->psql('postgres', $sql, stdout => \$out, stderr => \$err, on_error_die => 1, extra_params => [ '-U', $role ]);
	return $out;
}

sub collect
{
	ok_as('postgres', 'SELECT collect_statements(); SELECT collect_statements();');
}

# The queryid of the stored text that is like this one.
sub queryid
{
	my ($like) = @_;
	my $found = ok_as('postgres', "SELECT string_agg(queryid::text, ' ') FROM pganalytics.statements
		WHERE plannable AND query LIKE '$like' AND query !~ 'pganalytics'");

	like($found, qr/^-?\d+$/, "one statement is like $like");
	return $found;
}

sub reason
{
	my ($role, $queryid, $before) = @_;

	return say_as($role, ($before // '') . "SELECT reason FROM public.explain_stored($queryid)");
}

sub plan_of
{
	my ($role, $queryid, $before, $settings) = @_;

	return say_as($role, ($before // '') . "SELECT query_plan FROM public.explain_stored($queryid, '" . ($settings // '{}') . "')");
}

ok_as('postgres', q{
	CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; CREATE ROLE leaver LOGIN; CREATE ROLE mallory LOGIN;
	CREATE ROLE watch LOGIN IN ROLE pg_monitor; CREATE ROLE boss LOGIN SUPERUSER;
	GRANT CREATE, TEMPORARY ON DATABASE postgres TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC;
	CREATE SCHEMA app AUTHORIZATION app; GRANT USAGE ON SCHEMA app TO PUBLIC;
	CREATE SCHEMA evil AUTHORIZATION mallory; GRANT USAGE ON SCHEMA evil TO PUBLIC;
	SELECT collect_statements();});
ok_as('app', q{
	CREATE TABLE app.items AS SELECT g AS id, g % 7 AS kind FROM generate_series(1, 5000) g;
	CREATE INDEX ON app.items (id); ANALYZE app.items; GRANT SELECT ON app.items TO PUBLIC;});
# What mallory would have others run: it says as whom it ran.
ok_as('mallory', q{
	CREATE FUNCTION evil.caught() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'caught %', current_user; END$$;
	GRANT EXECUTE ON FUNCTION evil.caught() TO PUBLIC;});

## Who may have what planned

ok_as('app', q{SET search_path = app; SELECT id FROM items WHERE id = 1;});
ok_as('leaver', q{SELECT kind FROM app.items WHERE id = 1;});
ok_as('boss', q{SELECT kind, id FROM app.items WHERE id = 1;});
ok_as('app', q{SET search_path = app, } . join(', ', map { "s$_" . 'x' x 40 } 1 .. 8) . q{; SELECT id, id FROM items WHERE id = 1;});
ok_as('app', q{DELETE FROM app.items WHERE id = 0;});
collect();
ok_as('postgres', 'DROP OWNED BY leaver; DROP ROLE leaver;');

my $own = queryid('SELECT id FROM items%');
my $supers = queryid('SELECT kind, id FROM app.items%');

is(plan_of('app', $own), "Index Only Scan using items_id_idx on items  (cost=0.28..8.30 rows=1 width=4)\n  Index Cond: (id = \$1)", 'its own role sees all of the plan');
is(plan_of('boss', $own), plan_of('app', $own), 'so does a superuser');
is(plan_of('watch', $own), 'Index Only Scan using items_id_idx on items  (cost=0.28..8.30 rows=1 width=4)', 'pg_monitor sees no conditions');
like(reason('other', $own), qr/^no statement with this queryid is known, or it is another role's$/, 'nobody else sees any');
is(reason('other', 4711), reason('other', $own), 'and cannot tell it from one that does not exist');
is(reason('app', queryid('SELECT kind FROM app.items%')), reason('other', 4711), 'not even that of a role that is gone');
is(reason('boss', queryid('SELECT kind FROM app.items%')), 'the role that ran it is gone', 'a role that is gone');
is(reason('app', queryid('SELECT id, id FROM items%')), 'its search_path was too long to be kept', 'a search_path that was cut');
is(plan_of('watch', queryid('DELETE FROM app.items%')), "Delete on items  (cost=0.28..8.30 rows=0 width=0)\n  ->  Index Scan using items_id_idx on items  (cost=0.28..8.30 rows=1 width=6)", 'DELETE is planned');
is(ok_as('postgres', 'SELECT count(*) FROM app.items'), '5000', 'and not run');

my $for_superusers = 'a superuser ran it: only a superuser who names it in a session has it planned';
like(plan_of('boss', $supers), qr/^Index Scan/, 'a superuser names what a superuser ran');
is(reason('watch', $supers), $for_superusers, 'others name it in vain');
is(ok_as('boss', "SELECT reason FROM public.stored_plans() WHERE queryid = $supers"), $for_superusers, 'and it is not planned among others');
ok_as('boss', "CREATE FUNCTION public.by_boss(q bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT reason FROM explain_stored(q)'");
is(say_as('other', "SELECT public.by_boss($supers)"), $for_superusers, 'nor by a function of a superuser, called by another');
is(say_as('boss', "SELECT public.by_boss($supers)"), $for_superusers, 'nor by such a function at all');
is(say_as('boss', "SET ROLE watch; SELECT reason FROM explain_stored($supers)"), $for_superusers, 'nor by a superuser who plays another role');

## Objects of the one who asks

# A table of that name in the caller's temporary schema, whose index would run.
my $trap = q{CREATE TEMP TABLE items (id int, kind int);
	CREATE FUNCTION pg_temp.trap() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
	CREATE INDEX ON items ((id + pg_temp.trap()));
	CREATE OR REPLACE FUNCTION pg_temp.trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'caught %', current_user; END$$;
	SET search_path = pg_temp, public;};
like(plan_of('boss', $own, $trap), qr/Index Only Scan using items_id_idx/, 'a temporary table of that name is not seen');
ok_as('app', 'ALTER TABLE app.items RENAME TO moved');
is(reason('app', $own), 'cannot be planned: relation "items" does not exist', 'a table that is gone');
is(reason('boss', $own, $trap), 'cannot be planned: it uses "items" of a temporary schema', 'a temporary one takes its place: refused before it is read');
ok_as('app', 'ALTER TABLE app.moved RENAME TO items');
ok_as('app', q{CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; SELECT pg_temp.mine() FROM app.items WHERE id = 3;
	CREATE TYPE pg_temp.own AS (a int); SELECT NULL::pg_temp.own FROM app.items WHERE id = 3;});
collect();
is(reason('boss', queryid('SELECT pg_temp.mine()%'), q{CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'caught %', current_user; END$$;}),
	'cannot be planned: it uses "mine" of a temporary schema', 'a temporary function');
is(reason('boss', queryid('SELECT $1::pg_temp.own%'), q{CREATE TYPE pg_temp.own AS (a int);}),
	'cannot be planned: it uses "own" of a temporary schema', 'a temporary type');

# What capture did not see is planned under the role's own search_path, not under the caller's.
ok_as('postgres', q{ALTER ROLE other SET search_path = app});
ok_as('boss', q{ALTER SYSTEM SET pganalytics_ml.capture = off; SELECT pg_reload_conf()});
ok_as('other', q{SELECT id + id FROM items WHERE id = 1;});
collect();
my $unseen = queryid('SELECT id + id FROM items%');
is(ok_as('boss', "SELECT bool_and(search_path IS NULL) FROM pganalytics.statement_users WHERE queryid = $unseen"), 't', 'no search_path was captured');
ok_as('mallory', q{CREATE TABLE evil.items AS SELECT 1 AS id; CREATE VIEW evil.moved AS SELECT evil.caught() AS id; DROP TABLE evil.items; ALTER VIEW evil.moved RENAME TO items; GRANT SELECT ON evil.items TO PUBLIC;});
ok_as('postgres', q{ALTER ROLE watch SET search_path = evil});
like(plan_of('watch', $unseen, 'SET search_path = evil;'), qr/^Index Only Scan using items_id_idx on items/, 'a search_path of the caller plays no part');
like(plan_of('boss', $unseen), qr/Index Cond: \(id = \$1\)/, 'types that were not captured are found');
ok_as('boss', q{ALTER SYSTEM RESET pganalytics_ml.capture; SELECT pg_reload_conf()});

# One queryid, two texts: mallory's would mean something else to app.
ok_as('mallory', q{SET search_path = app; SELECT id * 2 FROM items WHERE id = 1;});
collect();
ok_as('app', q{SET search_path = public; SELECT id * 2 FROM app.items WHERE id = 1;});
collect();
my $shared = queryid('SELECT id * $1 FROM items%');
is(ok_as('postgres', "SELECT count(DISTINCT userid) FROM pganalytics.statement_users WHERE queryid = $shared"), '2', 'two roles run it');
ok_as('mallory', q{CREATE VIEW public.items AS SELECT id + evil.caught() AS id FROM app.items; GRANT SELECT ON public.items TO PUBLIC;});
is(reason('app', $shared), 'cannot be planned: several roles run it, and the text that is kept may mean something else to this one', 'a text of mallory is not planned as app');
like(plan_of('mallory', $shared), qr/^Index Only Scan using items_id_idx/, 'as mallory it is');
ok_as('other', q{SELECT kind * 2 FROM app.items WHERE id = 1;});
ok_as('app', q{SELECT kind * 2 FROM app.items WHERE id = 1;});
collect();
my $common = queryid('SELECT kind * $1%');
like(plan_of($_, $common), qr/^Index Scan using items_id_idx/, "what several roles understand alike is planned: $_") for qw(app other boss);

## Settings

ok_as('app', q{SET search_path = app; SELECT a.kind FROM items a JOIN items b USING (id) WHERE a.kind = 1;});
collect();
my $join = queryid('SELECT a.kind FROM items%');
my $plan = plan_of('app', $join);
like($plan, qr/Hash Join/, 'a plan under the settings of the server');
is(plan_of('app', $join, 'SET enable_hashjoin = off; SET random_page_cost = 0.1; SET transform_null_equals = on;'), $plan, 'settings of the session play no part');
ok_as('postgres', q{ALTER ROLE app SET enable_hashjoin = off});
unlike(plan_of('boss', $join), qr/Hash Join/, 'those of the role do');
is(plan_of('boss', $join, '', '{"enable_hashjoin": true}'), $plan, 'and those that are asked for come last');
like(plan_of('app', $join, '', '{"search_path": "evil"}'), qr/ERROR: .*parameter "search_path" does not choose between plans/, 'none that gives names a meaning');
like(plan_of('app', $join, '', '{"session_replication_role": "replica"}'), qr/ERROR: .*does not choose between plans/, 'nor any other');
like(plan_of('app', $join, '', '{"evil.setting": "1"}'), qr/ERROR: .*unrecognized configuration parameter/, 'nor one that is not there');
like(plan_of('app', $join, '', '{"work_mem": "much"}'), qr/ERROR: .*invalid value for parameter "work_mem"/, 'nor a bad value');

## It ends

ok_as('app', q{
	CREATE TABLE app.mode AS SELECT false AS endless, false AS long;
	CREATE FUNCTION app.endless() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
		IF NOT (SELECT endless FROM app.mode) THEN RETURN 1; END IF;
		LOOP BEGIN LOOP END LOOP; EXCEPTION WHEN query_canceled THEN END; END LOOP; END$$;
	CREATE FUNCTION app.long() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
		IF NOT (SELECT long FROM app.mode) THEN RETURN 1; END IF;
		LOOP END LOOP; END$$;
	SET search_path = app;
	SELECT app.endless();
	SELECT app.long();});
collect();
my $long = queryid('SELECT app.long()%');
ok_as('app', 'UPDATE app.mode SET endless = true, long = true');
like(say_as('app', q{SET statement_timeout = '300ms'; SELECT predict_query_time('SELECT app.endless()'::text)}), qr/ERROR: .*planning took longer than 300 ms/, 'statement_timeout ends what catches it');
like(reason('app', $long, q{SET statement_timeout = '300ms';}), qr/ERROR: .*canceling statement due to statement timeout/, 'a cancel ends planning, and the statement that asked for it');
ok_as('app', 'UPDATE app.mode SET long = false');
my $start = time;
is(ok_as('watch', q{SELECT count(*) FROM public.stored_plans() WHERE reason = 'cannot be planned: planning took longer than 5000 ms'}), '1', 'among many a statement has 5 s');
cmp_ok(time - $start, '<', 25, 'of which nothing is lost');
ok_as('app', 'UPDATE app.mode SET endless = false');

## It is no execution

my $counted = q{SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE query LIKE '%FROM app.mode%' AND query !~ 'pg_stat_statements|CREATE' OR query LIKE 'SELECT a.kind%'),
	(SELECT count(*) FROM pganalytics.execution_samples WHERE queryid = } . $join . q{), executions FROM service_status();};
my ($before, $executions) = ok_as('postgres', $counted) =~ /(.*)\|(\d+)$/;
ok_as('app', "SELECT explain_stored($join), explain_stored($long) FROM generate_series(1, 10)");
collect();
my ($after, $more) = ok_as('postgres', $counted) =~ /(.*)\|(\d+)$/;
like($before, qr/^\d+\|/, 'what those functions run has been counted');
is($after, $before, 'what planning runs is not');

## Where it works

is(say_as('app', "BEGIN READ ONLY; SAVEPOINT s; SELECT reason IS NULL FROM explain_stored($join); ROLLBACK TO s; SELECT reason IS NULL FROM explain_stored($join); COMMIT; SELECT 'after'"), "t\nt\nafter", 'in a read-only transaction with savepoints');
is(say_as('app', q{DO $$BEGIN
		BEGIN PERFORM predict_query_time('SELECT nothing FROM app.items'::text); EXCEPTION WHEN undefined_column THEN RAISE INFO 'caught'; END;
		PERFORM predict_query_time('SELECT id FROM app.items'::text); INSERT INTO app.items VALUES (-1, -1);
	END$$; SELECT count(*) FROM app.items WHERE id = -1}) =~ s/\npsql:.*INFO: /\nINFO: /r, "1\nINFO:  caught", 'in PL/pgSQL, which catches what it raises and goes on to write');

$node->stop;
done_testing();
