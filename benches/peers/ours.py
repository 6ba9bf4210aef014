"""The same functions as a provider and a runner of espnet3-par."""

import work


class Provider:
    def __init__(self, config):
        self.config = config

    def build_env_local(self):
        return {"workload": self.config.workload, "model": work.env(self.config.workload)}


class Runner:
    @staticmethod
    def forward(idx, workload, model):
        return work.fields(workload, idx, model)
