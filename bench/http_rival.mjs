// The rival of bench/http.lua in Node: the same arguments after the name of a client, the same output.
// usage: node bench/http_rival.mjs fetch|undici|http2 URL [requests=20000] [concurrency=64] [decode] [CA]
// fetch is Node's own. undici is that of build/bench (make bench-deps). http2 is Node's module, over one
// connection, which trusts the CA of that file.
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [client, url, total = "20000", concurrency = "64", , ca] = process.argv.slice(2);

const clients = {
  async fetch() {
    return async (target) => {
      const response = await fetch(target);
      assert(response.status === 200);
      return response.json();
    };
  },

  async undici() {
    const { Agent, request } = createRequire(import.meta.url)("../build/bench/node_modules/undici");
    const dispatcher = new Agent({ connections: Number(concurrency), pipelining: 1 });
    return async (target) => {
      const { statusCode, body } = await request(target, { dispatcher });
      assert(statusCode === 200);
      return body.json();
    };
  },

  async http2() {
    const { connect } = await import("node:http2");
    const session = connect(new URL(url).origin, { ca: readFileSync(ca) });
    return (target) => new Promise((resolve, reject) => {
      const stream = session.request({ ":path": new URL(target).pathname });
      let text = "";
      stream.setEncoding("utf8");
      stream.on("response", (headers) => {
        if (headers[":status"] !== 200) reject(new Error(`status ${headers[":status"]}`));
      });
      stream.on("data", (piece) => { text += piece; });
      stream.on("end", () => resolve(JSON.parse(text)));
      stream.on("error", reject);
    });
  },
};

const get = await clients[client]();
await get(url.replace("{}", 1));
let next = 1;
let count = 0;

async function worker() {
  while (next <= total) {
    const i = next++;
    const { name } = await get(url.replace("{}", i));
    assert(name === "pikachu" || name === `pokemon-${i}`);
    count++;
  }
}

const start = performance.now();
const used = process.cpuUsage();
await Promise.all(Array.from({ length: Number(concurrency) }, worker));
assert(count === Number(total));
const seconds = (performance.now() - start) / 1e3;
const { user, system } = process.cpuUsage(used);
console.log((total / seconds).toFixed(0), ((user + system) / total).toFixed(1));
process.exit();
