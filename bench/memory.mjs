// The rival of bench/memory.lua in Node; the same modes, the same output.
// usage: node --expose-gc bench/memory.mjs tasks [count=100000] | connections URL [count=500]
import assert from "node:assert";
import http from "node:http";

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function resident() {
  gc();
  return process.memoryUsage().rss;
}

async function tasks(count = 100000) {
  let begun = 0;
  async function task() {
    begun++;
    await sleep(3600);
  }
  const before = resident();
  const running = [];
  for (let i = 0; i < count; i++) running.push(task());
  await sleep(0);
  const after = resident();
  assert(begun === Number(count) && running.length === begun);
  console.log(((after - before) / count).toFixed(0));
}

async function connections(url, count = 500) {
  const agent = new http.Agent({ keepAlive: true, maxFreeSockets: Infinity });
  const get = () => new Promise((resolve, reject) => {
    http.get(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.resume();
      response.on("end", resolve);
    }).on("error", reject);
  });
  await get();
  const before = resident();
  await Promise.all(Array.from({ length: Number(count) }, get));
  await sleep(0.05); // sockets are given back after the response has ended
  const more = Object.values(agent.freeSockets).flat().length - 1;
  assert(more >= count / 2);
  console.log(((resident() - before) / more).toFixed(0));
}

const [mode, ...rest] = process.argv.slice(2);
await { tasks, connections }[mode](...rest);
process.exit();
