#!/usr/bin/perl
# raw_client.pl -- sends bytes to a server and prints what comes back, step by step.
# usage: raw_client.pl (port | path of a Unix socket) step...
#   send:TEXT    writes TEXT, in which \r \n \t \0 \\ and \xHH are escapes
#   repeat:N:TEXT  writes TEXT N times
#   read:REGEX   reads until what has come since the last read step matches
#   eof          reads until the server closes; prints "[eof]" then, or "[reset]"
#   say:TEXT     prints TEXT
#   pause:S      waits S seconds
#   shut         shuts the writing side
#   reset        closes with a reset
# Exit status: 0; 1 when a step is not done within 100 seconds, or cannot be done.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

$| = 1;
$SIG{PIPE} = 'IGNORE';
my $PATIENCE = 100;

my $where = shift @ARGV;
my $socket = $where =~ /^\d+$/
  ? IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $where)
  : IO::Socket::UNIX->new(Peer => $where);
die "cannot connect to $where: $!\n" unless $socket;

my %escapes = (r => "\r", n => "\n", t => "\t", 0 => "\0", '\\' => '\\');

sub text_of {
  my ($text) = @_;
  $text =~ s/\\(x([0-9a-fA-F]{2})|[rnt0\\])/defined $2 ? chr hex $2 : $escapes{$1}/ge;
  return $text;
}

# Writes all of it; a server that has closed is no fault of the client's.
sub put {
  my ($text) = @_;
  while (length $text) {
    my $n = syswrite $socket, $text;
    return unless defined $n;
    substr($text, 0, $n) = '';
  }
}

# Reads once; undef at the end.
my $end = '[eof]';

sub get {
  my ($deadline) = @_;
  my $left = $deadline - time;
  die "timed out\n" if $left <= 0 || !IO::Select->new($socket)->can_read($left);
  my $n = sysread $socket, my $data, 65536;
  $end = '[reset]' unless defined $n;
  return unless $n;
  print $data;
  return $data;
}

for my $step (@ARGV) {
  my $deadline = time + $PATIENCE;
  if ($step =~ /^send:(.*)$/s) {
    put(text_of($1));
  } elsif ($step =~ /^repeat:(\d+):(.*)$/s) {
    put(text_of($2) x $1);
  } elsif ($step =~ /^read:(.*)$/s) {
    my ($pattern, $seen) = ($1, '');
    while ($seen !~ /$pattern/s) {
      my $data = get($deadline);
      die "closed before /$pattern/\n" unless defined $data;
      $seen .= $data;
    }
  } elsif ($step eq 'eof') {
    1 while defined get($deadline);
    print $end;
  } elsif ($step =~ /^say:(.*)$/s) {
    print $1;
  } elsif ($step =~ /^pause:([\d.]+)$/) {
    sleep $1;
  } elsif ($step eq 'shut') {
    shutdown $socket, 1;
  } elsif ($step eq 'reset') {
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    close $socket;
  } else {
    die "unknown step: $step\n";
  }
}
