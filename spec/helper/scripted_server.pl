# scripted_server.pl -- a server that says what it is told to, for specs of proxies and credentials.
# Prints "port N". Each argument is one connection: answers with '|' between them. Before each it reads once,
# and prints what came as "got TEXT" on one line; then it closes the connection, and ends after the last. Both
# ways "\r", "\n", "\xNN" and "\\" are written so.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 16, ReuseAddr => 1)
  or die "listen: $!";
$| = 1;
print "port ", $listener->sockport, "\n";

my %named = (r => "\r", n => "\n", '\\' => '\\');

sub read_escapes {
  my ($text) = @_;
  $text =~ s/\\(?:x([0-9a-f]{2})|(.))/defined $1 ? chr hex $1 : $named{$2}/ge;
  return $text;
}

sub escape {
  my ($text) = @_;
  $text =~ s/\\/\\\\/g;
  $text =~ s/\r/\\r/g;
  $text =~ s/\n/\\n/g;
  $text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
  return $text;
}

for my $connection (@ARGV) {
  my $socket = $listener->accept or die "accept: $!";
  for my $answer ($connection eq '' ? '' : split /\|/, $connection, -1) {
    my $got;
    last unless sysread $socket, $got, 65536;
    print 'got ', escape($got), "\n";
    syswrite $socket, read_escapes($answer);
  }
  close $socket;
}
print "done\n";
