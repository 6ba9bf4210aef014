#!/usr/bin/env bash
# Compares the stage `augment` with what it claims to equal, on AN4 and ESPnet's two noises and two rooms:
#   speed        sox's `speed`, which Kaldi's and ESPnet's perturb_data_dir_speed.sh call
#   rooms        ESPnet's own CommonPreprocessor._convolve_rir
#   noise        ESPnet's own CommonPreprocessor._add_noise, and the ratio measured from the files
#   choices      drawn again in Python, as docs/stages.md says they are
#   flac         libsndfile reads the samples that the WAV files have
# Needs sox; the rest is installed from PyPI (about 150 MB) into target/reference, once.
#
# usage: tests/reference/augment.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/reference}
mkdir -p "${work}"
work=$(cd "${work}" && pwd)/augment
recipe=$(pwd)/recipes/mini_an4
espnet=$(pwd)/target/espnet3

command -v sox > /dev/null || { echo "augment.sh: sox is missing (package sox)" >&2; exit 1; }
mkdir -p "${work}"
. tests/reference/venv.sh
venv "${work}/venv" numpy scipy soundfile
tests/reference/fetch_espnet3.sh
"${recipe}/local/fetch.sh"
cd "${recipe}"
local/prepare.py
tar -xzf downloads/an4.tar.gz -C "${work}" downloads/noise downloads/rirs
for kind in noise rirs; do
    find "${work}/downloads/${kind}" -name '*.wav' | sort | awk '{print "'${kind}'" NR " " $1}' > "${work}/${kind}.scp"
done

. ./path.sh
rm -rf "${work}/exp"
run() { # NAME KEY=VALUE...
    local name=$1 set
    shift
    for set in "$@"; do set -- "$@" --set "augment.${set}"; shift; done
    espnet3-par run conf/train.yaml --set stage=augment --set "output_dir=${work}/exp/${name}" \
        --set augment.manifest=data/all/wav.scp "$@"
}
run speed 'speed_perturb_factors=0.9 1.0 1.1'
run rirs "rir_scp=${work}/rirs.scp" copies=2
run noise "noise_scp=${work}/noise.scp" copies=4 'noise_db_range="-25_20"' seed=1
run both "rir_scp=${work}/rirs.scp" rir_apply_prob=0.5 "noise_scp=${work}/noise.scp" noise_apply_prob=0.5 \
    copies=8 'noise_db_range="0_10"' seed=2
run flac "rir_scp=${work}/rirs.scp" copies=2 format=flac

"${work}/venv/bin/python" ../../tests/reference/augment.py \
    data/all/wav.scp "${work}" "${espnet}/espnet2/train/preprocessor.py"
