"""submitit's local executor. It starts all jobs at once, so there are two.

usage: on_submitit.py WORKLOAD N OUT
"""

import sys

import submitit
import work

workload, n, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
executor = submitit.LocalExecutor(folder=f"{out}.run")
executor.update_parameters(timeout_min=60)
firsts, lasts = zip(*work.parts(n, 2))
jobs = executor.map_array(work.lines, [workload] * 2, firsts, lasts)
with open(out, "w") as file:
    for job in jobs:
        file.writelines(job.result())
