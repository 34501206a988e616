#!/bin/sh
# generator.sh -- bench/generator.lua next to its rivals, in turns; prints medians, the median of the rounds'
# ratios, and what is claimed. A rival that is not installed is named.
# usage: bench/generator.sh [rounds=15] [tasks=1000000]; RILLE: the program
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-15} many=${2:-1000000}
rille=${RILLE:-bin/rille}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

has() { command -v "$1" >/dev/null 2>&1 && "$1" --version >/dev/null 2>&1; }
ours() { "$rille" bench/generator.lua "$@"; }
lua() { lua5.4 bench/generator.lua "$@"; }
python() { if has python3; then python3 bench/generator.py "$@"; fi; }
node() { if has nodejs; then nodejs --expose-gc bench/generator.mjs "$@"; fi; }

i=0
while [ $i -lt "$rounds" ]; do
  ours step >>"$dir/step"
  lua wrap >>"$dir/wrap"
  python step >>"$dir/python.step"
  node step >>"$dir/node.step"
  ours wait >>"$dir/wait"
  python wait >>"$dir/python.wait"
  node wait >>"$dir/node.wait"
  i=$((i + 1))
done

median() { sort -n | sed -n "$(((rounds + 1) / 2))p"; }

# compare what, ours, rival's name, rival's file, claim
compare() {
  if [ ! -s "$dir/$4" ]; then
    echo "$1: $3: not installed"
    return
  fi
  ratio=$(paste "$dir/$2" "$dir/$4" | awk '{ print $1 / $2 }' | median)
  printf '%s: %.0f ns; %s: %.0f ns; ratio %.2f (%s)\n' "$1" "$(median <"$dir/$2")" "$3" \
    "$(median <"$dir/$4")" "$ratio" "$5"
}

compare 'a step without a wait' step 'coroutine.wrap of lua5.4' wrap 'claim: at most 1.10'
compare 'a step without a wait' step 'async for of python3' python.step 'claim: at most 1.00'
compare 'a step without a wait' step 'for await of node' node.step 'no claim'
compare "a wait with the loop's turn" wait 'asyncio.sleep(0) of python3' python.wait 'claim: at most 0.25'
compare "a wait with the loop's turn" wait 'a promise of setImmediate of node' node.wait 'no claim'

# tasks name, count, command
tasks() {
  "$3" tasks "$2" >"$dir/tasks"
  if [ ! -s "$dir/tasks" ]; then
    echo "$2 sleeping tasks: $1: not installed"
    return
  fi
  awk -v name="$1" -v n="$2" '{
    printf "%d sleeping tasks: %s: %d bytes each", n, name, $1
    if (NF == 3) printf ", %d of them Lua'\''s (claim: at most 1300)", $2
    printf "; %.2f s to start and to wake them\n", $NF }' "$dir/tasks"
}

tasks rille 100000 ours
tasks rille "$many" ours
tasks 'asyncio of python3' 100000 python
tasks node 100000 node
