"""What can be told of a voice without a model: how long, how loud, how noisy, how high."""

import array
import math
import statistics
import sys
from operator import mul


def read_sphere(path):
    """Samples from -1 to 1 of an uncompressed 16-bit NIST SPHERE file, and their rate."""
    with open(path, "rb") as file:
        if file.readline() != b"NIST_1A\n":
            raise ValueError(f"{path} is no SPHERE file")
        header, samples = file.read(int(file.readline()) - 16), array.array("h", file.read())
    fields = dict(line.split(b" ", 2)[::2] for line in header.splitlines() if b" -" in line)
    if fields[b"sample_coding"] != b"pcm" or fields[b"sample_n_bytes"] != b"2":
        raise ValueError(f"{path} has samples that are not 16-bit PCM")
    if (fields[b"sample_byte_format"] == b"01") != (sys.byteorder == "little"):
        samples.byteswap()
    return [sample / 32768 for sample in samples], int(fields[b"sample_rate"])


def decibels(samples):
    return 10 * math.log10(sum(map(mul, samples, samples)) / len(samples) + 1e-10)


def pitch(frame, rate, lowest, highest):
    """The frequency at which a frame is most like itself; None if it is not."""
    lags = range(round(rate / highest), round(rate / lowest) + 1)
    likeness = {lag: sum(map(mul, frame, frame[lag:])) / (len(frame) - lag) for lag in lags}
    best = max(lags, key=likeness.get)
    return rate / best if likeness[best] > 0.5 * sum(map(mul, frame, frame)) / len(frame) else None


class VoiceProvider:
    def __init__(self, config):
        self.config = config

    @staticmethod
    def build_dataset(config):
        with open(config.wav_scp) as lines:
            return [line.split(maxsplit=1) for line in lines.read().splitlines()]

    def build_env_local(self):
        return {"dataset": self.build_dataset(self.config), **self.config.pitch}


class VoiceRunner:
    @staticmethod
    def forward(idx, dataset, lowest, highest):
        utt_id, path = dataset[idx]
        samples, rate = read_sphere(path)
        frames = [samples[at : at + rate // 25] for at in range(0, len(samples) - rate // 25, rate // 50)]
        floor = max(map(decibels, frames)) - 15
        loud = (frame[::2] for frame in frames if decibels(frame) > floor)
        pitches = [found for frame in loud if (found := pitch(frame, rate / 2, lowest, highest))]
        return {"utt_id": utt_id, "duration": len(samples) / rate, "rms_db": round(decibels(samples), 2),
                "zero_crossings": sum(one * other < 0 for one, other in zip(samples, samples[1:])),
                "pitch": round(statistics.median(pitches), 1) if pitches else None}
