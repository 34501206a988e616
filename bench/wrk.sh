#!/bin/sh
# wrk.sh -- requests a second that a server answers: 64 connections of wrk, kept.
# usage: wrk.sh SECONDS URL            of a server that runs
#        wrk.sh SECONDS -- COMMAND ... of one that is started, which prints its URL
# SERVER and CLIENT are words before the commands, such as "taskset -c 1".
set -eu
seconds=$1
shift
dir=$(mktemp -d)
server=
trap 'test -z "$server" || { kill "$server"; wait "$server"; } 2>/dev/null || :; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

url=$1
if [ "$url" = -- ]; then
  shift
  ${SERVER:-} "$@" >"$dir/url" &
  server=$!
  while [ ! -s "$dir/url" ]; do
    kill -0 "$server"
    sleep 0.05
  done
  url=$(cat "$dir/url")
fi
${CLIENT:-} wrk -t1 -c64 --timeout 60 -d"$seconds" "$url" >"$dir/out"
if grep -E 'Non-2xx|Socket errors' "$dir/out" >&2; then exit 1; fi
sed -n 's|^Requests/sec: *||p' "$dir/out"
