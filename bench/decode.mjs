// The rival of bench/decode.lua in Node: JSON.parse.
// usage: node bench/decode.mjs FILE [count]
import assert from "node:assert";
import { readFileSync } from "node:fs";

/** Processor time, in milliseconds; of the collector's threads, too. */
function clock() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}

const [path, count = 100] = process.argv.slice(2);
const text = readFileSync(path, "utf8");
let start;
for (const n of [count / 10, count]) { // the first warms up
  start = clock();
  for (let i = 0; i < n; i++) assert(JSON.parse(text).name);
}
console.log(((clock() - start) / count).toFixed(4));
