#!/bin/sh
# startup.sh -- how long a program takes from its start to its end.
# usage: RUNS=100 sh bench/startup.sh COMMAND [ARGUMENT ...]; prints milliseconds
set -eu
RUNS=${RUNS:-100}

began=$(date +%s%N)
i=0
while [ $i -lt "$RUNS" ]; do
  "$@"
  i=$((i + 1))
done
echo $((($(date +%s%N) - began) / RUNS)) | awk '{ printf "%.2f\n", $1 / 1e6 }'
