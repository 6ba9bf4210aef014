"""Writes what silero-vad 6.2.3 makes of random speech probabilities, for the test of src/stages/vad.

usage: PYTHONPATH=tests/reference/standin python tests/reference/timestamps.py \
           > src/stages/vad/timestamps.jsonl
"""

import json
import random

from silero_vad.utils_vad import get_speech_timestamps_from_probs

CASES = [
    {},
    {"threshold": 0.3},
    {"threshold": 0.7, "neg_threshold": 0.6},
    {"min_speech_duration_ms": 0, "min_silence_duration_ms": 0},
    {"min_silence_duration_ms": 500},
    {"speech_pad_ms": 200},
    {"speech_pad_ms": 0},
    {"max_speech_duration_s": 1.0},
    {"max_speech_duration_s": 2.0, "min_silence_duration_ms": 1000},
    {"max_speech_duration_s": 0.5, "speech_pad_ms": 100},
]


def probabilities(generator):
    """A random walk on multiples of 1/64, which are exact in binary."""
    level, walk = 32, []
    for _ in range(generator.randrange(60, 200)):
        level = min(63, max(1, level + generator.choice([-24, -16, -8, -4, 0, 4, 8, 16, 24])))
        walk.append(level / 64)
    return walk


generator = random.Random(623)
for options in CASES * 2:
    walk = probabilities(generator)
    length = len(walk) * 512 - generator.randrange(512)
    found = get_speech_timestamps_from_probs(walk, audio_length_samples=length, **options)
    segments = [[segment["start"], segment["end"]] for segment in found]
    levels = [round(64 * level) for level in walk]
    print(json.dumps({"options": options, "length": length, "levels": levels, "segments": segments},
                     separators=(",", ":")))
