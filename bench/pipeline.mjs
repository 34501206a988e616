// The rival of bench/pipeline.lua in Node: the helpers of its iterators (Node 22 and later); the same output.
// usage: node bench/pipeline.mjs [items=1000000]
import assert from "node:assert";

const items = Number(process.argv[2] ?? 1000000);

function* range() {
  for (let i = 1; i <= items; i++) yield i;
}

const used = process.cpuUsage();
let sum = 0;
for (const v of range().map((i) => i * 3).filter((v) => v % 2 === 0).take(items / 2)) sum += v;
assert(sum === 3 * (items / 2) * (items / 2 + 1));
const { user, system } = process.cpuUsage(used);
console.log((items / ((user + system) / 1e6)).toFixed(0));
