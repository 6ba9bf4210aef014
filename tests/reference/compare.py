"""Compares results of the stages prepare, vad, fbank and collect_stats with reference implementations.

usage: compare.py WAV_SCP SILERO_VAD_ONNX EXP_DIR
"""

import json
import sys
import time
from pathlib import Path

import kaldi_native_fbank as knf
import kaldiio
import numpy as np
import onnxruntime
from silero_vad.utils_vad import get_speech_timestamps_from_probs

TOLERANCE = 1e-3
WINDOW, CONTEXT, RATE = 512, 64, 16000


def read_sphere(path):
    """The 16-bit samples of an AN4 file: 1024 bytes of header, then little-endian PCM."""
    return np.frombuffer(Path(path).read_bytes()[1024:], dtype="<i2")


def silero(session, samples):
    """Speech probabilities window by window, as silero_vad.utils_vad.OnnxWrapper feeds them."""
    audio = samples.astype(np.float32) / 32768
    audio = np.pad(audio, (CONTEXT, -len(audio) % WINDOW))
    state = np.zeros((2, 1, 128), dtype=np.float32)
    rate = np.array(RATE, dtype=np.int64)
    probabilities = []
    for start in range(0, len(audio) - CONTEXT, WINDOW):
        window = audio[None, start : start + CONTEXT + WINDOW]
        output, state = session.run(None, {"input": window, "state": state, "sr": rate})
        probabilities.append(float(output[0, 0]))
    return probabilities


def kaldi_fbank(samples):
    """80 log-mel energies per frame, without dither; samples are a list of floats."""
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = RATE
    options.mel_opts.num_bins = 80
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(RATE, samples)
    fbank.input_finished()
    return np.array([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def best_of(times, function):
    """The result, and the shortest time in seconds."""
    shortest = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        result = function()
        shortest = min(shortest, time.perf_counter() - start)
    return result, shortest


def main(scp, model, exp):
    """Prints the largest differences; exits 1 if one is above the tolerance."""
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    paths = dict(line.split(maxsplit=1) for line in Path(scp).read_text().splitlines())
    results = {}
    for stage in ("vad", "fbank"):
        lines = (Path(exp) / stage / "results.jsonl").read_text().splitlines()
        results[stage] = {record["utt_id"]: record for record in map(json.loads, lines)}
        assert list(results[stage]) == list(paths), f"{stage}: not the utterances of {scp}"

    archives = kaldiio.load_scp(str(Path(exp) / "ark" / "feats.scp"))
    assert list(archives) == list(paths), f"feats.scp: not the utterances of {scp}"

    table = (Path(exp) / "prepare" / "data" / "utt2dur").read_text().splitlines()
    durations = {key: float(value) for key, value in map(str.split, table)}
    expected = {utt_id: len(read_sphere(path)) / RATE for utt_id, path in paths.items()}
    assert durations == expected, f"utt2dur: {durations}, reference {expected}"

    vad_difference = fbank_difference = seconds = vad_time = fbank_time = 0
    segments_equal, frames = True, []
    for utt_id, path in paths.items():
        samples = read_sphere(path)
        seconds += len(samples) / RATE
        found = results["vad"][utt_id]
        expected, spent = best_of(5, lambda: silero(session, samples))
        vad_time += spent
        assert len(found["probs"]) == len(expected), f"{utt_id}: number of windows"
        vad_difference = max(vad_difference, np.abs(np.subtract(found["probs"], expected)).max())
        timestamps = get_speech_timestamps_from_probs(expected, audio_length_samples=len(samples))
        timestamps = [[part["start"] / RATE, part["end"] / RATE] for part in timestamps]
        if found["segments"] != timestamps:
            segments_equal = False
            print(f"{utt_id}: segments {found['segments']}, reference {timestamps}")

        features = np.load(Path(exp) / "fbank" / results["fbank"][utt_id]["feats"])
        assert np.array_equal(archives[utt_id], features), f"{utt_id}: the archive differs"
        values = samples.astype(np.float32).tolist()
        expected, spent = best_of(5, lambda: kaldi_fbank(values))
        fbank_time += spent
        assert features.shape == expected.shape, f"{utt_id}: {features.shape}, {expected.shape}"
        fbank_difference = max(fbank_difference, np.abs(features - expected).max())
        frames.append(expected)

    frames = np.concatenate(frames).astype(np.float64)
    stats = np.load(Path(exp) / "collect_stats" / "feats_stats.npz")
    assert stats["count"] == len(frames), f"{stats['count']} frames, reference {len(frames)}"
    mean_difference = np.abs(stats["sum"] / stats["count"] - frames.mean(axis=0)).max()
    cmvn = kaldiio.load_mat(str(Path(exp) / "collect_stats" / "cmvn.ark"))
    assert cmvn.dtype == np.float64 and cmvn.shape == (2, 81), f"{cmvn.dtype}, {cmvn.shape}"
    assert cmvn[0, -1] == len(frames) and cmvn[1, -1] == 0, f"{cmvn[:, -1]}"
    expected = np.stack([frames.sum(axis=0), (frames**2).sum(axis=0)])
    cmvn_difference = np.abs((cmvn[:, :-1] - expected) / expected).max()

    print(f"{len(paths)} utterances, {seconds:.1f} s")
    print(f"vad probabilities  max |difference| {vad_difference:.2g}  (onnxruntime)")
    print(f"vad segments       {'equal' if segments_equal else 'DIFFERENT'}  (silero-vad)")
    print(f"fbank              max |difference| {fbank_difference:.2g}  (kaldi-native-fbank)")
    print(f"collect_stats mean max |difference| {mean_difference:.2g}  (numpy)")
    per_second = 1000 / seconds
    print(f"cmvn.ark           max relative difference {cmvn_difference:.2g}  (numpy, by kaldiio)")
    print(f"reference speed    vad {vad_time * per_second:.2f}, fbank "
          f"{fbank_time * per_second:.2f} ms per second of audio, one thread, best of 5")
    worst = max(vad_difference, fbank_difference, mean_difference, cmvn_difference)
    sys.exit(0 if segments_equal and worst <= TOLERANCE else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
