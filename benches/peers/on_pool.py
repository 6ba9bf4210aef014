"""multiprocessing.Pool, or with `--ray` Ray's class of the same methods.

usage: on_pool.py WORKLOAD N OUT [--ray]
"""

import functools
import sys

import work

if __name__ == "__main__":
    workload, n, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if "--ray" in sys.argv:
        import ray
        from ray.util.multiprocessing import Pool

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    else:
        from multiprocessing import Pool
    # Short items go out by many; those that take long one by one.
    chunk = max(1, n // 128) if workload in ("noop", "floats") else 1
    with Pool(2) as pool, open(out, "w") as file:
        for line in pool.imap(functools.partial(work.line, workload), range(n), chunksize=chunk):
            file.write(line)
