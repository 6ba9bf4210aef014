"""datatrove's local executor and its writer of JSONL.

usage: on_datatrove.py WORKLOAD N OUT
"""

import shutil
import sys
from pathlib import Path

import work
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter


class Items(PipelineStep):
    def __init__(self, workload, n):
        super().__init__()
        self.workload, self.n = workload, n

    def run(self, data, rank=0, world_size=1):
        for idx in range(*work.parts(self.n, world_size)[rank]):
            record = work.record(self.workload, idx)
            yield Document(text=".", id=str(idx), metadata=record)


def fields(_writer, document):
    return document.metadata


if __name__ == "__main__":
    workload, n, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    # A task is a process that builds the env anew.
    tasks = 2 if workload == "large_env" else 16
    folder = Path(f"{out}.run")
    writer = JsonlWriter(str(folder / "out"), compression=None, adapter=fields)
    LocalPipelineExecutor(
        [Items(workload, n), writer], tasks=tasks, workers=2, logging_dir=str(folder / "logs")
    ).run()
    with open(out, "wb") as file:
        for part in sorted((folder / "out").glob("*.jsonl")):
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, file)
