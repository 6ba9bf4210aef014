"""A base class of the shape of ESPnet3's: its hooks only stand in."""


from abc import ABC, abstractmethod


class BaseRunner(ABC):
    def __init__(self, provider, batch_size=None, output_dir=None, shard_subdir="", resume=True):
        self.provider = provider
        self.batch_size = batch_size
        self.output_dir = output_dir

    @staticmethod
    @abstractmethod
    def forward(idx, dataset, model, **env):
        raise NotImplementedError

    @staticmethod
    def open_writers(shard_dir, **env):
        return {}

    @staticmethod
    def write_record(writers, result, state, **env):
        state.setdefault("records", []).append(result)

    @staticmethod
    def close_writers(writers, state, **env):
        for writer in writers.values():
            close = getattr(writer, "close", None)
            if callable(close):
                close()

    def merge(self, shard_dirs):
        return None
