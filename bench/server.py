"""The rival of bench/server.lua in aiohttp, on uvloop.

usage: python3 bench/server.py; prints its URL and serves until it is ended
"""
import asyncio

import uvloop
from aiohttp import web

BODY = {
    "id": 25, "name": "pikachu", "height": 4, "weight": 60, "types": ["electric"],
    "species": {"name": "pikachu", "url": "http://127.0.0.1:8080/api/v2/pokemon-species/25"},
}


async def answer(_request):
    return web.json_response(BODY)


async def main():
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("http://127.0.0.1:%d" % runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


uvloop.install()
asyncio.run(main())
