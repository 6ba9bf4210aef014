#!/usr/bin/env bash
# Compares the stage asr, with AN4's acoustic model, with PocketSphinx 5.1.1 on AN4: cepstra, scores of
# states and of paths, and the words of every utterance, which must be those of PocketSphinx's first pass
# without beams. Says which of PocketSphinx's shortcuts and further passes changes words, and prints the
# real-time factors of both, on one core.
#
# usage: tests/reference/sphinx.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/reference_sphinx}
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
recipe=$(pwd)/recipes/mini_an4
sphinx=$(pwd)/tests/reference/sphinx.py

tests/reference/install_pocketsphinx.sh
python=$(pwd)/target/reference_sphinx/venv/bin/python

"${recipe}/local/fetch.sh"
cd "${recipe}"
local/prepare.py
exp=${work}/exp
rm -rf "${exp}"
mkdir -p "${exp}"

echo "score, PocketSphinx's, and words, with AN4's language model and with one of bigrams:"
"${python}" "${sphinx}" reference downloads data/all/wav.scp "${exp}/bigrams.lm" > "${exp}/reference.jsonl"
SPHINX_DOWNLOADS=$(pwd)/downloads SPHINX_REFERENCE=${exp}/reference.jsonl \
    cargo test --quiet --lib stages::asr::sphinx::reference -- --ignored --nocapture > "${exp}/test.log" 2>&1 ||
    { cat "${exp}/test.log" >&2; exit 1; }
sed -n '/^ *-[0-9]/p; /^cepstra/p; /^bigrams/p' "${exp}/test.log"

. ./path.sh
export RAYON_NUM_THREADS=1
# The second run has every utterance `repeats` times: what it takes longer is recognition, without what
# a run costs besides.
repeats=200
for ((time = 1; time <= repeats; time++)); do
    sed "s/^[^ ]*/&-${time}/" data/all/wav.scp
done > "${exp}/wav.scp"
seconds() { # COMMAND...
    local TIMEFORMAT=%R
    { time "$@" > "${exp}/run.log" 2>&1; } 2>&1 || { cat "${exp}/run.log" >&2; exit 1; }
}
run_stage() { # OUTPUT_DIR MANIFEST
    espnet3-par run conf/asr_sphinx.yaml --set "output_dir=$1" --set "asr.manifest=$2" \
        --set parallel.n_workers=1
}
once=$(seconds run_stage "${exp}/once" data/all/wav.scp)
often=$(seconds run_stage "${exp}/often" "${exp}/wav.scp")

"${python}" "${sphinx}" compare downloads data/all "${exp}" "${repeats}" "${once}" "${often}"
