#!/usr/bin/env python3
"""The corpus of broken_corpus.sh, in the current directory.

usage: broken_corpus.py make             corpus/, from AN4's recordings in data/all/wav.scp
       broken_corpus.py mend [KIND...]   the broken files become good: these, or all that asr refuses
       broken_corpus.py check RUN        a run of asr: records and errors are those that they must be
       broken_corpus.py check_prepared RUN   the same of a run of prepare
"""

import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

UTTERANCES, OF_EACH_KIND = 1000, 10

EARLY = r"the file ends early: \d+ of \d+ samples could be read"
EARLY_OR_DAMAGED = EARLY.replace("early", "early or is damaged")


def header(rate: int, length: int) -> bytes:
    """Of a WAV file with one channel of 16 bits and so many bytes."""
    return (b"RIFF" + struct.pack("<I", 36 + length) + b"WAVEfmt "
            + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) + b"data" + struct.pack("<I", length))


def half(file: bytes) -> bytes:
    return file[: len(file) // 2]


def flip(file: bytes, place: int) -> bytes:
    return file[:place] + bytes([file[place] ^ 0xFF]) + file[place + 1 :]


def every_second_sample(wav: bytes) -> bytes:
    samples = wav[44:]
    samples = b"".join(samples[at : at + 2] for at in range(0, len(samples), 4))
    return header(8000, len(samples)) + samples


def not_a_number(length: int) -> bytes:
    """A WAV file of so many bytes of floats, of which the seventh is none."""
    floats = struct.pack("<8f", *[0.0] * 7, float("nan")).ljust(length // 4 * 4, b"\0")
    file = bytearray(header(16000, len(floats)) + floats)
    # The tag of floats, bytes a second, bytes a sample, bits.
    file[20], file[28:32], file[32], file[34] = 3, struct.pack("<I", 4 * 16000), 4, 32
    return bytes(file)


# The name's ending is the format of the file that `spoil` gets; it returns the spoilt one, None where there is to be
# no file, or what makes something else of its name.
# kind: (spoil, what prepare calls it, the reason)
KINDS = {
    "half.wav": (half, "truncated", EARLY),
    "half.sph": (half, "truncated", r"the file ends after \d+ of \d+ samples"),
    "half.flac": (half, "truncated", EARLY_OR_DAMAGED),
    "longer.wav": (lambda wav: header(16000, 10 * len(wav)) + wav[44:], "truncated", EARLY),
    "empty.wav": (lambda _: b"", "empty", "the file is empty"),
    "text.wav": (lambda _: b"this is said\n", "not audio", 'neither WAV, FLAC nor NIST SPHERE: it starts with "this"'),
    "header.wav": (lambda wav: wav[:30], "truncated", "the file ends within its header"),
    "header.sph": (lambda sph: sph[:700], "truncated", "the file ends within its header"),
    "hz.wav": (lambda wav: header(0, len(wav) - 44) + wav[44:], "damaged", "wrong header: a sample rate of 0 Hz"),
    "none.wav": (lambda _: header(16000, 0), "empty", "no samples"),
    "nan.wav": (lambda wav: not_a_number(len(wav) - 44), "damaged", "no sound: sample 7 is NaN"),
    "flip.flac": (
        lambda flac: flip(flac, len(flac) // 2), "damaged", r"damaged after \d+ samples: the next \d+ cannot be read",
    ),
    "md5.flac": (
        lambda flac: flip(flac, 30), "damaged", "wrong checksum: its samples do not have the MD5 in its header",
    ),
    "sum.sph": (
        lambda sph: flip(sph, 5000), "damaged", r"wrong checksum: its samples sum to \d+, its header says \d+",
    ),
    "missing.wav": (lambda _: None, "missing file", r"No such file or directory \(os error 2\)"),
    "folder.wav": (lambda _: os.mkdir, "unreadable", "it is a folder, and no file"),
    "pipe.wav": (lambda _: os.mkfifo, "unreadable", "it is a pipe, and no file"),
}
# What asr takes, and `prepare: {sample_rate: 16000}` does not.
SLOW = {"8k.wav": (every_second_sample, "wrong sample rate", "8000 Hz, and not 16000 Hz")}
# What is odd only by its name.
MISNAMED = {"sphere.wav": "sph", "wav.flac": "wav"}


def make() -> None:
    scp = [line.split() for line in Path("data/all/wav.scp").read_text().splitlines()]
    Path("good").mkdir()
    for name, path in scp:
        sph = Path(path).read_bytes()
        Path(f"good/{name}.sph").write_bytes(sph)
        Path(f"good/{name}.wav").write_bytes(header(16000, len(sph) - 1024) + sph[1024:])
        subprocess.run(["sox", "-t", "sph", path, f"good/{name}.flac"], check=True)
    kinds = [kind for kind in [*KINDS, *SLOW, *MISNAMED] for _ in range(OF_EACH_KIND)]
    kinds += [f"good.{['wav', 'sph', 'flac'][nth % 3]}" for nth in range(UTTERANCES - len(kinds))]
    random.Random(1).shuffle(kinds)
    Path("corpus/wav").mkdir(parents=True)
    utterances = []
    for nth, kind in enumerate(kinds):
        recording = scp[nth % len(scp)][0]
        ending = kind.split(".")[1]
        path = Path(f"corpus/wav/{nth:04}.{ending}")
        good = Path(f"good/{recording}.{MISNAMED.get(kind, ending)}")
        spoil = {**KINDS, **SLOW}.get(kind, [lambda _: good])[0]
        spoilt = spoil(good.read_bytes())
        if spoilt is good:
            os.link(good, path)
        elif callable(spoilt):
            spoilt(path)
        elif spoilt is not None:
            path.write_bytes(spoilt)
        utterances.append({"id": f"u{nth:04}", "recording": recording, "kind": kind, "path": str(path)})
    Path("corpus/wav.scp").write_text("".join(f"{utt['id']} {utt['path']}\n" for utt in utterances))
    write(utterances)


def mend(*kinds: str) -> None:
    utterances = read()
    for utt in utterances:
        if utt["kind"] in (kinds or KINDS):
            path, ending = Path(utt["path"]), utt["kind"].split(".")[1]
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            os.link(f"good/{utt['recording']}.{ending}", path)
            utt["kind"] = f"good.{ending}"
    write(utterances)


def read() -> list:
    return json.loads(Path("corpus.json").read_text())


def write(utterances: list) -> None:
    Path("corpus.json").write_text(json.dumps(utterances))


def lines(path: Path) -> list:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def same(what: str, ours: list, wanted: list) -> None:
    for one, other in zip(ours, wanted):
        assert one == other, f"{what}: {one}, and not {other}"
    assert len(ours) == len(wanted), f"{what}: {len(ours)}, and not {len(wanted)}"


def check_errors(run: Path, utterances: list, broken: dict, message) -> None:
    """Each broken one is named once, in order, with its path and what is wrong with it."""
    errors = lines(run / "errors.jsonl")
    expected = [(idx, utt) for idx, utt in enumerate(utterances) if utt["kind"] in broken]
    same("errors", [error["idx"] for error in errors], [idx for idx, _ in expected])
    for error, (_, utt) in zip(errors, expected):
        assert error["item"] == f"{utt['id']} ({utt['path']})" and error["kind"] == "error", error
        _, fault, reason = broken[utt["kind"]]
        assert re.fullmatch(message(utt["path"], fault, reason), error["error"]), f"{utt['kind']}: {error}"


def check(run: Path) -> None:
    utterances = read()
    if run.name == "prepared":
        utterances = [utt for utt in utterances if utt["kind"] not in {**KINDS, **SLOW}]
    clean = {record["utt_id"]: record for record in lines(Path("exp/clean/results.jsonl"))}
    records = lines(run / "results.jsonl")
    good = [(idx, utt) for idx, utt in enumerate(utterances) if utt["kind"] not in KINDS]
    wanted = [{**clean[utt["recording"]], "idx": idx, "utt_id": utt["id"]} for idx, utt in good]
    # Its words may be others, for it lacks what is above 4 kHz.
    slow = {utt["id"] for utt in utterances if utt["kind"] in SLOW}
    for record, other in zip(records, wanted):
        if record["utt_id"] in slow:
            other.update(text=record["text"], score=record["score"])
    same("records", records, wanted)
    same("text", (run / "text").read_text().splitlines(), [f"{r['utt_id']} {r['text']}".strip() for r in wanted])
    place = "(failed to read audio `{}`: )?"
    check_errors(run, utterances, KINDS, lambda path, _, reason: place.format(path) + reason)


def check_prepared(run: Path) -> None:
    utterances, broken = read(), {**KINDS, **SLOW}
    good = [utt for utt in utterances if utt["kind"] not in broken]
    same("records", [record["utt_id"] for record in lines(run / "results.jsonl")], [utt["id"] for utt in good])
    same("wav.scp", (run / "data/wav.scp").read_text().splitlines(), [f"{utt['id']} {utt['path']}" for utt in good])
    check_errors(run, utterances, broken, lambda _, fault, reason: f"{fault}: {reason}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command in ("check", "check_prepared"):
        arguments = [Path(arguments[0])]
    {"make": make, "mend": mend, "check": check, "check_prepared": check_prepared}[command](*arguments)
