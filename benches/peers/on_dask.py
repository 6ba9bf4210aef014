"""Dask's client.map, a task an item.

usage: on_dask.py WORKLOAD N OUT
"""

import functools
import sys

import work
from dask.distributed import Client, LocalCluster

if __name__ == "__main__":
    workload, n, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client, open(out, "w") as file:
            futures = client.map(functools.partial(work.line, workload), range(n), pure=False)
            file.writelines(client.gather(futures))
