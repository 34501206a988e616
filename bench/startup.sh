#!/bin/sh
# startup.sh -- how long an empty program takes from start to end: rille next to lua5.4, by turns.
# usage: RILLE=bin/rille sh bench/startup.sh; prints the milliseconds of each, the best of ROUNDS, and their
# ratio, which is to be 3 at most: status 1 if it is not.
set -eu
RILLE=${RILLE:-bin/rille}
RUNS=${RUNS:-100}
ROUNDS=${ROUNDS:-7}

# Microseconds that one run takes.
measure() {
  began=$(date +%s%N)
  i=0
  while [ $i -lt "$RUNS" ]; do
    "$@"
    i=$((i + 1))
  done
  echo $((($(date +%s%N) - began) / RUNS / 1000))
}

best_lua=999999
best_rille=999999
round=0
while [ $round -lt "$ROUNDS" ]; do
  lua=$(measure lua5.4 -e '')
  rille=$(measure "$RILLE" -e '')
  [ "$lua" -lt $best_lua ] && best_lua=$lua
  [ "$rille" -lt $best_rille ] && best_rille=$rille
  round=$((round + 1))
done
awk -v lua=$best_lua -v rille=$best_rille 'BEGIN {
  printf "lua5.4 -e \"\": %.2f ms\nrille -e \"\": %.2f ms, %.1f times as long\n", lua / 1000, rille / 1000, rille / lua
  exit rille > 3 * lua
}'
