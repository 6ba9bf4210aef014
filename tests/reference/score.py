"""Makes sentences with errors, and compares what the stage score counts with what jiwer does.

usage: score.py make | score.py compare RUN_DIRECTORY     in a folder of its own
"""

import json
import random
import sys
from pathlib import Path

import jiwer

SCRIPTS = [
    "abcdefghij",
    "aA.,'-é$ß",
    "αβγσς",
    "你好世界语音。、",
    "かなカナ「」ー",
    "कखगािी्।",  # with marks that are code points of their own
    "🎤👩🏽e\u0301",
]
SPEAKERS = 7


def words(rng, length):
    """Few different words, so that many alignments are equally good."""
    letters = SCRIPTS[rng.randrange(len(SCRIPTS))]
    known = ["".join(rng.choices(letters, k=rng.randint(1, 4))) for _ in range(rng.randint(1, 12))]
    return rng.choices(known, k=length)


def damaged(rng, items, others, rate):
    """The items with some left out, exchanged or added."""
    result = []
    for item in items:
        what = rng.random() / rate
        if what < 1 / 3:
            continue
        result.append(rng.choice(others) if what < 2 / 3 else item)
        if 2 / 3 <= what < 1:
            result.append(rng.choice(others))
    return result


def make():
    """Writes the files that conf.yaml names."""
    rng = random.Random(6)
    files = {name: open(name, "w") for name in ("text", "tokens", "utt2spk", "hyp.jsonl")}
    for idx in range(3000):
        # A few are so long that their characters are not aligned in one piece.
        length = 900 if idx % 1000 == 500 else rng.randint(1, 30)
        said = words(rng, length)
        rate = rng.choice([0.01, 0.1, 0.5, 1.0])
        heard = damaged(rng, said, words(rng, 20) + said, rate)
        utt_id = f"utt{idx}"
        tokens = [f"▁{word[:2]} {word[2:]}".strip() for word in said]
        print(utt_id, " ".join(said), file=files["text"])
        print(utt_id, " ".join(tokens), file=files["tokens"])
        print(utt_id, f"spk{idx % SPEAKERS}", file=files["utt2spk"])
        if idx % 100 != 50:
            answer = {"utt_id": utt_id, "text": " ".join(heard)}
            answer["tokens"] = [f"▁{part}" for part in heard for part in (part[:2], part[2:]) if part]
            print(json.dumps(answer), file=files["hyp.jsonl"])
    for file in files.values():
        file.close()


def table(name):
    lines = (line.rstrip("\n").partition(" ") for line in open(name))
    return {key: value for key, _, value in lines}


def counts(result):
    """jiwer's counts under the names of the records."""
    said = result.hits + result.substitutions + result.deletions
    return {
        "length": said,
        "errors": result.substitutions + result.deletions + result.insertions,
        "correct": result.hits,
        "substitutions": result.substitutions,
        "deletions": result.deletions,
        "insertions": result.insertions,
    }


def compare(run):
    """Prints what differs; returns how many."""
    cleaning = [jiwer.RemoveMultipleSpaces(), jiwer.Strip()]
    if run == "cleaned":
        cleaning = [jiwer.ToLowerCase(), jiwer.RemovePunctuation()] + cleaning
    by_words = jiwer.Compose(cleaning + [jiwer.ReduceToListOfListOfWords()])
    by_letters = jiwer.Compose(cleaning + [jiwer.ReduceToListOfListOfChars()])
    text, tokens, speakers = table("text"), table("tokens"), table("utt2spk")
    answers = {answer["utt_id"]: answer for answer in map(json.loads, open("hyp.jsonl"))}
    records = [json.loads(line) for line in open(Path(run) / "results.jsonl")]
    score = json.loads((Path(run) / "score.json").read_text())
    wrong = 0

    def check(what, found, expected):
        nonlocal wrong
        if found != expected:
            wrong += 1
            print(f"{run}: {what}: {found}, reference {expected}")

    check("utterances", [record["utt_id"] for record in records], list(text))
    pairs = {"wer": [], "cer": [], "ter": []}
    for record in records:
        utt_id = record["utt_id"]
        answer = answers.get(utt_id, {"text": "", "tokens": []})
        check(f"{utt_id} missing", record.get("missing", False), utt_id not in answers)
        check(f"{utt_id} speaker", record["speaker"], speakers[utt_id])
        pairs["wer"].append((text[utt_id], answer["text"]))
        pairs["cer"].append((text[utt_id], answer["text"]))
        pairs["ter"].append((tokens[utt_id], " ".join(answer["tokens"])))
    for name, transform in (("wer", by_words), ("cer", by_letters), ("ter", None)):
        process = jiwer.process_characters if name == "cer" else jiwer.process_words
        options = {} if transform is None else {
            "reference_transform": transform, "hypothesis_transform": transform}

        def reference(said, heard):
            return counts(process(said, heard, **options))

        for record, pair in zip(records, pairs[name]):
            check(f"{record['utt_id']} {name}", record[name], reference(*pair))
        everything = reference(*map(list, zip(*pairs[name])))
        found = score[name]
        check(f"all {name}", {key: found[key] for key in everything}, everything)
        check(f"{name} rate", found["error_rate"], everything["errors"] / everything["length"])
        for speaker, sums in found["speakers"].items():
            own = [pair for record, pair in zip(records, pairs[name]) if record["speaker"] == speaker]
            everything = reference(*map(list, zip(*own)))
            check(f"{speaker} {name}", {key: sums[key] for key in everything}, everything)
    lengths = [score[name]["length"] for name in pairs]
    print(f"{run}: {len(records)} utterances, {lengths} words, characters and tokens: "
          + ("as jiwer" if wrong == 0 else f"{wrong} differ"))
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make()
    else:
        sys.exit(1 if compare(sys.argv[2]) else 0)
