// The rival of bench/pipeline.lua in Node; the same output.
// usage: node bench/pipeline.mjs iterator|readable [items=1000000]
// iterator: the helpers of its iterators (Node 22 and later), which cannot wait. readable: the same methods of a
// Readable, which can.
import assert from "node:assert";
import { Readable } from "node:stream";

const items = Number(process.argv[3] ?? 1000000);

function* range() {
  for (let i = 1; i <= items; i++) yield i;
}

const source = { iterator: range, readable: () => Readable.from(range()) }[process.argv[2]]();
const used = process.cpuUsage();
const piped = source.map((i) => i * 3).filter((v) => v % 2 === 0).take(items / 2);
let sum = 0;
if (process.argv[2] === "iterator") for (const v of piped) sum += v;
else for await (const v of piped) sum += v;
assert(sum === 3 * (items / 2) * (items / 2 + 1));
const { user, system } = process.cpuUsage(used);
console.log((items / ((user + system) / 1e6)).toFixed(0));
