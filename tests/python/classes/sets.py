"""A dataset for each test set, as ESPnet3's inference has it."""

import os

from base_runner import BaseRunner
from notes import note


class Provider:
    def __init__(self, config):
        self.config = config

    @staticmethod
    def build_dataset(config):
        (chosen,) = [each for each in config.dataset.test if each.name == config.test_set]
        return [f"{chosen.name}-{n}" for n in range(chosen.n)]

    def build_env_local(self):
        note(f"env built for {self.config.test_set}")
        return {"dataset": self.build_dataset(self.config), "faults": self.config.get("faults") or {}}


class Runner:
    @staticmethod
    def forward(idx, dataset, faults):
        note(f"forward {dataset[idx]}")
        fail(faults, dataset[idx])
        return {"utt_id": dataset[idx], "n": 2**70 + idx, "score": 1e22}


class Writes(BaseRunner):
    """A file of its own for every set, and a dict of what is in it."""

    @staticmethod
    def forward(idx, dataset, faults, **env):
        note(f"forward {dataset[idx]}")
        fail(faults, dataset[idx])
        return dataset[idx]

    @staticmethod
    def open_writers(shard_dir, output_dir, **env):
        return {"text": open(shard_dir / "text", "w"), "output_dir": output_dir}

    @staticmethod
    def write_record(writers, result, state, **env):
        writers["text"].write(f"{result} {writers['output_dir']}\n")

    @staticmethod
    def close_writers(writers, state, **env):
        writers["text"].close()

    def merge(self, shard_dirs):
        text = "".join((shard_dir / "text").read_text() for shard_dir in shard_dirs)
        (self.output_dir / "text").write_text(text)
        return {"lines": text.count("\n")}


class Lists:
    @staticmethod
    def forward(idx, dataset, faults):
        note("batch " + ",".join(dataset[each] for each in idx))
        return [{"utt_id": dataset[each]} for each in idx]


def fail(faults, name):
    if faults.get(name) == "raise":
        raise ValueError(f"corrupt audio: {name}")
    if faults.get(name) == "exit":
        os._exit(3)
