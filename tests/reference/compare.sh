#!/usr/bin/env bash
# Compares the built-in stages with what they claim to equal, on AN4:
#   prepare        durations by the lengths of the files, as Kaldi's utt2dur
#   vad            Silero's own silero_vad.onnx under onnxruntime, and Silero's own segment rules
#   fbank          kaldi-native-fbank; its archives as kaldiio reads them
#   collect_stats  numpy over the reference's features; its cmvn.ark as kaldiio reads it
# The references are installed from PyPI (CPU only, about 100 MB) into target/reference, once.
#
# usage: tests/reference/compare.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/reference}
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
recipe=$(pwd)/recipes/mini_an4

. tests/reference/venv.sh
# silero-vad depends on torch, which its segment rules only import: see torch.py.
venv "${work}/venv" numpy onnxruntime==1.31.1 kaldi-native-fbank==1.23.0 kaldiio packaging -- \
    --no-deps silero-vad==6.2.3

"${recipe}/local/fetch.sh"
cd "${recipe}"
local/prepare.py

. ./path.sh
exp=${work}/exp
rm -rf "${exp}"
run_stage() { espnet3-par run conf/train.yaml --stage "$1" --set "exp_dir=${exp}" "${@:2}"; }
run_stage prepare --set prepare.manifest=data/all --set prepare.require_text=false
run_stage vad --set vad.probabilities=true
run_stage fbank --set fbank.format=npy
run_stage fbank --set fbank.format=ark --set "output_dir=${exp}/ark"
run_stage collect_stats --set collect_stats.manifest=data/all/wav.scp

PYTHONPATH=../../tests/reference/standin "${work}/venv/bin/python" \
    ../../tests/reference/compare.py data/all/wav.scp downloads/silero_vad.onnx "${exp}"
