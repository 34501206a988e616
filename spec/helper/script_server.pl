# script_server.pl -- an HTTP server that says word by word what a spec has told it, for spec/helper/script_server.lua.
# Prints "port N" and serves until it is killed. "PUT /script/NAME" takes the answers to the requests of /NAME, with
# a line "--next--" between them, and forgets the requests so far: each is a line, which says what follows it (close,
# keep, stall, reset), and the bytes that are sent. The last one is said again and again. "GET /requests/NAME" gives
# the heads of the requests so far, with NUL between them.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 128, ReuseAddr => 1)
  or die "listen: $!";
$| = 1;
print "port ", $listener->sockport, "\n";

my $select = IO::Select->new($listener);
my (%answers, %requests, %input, %output, %after);

sub plain {
  my ($text) = @_;
  return ('keep', "HTTP/1.1 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text");
}

# What is to follow the answer to a request, and the answer.
sub answer {
  my ($head, $path, $body) = @_;
  if ($path =~ m{^/script/(\w+)$}) {
    $answers{$1} = [map { [split /\n/, $_, 2] } split /\n--next--\n/, $body];
    $requests{$1} = [];
    return plain('');
  }
  return plain(join "\0", @{ $requests{$1} // [] }) if $path =~ m{^/requests/(\w+)$};
  my ($name) = $path =~ m{^/(\w+)};
  my $list = $answers{ $name // '' } or return ('keep', "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  push @{ $requests{$name} }, $head;
  return @{ @$list > 1 ? shift @$list : $list->[0] };
}

sub drop {
  my ($peer, $reset) = @_;
  setsockopt $peer, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $reset;
  delete $_->{$peer} for \(%input, %output, %after);
  $select->remove($peer);
  close $peer;
}

sub flush {
  my ($peer) = @_;
  if (length $output{$peer}) {
    my $sent = syswrite $peer, $output{$peer};
    return $!{EAGAIN} ? undef : drop($peer) unless defined $sent;
    substr($output{$peer}, 0, $sent) = '';
    return if length $output{$peer};
  }
  my $then = $after{$peer} // '';
  drop($peer, $then eq 'reset') if $then eq 'close' || $then eq 'reset';
  delete $after{$peer} if $then eq 'keep';
}

sub receive {
  my ($peer) = @_;
  my $count = sysread $peer, my $data, 65536;
  return if !defined $count && $!{EAGAIN};
  return drop($peer) unless $count;
  $input{$peer} .= $data;
  while (defined $input{$peer} && !$after{$peer} && $input{$peer} =~ m{^\S+ (\S+) .*?\r\n\r\n}s) {
    my ($head, $path) = ($&, $1);
    my $length = $head =~ m{^content-length: *(\d+)}im ? $1 : 0;
    return if length($input{$peer}) < length($head) + $length;
    my $body = substr $input{$peer}, length $head, $length;
    substr($input{$peer}, 0, length($head) + $length) = '';
    my ($then, $text) = answer($head, $path, $body);
    $after{$peer} = $then;
    $output{$peer} .= $text;
    flush($peer);
  }
}

while (1) {
  my $writers = IO::Select->new(grep { length($output{$_} // '') } $select->handles);
  my ($readable, $writable) = IO::Select->select($select, $writers, undef);
  for my $peer (@{ $writable // [] }) { flush($peer) if defined $output{$peer} }
  for my $peer (@{ $readable // [] }) {
    if ($peer == $listener) {
      my $new = $listener->accept or next;
      $new->blocking(0);
      setsockopt $new, IPPROTO_TCP, TCP_NODELAY, pack('i', 1);
      $select->add($new);
      @$_{"$new"} = '' for \(%input, %output);
    } elsif (defined $input{$peer}) {
      receive($peer);
    }
  }
}
