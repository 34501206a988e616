"""The rival of bench/generator.lua in asyncio; its modes and its output.

usage: python3 bench/generator.py step|wait|tasks [count]
"""
import asyncio
import gc
import sys
import time


async def body(n):
    for i in range(1, n + 1):
        yield i


async def step(n=400000):
    for items in (n // 10, n):  # the first warms up
        start, total = time.process_time(), 0
        async for i in body(items):
            total += i
        assert total == items * (items + 1) // 2
    print("%.1f" % ((time.process_time() - start) / n * 1e9))


async def wait(n=30000):
    start = time.process_time()
    for _ in range(n):
        await asyncio.sleep(0)
    print("%.1f" % ((time.process_time() - start) / n * 1e9))


def resident():
    gc.collect()
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024


async def tasks(n=100000):
    woken = 0
    loop = asyncio.get_running_loop()

    async def task():
        nonlocal woken
        await asyncio.sleep(wake - loop.time())
        woken += 1

    before, start = resident(), time.process_time()
    running = [asyncio.create_task(task()) for _ in range(n)]
    wake = loop.time() + 3 + n * 1.5e-4  # by then all have begun
    await asyncio.sleep(0)
    spent = time.process_time() - start
    after = resident()
    assert woken == 0 and loop.time() < wake
    start = time.process_time()
    await asyncio.gather(*running)
    spent += time.process_time() - start
    print("%.0f %.2f" % ((after - before) / n, spent))


asyncio.run(globals()[sys.argv[1]](*map(int, sys.argv[2:])))
