"""A provider and a runner with writer hooks, for runs whose workers are on other machines."""

from pathlib import Path


class Provider:
    def __init__(self, config):
        self.config = config

    def build_env_local(self):
        return {"dataset": range(self.config.size)}

    @staticmethod
    def build_dataset(config):
        return range(config.size)


class Runner:
    def __init__(self, output_dir):
        self.output_dir = Path(output_dir)

    @staticmethod
    def forward(idx, dataset):
        if idx == 17:
            raise ValueError("seventeen")
        return idx, dataset[idx] ** 2

    @staticmethod
    def open_writers(shard_dir):
        return {"squares": open(shard_dir / "squares", "w")}

    @staticmethod
    def write_record(writers, result, state):
        writers["squares"].write("%d %d\n" % result)

    @staticmethod
    def close_writers(writers, state):
        writers["squares"].close()

    def merge(self, shard_dirs):
        with open(self.output_dir / "squares", "w") as out:
            for folder in shard_dirs:
                out.write((folder / "squares").read_text())
