# Every function, to whom it should answer, and on a server that does not
# preload the library: each works, or says which line to add.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PgamlFunctions;
use PgamlTap;

my $node = pgaml_node('functions', "pganalytics_ml.collect_interval = '1d'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE; CREATE ROLE nobody_special LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
ok(pgaml_visited($node, 'postgres'), 'visited');
functions_prepare($node);
functions_complete($node);

# --- rights, called for real ---
my @calls = functions_calls($node);
my @wrong;
for (@calls)
{
	my ($name, $who, $sql) = @$_;
	for my $role ('nobody_special', 'watcher')
	{
		my $may = $who eq 'everybody' || ($who eq 'reader' && $role eq 'watcher');
		my ($rc, $out, $err) = $node->psql('postgres', "BEGIN; $sql; ROLLBACK", extra_params => [ '-U', $role ]);
		my $denied = $err =~ /permission denied for (function|schema)/ ? 1 : 0;
		push @wrong, "$role: $sql: $err" if $may ? $rc != 0 : !$denied;
	}
}
is(join("\n", @wrong), '', 'everybody, pg_monitor and others get what is theirs');
is($node->safe_psql('postgres', q{SELECT string_agg(c.relname, ',') FROM pg_class c
	WHERE c.relnamespace = 'pganalytics'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'S', 'p')
	  AND EXISTS (SELECT FROM unnest(ARRAY['nobody_special', 'watcher']) r, unnest(ARRAY['SELECT', 'UPDATE']) p WHERE has_table_privilege(r, c.oid, p))}),
	'', 'state tables are read and written through functions only');

# --- each works where everything is there ---
@wrong = ();
for (@calls)
{
	my ($rc, $out, $err) = $node->psql('postgres', "BEGIN; $_->[2]; ROLLBACK");
	push @wrong, "$_->[2]: $err" if $rc != 0;
}
is(join("\n", @wrong), '', 'each call works on a primary that preloads the library');

# --- and without preload ---
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
$node->restart;
@wrong = ();
for (@calls)
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; $_->[2]; ROLLBACK");
	push @wrong, "$_->[2]: $err" if $rc != 0 && !($err =~ /ERROR:  55000: / && $err =~ /shared_preload_libraries/);
}
is(join("\n", @wrong), '', 'not preloaded: each works, or names the line to add');
is($node->safe_psql('postgres', "SELECT source IS NOT NULL, model_version IS NOT NULL FROM predict_query_execution(1)"), 't|t', 'predictions come from the model');
is($node->safe_psql('postgres', q{SELECT status FROM train_performance_model('linear_regression', wait => true)}), 'completed', 'training in the session works');

# --- nor pg_stat_statements ---
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
@wrong = ();
for (@calls)
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nBEGIN; $_->[2]; ROLLBACK");
	push @wrong, "$_->[2]: $err" if $rc != 0 && !($err =~ /ERROR:  55000: / && $err =~ /shared_preload_libraries/);
}
is(join("\n", @wrong), '', 'without pg_stat_statements too');
is(pgaml_log_lines($node, qr/PANIC|TRAP|terminated by signal/), 0, 'nothing crashed');
$node->stop;

done_testing();
