#!/usr/bin/env bash
# A recording of 77 s, AN4's eight utterances five times, through vad and asr by recipes/mini_an4/conf/long.yaml: it
# is cut where nobody speaks, and all that is said is in the text. Needs sox, and what the recipe fetches.
set -euo pipefail
cd "$(dirname "$0")/../recipes/mini_an4"
. ./path.sh
exp=exp/long_recording
rm -rf "${exp}"
mkdir -p "${exp}"
mapfile -t files < <(cut -d' ' -f2 data/all/wav.scp)
all=("${files[@]}" "${files[@]}" "${files[@]}" "${files[@]}" "${files[@]}")
sox "${all[@]}" "${exp}/meeting.wav"
echo "meeting ${exp}/meeting.wav" > "${exp}/wav.scp"
for stage in vad asr; do
    espnet3-par run conf/long.yaml --stage "${stage}" --set "manifest=${exp}/wav.scp" \
        --set "exp_dir=${exp}"
done
python3 - "${exp}" <<'PYTHON'
import json
import sys

vad, asr = (json.loads(open(f"{sys.argv[1]}/{stage}/results.jsonl").readline()) for stage in ("vad", "asr"))
starts, ends = map(set, zip(*vad["segments"]))
pieces = asr["pieces"]
assert 3 <= len(pieces) < len(starts), pieces
for piece in pieces:
    assert piece["start"] in starts and piece["end"] in ends, piece
    assert piece["end"] - piece["start"] <= 30, piece
heard = sum(piece["end"] - piece["start"] for piece in pieces)
spoken = sum(end - start for start, end in vad["segments"])
assert spoken < heard < asr["duration"] == 77, (spoken, heard)
words = asr["text"].split()
assert words == " ".join(piece["text"] for piece in pieces).split() and words.count("MARCH") == 5, words
print(f"{asr['duration']} s, {len(starts)} segments of speech, {len(pieces)} pieces, {len(words)} words")
PYTHON
