"""ESPnet3's BaseRunner on Dask, with writers and merge as its inference has them.

usage: on_espnet3.py WORKLOAD N OUT         OUT.run is its output directory
       on_espnet3.py --manifest N OUT       only the plan, as a manifest
"""

import sys
from pathlib import Path

import work
from espnet3.parallel.base_runner import BaseRunner, concatenate_shard_files
from espnet3.parallel.env_provider import EnvironmentProvider
from espnet3.parallel.parallel import set_parallel
from omegaconf import OmegaConf


class Provider(EnvironmentProvider):
    def build_env_local(self):
        return {"workload": self.config.workload, "model": work.env(self.config.workload)}

    def build_worker_setup_fn(self):
        return self.build_env_local


class Runner(BaseRunner):
    @staticmethod
    def forward(idx, workload, model, **env):
        return {"idx": idx, **work.fields(workload, idx, model)}

    @staticmethod
    def open_writers(shard_dir, **env):
        return {"results": open(shard_dir / "results.jsonl", "w")}

    @staticmethod
    def write_record(writers, result, state, **env):
        writers["results"].write(work.encode(result) + "\n")

    def merge(self, shard_dirs):
        concatenate_shard_files(shard_dirs, "results.jsonl", OUT)


if __name__ == "__main__":
    workload, n, OUT = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    set_parallel(OmegaConf.create({"env": "local", "n_workers": 2}))
    runner = Runner(Provider(OmegaConf.create({"workload": workload})), output_dir=f"{OUT}.run")
    if workload == "--manifest":
        runner._write_manifest(runner._plan_shards(range(n))).rename(OUT)
    else:
        runner(range(n))
