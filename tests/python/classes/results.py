"""What `forward` may return, and what it may not."""

import ctypes
import math
import os
import pathlib
import random
import struct
import sys
import time
from collections import OrderedDict, namedtuple

from notes import note


class Array:
    """As of NumPy: no list, and no number, but it can tell what it would be."""

    def __init__(self, value):
        self.value = value

    def tolist(self):
        return self.value


class Deadly:
    def tolist(self):
        os._exit(9)


class Endless:
    def tolist(self):
        time.sleep(600)


class Real(float):
    """NumPy's float64 is a float, too."""


Pair = namedtuple("Pair", "one two")


def circle():
    ring = []
    ring.append(ring)
    return ring


# In the order of the items; the test has the same list of what becomes of them.
CASES = {
    "good": [
        lambda: {"text": "a", "n": 1},
        lambda: 3,
        lambda: [1, "two", None, True],
        lambda: None,
        lambda: (1, Pair(2, 3)),
        lambda: {"deep": {"er": [{"x": (1.5,)}]}},
        lambda: {"text": "Grüße, 東京 \U0001f600 \u2028 \"\\\n\t\x00"},
        lambda: float("nan"),
        lambda: {"scores": [1.0, float("inf"), -math.inf, float("nan")], "mean": math.nan},
        lambda: 2**53 + 1,
        lambda: [-(2**63), 2**64, 2**70],
        lambda: {"path": pathlib.Path("exp/a.wav"), "paths": [pathlib.PurePosixPath("b")]},
        lambda: {"array": Array([[1.5, 2.0], [3.0, float("nan")]]), "scalar": Array(7)},
        lambda: Array([1, 2]),
        lambda: Real(0.1),
        lambda: OrderedDict(b=1, a=2),
        lambda: {},
        lambda: {1: "one", True: "yes", None: "no"},
        lambda: "value",
        lambda: [],
    ],
    "bad": [
        lambda: {1, 2},
        lambda: {"audio": b"RIFF"},
        lambda: {"name": "\udc80"},
        lambda: {("a", "b"): 1},
        lambda: circle(),
        lambda: {"nested": [{"x": object()}], "long": [0.5] * 1000},
        lambda: 1 + 2j,
        lambda: {"test_set": "mine"},
    ],
    "deadly": [lambda: 0, lambda: 1, lambda: Array(Deadly()), lambda: 3, lambda: 4],
    "endless": [lambda: 0, lambda: 1, lambda: Endless(), lambda: 3, lambda: 4],
}


class Provider:
    def __init__(self, config):
        self.config = config

    @staticmethod
    def build_dataset(config):
        return CASES[config.cases] if "cases" in config else range(config.n)

    def build_env_local(self):
        note("env built here")
        return {"dataset": self.build_dataset(self.config)}


class Runner:
    @staticmethod
    def forward(idx, dataset):
        note(f"forward {idx}")
        return dataset[idx]()


class OddNames(Runner):
    """Names as of files whose bytes are no UTF-8."""

    @staticmethod
    def item_name(idx):
        return f"file\udcff{idx}"


def floats(idx, n):
    """Doubles of every kind, and some that are none."""
    dice = random.Random(idx)
    values = [struct.unpack("d", dice.randbytes(8))[0] for _ in range(n - 6)]
    return values + [0.0, -0.0, 5e-324, math.inf, -math.inf, math.nan]


class Floats:
    """Lists that go as numbers; beside each, its values as Python writes them."""

    @staticmethod
    def forward(idx):
        values = floats(idx, (31, 32, 33, 1000)[idx % 4])
        texts = [repr(value) if math.isfinite(value) else None for value in values]
        shapes = {
            0: {"floats": values},
            1: {"floats": Array(values), "again": values, "after": [1.0] * 40},
            2: {"deep": {"floats": values}, "floats": values},
        }
        return {"texts": texts, **shapes[idx % 3]}


class Large:
    @staticmethod
    def forward(idx):
        return {"text": chr(ord("a") + idx) * 20_000_000} if idx % 3 == 1 else idx


class Loud:
    """Says something by every way there is, and leaves children behind that have all that it has."""

    @staticmethod
    def forward(idx):
        print(f"print {idx}")
        print(f"to stderr {idx}", file=sys.stderr)
        os.write(1, f"fd one {idx}\n".encode())
        os.write(2, f"fd two {idx}\n".encode())
        os.system(f"echo echo {idx}")
        ctypes.CDLL(None).puts(f"from C {idx}".encode())
        ctypes.CDLL(None).fflush(None)
        sys.stdout.flush()
        if idx == 3 and os.fork() == 0:
            # As a library would that knows nothing of this process: whatever is open gets a line.
            for fd in range(3, 64):
                try:
                    os.write(fd, b'{"idx":99}\n')
                except OSError:
                    pass
            time.sleep(20)
            os._exit(0)
        return {"square": idx * idx}


class Forks:
    """Children that leave `forward` by its usual ways, and not by `os._exit`."""

    @staticmethod
    def forward(idx):
        note(f"forward {idx}")
        if idx % 4 == 1:
            child = os.fork()
            if child == 0:
                if idx % 8 == 1:
                    sys.exit(3)
                raise ValueError(f"in the child of {idx}")
            return {"square": idx * idx, "child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}
        if idx % 4 == 3:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
        return {"square": idx * idx}
