"""Runners that write their results themselves."""

import json
import os
import time

import faults
from base_runner import BaseRunner
from notes import note

Provider = faults.Provider


class Writes(BaseRunner):
    """A line and a file for each item. `faults` may be of `forward`, or of a hook: `write raise`."""

    @staticmethod
    def forward(idx, dataset, faults, seconds, **env):
        note(f"forward {idx}")
        fail(faults, "", idx)
        time.sleep(seconds)
        return {"idx": idx, "square": dataset[idx] ** 2}

    @staticmethod
    def open_writers(shard_dir, *, faults, shard_id, output_dir, **env):
        assert shard_dir.name == f"split.{shard_id}", shard_dir
        note(f"open {shard_id}")
        fail(faults, "open", shard_id)
        (shard_dir / "audio").mkdir()
        # Buffered: what was not closed is not there.
        return {"text": open(shard_dir / "text", "w"), "items": [], "dir": shard_dir}

    @staticmethod
    def write_record(writers, result, state, faults, **env):
        idx = result["idx"]
        file = writers["dir"] / "audio" / f"{idx}.txt"
        file.write_text(f"audio of {idx}\n")
        writers["text"].write(f"utt{idx} {result['square']} ")
        # Half a line is there when this fails.
        fail(faults, "write", idx)
        writers["text"].write(f"{file}\n")
        writers["items"].append(idx)

    @staticmethod
    def close_writers(writers, state, faults, **env):
        for idx in writers["items"]:
            fail(faults, "close", idx)
        writers["text"].close()

    def merge(self, shard_dirs):
        with open(self.output_dir / "text", "w") as out:
            for shard_dir in shard_dirs:
                out.write((shard_dir / "text").read_text())
        note("merge")
        return {"folders": [str(shard_dir) for shard_dir in shard_dirs]}


class WritesBatches(Writes):
    @staticmethod
    def forward(idx, dataset, faults, seconds, **env):
        note("batch " + ",".join(map(str, idx)))
        return [Writes.forward(each, dataset, faults, seconds) for each in idx]

    @staticmethod
    def write_record(writers, result, state, faults, **env):
        for each in result:
            Writes.write_record(writers, each, state, faults)


class AtTheEnd(BaseRunner):
    """Its `write_record` is the base's: results are in memory until the writers are closed."""

    @staticmethod
    def forward(idx, dataset, **env):
        return {"square": dataset[idx] ** 2}

    @staticmethod
    def close_writers(writers, state, **env):
        squares = [record["square"] for record in state["records"]]
        with open(os.path.join(state["shard_dir"], "squares"), "w") as file:
            file.writelines(f"{square}\n" for square in squares)

    def merge(self, shard_dirs):
        return {"squares": [int(line) for each in shard_dirs for line in (each / "squares").open()]}


class OnlyForward(BaseRunner):
    """In ESPnet3 its results are lost: the hooks of its base keep them nowhere."""

    @staticmethod
    def forward(idx, dataset, **env):
        return {"square": dataset[idx] ** 2}


class OnlyMerge(OnlyForward):
    """A record may have a field that we have, too."""

    @staticmethod
    def forward(idx, dataset, **env):
        return {"square": dataset[idx] ** 2, "part": "train"}

    def merge(self, shard_dirs):
        lines = [line for each in shard_dirs for line in (each / "results.jsonl").open()]
        return {"items": [json.loads(line)["idx"] for line in lines]}


def fail(table, hook, idx):
    how = table.get(str(idx), "")
    if hook and how.startswith(hook + " ") or not hook and " " not in how:
        note(f"{hook or 'forward'} fails at {idx}")
        faults.fail(how.removeprefix(hook).strip(), idx)
