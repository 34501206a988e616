// The rival of bench/generator.lua in Node; its modes and its output.
// usage: node --expose-gc bench/generator.mjs step|wait|tasks [count]
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

function resident() {
  gc();
  return process.memoryUsage().rss;
}

async function tasks(n = 100000) {
  let woken = 0;
  const wake = performance.now() + 2000 + n * 0.04; // by then all have begun
  async function task() {
    await new Promise((resolve) => setTimeout(resolve, wake - performance.now()));
    woken++;
  }
  const before = resident();
  let start = clock();
  const running = [];
  for (let i = 0; i < n; i++) running.push(task());
  let spent = clock() - start;
  const after = resident();
  assert(woken === 0 && performance.now() < wake);
  start = clock();
  await Promise.all(running);
  spent += clock() - start;
  console.log(((after - before) / n).toFixed(0), spent.toFixed(2));
}

const [mode, count] = process.argv.slice(2);
await { step, wait, tasks }[mode](count === undefined ? undefined : Number(count));
