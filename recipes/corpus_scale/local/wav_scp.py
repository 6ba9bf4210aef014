#!/usr/bin/env python3
"""Makes wav.scp and utt2dur of a data directory from a run of espeak-ng.

usage: local/wav_scp.py RUN_DIR DATA_DIR
"""

import json
import os
import sys
import wave
from pathlib import Path


def main(run, data):
    tables = {"wav.scp": [], "utt2dur": []}
    for line in (run / "results.jsonl").open():
        record = json.loads(line)
        path = run / record["wav"]
        with wave.open(str(path)) as file:
            duration = file.getnframes() / file.getframerate()
        tables["wav.scp"].append(f"{record['utt_id']} {path}\n")
        tables["utt2dur"].append(f"{record['utt_id']} {duration:.6f}\n")
    for name, lines in tables.items():
        temporary = data / f"{name}.tmp"
        temporary.write_text("".join(sorted(lines)))
        os.replace(temporary, data / name)
    hours = sum(float(line.split()[1]) for line in tables["utt2dur"]) / 3600
    print(f"{data}: {len(tables['wav.scp'])} utterances, {hours:.2f} hours", file=sys.stderr)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
