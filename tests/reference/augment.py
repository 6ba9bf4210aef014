"""Compares results of the stage augment with sox, with ESPnet's own code, and with numpy.

usage: augment.py WAV_SCP WORK_DIR ESPNET_PREPROCESSOR_PY
"""

import ast
import hashlib
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

RATE = 16000
# Root mean square of the error against sox, in steps of 16 bits: two roundings alone make 0.41.
SPEED_BOUND = 0.45
# Up to this part of the smaller Nyquist frequency. sox's filter begins at 0.95, ours later.
BAND = 0.93
# The largest error against ESPnet, in steps of 16 bits: rounding alone is half a step.
STEP_BOUND = 0.51
# Of the signal-to-noise ratio, in dB. What 16 bits round away is part of the noise that is measured.
SNR_BOUND = 0.02


def espnet_functions(path):
    """`framing`, `detect_non_silence` and the two methods of CommonPreprocessor, without the imports
    (torch and others) of the file they stand in."""
    tree = ast.parse(Path(path).read_text())
    wanted = [node for node in tree.body
              if getattr(node, "name", "") in ("framing", "detect_non_silence")]
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    wanted += [node for node in classes["CommonPreprocessor"].body
               if getattr(node, "name", "") in ("_convolve_rir", "_add_noise")]
    assert len(wanted) == 4, [node.name for node in wanted]
    names = {"np": np, "scipy": scipy, "soundfile": soundfile, "logging": logging}
    exec(compile(ast.Module(wanted, []), path, "exec"), names)
    return names


def read_scp(path):
    """{id: path} of an scp file."""
    return dict(line.split(maxsplit=1) for line in Path(path).read_text().splitlines())


def records(run):
    """The records of a run, and the samples of each, as integers."""
    for line in (run / "results.jsonl").read_text().splitlines():
        record = json.loads(line)
        samples, rate = soundfile.read(run / record["wav"], dtype="int16")
        assert rate == RATE and abs(record["duration"] - len(samples) / RATE) < 1e-9, record
        yield record, samples


def decibel(ratio):
    return 10 * np.log10(ratio)


class Draws:
    """The choices for an item, as docs/stages.md has them."""

    def __init__(self, seed, utt_id):
        self.prefix = f"{seed}\n{utt_id}\n"

    def unit(self, name):
        digest = hashlib.sha256((self.prefix + name).encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def compare_speed(run, clean, scratch):
    """The error against sox, in steps, of the utterance where it is largest. Samples moved by one
    would differ by hundreds."""
    worst = 0
    for record, samples in records(run):
        source = clean[record["source"]]
        if record["speed"] == 1.0:
            assert np.array_equal(samples, source), record
            continue
        soundfile.write(scratch / "in.wav", source, RATE, subtype="PCM_16")
        # What sox would add is noise (-D: none), what it would cut is louder than AN4.
        subprocess.run(["sox", "-D", "in.wav", "out.wav", "speed", str(record["speed"])],
                       cwd=scratch, check=True)
        expected, _ = soundfile.read(scratch / "out.wav", dtype="int16")
        assert abs(len(samples) - len(expected)) <= 1, (len(samples), len(expected), record)
        length = min(len(samples), len(expected))
        error = np.fft.rfft(samples[:length] - expected[:length].astype(float))
        error[np.fft.rfftfreq(length, 1 / RATE) > BAND * min(record["speed"], 1) * RATE / 2] = 0
        worst = max(worst, np.sqrt(np.mean(np.fft.irfft(error, length) ** 2)))
    return worst


def drawn(record, seed, ranges, clean, rirs, noises, probabilities):
    """What the record should say was chosen, and the noise as long as the utterance."""
    draws = Draws(seed, record["utt_id"])
    choice = {}
    if rirs and draws.unit("rir_apply_prob") < probabilities:
        choice["rir"] = list(rirs)[int(draws.unit("rir") * len(rirs))]
    noise = None
    if noises and draws.unit("noise_apply_prob") < probabilities:
        choice["noise"] = list(noises)[int(draws.unit("noise 0") * len(noises))]
        low, high = ranges
        choice["snr"] = round(low + draws.unit("snr") * (high - low), 2)
        whole, length = noises[choice["noise"]], len(clean)
        place = draws.unit("noise offset 0")
        if len(whole) >= length:
            start = int(place * (len(whole) - length + 1))
            noise = whole[start : start + length]
        else:
            noise = np.resize(np.roll(whole, -int(place * len(whole))), length)
    return choice, noise


def compare_mixes(run, seed, ranges, clean, rirs, noises, probabilities, espnet, scratch):
    """The largest error in steps against ESPnet's own code, and of the ratio in dB; the number of
    items that were scaled."""
    worst_step = worst_ratio = scaled = 0
    for record, samples in records(run):
        speech = clean[record["source"]] / 32768
        power = (speech[espnet["detect_non_silence"](speech[None])[0]] ** 2).mean()
        choice, noise = drawn(record, seed, ranges, speech, rirs, noises, probabilities)
        found = {key: record[key] for key in ("rir", "noise", "snr") if key in record}
        assert found == choice, (record, choice)
        mixed = speech[None]
        if "rir" in choice:
            path = scratch / "rir.wav"
            soundfile.write(path, rirs[choice["rir"]], RATE, subtype="PCM_16")
            mixed, _ = espnet["_convolve_rir"](None, mixed, power, [str(path)])
        before = mixed[0]
        if noise is not None:
            path = scratch / "noise.wav"
            soundfile.write(path, noise, RATE, subtype="PCM_16")
            snr = choice["snr"]
            mixed, _ = espnet["_add_noise"](None, mixed, power, [str(path)], snr, snr)
        expected = mixed[0] * record["gain"] * 32768
        worst_step = max(worst_step, np.abs(samples - expected).max())
        top = max(mixed.max() / (1 - 2**-15), -mixed.min())
        scaled += record["gain"] < 1
        assert abs(record["gain"] - min(1, 1 / top)) < 2e-6, (record, top)
        if noise is not None:
            added = samples / record["gain"] / 32768 - before
            ratio = decibel(power / (added**2).mean())
            worst_ratio = max(worst_ratio, abs(ratio - record["snr"]))
    return worst_step, worst_ratio, scaled


def main(scp, work, preprocessor):
    """Prints the largest differences; exits 1 if one is above its bound."""
    work = Path(work)
    espnet = espnet_functions(preprocessor)
    # AN4 is SPHERE: 1024 bytes of header, then little-endian PCM.
    clean = {utt_id: np.frombuffer(Path(path).read_bytes()[1024:], dtype="<i2")
             for utt_id, path in read_scp(scp).items()}
    rirs, noises = ({name: soundfile.read(path, dtype="int16")[0]
                     for name, path in read_scp(work / f"{kind}.scp").items()}
                    for kind in ("rirs", "noise"))
    exp, scratch = work / "exp", work / "scratch"
    scratch.mkdir(exist_ok=True)

    speed = compare_speed(exp / "speed", clean, scratch)
    print(f"speed 0.9, 1.1   RMS of the difference {speed:.3f} steps of 16 bits  (sox)")
    good = speed <= SPEED_BOUND
    start = time.perf_counter()
    for name, more in {
        "rirs": (0, None, clean, rirs, None, 1),
        "noise": (1, (-25, 20), clean, None, noises, 1),
        "both": (2, (0, 10), clean, rirs, noises, 0.5),
    }.items():
        step, ratio, scaled = compare_mixes(exp / name, *more, espnet, scratch)
        items = len((exp / name / "results.jsonl").read_text().splitlines())
        print(f"{name:16} max |difference| {step:.3f} steps of 16 bits  (ESPnet), {items} items, "
              f"{scaled} of them scaled" + (f"; ratio off by {ratio:.4f} dB" if ratio else ""))
        good &= step <= STEP_BOUND and ratio <= SNR_BOUND
    print(f"reference's time {time.perf_counter() - start:.2f} s")

    pairs = zip(records(exp / "rirs"), records(exp / "flac"))
    equal = [np.array_equal(wav, flac) and one["utt_id"] == other["utt_id"]
             for (one, wav), (other, flac) in pairs]
    size = {kind: sum(path.stat().st_size for path in exp.glob(f"{name}/shards/*/*.{kind}"))
            for name, kind in (("rirs", "wav"), ("flac", "flac"))}
    print(f"flac             {'equal' if all(equal) else 'DIFFERENT'}, {len(equal)} files  (libsndfile), "
          f"{size['flac'] / size['wav']:.0%} of the size")
    good &= all(equal) and len(equal) == 16
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
