#!/usr/bin/env python3
"""Makes Kaldi data directories from AN4: data/train, data/test and data/all.

usage: local/prepare.py [AN4_DIR [DATA_DIR]]
"""

import os
import re
import sys
from pathlib import Path


def utt_id(stem: str) -> str:
    """an251-fash-b becomes fash-an251-b: sorting utterances then sorts speakers too, for Kaldi."""
    name, speaker, take = stem.split("-")
    return f"{speaker}-{name}-{take}"


def read_split(an4: Path, split: str) -> dict:
    """Returns {utt_id: (path, words)} of one split."""
    utterances = {}
    folder = "an4_clstk" if split == "train" else "an4test_clstk"
    for line in (an4 / f"etc/an4_{split}.transcription").read_text().splitlines():
        match = re.fullmatch(r"(?:<s> )?(.+?)(?: </s>)? \((\w+-(\w+)-\w+)\)", line.strip())
        if match is None:
            sys.exit(f"{an4}/etc/an4_{split}.transcription: cannot read {line!r}")
        words, stem, speaker = match.groups()
        utterances[utt_id(stem)] = (an4 / "wav" / folder / speaker / f"{stem}.sph", words)
    return utterances


def write(path: Path, lines) -> None:
    """Writes a sorted table, by rename: a reader never sees half of it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(f"{key} {value}\n" for key, value in sorted(lines)))
    os.replace(temporary, path)


def main(an4: Path = Path("downloads/an4"), data: Path = Path("data")) -> None:
    train, test = read_split(an4, "train"), read_split(an4, "test")
    # One recording has no transcript: it is in data/all only.
    recordings = {utt_id(path.stem): (path, None) for path in an4.glob("wav/*/*/*.sph")}
    everything = {**recordings, **train, **test}
    for split, utterances in [("train", train), ("test", test), ("all", everything)]:
        folder = data / split
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "text", ((key, words) for key, (_, words) in utterances.items() if words))
        write(folder / "utt2spk", ((key, key.split("-")[0]) for key in utterances))
        write(folder / "wav.scp", ((key, path) for key, (path, _) in utterances.items()))
        print(f"{folder}: {len(utterances)} utterances", file=sys.stderr)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
