"""PocketSphinx's side of sphinx.sh.

usage: sphinx.py reference DOWNLOADS WAV_SCP BIGRAMS
       sphinx.py compare DOWNLOADS DATA_DIR EXP_DIR REPEATS SECONDS_ONCE SECONDS_REPEATED
       sphinx.py mfcc DOWNLOADS

`mfcc` prints src/stages/asr/sphinx/mfcc.jsonl, which a unit test reads.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder

RATE, STATES = 16000, 102
NO_BEAMS = {
    **dict.fromkeys(("beam", "wbeam", "pbeam", "lpbeam", "lponlybeam"), 0.0),
    "maxhmmpf": -1,
}
# From an exact search to PocketSphinx's defaults, one thing after the other.
LADDER = {
    "first pass without beams": {**NO_BEAMS, "pl_window": 0, "fwdflat": False, "bestpath": False},
    "beams": {"pl_window": 0, "fwdflat": False, "bestpath": False},
    "phone lookahead": {"fwdflat": False, "bestpath": False},
    "second pass": {"bestpath": False},
    "best path of the lattice": {},
}
EXACT, *_, DEFAULT = LADDER


def decoder(downloads, **options):
    """A decoder for AN4, with AN4's own dictionary and language model."""
    an4 = {
        "hmm": str(downloads / "an4_ci_cont"),
        "dict": str(downloads / "an4/etc/an4.dic"),
        "lm": str(downloads / "an4/etc/an4.ug.lm"),
        "loglevel": "ERROR",
    }
    return Decoder(**{**an4, **options})


def decode(decoder, samples):
    """The hypothesis of a whole utterance."""
    decoder.start_utt()
    decoder.process_raw(samples, full_utt=True)
    decoder.end_utt()
    return decoder.hyp()


def read_sphere(path):
    """The 16-bit samples of an AN4 file: 1024 bytes of header, then little-endian PCM."""
    return Path(path).read_bytes()[1024:]


def table(path):
    """A Kaldi table as a dictionary."""
    lines = (line.split(maxsplit=1) for line in Path(path).read_text().splitlines())
    return {fields[0]: fields[1] if len(fields) > 1 else "" for fields in lines}


def logged(folder, number):
    """What a decoder logged of utterance `number`: its cepstra, and the scores of states."""
    cepstra = (folder / f"{number:09}.mfc").read_bytes()
    cepstra = np.frombuffer(cepstra[4:], dtype=">f4").astype(float).tolist()
    scores = (folder / f"{number:09}.sen").read_bytes()
    start = scores.index(b"endhdr\n") + len("endhdr\n") + 4
    frames = np.frombuffer(scores[start:], dtype="<i2").reshape(-1, 1 + STATES)
    assert (frames[:, 0] == STATES).all()
    return cepstra, frames[:, 1:].ravel().tolist()


def signal():
    """The signal of mfcc.jsonl; `signal` in src/stages/asr/sphinx/reference.rs makes the same."""
    state, samples = 1, []
    for at in range(1600):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        noise = (state >> 16) % 2048 - 1024
        # Towards zero, as in Rust.
        samples.append(int(noise * (at % 500) / 32) + 100)
    return np.array(samples, dtype="<i2").tobytes()


def mfcc(downloads):
    """Prints src/stages/asr/sphinx/mfcc.jsonl."""
    for options in (
        {},
        {"transform": "dct", "lifter": 22, "remove_dc": True, "nfilt": 25},
        {"transform": "htk", "unit_area": False, "round_filters": False, "alpha": 0.9},
    ):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "an4_ci_cont"
            model.mkdir()
            for file in (downloads / "an4_ci_cont").iterdir():
                (model / file.name).symlink_to(file.resolve())
            # Its options would go before these.
            (model / "feat.params").unlink()
            logs = {"mfclogdir": folder, "senlogdir": folder, "compallsen": True}
            decode(decoder(downloads, hmm=str(model), **logs, **options), signal())
            cepstra, _ = logged(Path(folder), 0)
        yes_no = {True: "yes", False: "no"}
        words = (f"-{key} {yes_no.get(value, value)}" for key, value in options.items())
        values = [float(str(np.float32(value))) for value in cepstra]
        print(json.dumps({"options": " ".join(words), "mfcc": values}))


def bigrams(path):
    """Writes a bigram model of AN4's words: probabilities and back-off weights without a meaning."""
    words = "OH ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN ELEVEN EIGHTEEN NINETEEN TWENTY FIFTY SEVENTY"
    words = [*words.split(), "A", "AND", "E", "F", "GO", "MARCH", "OCTOBER", "R", "START", "THIRD", "YES"]
    log = lambda *numbers: -0.3 - sum(31 * number**2 % 89 for number in numbers) / 100
    unigrams = [f"{log(at):.4f} {word} {log(at, 3) / 4:.4f}" for at, word in enumerate(words, 1)]
    unigrams += ["-99 <s> -0.1", "-1.5 </s> -99"]
    pairs = [
        f"{log(first, second):.4f} {word} {following}"
        for first, word in enumerate(["<s>", *words])
        for second, following in enumerate([*words, "</s>"])
        if (7 * first + 5 * second) % 4 == 0
    ]
    path.write_text(
        "\n".join(
            ["\\data\\", f"ngram 1={len(unigrams)}", f"ngram 2={len(pairs)}", ""]
            + ["\\1-grams:", *unigrams, "", "\\2-grams:", *pairs, "", "\\end\\", ""]
        )
    )


def reference(downloads, scp, lm):
    """Prints what PocketSphinx has of each utterance, for the test that sphinx.sh runs. First with AN4's
    language model; then with bigrams, which are written to `lm`."""
    bigrams(Path(lm))
    for lm in (downloads / "an4/etc/an4.ug.lm", Path(lm)):
        with tempfile.TemporaryDirectory() as folder:
            logs = {"mfclogdir": folder, "senlogdir": folder, "compallsen": True}
            exact = decoder(downloads, lm=str(lm), **LADDER[EXACT], **logs)
            for number, path in enumerate(table(scp).values()):
                hypothesis = decode(exact, read_sphere(path))
                cepstra, scores = logged(Path(folder), number)
                # The score is given as a probability.
                score = round(math.log(hypothesis.best_score) / math.log(1.0001))
                record = {"path": str(Path(path).resolve()), "lm": str(lm.resolve()), "mfcc": cepstra}
                record |= {"penalties": scores, "score": score, "text": hypothesis.hypstr}
                print(json.dumps(record))


def errors(words, truth):
    """The Levenshtein distance."""
    row = list(range(len(truth) + 1))
    for at, word in enumerate(words, 1):
        last, row[0] = row[0], at
        for to, true in enumerate(truth, 1):
            last, row[to] = row[to], min(row[to] + 1, row[to - 1] + 1, last + (word != true))
    return row[-1]


def records(run):
    """The records of a run, by utterance id."""
    lines = (Path(run) / "results.jsonl").read_text().splitlines()
    return {record["utt_id"]: record for record in map(json.loads, lines)}


def compare(downloads, data, exp, repeats, once, often):
    """Prints a table; exits 1 if words are not those of PocketSphinx's first pass without beams."""
    paths, truth, ours = table(data / "wav.scp"), table(data / "text"), records(exp / "once")
    assert list(ours) == list(paths), f"{exp}/once: not the utterances of {data}"
    audio = {utt_id: read_sphere(path) for utt_id, path in paths.items()}
    seconds = sum(map(len, audio.values())) / 2 / RATE

    texts, factors = {}, {}
    for name, options in LADDER.items():
        pocketsphinx = decoder(downloads, **options)
        texts[name] = {utt_id: decode(pocketsphinx, raw).hypstr for utt_id, raw in audio.items()}
        times = 3 if name == EXACT else 20
        start = time.perf_counter()
        for raw in list(audio.values()) * times:
            decode(pocketsphinx, raw)
        factors[name] = (time.perf_counter() - start) / times / seconds

    differ = 0
    for utt_id in paths:
        found = {"ours": ours[utt_id]["text"], **{name: texts[name][utt_id] for name in texts}}
        differ += found["ours"] != found[EXACT]
        print(f"{utt_id:14}{truth.get(utt_id, '(no transcript)')}")
        print(f"  ours                      {found['ours']}")
        previous = found["ours"]
        for name in LADDER:
            if name in (EXACT, DEFAULT) or found[name] != previous:
                mark = "" if found[name] == previous else "  <- changed by this"
                print(f"  {name:26}{found[name]}{mark}")
            previous = found[name]

    words = sum(len(text.split()) for text in truth.values())
    for name, text in {"ours": {key: ours[key]["text"] for key in ours}, **texts}.items():
        wrong = sum(errors(text[key].split(), truth[key].split()) for key in truth)
        print(f"{name:26}{wrong} errors in {words} words")
    print(f"{len(paths)} utterances, {seconds:.1f} s: {len(paths) - differ} of {len(paths)} equal "
          f"to PocketSphinx's {EXACT}")

    repeated = records(exp / "often")
    assert len(repeated) == repeats * len(paths), f"{exp}/often: {len(repeated)} records"
    for utt_id, record in repeated.items():
        same = ours[utt_id.rpartition("-")[0]]
        assert (record["text"], record["score"]) == (same["text"], same["score"]), utt_id
    factor = (often - once) / (repeats - 1) / seconds
    print(f"real-time factor, one core: {factor:.5f}, files read and records written")
    for name in LADDER:
        print(f"  PocketSphinx {factors[name]:.5f}, {name if name == EXACT else 'and ' + name}")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    command, downloads, *arguments = sys.argv[1:]
    downloads = Path(downloads)
    if command == "reference":
        reference(downloads, *arguments)
    elif command == "compare":
        data, exp, repeats, once, often = arguments
        compare(downloads, Path(data), Path(exp), int(repeats), float(once), float(often))
    else:
        mfcc(downloads)
