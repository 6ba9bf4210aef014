#!/usr/bin/env python3
"""Prints what was found for each utterance.

usage: local/show.py [EXP_DIR [DATA_DIR]]
"""

import json
import sys
from pathlib import Path


def records(path: Path) -> dict:
    """Returns {utt_id: record} of a results.jsonl."""
    if not path.exists():
        sys.exit(f"{path}: no such file; run the stage that makes it")
    return {record["utt_id"]: record for record in map(json.loads, path.open())}


def main(exp: Path = Path("exp"), data: Path = Path("data")) -> None:
    vad, fbank, score = (records(exp / f"{stage}/results.jsonl") for stage in ("vad", "fbank", "score"))
    text = dict(line.rstrip("\n").split(" ", 1) for line in (data / "all/text").open())
    print(f"{'utterance':14} {'seconds':>7} {'frames':>6}  {'speech':24} transcript")
    for utt_id, record in vad.items():
        speech = " ".join(f"{start:.2f}-{end:.2f}" for start, end in record["segments"])
        frames = fbank[utt_id]["num_frames"]
        words = text.get(utt_id, "(none)")
        print(f"{utt_id:14} {record['duration']:7.2f} {frames:6}  {speech:24} {words}")
        if score.get(utt_id, {}).get("wer", {}).get("errors"):
            hypothesis = " ".join(score[utt_id]["hyp"].replace("*", "").split())
            print(f"{'':54} recognised: {hypothesis or '(nothing)'}")

    stats = json.loads((exp / "collect_stats/feats_stats.json").read_text())
    means, deviations = stats["mean"], [var**0.5 for var in stats["var"]]
    print(f"\n{stats['count']} training frames of {len(means)} mel energies: "
          f"mean {min(means):.2f} to {max(means):.2f}, "
          f"standard deviation {min(deviations):.2f} to {max(deviations):.2f}")
    print((exp / "score/result.txt").read_text().split("\n\n")[0])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
