# upload_server.pl -- an HTTP server that takes request bodies in many ways, for spec/http_upload_spec.lua.
# Prints "port N" and serves until it is killed. The path of a request says what it does with the body:
#   /body       reads all of it, and answers with what it was: "POST chunked 12 <MD5>"
#   /hold       reads nothing of it until a request for /go, then as /body
#   /text       answers with the body itself
#   /echo       answers with the chunks of the body, each as it comes
#   /refuse     answers 413 at once and closes; /refuse-keep leaves the connection open and reads nothing
#   /early      answers 200 at once and reads nothing; /early-chunks with chunks
#   /cut-N      resets the connection when N bytes of the body have come
#   /moved-N    reads all of it, answers N with a location; /moved-N-early answers at once and closes
#   /once       answers the first request of a connection; closes at the first byte of a body of another
#   /permit     sends 100 Continue, then as /body; /forbid answers 403 in its place and closes, /fail-417 417
#               and /fail-417-close too; without Expect all are as /body
# "/seen" answers with the bodies' bytes that have come so far, "/left" with how many connections were closed
# by the client before the end of a body.
use strict;
use warnings;
use Digest::MD5;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF IPPROTO_TCP TCP_NODELAY);

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 128, ReuseAddr => 1)
  or die "listen: $!";
setsockopt $listener, SOL_SOCKET, SO_RCVBUF, pack('i', 65536);
$| = 1;
print "port ", $listener->sockport, "\n";

my $select = IO::Select->new($listener);
my (%peers, %held);
my ($seen, $left) = (0, 0);

sub drop {
  my ($p, $reset) = @_;
  setsockopt $p->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $reset;
  delete $peers{$p->{socket}};
  delete $held{$p->{socket}};
  $select->remove($p->{socket});
  close $p->{socket};
  $p->{gone} = 1;
}

sub send_text {
  my ($p, $text) = @_;
  $p->{socket}->blocking(1);
  syswrite $p->{socket}, $text;
  $p->{socket}->blocking(0);
}

sub answer {
  my ($p, $status, $body, $more) = @_;
  send_text($p, "HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\n" . ($more // '') . "\r\n$body");
}

# The head is in: what may be said before the body.
sub begin {
  my ($p) = @_;
  my $path = $p->{path};
  $p->{requests}++;
  $p->{md5} = Digest::MD5->new;
  @$p{qw(size text chunk)} = (0, '', undef);
  ($p->{length}) = $p->{head} =~ /^content-length: *(\d+)/im;
  $p->{chunked} = $p->{head} =~ /^transfer-encoding: *chunked/im;
  $p->{expects} = $p->{head} =~ /^expect: *100-continue/im;
  $p->{length} //= 0 unless $p->{chunked};
  if ($path eq '/hold') {
    $select->remove($p->{socket});
    $held{$p->{socket}} = $p;
  }
  return refuse($p) if $path =~ m{^/(?:refuse|refuse-keep|early|early-chunks|moved-\d+-early)$};
  return deny($p) if $p->{expects} && $path =~ m{^/(?:forbid|fail-417|fail-417-close)$};
  send_text($p, "HTTP/1.1 100 Continue\r\n\r\n") if $path eq '/permit' && $p->{expects};
  send_text($p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") if $path eq '/echo';
}

# An answer in place of 100 Continue. The body is not sent.
sub deny {
  my ($p) = @_;
  delete $p->{head};
  return answer($p, '417 Expectation Failed', 'no') if $p->{path} eq '/fail-417';
  answer($p, $p->{path} eq '/forbid' ? '403 Forbidden' : '417 Expectation Failed', 'no', "Connection: close\r\n");
  drop($p);
}

# An answer that does not wait for the body.
sub refuse {
  my ($p) = @_;
  my $path = $p->{path};
  $p->{deaf} = 1;
  $select->remove($p->{socket});
  return answer($p, '200 OK', 'enough') if $path eq '/early';
  return answer($p, '413 Too Large', 'too large') if $path eq '/refuse-keep';
  if ($path eq '/early-chunks') {
    return send_text($p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nenough\r\n0\r\n\r\n");
  }
  if ($path =~ m{^/moved-(\d+)}) { answer($p, "$1 Moved", 'moved', "Location: /body\r\nConnection: close\r\n") }
  else { answer($p, '413 Too Large', 'too large', "Connection: close\r\n") }
  drop($p);
}

sub take {
  my ($p, $data) = @_;
  $seen += length $data;
  $p->{size} += length $data;
  $p->{md5}->add($data);
  $p->{text} .= $data if $p->{path} eq '/text';
  send_text($p, sprintf "%x\r\n%s\r\n", length $data, $data) if $p->{path} eq '/echo' && length $data;
  return drop($p, 1) if $p->{path} =~ m{^/cut-(\d+)$} && $p->{size} >= $1;
  return drop($p) if $p->{path} eq '/once' && $p->{requests} > 1;
}

# The body is complete.
sub done {
  my ($p) = @_;
  delete $p->{head};
  my $path = $p->{path};
  return send_text($p, "0\r\n\r\n") if $path eq '/echo';
  return answer($p, '200 OK', $p->{text}) if $path eq '/text';
  return answer($p, '200 OK', $seen) if $path eq '/seen';
  return answer($p, '200 OK', $left) if $path eq '/left';
  return answer($p, "$1 Moved", 'moved', "Location: /body\r\n") if $path =~ m{^/moved-(\d+)$};
  if ($path eq '/go') {
    $select->add($_->{socket}) for values %held;
    %held = ();
    return answer($p, '200 OK', 'gone');
  }
  answer($p, '200 OK', join ' ', $p->{method}, $p->{chunked} ? 'chunked' : "length $p->{length}", $p->{size},
    $p->{md5}->hexdigest);
}

# Reads from what has come of a chunked body. True if something was used.
sub read_chunk {
  my ($p) = @_;
  if (!defined $p->{chunk}) {
    $p->{in} =~ s/^([0-9a-f]+)\r\n//i or return 0;
    $p->{chunk} = $p->{rest} = hex $1;
  }
  if ($p->{rest}) {
    my $data = substr $p->{in}, 0, $p->{rest}, '';
    $p->{rest} -= length $data;
    take($p, $data);
    return 0 if $p->{gone} || $p->{rest};
  }
  $p->{in} =~ s/^\r\n// or return 0;
  done($p) unless delete $p->{chunk};
  return 1;
}

sub advance {
  my ($p) = @_;
  if (!defined $p->{head}) {
    $p->{in} =~ s/^(\S+) (\S+) [^\r]*\r\n(.*?\r\n)\r\n//s or return 0;
    @$p{qw(method path head)} = ($1, $2, $3);
    begin($p);
    return 0 if $p->{gone} || $p->{deaf} || !defined $p->{head};
  }
  return 0 if $held{$p->{socket}};
  return read_chunk($p) if $p->{chunked};
  my $data = substr $p->{in}, 0, $p->{length} - $p->{size}, '';
  take($p, $data) if length $data;
  return 0 if $p->{gone} || $p->{size} < $p->{length};
  done($p);
  return 1;
}

sub receive {
  my ($p) = @_;
  my $count = sysread $p->{socket}, my $data, 65536;
  return if !defined $count && $!{EAGAIN};
  if (!$count) {
    $left++ if defined $p->{head};
    return drop($p);
  }
  return if $p->{deaf};
  $p->{in} .= $data;
  1 while !$p->{gone} && length $p->{in} && advance($p);
}

while (1) {
  for my $ready ($select->can_read) {
    if ($ready != $listener) {
      receive($peers{$ready}) if $peers{$ready};
      next;
    }
    my $new = $listener->accept or next;
    $new->blocking(0);
    setsockopt $new, IPPROTO_TCP, TCP_NODELAY, pack('i', 1);
    $select->add($new);
    $peers{$new} = { socket => $new, in => '', requests => 0 };
  }
}
