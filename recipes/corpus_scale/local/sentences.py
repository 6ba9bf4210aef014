#!/usr/bin/env python3
"""Draws sentences in AN4's style and the voices that shall say them, for espeak-ng.

usage: local/sentences.py [--number N] [--seed SEED] AN4_DIC DATA_DIR

Writes DATA_DIR/text and utt2spk, as Kaldi has them, and sentences.tsv: utt_id, speaker, espeak-ng's
voice, speed (words a minute) and pitch, and the words as it must be told them. The same arguments
give the same bytes.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029"]
VARIANTS = ["m1", "m3", "m7", "f1", "f2", "f4"]

LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = "ZERO OH ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()
ONES = DIGITS[2:]
TEENS = "TEN ELEVEN TWELVE THIRTEEN FOURTEEN FIFTEEN SIXTEEN SEVENTEEN EIGHTEEN NINETEEN".split()
TENS = "TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()
MONTHS = ("JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER "
          "DECEMBER").split()
# Those that an4.dic has.
ORDINALS = ("FIRST SECOND THIRD FOURTH FIFTH SIXTH SEVENTH EIGHTH NINTH ELEVENTH TWELFTH FIFTEENTH "
            "SIXTEENTH EIGHTEENTH TWENTIETH THIRTIETH").split()
COMMANDS = "YES NO GO HELP START STOP REPEAT".split()
# espeak-ng reads the others as letters; alone, A would be the article.
SPOKEN = {"A": "[[eI]]", "RUBOUT": "rub out"}


class Draws:
    """Numbers from SHA-256 of a seed and an utterance: no version of Python's `random` has a say."""

    def __init__(self, *seeds):
        self.prefix, self.number = "/".join(map(str, seeds)), 0

    def below(self, n):
        self.number += 1
        digest = hashlib.sha256(f"{self.prefix}/{self.number}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % n

    def one(self, of):
        return of[self.below(len(of))]

    def some(self, of, least, most):
        return [self.one(of) for _ in range(least + self.below(most - least + 1))]


def two_digits(draws):
    """A number from 10 to 99."""
    kind = draws.below(3)
    if kind == 0:
        return [draws.one(TEENS)]
    return [draws.one(TENS)] + ([draws.one(ONES)] if kind == 1 else [])


def date(draws):
    kinds = [[draws.one(ORDINALS)], ["TWENTY", draws.one(ORDINALS[:9])], [draws.one(ONES + TEENS)]]
    return [draws.one(MONTHS), *draws.one(kinds), "NINETEEN", *two_digits(draws)]


def sentence(draws):
    """A list of words; the kinds are those of AN4."""
    kinds = [
        (3, lambda: draws.some(LETTERS, 3, 8)),
        (2, lambda: draws.some(DIGITS, 4, 7)),
        (2, lambda: two_digits(draws) + two_digits(draws) + two_digits(draws)),
        (3, lambda: date(draws)),
        (2, lambda: [draws.one(COMMANDS)]),
        (1, lambda: [draws.one(["ERASE", "RUBOUT", "ENTER"]), *draws.some(LETTERS + DIGITS, 2, 5)]),
        (1, lambda: ["AREA", "CODE", *draws.some(DIGITS, 3, 3)]),
        (1, lambda: [draws.one(ONES), "HUNDRED", *draws.one([[], ["AND"]]), *two_digits(draws)]),
    ]
    return draws.one([kind for weight, kind in kinds for _ in range(weight)])()


def write(path, lines):
    """Writes by rename: a reader never sees half of it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(lines))
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--number", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("dictionary", type=Path)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    known = {line.split()[0] for line in arguments.dictionary.read_text().splitlines() if line.strip()}
    voices = [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS]

    rows = []
    for number in range(arguments.number):
        draws = Draws(arguments.seed, number)
        words = sentence(draws)
        unknown = set(words) - known
        if unknown:
            sys.exit(f"{arguments.dictionary}: no word {', '.join(sorted(unknown))}")
        speaker = draws.below(len(voices))
        # A speaker's own speed and pitch, and not quite the same each time.
        own = Draws(arguments.seed, "speaker", speaker)
        speed, pitch = 130 + own.below(60) + draws.below(21), 35 + own.below(30) + draws.below(6)
        spoken = " ".join(SPOKEN.get(word, word.lower()) for word in words)
        name = f"speaker{speaker:02}"
        rows.append((f"{name}-{number:06}", name, voices[speaker], speed, pitch, spoken, " ".join(words)))

    rows.sort()
    arguments.data.mkdir(parents=True, exist_ok=True)
    write(arguments.data / "text", (f"{row[0]} {row[-1]}\n" for row in rows))
    write(arguments.data / "utt2spk", (f"{row[0]} {row[1]}\n" for row in rows))
    header = "utt_id\tspeaker\tvoice\tspeed\tpitch\tspoken\n"
    write(arguments.data / "sentences.tsv", [header, *("\t".join(map(str, row[:-1])) + "\n" for row in rows)])
    count = len({row[1] for row in rows})
    print(f"{arguments.data}: {len(rows)} sentences, {count} speakers", file=sys.stderr)


if __name__ == "__main__":
    main()
