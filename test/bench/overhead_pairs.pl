# Backend CPU per transaction, and throughput, of two running servers, in interleaved pairs.
#
# usage: perl overhead_pairs.pl bin socketdir portA portB workload mode clients pairs
#
# workload is select (pgbench -S), tpcb (pgbench) or plpgsql (a function that
# runs LOOP short statements; each of them counts as a transaction); mode is
# simple or prepared.  Prints one line: the estimates of B / A, their 95 %
# intervals, and the medians.
#
# Both servers serve pgbench all the time, but only one pgbench is awake: they
# take turns of SLICE seconds, in the order A B B A, so that a neighbour on the
# machine slows both alike.  A pair is TURNS turns of each.  At its ends both
# are idle, and the CPU time of the backends (in ns, from
# /proc/<pid>/schedstat) and their transactions (pg_stat_statements.calls) are
# read; throughput is transactions per second awake.  The estimate is the
# median of the pairwise means of the log ratios (Hodges-Lehmann), the interval
# that of the Wilcoxon signed-rank test.

use strict;
use warnings;

use POSIX qw(floor :sys_wait_h);
use Time::HiRes qw(time);

use constant SLICE => 0.05;    # seconds
use constant TURNS => 20;      # of each server in a pair
use constant LOOP => 200;      # statements in a call of the function

my ($bin, $socket, $port_a, $port_b, $workload, $mode, $clients, $pairs) = @ARGV;
my @servers = map { { port => $_, awake => 0 } } ($port_a, $port_b);

# What pgbench runs, the statement that is counted, and what one of it stands for.
my %workloads = (
	select => { args => ['-S'], counted => 'SELECT abalance%', worth => 1 },
	tpcb => { args => [], counted => 'SELECT abalance%', worth => 1 },
	plpgsql => { args => [ '-f', "$socket/overhead_loop.sql" ], counted => 'SELECT overhead_loop(%', worth => LOOP });
my $work = $workloads{$workload} or die "no workload $workload\n";

if ($workload eq 'plpgsql')
{
	open(my $f, '>', "$socket/overhead_loop.sql") or die "cannot write the script\n";
	print $f 'SELECT overhead_loop(' . LOOP . ");\n";
	close $f;
}

END
{
	my $status = $?;

	for my $server (@servers)
	{
		next unless $server->{pgbench};
		kill 'CONT', $server->{pgbench};
		kill 'TERM', $server->{pgbench};
		waitpid($server->{pgbench}, 0);
	}
	$? = $status;
}

sub psql
{
	my ($server, $sql) = @_;
	my $out = `$bin/psql -h $socket -p $server->{port} -U postgres -XAtc "$sql" postgres`;

	die "psql failed\n" if $?;
	chomp $out;
	return $out;
}

sub nap
{
	select(undef, undef, undef, $_[0]);
}

# Transactions of pgbench so far.
sub transactions
{
	return psql($_[0], "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '$work->{counted}'") * $work->{worth};
}

# CPU of the backends so far, in ns.
sub cpu
{
	my ($server) = @_;
	my $total = 0;

	for my $pid (@{ $server->{backends} })
	{
		open(my $f, '<', "/proc/$pid/schedstat") or die "backend $pid is gone\n";
		$total += (split / /, <$f>)[0];
		close $f;
	}
	return $total;
}

# Wait until the backends have answered what was asked before pgbench slept.
sub settle
{
	my ($server) = @_;
	my $last = -1;
	my $now = cpu($server);

	while ($now != $last)
	{
		nap(0.002);
		($last, $now) = ($now, cpu($server));
	}
}

sub start
{
	my ($server) = @_;
	my $first = transactions($server);
	my $pid = fork() // die "cannot fork\n";

	if ($pid == 0)
	{
		open(STDOUT, '>', '/dev/null');
		open(STDERR, '>', '/dev/null');
		exec("$bin/pgbench", '-h', $socket, '-p', $server->{port}, '-U', 'postgres', '-n', @{ $work->{args} },
			'-M', $mode, '-c', $clients, '-j', 1, '-T', 100000, 'postgres');
		exit 1;
	}
	$server->{pgbench} = $pid;
	# pgbench looks around in a connection of its own first: the same backends twice.
	my $before = '';

	for (1 .. 600)
	{
		my $pids = psql($server, "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE application_name = 'pgbench'");

		$server->{backends} = [ split / /, $pids ];
		last if @{ $server->{backends} } == $clients && transactions($server) - $first > 200 * $clients
		  && $pids eq $before;
		$before = $pids;
		nap(0.1);
	}
	kill 'STOP', $pid;
	settle($server);
}

sub turn
{
	my ($server) = @_;

	kill 'CONT', $server->{pgbench};
	my $began = time;
	nap(SLICE);
	kill 'STOP', $server->{pgbench};
	settle($server);
	$server->{awake} += time - $began;
}

sub median
{
	my @v = sort { $a <=> $b } @_;

	return @v % 2 ? $v[ $#v / 2 ] : ($v[ @v / 2 - 1 ] + $v[ @v / 2 ]) / 2;
}

sub read_counts
{
	return map { { cpu => cpu($_), transactions => transactions($_), awake => $_->{awake} } } @servers;
}

# Estimate and interval of the ratios whose logarithms these are.
sub estimate
{
	my @log_ratio = @_;
	my @walsh;

	for my $i (0 .. $#log_ratio)
	{
		push @walsh, ($log_ratio[$i] + $log_ratio[$_]) / 2 for $i .. $#log_ratio;
	}
	@walsh = sort { $a <=> $b } @walsh;
	# Normal approximation of the signed-rank statistic (Hollander, Wolfe 1999, section 3.3).
	my $n = @log_ratio;
	my $low = floor($n * ($n + 1) / 4 - 1.96 * sqrt($n * ($n + 1) * (2 * $n + 1) / 24));
	$low = 0 if $low < 0;
	return (exp(median(@walsh)), exp($walsh[$low]), exp($walsh[ $#walsh - $low ]));
}

start($_) for @servers;

my (@cpu_ratio, @rate_ratio, @us_a, @us_b);
my @before = read_counts();
for my $pair (1 .. $pairs)
{
	for (1 .. TURNS / 2)
	{
		turn($servers[$_]) for (0, 1, 1, 0);
	}
	my @after = read_counts();
	my (@us, @rate);
	for my $i (0, 1)
	{
		my %grown = map { $_ => $after[$i]{$_} - $before[$i]{$_} } qw(cpu transactions awake);

		push @us, $grown{cpu} / $grown{transactions} / 1e3;
		push @rate, $grown{transactions} / $grown{awake};
	}
	push @us_a, $us[0];
	push @us_b, $us[1];
	push @cpu_ratio, log($us[1] / $us[0]);
	push @rate_ratio, log($rate[1] / $rate[0]);
	@before = @after;
}

printf "| %s %s | %d | %.2f | %.2f | %.4f (%.4f..%.4f) | %.4f (%.4f..%.4f) |\n",
  $workload, $mode, $clients, median(@us_a), median(@us_b), estimate(@cpu_ratio), estimate(@rate_ratio);
