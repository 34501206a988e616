"""The rival of bench/memory.lua in asyncio and aiohttp; the same modes, the same output.

usage: python3 bench/memory.py tasks [count=100000] | connections URL [count=500]
"""
import asyncio
import gc
import os
import sys


def resident():
    gc.collect()
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024


async def tasks(count="100000"):
    begun = 0

    async def task():
        nonlocal begun
        begun += 1
        await asyncio.sleep(3600)

    before = resident()
    running = [asyncio.create_task(task()) for _ in range(int(count))]
    await asyncio.sleep(0)
    each = (resident() - before) / len(running)
    assert begun == len(running)
    print("%.0f" % each, flush=True)


async def connections(url, count="500"):
    import aiohttp
    count = int(count)

    async def get():
        async with session.get(url) as response:
            assert response.status == 200
            await response.read()

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3600)
    async with aiohttp.ClientSession(connector=connector) as session:
        await get()
        before = resident()
        await asyncio.gather(*[get() for _ in range(count)])
        more = sum(map(len, connector._conns.values())) - 1
        assert more >= count // 2
        print("%.0f" % ((resident() - before) / more), flush=True)
        os._exit(0)


async def main(mode, *arguments):
    await {"tasks": tasks, "connections": connections}[mode](*arguments)
    os._exit(0)  # to cancel them all takes longer


asyncio.run(main(*sys.argv[1:]))
