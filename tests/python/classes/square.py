"""Squares, by providers and runners of every shape that is allowed, and of some that are not."""

from notes import note


class Provider:
    """What ESPnet3's look like: a config, and a function that builds the env in a worker."""

    def __init__(self, config, params=None):
        note("provider made")
        self.config = config
        self.params = params or {}

    @staticmethod
    def build_dataset(config):
        note("dataset built")
        return range(config.n)

    def build_env_local(self):
        note("env built here")
        return {"dataset": self.build_dataset(self.config), "power": 2, **self.params}

    def build_worker_setup_fn(self):
        def setup():
            note("env built")
            return {"dataset": self.build_dataset(self.config), "power": 2, **self.params}

        return setup


class FirstGeneration:
    def __init__(self, config):
        self.config = config

    def make_worker_setup_fn(self):
        def setup():
            note("env made")
            return {"dataset": range(self.config.n), "power": 2}

        return setup

    def build_env_local(self):
        note("env built here")
        return {"dataset": range(self.config.n), "power": 2}


class OnlyLocal:
    def __init__(self, config):
        self.config = config

    def build_env_local(self):
        note("env built here")
        return {"dataset": range(self.config["n"]), "power": 2}


class NoDict(OnlyLocal):
    def build_env_local(self):
        note("env built here")
        return [1, 2]


class Fails(OnlyLocal):
    def build_env_local(self):
        note("env built here")
        raise RuntimeError("no such checkpoint")


class Dies(OnlyLocal):
    def build_env_local(self):
        import os

        note("env built here")
        os._exit(7)


class NothingToCount(OnlyLocal):
    def build_env_local(self):
        return {"power": 2}


class OwnKeyword(Provider):
    """Takes the entries of `provider` by name, and no `params`."""

    def __init__(self, config, power):
        super().__init__(config)
        self.power = power

    def build_env_local(self):
        return {"dataset": range(self.config.n), "power": self.power}

    build_worker_setup_fn = None


class Runner:
    @staticmethod
    def forward(idx, dataset, power):
        note(f"forward {idx}")
        return {"square": dataset[idx] ** power}


class Everything:
    @classmethod
    def forward(cls, idx, **env):
        return {"env": sorted(env), "class": cls.__name__}


class NeedsSelf:
    def forward(self, idx, dataset):
        return idx


class NoForward:
    pass


class OwnIdx:
    @staticmethod
    def forward(idx, dataset):
        return {"idx": idx + 1} if idx == 1 else {"square": idx**2}


class IndexInEnv:
    @staticmethod
    def forward(dataset, **env):
        return 1
