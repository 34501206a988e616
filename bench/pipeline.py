"""The rival of bench/pipeline.lua in aiostream; the same output.

usage: python3 bench/pipeline.py [items=1000000]
"""
import asyncio
import sys
import time

from aiostream import pipe, stream


async def main(items=1000000):
    start = time.process_time()
    total = 0
    source = stream.range(1, items + 1)
    piped = source | pipe.map(lambda i: i * 3) | pipe.filter(lambda v: v % 2 == 0) | pipe.take(items // 2)
    async with piped.stream() as values:
        async for value in values:
            total += value
    assert total == 3 * (items // 2) * (items // 2 + 1)
    print("%.0f" % (items / (time.process_time() - start)))


asyncio.run(main(*map(int, sys.argv[1:])))
