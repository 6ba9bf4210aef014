"""Providers and runners derived from ESPnet3's own, for tests/reference/espnet3_python.sh."""

import json
import os
import signal
import time

from espnet3.parallel.base_runner import BaseRunner, concatenate_shard_files
from espnet3.parallel.env_provider import EnvironmentProvider
from espnet3.parallel.inference_provider import InferenceProvider


def utterances(config):
    return [f"utt{number:03}" for number in range(config.utterances)]


class Provider(EnvironmentProvider):
    def build_env_local(self):
        return {"dataset": utterances(self.config), "model": self.config.model, "test": self.config.test}

    def build_worker_setup_fn(self):
        return self.build_env_local


class Inference(InferenceProvider):
    @staticmethod
    def build_dataset(config):
        return utterances(config)

    @staticmethod
    def build_model(config):
        return config.model


def compute(idx, dataset, model, test):
    """What a model might say of an utterance; and what the test wants to happen there."""
    with open(test["calls"], "a") as calls:
        calls.write(f"{idx}\n")
    if not os.path.exists(test["healed"]):
        if idx == test["bad"]:
            raise ValueError("corrupt audio")
        if idx == test["kills"]:
            with open("driver") as driver:
                os.kill(int(driver.read()), signal.SIGKILL)
            time.sleep(60)
    utt_id = dataset[idx]
    return {"utt_id": utt_id, "text": f"{model} {utt_id[::-1]} é", "length": idx / 3}


class Plain(BaseRunner):
    """Without writer hooks."""

    @staticmethod
    def forward(idx, dataset, model, test, **env):
        return compute(idx, dataset, model, test)


class Strict(BaseRunner):
    """Takes nothing but what it needs."""

    @staticmethod
    def forward(idx, dataset, model, test):
        return compute(idx, dataset, model, test)


class Scp(BaseRunner):
    """With writer hooks, as ESPnet3's InferenceRunner has them: a file for each output, and one an utterance."""

    @staticmethod
    def forward(idx, dataset, model, test, **env):
        if isinstance(idx, int):
            return compute(idx, dataset, model, test)
        return [compute(one, dataset, model, test) for one in idx]

    @staticmethod
    def open_writers(shard_dir, **env):
        return {key: open(shard_dir / f"{key}.scp", "w") for key in ("text", "length", "json")}

    @staticmethod
    def write_record(writers, result, state, **env):
        for one in result if isinstance(result, list) else [result]:
            path = os.path.join(state["shard_dir"], f"{one['utt_id']}.json")
            with open(path, "w") as file:
                json.dump(one, file)
            for key, value in {**one, "json": path}.items():
                if key in writers:
                    print(one["utt_id"], value, file=writers[key])

    def merge(self, shard_dirs):
        for name in ("text.scp", "length.scp", "json.scp"):
            concatenate_shard_files(shard_dirs, name, self.output_dir / name)
        return True
