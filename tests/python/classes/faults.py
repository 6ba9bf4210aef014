"""Squares, and what can go wrong: `faults` in the config says what happens at which item."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

from notes import note


class Provider:
    def __init__(self, config):
        self.config = config

    @staticmethod
    def build_dataset(config):
        return range(config.n)

    def build_env_local(self):
        config = self.config
        note("env built here")
        time.sleep(config.get("build_s") or 0)
        return {
            "dataset": self.build_dataset(config),
            "faults": config.get("faults") or {},
            "seconds": config.get("seconds") or 0,
        }


def forever(depth):
    return forever(depth + 1) + 1


def fail(how, idx):
    if how == "raise":
        raise ValueError(f"corrupt audio: {idx}")
    if how == "_exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "oom":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.abort()
    if how == "sys.exit":
        sys.exit(4)
    if how == "recursion":
        forever(0)
    if how == "memory":
        bytearray(1 << 60)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "exit in a thread":
        threading.Thread(target=os._exit, args=[6]).start()
        time.sleep(60)
    if how in ("hang", "orphan"):
        # With a program that hangs, too; the test looks for this word.
        sleep = "import time; time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", sleep, "espnet3_par_child"])
        if how == "orphan":
            os._exit(3)
        child.wait()
    if how == "once":
        # As of a node that had too little memory just then.
        if not os.path.exists(os.environ["NOTES"] + ".once"):
            open(os.environ["NOTES"] + ".once", "w").close()
            os._exit(3)
    if how == "wait":
        while not os.path.exists(os.environ["NOTES"] + ".go"):
            time.sleep(0.01)


busy = threading.Lock()


class Runner:
    @staticmethod
    def forward(idx, dataset, faults, seconds):
        note(f"forward {idx}")
        assert busy.acquire(blocking=False), "two calls at a time"
        try:
            how = faults.get(str(idx))
            if how:
                fail(how, idx)
            time.sleep(seconds)
            return {"square": dataset[idx] ** 2}
        finally:
            busy.release()


class Threads:
    @staticmethod
    def forward(idx):
        return {"pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}
