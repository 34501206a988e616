"""The rival of bench/http.lua in Python: the same arguments after the name of a client, the same output.

usage: python3 bench/http_rival.py aiohttp|httpx URL [requests=20000] [concurrency=64] [decode] [CA]
aiohttp runs on uvloop. With the file of a CA it is HTTP/2 over one connection, which only httpx speaks.
"""
import asyncio
import json
import ssl
import sys
import time


async def run(get, url, total, concurrency):
    """Fetches `total` documents, `concurrency` at a time; prints requests a second, and us each."""
    await get(url.replace("{}", "1"))
    numbers = iter(range(1, total + 1))
    count = 0

    async def worker():
        nonlocal count
        for i in numbers:
            name = json.loads(await get(url.replace("{}", str(i))))["name"]
            assert name in ("pikachu", "pokemon-%d" % i)
            count += 1

    start, used = time.monotonic(), time.process_time()
    await asyncio.gather(*[worker() for _ in range(concurrency)])
    assert count == total
    seconds = time.monotonic() - start
    print("%.0f %.1f" % (total / seconds, (time.process_time() - used) / total * 1e6))


async def with_aiohttp(url, total, concurrency, ca):
    import aiohttp
    assert ca is None

    async def get(target):
        async with session.get(target) as response:
            assert response.status == 200
            return await response.read()

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        await run(get, url, total, concurrency)


async def with_httpx(url, total, concurrency, ca):
    import httpx

    async def get(target):
        response = await client.get(target)
        assert response.status_code == 200
        assert response.http_version == ("HTTP/2" if ca else "HTTP/1.1")
        return response.content

    connections = 1 if ca else concurrency
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    verify = ssl.create_default_context(cafile=ca) if ca else True
    async with httpx.AsyncClient(http2=ca is not None, verify=verify, limits=limits, timeout=60) as client:
        await run(get, url, total, concurrency)


def main(client, url, total="20000", concurrency="64", _work="decode", ca=None):
    if client == "aiohttp":
        import uvloop
        uvloop.install()
    with_client = {"aiohttp": with_aiohttp, "httpx": with_httpx}[client]
    asyncio.run(with_client(url, int(total), int(concurrency), ca))


main(*sys.argv[1:])
