// The rival of bench/generator.lua in Node; its modes and its output.
// usage: node bench/generator.mjs step|wait [count]
import assert from "node:assert";

/** Processor time, in seconds. */
function clock() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function* body(n) {
  for (let i = 1; i <= n; i++) yield i;
}

async function step(n = 400000) {
  let start;
  for (const items of [n / 10, n]) { // the first warms up
    let sum = 0;
    start = clock();
    for await (const i of body(items)) sum += i;
    assert(sum === items * (items + 1) / 2);
  }
  console.log(((clock() - start) / n * 1e9).toFixed(1));
}

async function wait(n = 30000) {
  const start = clock();
  for (let i = 0; i < n; i++) await new Promise(setImmediate);
  console.log(((clock() - start) / n * 1e9).toFixed(1));
}

const [mode, count] = process.argv.slice(2);
await { step, wait }[mode](count === undefined ? undefined : Number(count));
