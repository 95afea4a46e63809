# Buckets: a changed width, short buckets, the cap on statements, texts at their time; a standby.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $load = 'SELECT $1 AS load';
my $ran = 0;
my $node = pgaml_node('buckets',
	'pganalytics_ml.collect_interval = 1d',
	'pganalytics_ml.bucket_interval = 1s',
	'pganalytics_ml.text_interval = 0');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->poll_query_until('postgres', 'SELECT last_tick IS NOT NULL FROM pganalytics.collector_state');

sub run_load
{
	my ($n) = @_;

	$node->safe_psql('postgres', 'SELECT 1 AS load;' x $n);
	$ran += $n;
}

sub kept
{
	return $node->safe_psql('postgres', 'SELECT ' . pgaml_calls($load));
}

# --- the worker ticks at the end of every bucket ---
run_load(5);
ok($node->poll_query_until('postgres', 'SELECT ' . pgaml_calls($load) . " = $ran"),
	'a bucket of a second is collected within its time, whatever collect_interval is');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.statement_history
		 WHERE extract(epoch FROM bucket_start)::numeric % bucket_width <> 0"),
	'0', 'buckets are aligned');

# --- a changed width ---
foreach my $width (2, 4, 3, 1)
{
	pgaml_configure($node, "pganalytics_ml.bucket_interval = ${width}s");
	$node->poll_query_until('postgres', "SELECT bucket_width = $width FROM pganalytics.collector_state")
	  or die "width $width was not taken";
	run_load(3);
	$node->poll_query_until('postgres', 'SELECT ' . pgaml_calls($load) . " = $ran")
	  or die 'growth was not collected';
}
is(kept(), $ran, 'a changed width loses nothing');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.statement_history a JOIN pganalytics.statement_history b
		 ON a.queryid = b.queryid AND a.toplevel = b.toplevel AND a.bucket_width <> b.bucket_width
		 AND a.bucket_start < b.bucket_start + make_interval(secs => b.bucket_width)
		 AND b.bucket_start < a.bucket_start + make_interval(secs => a.bucket_width)"),
	'0', 'buckets of different widths never overlap');

# --- the cap on statements ---
pgaml_configure($node, 'pganalytics_ml.bucket_interval = 1d', 'pganalytics_ml.max_statements = 100');
$node->poll_query_until('postgres',
	"SELECT current_setting('pganalytics_ml.max_statements') = '100'") or die 'no reload';
$node->safe_psql('postgres', 'CREATE TABLE item (price int)');
my @many = map { 'SELECT ' . ('abs(' x $_) . 'price' . (')' x $_) . ' FROM item' } 1 .. 150;
foreach my $round (1, 2)
{
	$node->safe_psql('postgres', join(';', @many));
	$node->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
}
is($node->safe_psql('postgres',
		'SELECT count(*) <= 100 FROM pganalytics.statements WHERE plannable IS DISTINCT FROM false'),
	't', 'no more statements are kept than max_statements says');
is($node->safe_psql('postgres',
		"SELECT sum(h.calls) FILTER (WHERE s.query LIKE 'SELECT abs(%')
		        + sum(h.calls) FILTER (WHERE h.queryid = 0) BETWEEN 300 AND 320,
		        sum(h.calls) FILTER (WHERE h.queryid = 0) >= 100
		 FROM pganalytics.statement_history h LEFT JOIN pganalytics.statements s USING (queryid)"),
	't|t', 'the rest is summed under queryid 0, and nothing is lost');

# --- texts wait for text_interval ---
pgaml_configure($node, 'pganalytics_ml.max_statements = 10000', 'pganalytics_ml.text_interval = 1d');
$node->poll_query_until('postgres',
	"SELECT current_setting('pganalytics_ml.text_interval') = '1d'") or die 'no reload';
$node->safe_psql('postgres', 'SELECT count(*) AS newcomer FROM item');
cmp_ok($node->safe_psql('postgres', 'SELECT unknown_texts FROM collect_statements()'), '>', 0,
	'a new statement waits for its text');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.statements WHERE query LIKE '%newcomer%'"),
	'0', 'texts are not read before text_interval has passed');
$node->safe_psql('postgres',
	"UPDATE pganalytics.collector_state SET last_text_read = last_text_read - interval '1 day'");
$node->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.statements WHERE query LIKE '%newcomer%'"),
	'1', 'they are read afterwards');

# --- last_seen is written once an hour ---
is($node->safe_psql('postgres',
		"UPDATE pganalytics.statement_counters SET seen_at = seen_at - interval '2 hours'
		 WHERE queryid = (SELECT queryid FROM pganalytics.statements WHERE query = '$load');
		 SELECT 1 AS load;
		 SELECT count(*) FROM collect_statements();
		 SELECT now() - last_seen < interval '1 minute' FROM pganalytics.statements WHERE query = '$load'"),
	"1\n1\nt", 'last_seen follows');

# --- a standby ---
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my ($rc, $out, $err) = $standby->psql('postgres', 'SELECT collect_statements()');
isnt($rc, 0, 'a standby does not collect');
like($err, qr/cannot execute collect_statements\(\) during recovery.*Call it on the primary/s, 'and says why');
$node->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
my $calls = $node->safe_psql('postgres', 'SELECT ' . pgaml_calls($load));
$node->wait_for_catchup($standby);

# What the standby counted before it was promoted is its own: a new baseline.
$standby->safe_psql('postgres', 'SELECT 1 AS load;' x 9);
$node->stop;
$standby->promote;
$standby->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
is($standby->safe_psql('postgres', 'SELECT ' . pgaml_calls($load)), $calls,
	'a promoted standby begins with a baseline');
$standby->safe_psql('postgres', 'SELECT 1 AS load;' x 4);
$standby->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
is($standby->safe_psql('postgres', 'SELECT ' . pgaml_calls($load)), $calls + 4, 'and counts on from there');

$standby->stop;

# --- without pg_stat_statements ---
$standby->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$standby->start;
($rc, $out, $err) = $standby->psql('postgres', 'SELECT collect_statements()');
like($err, qr/pg_stat_statements is not loaded.*shared_preload_libraries = 'pg_stat_statements, pganalytics_ml'/s,
	'without pg_stat_statements the line to add is named');
$standby->stop;
done_testing();
