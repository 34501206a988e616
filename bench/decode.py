"""The rival of bench/decode.lua in CPython: json.loads.

usage: python3 bench/decode.py FILE [count]
"""
import json
import sys
import time

path, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100
with open(path, encoding="utf-8") as file:
    text = file.read()

for n in (count // 10 + 1, count):  # the first warms up
    start = time.process_time()
    for _ in range(n):
        assert json.loads(text)["name"]
print("%.4f" % ((time.process_time() - start) / count * 1e3))
