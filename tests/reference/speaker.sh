#!/usr/bin/env bash
# Compares the speaker stages with what they claim to equal, on AN4:
#   speaker_embedding  Resemblyzer's own VoiceEncoder under PyTorch; its archives as kaldiio reads them
#   cosine_score       numpy over the reference's embeddings, of all pairs; EER and minDCF by
#                      scikit-learn's ROC curve, also over 5000 trials of made-up speakers
# and shows that the conversion of Resemblyzer's checkpoint runs nothing that a checkpoint names.
# The references go into target/reference, once: librosa, kaldiio and scikit-learn from PyPI (250 MB),
# PyTorch 1.13 from Debian 12's packages, unpacked and not installed (150 MB), elsewhere from PyPI.
#
# usage: tests/reference/speaker.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/reference}
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
recipe=$(pwd)/recipes/mini_an4
venv=${work}/speaker_venv
torch=${work}/torch

if [ ! -e "${venv}/complete" ]; then
    rm -rf "${venv}" "${torch}"
    python3 -m venv "${venv}"
    # Debian's PyTorch knows NumPy 1.
    "${venv}/bin/pip" install --quiet 'numpy<2' 'scipy<2' librosa==0.11.0 kaldiio scikit-learn
    "${venv}/bin/pip" install --quiet --no-deps Resemblyzer==0.1.4
    if "${venv}/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' &&
        apt-cache policy python3-torch 2> /dev/null | grep -q 'Candidate: 1\.13'; then
        mkdir -p "${torch}/debs" "${torch}/python"
        (
            cd "${torch}/debs"
            apt-get --simulate install --no-install-recommends python3-torch |
                awk '/^Inst/ { print $2 }' | xargs apt-get download -qq
            # What is installed already is not listed, but the system has it.
            for deb in *.deb; do
                dpkg -x "${deb}" "${torch}/root"
            done
        )
        rm -r "${torch}/debs"
        ln -s ../root/usr/lib/python3/dist-packages/torch "${torch}/python/torch"
    else
        "${venv}/bin/pip" install --quiet torch
    fi
    touch "${venv}/complete"
fi

"${recipe}/local/fetch.sh" speaker
cd "${recipe}"
local/prepare.py
local/trials.py data/all

. ./path.sh
exp=${work}/exp_speaker
rm -rf "${exp}"
mkdir -p "${exp}"
run_stage() { # CONF STAGE OUTPUT [OPTION...]
    espnet3-par run "conf/$1.yaml" --stage "$2" --set "exp_dir=${exp}" --set "output_dir=${exp}/$3" "${@:4}"
}
run_stage speaker speaker_embedding speaker_embedding
run_stage speaker speaker_embedding npy --set speaker_embedding.format=npy
run_stage train vad vad
run_stage speaker speaker_embedding speech --set "speaker_embedding.vad=${exp}/vad/results.jsonl"
run_stage speaker cosine_score cosine_score

usr=${torch}/root/usr/lib
arch=${usr}/$(uname -m)-linux-gnu
libraries=${usr}:${arch}:${arch}/blas:${arch}/lapack:${torch}/root/lib/$(uname -m)-linux-gnu
python() {
    LD_LIBRARY_PATH=${libraries} PYTHONPATH=${torch}/python "${venv}/bin/python" -W ignore "$@"
}

# More voices than AN4 has, and one long recording.
python ../../tests/reference/speaker.py make data/all/wav.scp "${exp}"
run_stage speaker speaker_embedding long --set "speaker_embedding.manifest=${exp}/long.scp"
run_stage speaker cosine_score made_up --set "cosine_score.trials=${exp}/made_up.trials" \
    --set "cosine_score.enroll=${exp}/made_up.scp"
python ../../tests/reference/speaker.py compare data/all/wav.scp "${exp}" local/ge2e_from_resemblyzer.py
