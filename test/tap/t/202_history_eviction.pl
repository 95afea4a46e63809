# Eviction: history never holds more than ran, and says what it may miss.

use strict;
use warnings;

use PgamlTap;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = pgaml_node('eviction',
	'pganalytics_ml.collect_interval = 1d',
	'pganalytics_ml.bucket_interval = 1d',
	'pganalytics_ml.text_interval = 0',
	'pg_stat_statements.max = 100');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pganalytics_ml CASCADE');
$node->safe_psql('postgres', 'CREATE TABLE item (price int)');
$node->poll_query_until('postgres', 'SELECT last_tick IS NOT NULL FROM pganalytics.collector_state');

# Statements that differ in structure, so that each has a queryid of its own.
sub statements
{
	my ($from, $to) = @_;

	return map { 'SELECT ' . ('abs(' x $_) . 'price' . (')' x $_) . ' FROM item' } $from .. $to;
}

my %ran;
my $more = 0;
for my $round (1 .. 12)
{
	my $first = 1 + 15 * ($round % 6);
	my @run = (statements($first, $first + 44)) x 2;

	$ran{$_}++ foreach @run;
	$node->safe_psql('postgres', join(';', @run));
	$node->safe_psql('postgres', 'SELECT count(*) FROM collect_statements()');
	my %kept = map { split /\|/ } split /\n/, $node->safe_psql('postgres',
		"SELECT s.query, sum(h.calls) FROM pganalytics.statement_history h
		 JOIN pganalytics.statements s USING (queryid)
		 WHERE s.query LIKE 'SELECT abs(%' GROUP BY 1");
	$more += grep { $kept{$_} > ($ran{$_} // 0) } keys %kept;
}
is($more, 0, 'no statement has more calls in history than it ran');
cmp_ok($node->safe_psql('postgres', 'SELECT dealloc FROM pg_stat_statements_info'), '>', 0,
	'entries were evicted');
is($node->safe_psql('postgres',
		"SELECT count(*) > 0, bool_and(coverage < 1) FROM pganalytics.history_windows
		 WHERE reason = 'eviction'"),
	't|t', 'the window says so');
is($node->safe_psql('postgres',
		"SELECT count(*) FROM pganalytics.history_windows WHERE reason = 'reset'"),
	'0', 'what eviction explains is no reset');
is($node->safe_psql('postgres',
		'SELECT c.entries = (SELECT count(*) FROM pganalytics.statement_counters)
		 FROM pganalytics.collector_state c'),
	't', 'the number of counters is kept right');

$node->stop;
done_testing();
