"""The rival of bench/generator.lua in asyncio; its modes and its output.

usage: python3 bench/generator.py step|wait [count] [asyncio|uvloop]
"""
import asyncio
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


def main(mode, count=None, loop="asyncio"):
    if loop == "uvloop":
        import uvloop
        uvloop.install()
    arguments = [] if count is None else [int(count)]
    asyncio.run({"step": step, "wait": wait}[mode](*arguments))


main(*sys.argv[1:])
