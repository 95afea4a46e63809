# Planning runs code.  A hostile role's function that claims to be immutable is
# reached in every way that planning can be made to call it, by every kind of
# caller; it tries everything, reports what worked, and must have gained nothing.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlTap;

my $node = pgaml_node('hostile', "pganalytics_ml.collect_interval = '1d'",
	'pganalytics_ml.text_interval = 0', 'pg_stat_statements.track = all');
$node->start;
my $loot_file = $node->basedir . '/loot';

sub run_as
{
	my ($role, $sql, %more) = @_;
	my ($out, $err) = ('', '');

	my $status = $node->psql('postgres', $sql, stdout => \$out, stderr => \$err,
		extra_params => [ "-U", $role ], on_error_stop => 0, %more);
	return ($out, $err, $status);
}

sub ok_as
{
	my ($role, $sql) = @_;
	my ($out, $err, $status) = run_as($role, $sql, on_error_stop => 1);

	die "$role: $sql: $err" if $status != 0;
	return $out;
}

# mallory is hostile, alice has a secret and may read mallory's tables, watch watches, boss is a superuser.
ok_as('postgres', q{
	CREATE EXTENSION pganalytics_ml CASCADE;
	CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN; CREATE ROLE watch LOGIN IN ROLE pg_monitor;
	CREATE ROLE boss LOGIN SUPERUSER;
	GRANT CREATE ON SCHEMA public TO PUBLIC;
	CREATE SCHEMA mallory AUTHORIZATION mallory; GRANT USAGE ON SCHEMA mallory TO PUBLIC;
	CREATE SCHEMA alice AUTHORIZATION alice; GRANT USAGE ON SCHEMA alice TO PUBLIC;
	ALTER ROLE alice SET search_path = public, pg_catalog;
	ALTER ROLE boss SET search_path = public, pg_catalog;
	SELECT collect_statements();});
ok_as('alice', q{CREATE TABLE alice.safe AS SELECT 'open sesame'::text AS secret;});
ok_as('mallory', q{
	CREATE TABLE mallory.loot (what text); CREATE SEQUENCE mallory.steps;
	CREATE TABLE mallory.mode (armed boolean, quiet boolean, target int); INSERT INTO mallory.mode VALUES (false, false, 0);
	GRANT ALL ON mallory.loot, mallory.mode TO PUBLIC; GRANT ALL ON SEQUENCE mallory.steps TO PUBLIC;});

# What the function tries, by name.
my %attempts = (
	insert => q{INSERT INTO mallory.loot VALUES (current_user)},
	update => q{UPDATE mallory.mode SET target = target},
	lock_rows => q{SELECT FROM mallory.mode FOR UPDATE},
	create_table => q{CREATE TABLE public.mine AS SELECT secret FROM alice.safe},
	create_temp => q{CREATE TEMP TABLE mine (x int)},
	superuser => q{ALTER ROLE mallory SUPERUSER},
	grant => q{GRANT boss TO mallory},
	program => qq{COPY mallory.loot TO PROGRAM 'touch $loot_file'},
	copy_file => qq{COPY mallory.loot TO '$loot_file'},
	read_file => q{SELECT pg_read_file('PG_VERSION')},
	lo_export => qq{SELECT lo_export(0, '$loot_file')},
	lo_create => q{SELECT lo_create(0)},
	prepare => q{PREPARE stolen AS SELECT 1},
	advisory => q{SELECT pg_advisory_lock(4711)},
	try_advisory => q{SELECT pg_try_advisory_lock_shared(4711)},
	terminate => q{SELECT pg_terminate_backend((SELECT target FROM mallory.mode))},
	cancel => q{SELECT pg_cancel_backend((SELECT target FROM mallory.mode))},
	reload => q{SELECT pg_reload_conf()},
	listen => q{LISTEN mallory},
	notify => q{SELECT pg_notify('mallory', 'hello')},
	cursor => q{DECLARE stolen CURSOR WITH HOLD FOR SELECT 1},
	nextval => q{SELECT nextval('mallory.steps')},
	load => q{LOAD 'auto_explain'},
	reset_role => q{RESET ROLE},
	set_role => q{SET ROLE boss},
	session_user => q{SET SESSION AUTHORIZATION boss},
	session_default => q{SET SESSION AUTHORIZATION DEFAULT},
	config_role => q{SELECT set_config('role', 'boss', false)},
	config_path => q{SELECT set_config('search_path', 'mallory', false)},
	config_read_only => q{SELECT set_config('transaction_read_only', 'off', false)},
	set_timeout => q{SET statement_timeout = 0},
	set_quiet => q{SET LOCAL client_min_messages = debug5},
	discard => q{DISCARD ALL},
	reset_counters => q{SELECT pg_stat_statements_reset()},
	lock_table => q{LOCK TABLE mallory.loot IN ACCESS EXCLUSIVE MODE},
	again => q{SELECT predict_query_time('SELECT 1'::text)},
	stored => q{SELECT explain_stored(1)},
	do_block => q{DO $x$ BEGIN INSERT INTO mallory.loot VALUES ('do'); END $x$},
);

my $tries = join("\n", map {
		my $sql = $attempts{$_};
		"BEGIN EXECUTE \$try\$$sql\$try\$; gained := gained || ' $_'; EXCEPTION WHEN OTHERS THEN NULL; END;"
	} sort keys %attempts);

ok_as('mallory', qq{
	SET search_path = mallory, public;
	-- volatile, so that PL/pgSQL itself forbids nothing
	CREATE FUNCTION mallory.act() RETURNS int LANGUAGE plpgsql VOLATILE AS \$act\$
	DECLARE gained text := ''; m mallory.mode;
	BEGIN
		SELECT * INTO m FROM mallory.mode;
		IF NOT m.armed THEN RETURN 1; END IF;
		$tries
		RAISE WARNING 'a message of mallory';
		IF m.quiet THEN RETURN 1; END IF;
		RAISE EXCEPTION 'ran as % of %, path %, gained:%.', current_user, session_user, current_setting('search_path'), gained;
	END \$act\$;
	CREATE FUNCTION mallory.evil() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mallory.act(); END';
	CREATE FUNCTION mallory.stable_evil() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN mallory.act(); END';
	CREATE FUNCTION mallory.evil_op(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mallory.act() > 0; END';
	CREATE OPERATOR public.= (leftarg = int, rightarg = int, function = mallory.evil_op);
	CREATE DOMAIN mallory.dom AS int CHECK (mallory.evil() > 0);
	CREATE TYPE mallory.pair AS (a int, b int);
	CREATE FUNCTION mallory.evil_cast(mallory.pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN mallory.act(); END';
	CREATE CAST (mallory.pair AS int) WITH FUNCTION mallory.evil_cast(mallory.pair);
	CREATE TABLE mallory.rows AS SELECT g AS a FROM generate_series(1, 100) g; ANALYZE mallory.rows;
	CREATE VIEW mallory.view AS SELECT a, mallory.evil() AS b FROM mallory.rows;
	CREATE TABLE mallory.indexed AS SELECT g AS a FROM generate_series(1, 100) g;
	CREATE INDEX ON mallory.indexed ((a + mallory.evil())); ANALYZE mallory.indexed;
	CREATE TABLE mallory.checked (a int CHECK (a > mallory.evil()));
	CREATE TABLE mallory.guarded (a int); ALTER TABLE mallory.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY p ON mallory.guarded USING (a > mallory.evil());
	GRANT SELECT ON ALL TABLES IN SCHEMA mallory TO PUBLIC;});

# Ways in.
my @ways = (
	[ 'a function', q{SELECT mallory.evil()} ],
	[ 'a stable function', q{SELECT * FROM mallory.rows WHERE a > mallory.stable_evil()} ],
	[ 'a view', q{SELECT * FROM mallory.view WHERE a = 1} ],
	[ 'an operator', q{SELECT 1 OPERATOR(public.=) 2} ],
	[ 'a domain', q{SELECT '{1}'::mallory.dom[]} ],
	[ 'a cast', q{SELECT ROW(1, 2)::mallory.pair::int} ],
	[ 'an index', q{SELECT * FROM mallory.indexed WHERE a = 5} ],
	[ 'a policy', q{SELECT * FROM mallory.guarded} ],
	[ 'LIMIT', q{SELECT * FROM mallory.rows LIMIT mallory.evil()} ],
	[ 'a modifying statement', q{DELETE FROM mallory.rows WHERE a = mallory.evil()} ],
);
my $by_operator = q{SELECT * FROM mallory.rows WHERE 1 = 1};
my $by_check = q{SELECT * FROM mallory.checked WHERE a < 0};
ok_as('mallory', q{GRANT DELETE ON mallory.rows TO PUBLIC});

my $victim = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pganalytics_ml launcher'});
ok($victim, 'there is a process to be terminated');

# mallory runs everything once while it does no harm: it is stored.
for my $way (@ways)
{
	ok_as('mallory', "$way->[1]");
}
ok_as('mallory', 'SET search_path = public, pg_catalog; ' . $by_operator);
ok_as('mallory', "SET constraint_exclusion = on; $by_check");
ok_as('postgres', 'SELECT collect_statements(); SELECT collect_statements();');
ok_as('mallory', "UPDATE mallory.mode SET armed = true, target = $victim");

sub left_behind
{
	my ($what) = @_;

	is(ok_as('postgres', q{
		SELECT (SELECT count(*) FROM mallory.loot), (SELECT is_called FROM mallory.steps),
		       (SELECT rolsuper FROM pg_authid WHERE rolname = 'mallory'), to_regclass('public.mine') IS NULL,
		       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR mode = 'AccessExclusiveLock'),
		       (SELECT count(*) FROM pg_auth_members m WHERE m.member = 'mallory'::regrole),
		       (SELECT count(*) FROM pg_largeobject_metadata),
		       (SELECT count(*) FROM pg_stat_statements WHERE query LIKE 'INSERT INTO mallory.loot%'),
		       (SELECT count(*) FROM pg_stat_activity WHERE pid = } . $victim . q{)}),
		'0|f|f|t|0|0|0|0|1', "$what: nothing is left behind");
	ok(!-e $loot_file, "$what: no file");
}

# State of a session that must be what it was after a planning, in one line.
my $state = q{SELECT 'state', current_user = session_user, current_setting('search_path'), current_setting('role'),
	current_setting('transaction_read_only'), current_setting('statement_timeout'), current_setting('client_min_messages'),
	current_setting('pg_stat_statements.track'), current_setting('constraint_exclusion'),
	(SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_cursors WHERE name = 'stolen'),
	(SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode <> 'AccessShareLock' AND locktype <> 'virtualxid'),
	pg_my_temp_schema();};

# Texts: planned as whoever asks.
sub text_way
{
	my ($role, $name, $sql, $set) = @_;
	my ($out, $err) = run_as($role, ($set // '') . "$state SELECT predict_query_time(\$q\$$sql\$q\$::text); $state");
	my @states = grep { /^state/ } split /\n/, $out;

	like($err, qr/ran as $role of $role, path [^,]*(, [^,]*)*, gained:\./, "$role, $name: it ran, and gained nothing")
	  or diag($out);
	is($states[1], $states[0], "$role, $name: the session is as it was");
	unlike($err, qr/a message of mallory/, "$role, $name: it cannot talk");
}

for my $role (qw(mallory alice watch boss))
{
	for my $way (@ways)
	{
		# policies do not bind superusers
		next if $role eq 'boss' && $way->[0] eq 'a policy';
		text_way($role, @$way);
	}
	text_way($role, 'an operator in the path', $by_operator, 'SET search_path = public, pg_catalog;');
	text_way($role, 'a constraint', $by_check, 'SET constraint_exclusion = on;');
	left_behind("text of $role");
}

# Who may not read a table does not even have its index looked at.
ok_as('mallory', q{UPDATE mallory.mode SET armed = false; CREATE TABLE mallory.private AS SELECT 1 AS a;
	CREATE INDEX ON mallory.private ((a + mallory.evil())); UPDATE mallory.mode SET armed = true});
for my $text ('SELECT * FROM mallory.private', 'SELECT 1 WHERE EXISTS (SELECT FROM mallory.private)')
{
	my ($out, $err) = run_as('alice', "SELECT predict_query_time('$text'::text)");

	like($err, qr/ERROR: .*permission denied for table private/, "rights come before planning: $text");
}

# Without an error at the end, too.
ok_as('mallory', 'UPDATE mallory.mode SET quiet = true');
for my $role (qw(mallory alice boss))
{
	my ($out, $err) = run_as($role, "$state SELECT predict_query_time('SELECT a + mallory.evil() FROM mallory.rows'::text); $state");
	my @states = grep { /^state/ } split /\n/, $out;

	is($err, '', "$role: planned in spite of it");
	is($states[1], $states[0], "$role: the session is as it was after success");
	left_behind("success of $role");
}
ok_as('mallory', 'UPDATE mallory.mode SET quiet = false');

# Stored statements: planned as mallory, whoever asks.
my @stored = split /\n/, ok_as('postgres', q{SELECT s.queryid FROM pganalytics.statements s
	WHERE s.plannable AND EXISTS (SELECT FROM pganalytics.statement_users u WHERE u.queryid = s.queryid AND u.userid = 'mallory'::regrole)
	  AND s.query ~ '(FROM mallory\.(rows|view|indexed|guarded|checked)|mallory.evil\(\)$|OPERATOR|mallory.(dom|pair))'
	  AND s.query !~ 'INSERT|UPDATE|CREATE' ORDER BY 1});
is(scalar(@stored), scalar(@ways) + 2, 'the statements are stored');

for my $role (qw(mallory watch boss))
{
	# the message is that of mallory's code: only members of that role are told
	my $told = $role eq 'watch' ? qr/error P0001 in code that planning runs/
	  : qr/ran as mallory of $role, path [^\n]*pg_temp, gained:\./;
	my ($ran, $wrong) = (0, '');

	for my $queryid (@stored)
	{
		my ($out, $err) = run_as($role, "$state SELECT reason FROM explain_stored($queryid, '{\"constraint_exclusion\": \"on\"}'); $state");
		my @lines = split /\n/, $out;
		my @states = grep { /^state/ } @lines;

		$ran++ if $out =~ /cannot be planned: $told$/m;
		$wrong .= "$queryid: $out$err\n" if $err ne '' || $states[0] ne $states[1] || $out =~ /gained: /;
	}
	is($wrong, '', "$role: stored statements of mallory gain nothing");
	# four ways need constants, which are parameters in a stored text
	is($ran, 8, "$role: they ran as mallory");
	left_behind("stored, asked by $role");
}
my ($out, $err) = run_as('alice', "SELECT reason FROM explain_stored($stored[0])");
like($out, qr/no statement with this queryid is known, or it is another role's/, 'alice may not see it');

# As a worker does: all of them, named by nobody, under the settings of the server.
for my $role (qw(watch boss))
{
	my $answer = ok_as($role, "$state SELECT count(*), count(*) FILTER (WHERE reason ~ '(gained:\\.|error P0001 in code that planning runs)\$'), count(*) FILTER (WHERE reason ~ 'gained: ')
		FROM stored_plans() WHERE planned_as = 'mallory'; $state");
	my @lines = split /\n/, $answer;

	like($lines[1], qr/^\d+\|7\|0$/, "all statements, asked by $role: those of mallory gain nothing");
	is($lines[2], $lines[0], "all statements, asked by $role: the session is as it was");
	left_behind("all, asked by $role");
}
is(ok_as('watch', q{SELECT count(*) FROM stored_plans() WHERE planned_as IN (SELECT rolname FROM pg_roles WHERE rolsuper)}),
	'0', 'no statement of a superuser is planned unless it is named');

$node->stop;
done_testing();
