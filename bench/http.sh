#!/bin/sh
# http.sh -- bench/http.lua next to bench/bare.c, both against one nginx on loopback, in turns; prints the
# medians and their ratio. The client has one core to itself where there are two.
# usage: bench/http.sh [requests=20000] [concurrency=64] [rounds=5]; RILLE: the program, CC: the compiler
set -eu
cd "$(dirname "$0")/.."
requests=${1:-20000} concurrency=${2:-64} rounds=${3:-5}
rille=${RILLE:-bin/rille}
dir=$(mktemp -d)
trap 'test ! -s "$dir/pid" || kill "$(cat "$dir/pid")"; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

${CC:-gcc} -std=c11 -D_GNU_SOURCE -O2 -o "$dir/bare" bench/bare.c -luv -lcurl

chmod 755 "$dir" # started by root, nginx reads it as another user
mkdir "$dir/root"
printf '%s' '{"id":25,"name":"pikachu","height":4,"weight":60,"types":["electric"],"species":{"name":' \
  '"pikachu","url":"http://127.0.0.1/api/v2/pokemon-species/25/"}}' >"$dir/root/25"

# A port that is free now may be taken a moment later: try some.
start_nginx() {
  for try in 1 2 3 4 5; do
    port=$(perl -MIO::Socket::INET -e \
      'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)->sockport')
    cat >"$dir/nginx.conf" <<CONF
worker_processes 1;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  default_type application/json;
  client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
  server { listen 127.0.0.1:$port; root $dir/root; }
}
CONF
    if nginx -e "$dir/error.log" -c "$dir/nginx.conf" 2>"$dir/nginx.err"; then return; fi
  done
  cat "$dir/nginx.err" >&2
  exit 1
}
PATH=$PATH:/usr/sbin
start_nginx
for try in 1 2 3 4 5 6 7 8 9 10; do
  test -s "$dir/pid" && break
  sleep 0.1
done

client=''
if [ "$(nproc)" -ge 2 ]; then
  client='taskset -c 0'
  for pid in $(cat "$dir/pid") $(pgrep -P "$(cat "$dir/pid")"); do
    taskset -p -c 1 "$pid" >/dev/null
  done
fi

url=http://127.0.0.1:$port/25
$client "$dir/bare" "$url" 1000 "$concurrency" >/dev/null
i=0
while [ $i -lt "$rounds" ]; do
  $client "$dir/bare" "$url" "$requests" "$concurrency" >>"$dir/bare.out"
  $client "$rille" bench/http.lua "$url" "$requests" "$concurrency" >>"$dir/rille.out"
  i=$((i + 1))
done

median() { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }
ours=$(median "$dir/rille.out") theirs=$(median "$dir/bare.out")
awk -v a="$ours" -v b="$theirs" -v n="$concurrency" 'BEGIN {
  printf "http small, %d at a time: rille %d requests/s, bare C %d requests/s, ratio %.2f\n", n, a, b, a / b }'
