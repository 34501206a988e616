# fault_server.pl -- an HTTP server that misbehaves on purpose, for specs of the HTTP client.
# Prints "port N" and serves until it is killed. The path of a request says what goes wrong; "/count"
# answers with how many connections were accepted, are open now, and were left by the client while the
# server stalled: "accepted=3 open=1 left=2". The body of "/gate" stands still after its first chunk: each
# "/pass-TEXT" sends one more, each "/shut" ends it.
#   "/cut-N/NAME" is the first N bytes of "/NAME", and then the end; so are "/reset-N/NAME" and
# "/stall-N/NAME"; "/trickle/NAME" comes byte by byte. "/once/NAME" is "/NAME" for the first request of a
# connection that asks for it, and for a later one the end, without an answer; "/hits/NAME" counts them.
#   It is a proxy, too: a tunnel to "NAME.invalid" is asked for as if it were "/NAME", and of other absolute
# URLs the path counts.
use strict;
use warnings;
use Compress::Zlib ();
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);

$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 128, ReuseAddr => 1)
  or die "listen: $!";
$| = 1;
print "port ", $listener->sockport, "\n";

my $ok = "HTTP/1.1 200 OK\r\n";

# What is sent, and then: close, keep (for the next request), stall, gate, reset, deaf (the rest of the
# request is not read), late (the third follows when "/go" is asked for), more (the third, again and again).
my %faults = (
  '/nothing'          => ['', 'close'],
  '/reset'            => ['', 'reset'],
  '/reset-body'       => ["${ok}Content-Length: 100\r\n\r\nabc", 'reset'],
  '/cut-status'       => ['HTTP/1.1 2', 'close'],
  '/cut-line'         => ["${ok}Content-Le", 'close'],
  '/cut-head'         => ["${ok}Content-Length: 5\r\n", 'close'],
  '/cut-interim'      => ["HTTP/1.1 103 Early Hints\r\n\r\n", 'close'],
  '/cut-redirect'     => ["HTTP/1.1 302 Found\r\nLocation: /fine\r\n", 'close'],
  '/cut-body'         => ["${ok}Content-Length: 100\r\n\r\nabc", 'close'],
  '/cut-chunk'        => ["${ok}Transfer-Encoding: chunked\r\n\r\n10\r\nabc", 'close'],
  '/cut-last-chunk'   => ["${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 'close'],
  '/bad-chunk'        => ["${ok}Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc", 'close'],
  '/garbage'          => ["hello, world\r\n", 'close'],
  '/bad-status'       => ["HTTP/1.1 abc OK\r\n\r\n", 'close'],
  '/bad-version'      => ["HTTP/7.3 200 OK\r\n\r\n", 'close'],
  '/no-colon'         => ["${ok}nonsense\r\n\r\n", 'close'],
  '/two-lengths'      => ["${ok}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 'close'],
  '/same-lengths'     => ["${ok}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 'close'],
  '/bad-length'       => ["${ok}Content-Length: -3\r\n\r\nabc", 'close'],
  '/huge-length'      => ["${ok}Content-Length: 99999999999999999999\r\n\r\nabc", 'close'],
  '/large-length'     => ["${ok}Content-Length: 1000000000000\r\n\r\nabc", 'stall'],
  '/unknown-coding'   => ["${ok}Transfer-Encoding: gzip\r\n\r\nabc", 'close'],
  '/upgrade'          => ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc", 'close'],
  '/until-close'      => ["${ok}\r\nabc", 'close'],
  '/interim'          => ["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${ok}Content-Length: 3\r\n\r\nabc", 'keep'],
  '/trailers'         => ["${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-After: 1\r\n\r\n", 'keep'],
  '/folded'           => ["${ok}X-Folded: one\r\n  two\r\nContent-Length: 0\r\n\r\n", 'keep'],
  '/repeated'         => ["${ok}Set-Cookie: a=1\r\nX: y\r\nset-cookie: b=2, c\r\nContent-Length: 0\r\n\r\n", 'keep'],
  '/fine'             => ["${ok}Content-Length: 4\r\n\r\nfine", 'keep'],
  '/close'            => ["${ok}Content-Length: 4\r\n\r\nfine", 'close'],
  '/stall'            => ['', 'stall'],
  '/stall-head'       => ["${ok}Content-Length: 5\r\n", 'stall'],
  '/stall-body'       => ["${ok}Content-Length: 5\r\n\r\nab", 'stall'],
  '/long-line'        => [$ok . 'X-Long: ' . 'x' x 150_000 . "\r\n\r\n", 'close'],
  '/endless-head'     => [$ok . ('X-More: ' . 'x' x 1000 . "\r\n") x 1000, 'stall'],
  '/endless-interim'  => ["HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" x 20_000, 'stall'],
  '/endless-body'     => ["$ok\r\n" . 'x' x 3_000_000, 'stall'],
  '/chunks'           =>
    ["${ok}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-After: 1\r\n\r\n", 'keep'],
  '/chunk-size'       => ["${ok}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc", 'stall'],
  '/chunk-minus'      => ["${ok}Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 'stall'],
  '/chunk-long'       => ["${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", 'stall'],
  '/chunk-0x'         => ["${ok}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 'stall'],
  '/length-and-chunks' =>
    ["${ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 'keep'],
  '/chunks-twice'     => ["${ok}Transfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 'close'],
  '/lengths-in-one'   => ["${ok}Content-Length: 3, 4\r\n\r\nabcd", 'close'],
  '/length-plus'      => ["${ok}Content-Length: +3\r\n\r\nabc", 'close'],
  '/length-hex'       => ["${ok}Content-Length: 0x3\r\n\r\nabc", 'close'],
  '/length-empty'     => ["${ok}Content-Length:\r\n\r\nabc", 'close'],
  '/nul-in-header'    => ["${ok}X: a\0b\r\nContent-Length: 3\r\n\r\nabc", 'close'],
  '/bare-lf'          => ["HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", 'keep'],
  '/no-reason'        => ["HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", 'keep'],
  '/old'              => ["HTTP/1.0 200 OK\r\n\r\nabc", 'close'],
  '/status-99'        => ["HTTP/1.1 99 Less\r\nContent-Length: 3\r\n\r\nabc", 'close'],
  '/status-1000'      => ["HTTP/1.1 1000 More\r\nContent-Length: 3\r\n\r\nabc", 'close'],
  '/extra'            => ["${ok}Content-Length: 3\r\n\r\nabc" . "${ok}Content-Length: 4\r\n\r\nevil", 'keep'],
  '/extra-late'       => ["${ok}Content-Length: 3\r\n\r\nabc", 'late', "${ok}Content-Length: 4\r\n\r\nevil"],
  '/extra-chunks'     =>
    ["${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" . "${ok}Content-Length: 4\r\n\r\nevil", 'keep'],
  '/extra-nothing'    => ["HTTP/1.1 204 No Content\r\n\r\n" . "${ok}Content-Length: 4\r\n\r\nevil", 'keep'],
  '/gone-late'        => ["${ok}Content-Length: 3\r\n\r\nabc", 'late', ''],
  '/deaf'             => ['', 'deaf'],
  '/forever-status'   => ['HTTP/1.1 200 ', 'more', 'x' x 1000],
  '/forever-line'     => [$ok . 'X: ', 'more', 'x' x 1000],
  '/forever-head'     => [$ok, 'more', 'X-More: ' . 'x' x 1000 . "\r\n"],
  '/forever-interim'  => ['', 'more', "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" x 100],
  '/forever-body'     => ["$ok\r\n", 'more', 'x' x 60_000],
  '/forever-chunks'   => ["${ok}Transfer-Encoding: chunked\r\n\r\n", 'more', "1\r\nx\r\n" x 1000],
  '/forever-size'     => ["${ok}Transfer-Encoding: chunked\r\n\r\n", 'more', '0' x 1000],
  '/forever-extension' => ["${ok}Transfer-Encoding: chunked\r\n\r\n3;", 'more', 'x' x 1000],
  '/forever-trailers' => ["${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n", 'more', "X: y\r\n" x 100],
  '/forever-trailer'  => ["${ok}Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", 'more', 'x' x 1000],
  '/gate'             => ["${ok}Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n", 'gate'],
  '/cut-late'         => ["${ok}Content-Length: 900000\r\n\r\n" . 'x' x 600_000, 'close'],
  '/cut-late-chunk'   =>
    ["${ok}Transfer-Encoding: chunked\r\n\r\n927c0\r\n" . 'x' x 600_000 . "\r\n10\r\nabc", 'close'],
  '/bad-late-chunk'   => ["${ok}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n", 'stall'],
  '/no-content'       => ["HTTP/1.1 204 No Content\r\n\r\n", 'keep'],
  '/not-modified'     => ["HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n", 'keep'],
  '/moved'            => ["HTTP/1.1 302 Found\r\nLocation: /fine\r\nContent-Length: 5\r\n\r\nmoved", 'keep'],
  '/lines'            => ["${ok}Content-Length: 28\r\n\r\none\r\ntwo\rthree\n\nfive\r\n\r\nlast", 'keep'],
  '/elsewhere'        => ["HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", 'keep'],
  '/nowhere'          => ["HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n", 'keep'],
  '/to-refused'       => ["HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n", 'keep'],
);

# Compressed bodies; "/gzip-N" is the first N bytes of one.
my $text = '{"name":"pikachu"}';
my %coded = (
  gzip    => Compress::Zlib::memGzip($text),
  deflate => Compress::Zlib::compress($text),
  raw     => substr(Compress::Zlib::compress($text), 2, -4),
  twice   => Compress::Zlib::memGzip($text) x 2,
  bomb    => Compress::Zlib::memGzip("\0" x 20_000_000),
);
my $block = join '', map { sprintf "%06d\n", $_ } 0 .. 9999; # of a large body: 70,000 bytes

sub coded {
  my ($coding, $body) = @_;
  return ["${ok}Content-Encoding: $coding\r\nContent-Length: " . length($body) . "\r\n\r\n$body", 'keep'];
}

# State of connections, and what is counted.
my (%input, %output, %after, %later, %late, %deaf, %slow, %served, %stalled, %gated, %hits);
my $zipped;

# So many blocks, compressed ten by ten.
sub zipped {
  my ($count) = @_;
  $zipped //= Compress::Zlib::memGzip($block x 10);
  return $zipped x ($count / 10);
}

# Answers that are made of another one; undef if the path is none of these.
sub derived {
  my ($peer, $path) = @_;
  if ($path =~ m{^/(cut|reset|stall)-(\d+)(/.+)$}) {
    return [substr(answer($peer, $3)->[0], 0, $2), $1 eq 'cut' ? 'close' : $1];
  }
  if ($path =~ m{^/trickle(/.+)$}) {
    $slow{$peer} = 1;
    return answer($peer, $1);
  }
  if ($path =~ m{^/once(/.+)$}) {
    $hits{$1}++;
    return $served{$peer}++ ? ['', 'close'] : answer($peer, $1);
  }
  if ($path =~ m{^/hits(/.+)$}) {
    my $text = $hits{$1} // 0;
    return ["${ok}Content-Length: " . length($text) . "\r\n\r\n$text", 'keep'];
  }
  return $faults{'/fine'} if $path eq '/redirects-0';
  if ($path =~ m{^/redirects-(\d+)$}) {
    my $to = $1 - 1;
    return ["HTTP/1.1 302 Found\r\nLocation: /redirects-$to\r\nContent-Length: 0\r\n\r\n", 'keep'];
  }
  return;
}

sub answer {
  my ($peer, $path, $counts) = @_;
  return $faults{$path} if $faults{$path};
  my $made = derived($peer, $path);
  return $made if $made;
  return coded('gzip', $1 eq 'all' ? $coded{gzip} : substr $coded{gzip}, 0, $1) if $path =~ m{^/gzip-(all|\d+)$};
  return coded('deflate', $coded{$1}) if $path =~ m{^/coded-(deflate|raw)$};
  return coded('deflate', substr $coded{deflate}, 0, -3) if $path eq '/deflate-cut';
  return coded('gzip', $coded{$1}) if $path =~ m{^/coded-(twice|bomb)$};
  return coded('gzip', $coded{gzip} . 'rest') if $path eq '/gzip-rest';
  return coded('gzip', 'this is not gzip') if $path eq '/gzip-bad';
  return coded('gzip', '') if $path eq '/gzip-0';
  return coded('x-own', 'left as it is') if $path eq '/coded-own';
  return coded('gzip', zipped($1)) if $path =~ m{^/gzip-blocks-(\d+)$};
  return coded('gzip', substr zipped($1), 0, -1) if $path =~ m{^/gzip-cut-blocks-(\d+)$};
  if ($path =~ m{^/bytes-(\w+)-([0-9a-f]*)$}) { # a chunk for each byte
    my $chunks = join '', map { "1\r\n$_\r\n" } split //, pack 'H*', $2;
    return ["${ok}Content-Encoding: $1\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n", 'keep'];
  }
  if ($path =~ m{^/blocks-(\d+)$}) {
    return ["${ok}Content-Length: " . $1 * length($block) . "\r\n\r\n" . $block x $1, 'keep'];
  }
  if ($path eq '/choices') {
    my $text = coded('gzip', $coded{gzip})->[0];
    return ["HTTP/1.1 300 Multiple Choices\r\n" . substr($text, length $ok), 'keep'];
  }
  if ($path =~ m{^/pass-(.*)$}) { gate(sprintf "%x\r\n%s\r\n", length $1, $1) }
  if ($path eq '/shut') { gate("0\r\n\r\n"); %gated = () }
  return ["${ok}Content-Length: " . length($counts) . "\r\n\r\n$counts", 'keep'] if $path eq '/count';
  return ["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 'keep'];
}

my $select = IO::Select->new($listener);

# Sends more to those who wait at the gate.
sub gate {
  my ($text) = @_;
  for my $peer (values %gated) {
    $output{$peer} .= $text;
    flush($peer);
  }
}

# Sends what is late, or ends the connection if that is nothing.
sub go {
  for my $peer (values %late) {
    delete $late{$peer};
    $output{$peer} .= $later{$peer};
    $after{$peer} = length $later{$peer} ? 'keep' : 'close';
    flush($peer);
  }
}

my ($accepted, $left) = (0, 0);

sub drop {
  my ($peer, $reset) = @_;
  setsockopt $peer, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $reset;
  $left++ if $stalled{$peer};
  delete $_->{$peer} for \(%input, %output, %after, %later, %late, %deaf, %slow, %served, %stalled, %gated);
  $select->remove($peer);
  close $peer;
}

sub flush {
  my ($peer) = @_;
  if (length $output{$peer}) {
    my $sent = syswrite $peer, $output{$peer}, $slow{$peer} ? 1 : length $output{$peer};
    if (!defined $sent) {
      $stalled{$peer} = 1 unless $!{EAGAIN};
      drop($peer) unless $!{EAGAIN};
      return;
    }
    substr($output{$peer}, 0, $sent) = '';
    return if length $output{$peer};
  }
  my $then = delete $after{$peer} or return;
  $stalled{$peer} = 1 if $then eq 'stall';
  $gated{$peer} = $peer if $then eq 'gate';
  $late{$peer} = $peer if $then eq 'late';
  delete $slow{$peer};
  if ($then eq 'more') {
    $output{$peer} = $later{$peer};
    $after{$peer} = $then;
  } elsif ($then eq 'deaf') {
    $deaf{$peer} = $peer;
    $select->remove($peer);
  }
  drop($peer, $then eq 'reset') if $then eq 'close' || $then eq 'reset';
}

sub receive {
  my ($peer) = @_;
  my $count = sysread $peer, my $data, 65536;
  return if !defined $count && $!{EAGAIN};
  return drop($peer) unless $count;
  $input{$peer} .= $data;
  while (defined $input{$peer} && !$after{$peer} && $input{$peer} =~ s{^\S+ (\S+) .*?\r\n\r\n}{}s) {
    my $open = grep { $_ != $listener } $select->handles;
    my ($path) = map { m{^([\w-]+)\.invalid:\d+$} ? "/$1" : s{^http://[^/]*}{}r } $1;
    go() if $path eq '/go';
    my ($text, $then, $more) = @{ answer($peer, $path, "accepted=$accepted open=$open left=$left") };
    $output{$peer} .= $text;
    $after{$peer} = $then;
    $later{$peer} = $more;
    flush($peer);
  }
}

while (1) {
  my $writers = IO::Select->new(grep { length($output{$_} // '') && !$slow{$_} } $select->handles);
  my @trickling = grep { $slow{$_} } $select->handles;
  my ($readable, $writable) = IO::Select->select($select, $writers, undef, @trickling ? 0.001 : undef);
  for my $peer (@trickling, @{ $writable // [] }) { flush($peer) if defined $output{$peer} }
  for my $peer (@{ $readable // [] }) {
    if ($peer == $listener) {
      my $new = $listener->accept or next;
      $new->blocking(0);
      setsockopt $new, IPPROTO_TCP, TCP_NODELAY, pack("i", 1);
      $select->add($new);
      $accepted++;
      @$_{"$new"} = '' for \(%input, %output);
    } elsif (defined $input{$peer}) {
      receive($peer);
    }
  }
}
