#!/usr/bin/env bash
# Compares the stage `score` with jiwer, which ESPnet3 scores with: 3000 random sentences with random
# errors, in several scripts; each utterance's correct, substitutions, deletions and insertions, and the sums.
# jiwer is installed from PyPI into target/reference, once.
#
# usage: tests/reference/score.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/reference}
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
here=$(pwd)/tests/reference

. tests/reference/venv.sh
venv "${work}/jiwer" jiwer==4.0.0
. recipes/mini_an4/path.sh

exp=${work}/score
rm -rf "${exp}"
mkdir -p "${exp}"
cd "${exp}"
"${work}/jiwer/bin/python" "${here}/score.py" make
cat > conf.yaml << 'END'
stage: score
output_dir: plain
score: {ref: text, hyp: hyp.jsonl, ref_tokens: tokens, hyp_tokens: hyp.jsonl, utt2spk: utt2spk}
parallel: {env: local, n_workers: 2}
END
espnet3-par run conf.yaml
espnet3-par run conf.yaml --set output_dir=cleaned --set score.lowercase=true \
    --set score.remove_punctuation=true
"${work}/jiwer/bin/python" "${here}/score.py" compare plain
"${work}/jiwer/bin/python" "${here}/score.py" compare cleaned
