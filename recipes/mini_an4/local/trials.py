#!/usr/bin/env python3
"""Makes a trial list of all pairs of utterances of a Kaldi data directory, from its utt2spk.

usage: local/trials.py DATA_DIR
"""

import itertools
import os
import sys
from pathlib import Path

folder = Path(sys.argv[1])
speakers = dict(line.split() for line in (folder / "utt2spk").read_text().splitlines())
with open(folder / "trials.tmp", "w") as file:
    for enroll, test in itertools.combinations(speakers, 2):
        label = "target" if speakers[enroll] == speakers[test] else "nontarget"
        print(enroll, test, label, file=file)
os.replace(folder / "trials.tmp", folder / "trials")
