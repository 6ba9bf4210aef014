"""Compares results of the stages speaker_embedding and cosine_score with reference implementations.

usage: speaker.py make WAV_SCP EXP_DIR
       speaker.py compare WAV_SCP EXP_DIR CONVERTER
"""

import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
import types
import wave
from pathlib import Path

import kaldiio
import numpy as np

TOLERANCE = 1e-4
RATE = 16000


def read_sphere(path):
    """The 16-bit samples of an AN4 file: 1024 bytes of header, then little-endian PCM."""
    return np.frombuffer(Path(path).read_bytes()[1024:], dtype="<i2")


def read_table(path):
    return dict(line.split(maxsplit=1) for line in Path(path).read_text().splitlines())


def make(scp, exp):
    """A recording of all utterances, four times over; embeddings of made-up speakers and trials of them."""
    samples = np.concatenate([read_sphere(path) for path in read_table(scp).values()] * 4)
    with wave.open(str(exp / "long.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", None))
        file.writeframes(samples.tobytes())
    (exp / "long.scp").write_text(f"long {exp}/long.wav\n")

    random = np.random.default_rng(1)
    voices = random.normal(size=(40, 64))
    # Float and double vectors: both are Kaldi's.
    vectors = {f"spk{n % 40}-{n}": (voices[n % 40] + 2.5 * random.normal(size=64))
               .astype([np.float32, np.float64][n % 2]) for n in range(400)}
    kaldiio.save_ark(str(exp / "made_up.ark"), vectors, scp=str(exp / "made_up.scp"))
    pairs = list(itertools.combinations(vectors, 2))
    with open(exp / "made_up.trials", "w") as file:
        for nth in random.choice(len(pairs), 5000, replace=False):
            a, b = pairs[nth]
            same = a.split("-")[0] == b.split("-")[0]
            print(a, b, "target" if same else "nontarget", file=file)


def voice_encoder():
    """Resemblyzer's encoder and volume normalisation."""
    # Only for trimming silences, which is not compared.
    sys.modules["webrtcvad"] = types.ModuleType("webrtcvad")
    import torch
    from resemblyzer import VoiceEncoder, normalize_volume

    torch.set_num_threads(1)
    return VoiceEncoder("cpu", verbose=False), lambda wav: normalize_volume(wav, -30, increase_only=True)


def scored(folder):
    """{(enroll, test): (score, target)} of a run of cosine_score; checks `scores` on the way."""
    lines = (folder / "results.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    table = [line.split() for line in (folder / "scores").read_text().splitlines()]
    assert [(r["enroll"], r["test"], r["score"]) for r in records] == \
        [(a, b, float(score)) for a, b, score in table], f"{folder}/scores: not the records"
    return {(r["enroll"], r["test"]): (r["score"], r["target"]) for r in records}


def rates(folder, trials, reference):
    """The largest difference of EER and minDCF from those of scikit-learn's curve."""
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq
    from sklearn.metrics import roc_curve

    scores = [reference(a, b) for a, b in trials]
    labels = [target for _, target in trials.values()]
    alarms, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    eer = brentq(lambda x: 1 - x - interp1d(alarms, hits)(x), 0, 1, xtol=1e-12)
    found = json.loads((folder / "metrics.json").read_text())
    assert (found["trials"], found["target"]) == (len(labels), sum(labels)), folder
    differences = [abs(found["eer_percent"] / 100 - eer)]
    for p, cost in found["min_dcf"].items():
        p = float(p)
        differences.append(abs(cost - min(p * (1 - hits) + (1 - p) * alarms) / min(p, 1 - p)))
    print(f"{folder.name}: {len(labels)} trials, EER {found['eer_percent']:.3f} %, minDCF {found['min_dcf']}")
    return max(differences)


class Trap:
    """What a planted checkpoint would have: a call of any function when it is read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def conversion_runs_nothing(converter):
    """Whether the converter refuses a checkpoint with a function of its own, and does not call it."""
    with tempfile.TemporaryDirectory() as folder:
        marker, planted = f"{folder}/marker", f"{folder}/planted.pt"
        parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, Trap(marker), []]
        Path(planted).write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
        command = [sys.executable, converter, planted, f"{folder}/out"]
        ended = subprocess.run(command, capture_output=True, text=True)
        refused = ended.returncode != 0 and "mkdir` has no place in this file" in ended.stderr
        return refused and not os.path.exists(marker) and not os.path.exists(f"{folder}/out")


def compare(scp, exp, converter):
    """Prints the largest differences; exits 1 if one is above the tolerance."""
    encoder, normalize = voice_encoder()
    paths = read_table(scp)
    audio = {utt_id: normalize(read_sphere(path).astype(np.float32) / 32768)
             for utt_id, path in paths.items()}
    expected = {utt_id: encoder.embed_utterance(wav) for utt_id, wav in audio.items()}

    worst = {}
    found = kaldiio.load_scp(str(exp / "speaker_embedding/embedding.scp"))
    assert list(found) == list(paths), "embedding.scp: not the utterances of the manifest"
    worst["speaker_embedding"] = max(np.abs(found[u] - expected[u]).max() for u in paths)
    for utt_id, path in read_table(exp / "npy/embedding.scp").items():
        assert np.array_equal(np.load(path), found[utt_id]), f"{utt_id}: .npy and archive differ"

    speech = kaldiio.load_scp(str(exp / "speech/embedding.scp"))
    differences = []
    for line in (exp / "vad/results.jsonl").read_text().splitlines():
        record = json.loads(line)
        utt_id, wav = record["utt_id"], audio[record["utt_id"]]
        parts = [wav[round(RATE * a):round(RATE * b)] for a, b in record["segments"]]
        of_speech = encoder.embed_utterance(np.concatenate(parts))
        assert np.abs(of_speech - expected[utt_id]).max() > TOLERANCE, f"{utt_id}: nothing was cut"
        differences.append(np.abs(speech[utt_id] - of_speech).max())
    worst["... of speech only"] = max(differences)

    with wave.open(str(exp / "long.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    long = encoder.embed_utterance(normalize(samples.astype(np.float32) / 32768))
    long_found = kaldiio.load_scp(str(exp / "long/embedding.scp"))["long"]
    worst[f"... of {len(samples) / RATE:.1f} s at once"] = np.abs(long_found - long).max()

    trials = scored(exp / "cosine_score")
    assert len(trials) == len(paths) * (len(paths) - 1) // 2, "not all pairs"
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    an4 = lambda a, b: cosine(expected[a], expected[b])
    worst["cosine_score"] = max(abs(score - an4(*pair)) for pair, (score, _) in trials.items())
    made_up = kaldiio.load_scp(str(exp / "made_up.scp"))
    of_made_up = lambda a, b: cosine(made_up[a].astype(np.float64), made_up[b].astype(np.float64))
    many = scored(exp / "made_up")
    worst["... of made-up speakers"] = max(
        abs(score - of_made_up(*pair)) for pair, (score, _) in many.items())
    worst["EER and minDCF"] = max(
        rates(exp / "cosine_score", trials, an4), rates(exp / "made_up", many, of_made_up))

    seconds = sum(len(wav) for wav in audio.values()) / RATE
    print(f"{len(paths)} utterances, {seconds:.1f} s")
    for what, difference in worst.items():
        print(f"{what:27} max |difference| {difference:.2g}")
    safe = conversion_runs_nothing(converter)
    print(f"a checkpoint that names a function is {'refused' if safe else 'RUN'}")
    sys.exit(0 if safe and max(worst.values()) <= TOLERANCE else 1)


if __name__ == "__main__":
    command, scp, exp, *more = sys.argv[1:]
    {"make": make, "compare": compare}[command](scp, Path(exp), *more)
