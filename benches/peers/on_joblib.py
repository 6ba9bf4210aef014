"""joblib, which finds the size of its batches by itself.

usage: on_joblib.py WORKLOAD N OUT
"""

import sys

import work
from joblib import Parallel, delayed

workload, n, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open(out, "w") as file:
    lines = Parallel(n_jobs=2, return_as="generator")(
        delayed(work.line)(workload, idx) for idx in range(n)
    )
    file.writelines(lines)
