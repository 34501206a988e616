// The rival of bench/server.lua in Node's http.
// usage: node bench/server.mjs; prints its URL and serves until it is ended
import { createServer } from "node:http";

const BODY = {
  id: 25, name: "pikachu", height: 4, weight: 60, types: ["electric"],
  species: { name: "pikachu", url: "http://127.0.0.1:8080/api/v2/pokemon-species/25" },
};

const server = createServer((_request, response) => {
  const text = JSON.stringify(BODY);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
