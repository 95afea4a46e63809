# The extended query protocol by hand: Parse, Bind and Execute with a row limit,
# which psql and libpq do not offer.

package PgamlProtocol;

use strict;
use warnings;

use IO::Socket::UNIX;

# A connection to a server that trusts its unix socket.
sub connect
{
	my ($class, $node, $database, $user) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $socket = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!";
	my $self = bless { socket => $socket }, $class;
	my $startup = pack('N', 196608) . "user\0$user\0database\0$database\0\0";

	$socket->syswrite(pack('N', 4 + length $startup) . $startup);
	$self->answers('Z');
	return $self;
}

sub send_message
{
	my ($self, $type, $body) = @_;

	$self->{socket}->syswrite($type . pack('N', 4 + length $body) . $body);
}

sub read_bytes
{
	my ($self, $wanted) = @_;
	my $bytes = '';

	while (length $bytes < $wanted)
	{
		$self->{socket}->sysread($bytes, $wanted - length $bytes, length $bytes) or die 'connection lost';
	}
	return $bytes;
}

# The types of the messages up to one of a type, as a text.
sub answers
{
	my ($self, $last) = @_;
	my $types = '';

	while (1)
	{
		my ($type, $length) = unpack 'aN', $self->read_bytes(5);

		$self->read_bytes($length - 4) if $length > 4;
		$types .= $type;
		return $types if $type eq $last;
	}
}

# Run commands of the simple protocol.
sub query
{
	my ($self, $sql) = @_;

	$self->send_message('Q', "$sql\0");
	return $self->answers('Z');
}

sub prepare
{
	my ($self, $name, $sql) = @_;

	$self->send_message('P', "$name\0$sql\0" . pack('n', 0));
	$self->send_message('S', '');
	return $self->answers('Z');
}

# Bind text parameters to a prepared statement and execute the portal in pieces of so many rows; 0: all.
sub execute
{
	my ($self, $name, $values, @limits) = @_;
	my $bind = "\0$name\0" . pack('n n', 0, scalar @$values);

	$bind .= pack('N', length $_) . $_ for @$values;
	$self->send_message('B', $bind . pack('n', 0));
	$self->send_message('E', "\0" . pack('N', $_)) for @limits;
	$self->send_message('S', '');
	return $self->answers('Z');
}

sub close
{
	my ($self) = @_;

	$self->send_message('X', '');
	$self->{socket}->close;
}

1;
