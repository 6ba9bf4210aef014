"""The functions of the workloads in Python, for peers that run Python; as a program, the bare loop.

usage: work.py WORKLOAD FIRST LAST OUT      the records of FIRST to LAST - 1
"""

import functools
import json
import sys
import time

encode = json.JSONEncoder(separators=(",", ":")).encode
LARGE = 200_000_000


@functools.cache
def env(workload):
    """Built at first use, once a process: 200 MB that take two seconds, or nothing."""
    if workload != "large_env":
        return None
    ready = time.monotonic() + 2
    model = b"\1" * LARGE
    time.sleep(ready - time.monotonic())
    return model


def fields(workload, idx, env):
    if workload == "noop":
        return {"value": idx}
    if workload == "floats":
        return {"value": [idx * 0.001 + i / 7 for i in range(1000)]}
    start = time.time()
    if workload == "busy":
        end = time.thread_time() + 0.001
        while time.thread_time() < end:
            pass
    elif workload == "uneven":
        time.sleep(0.2 if idx < 20 else 0.005)
    elif workload == "large_env":
        assert len(env) == LARGE
        time.sleep(0.005)
    else:
        assert workload == "clock"
    return {"start": start, "end": time.time()}


def record(workload, idx):
    return {"idx": idx, **fields(workload, idx, env(workload))}


def line(workload, idx):
    return encode(record(workload, idx)) + "\n"


def lines(workload, first, last):
    return [line(workload, idx) for idx in range(first, last)]


def parts(n, count):
    """`count` ranges of equal length that cover the items."""
    return [(n * part // count, n * (part + 1) // count) for part in range(count)]


if __name__ == "__main__":
    with open(sys.argv[4], "w") as out:
        for idx in range(int(sys.argv[2]), int(sys.argv[3])):
            out.write(line(sys.argv[1], idx))
