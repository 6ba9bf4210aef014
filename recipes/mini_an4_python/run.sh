#!/usr/bin/env bash
# A provider and a runner in Python, over the eight utterances of AN4 that ../mini_an4 fetches.
#
# usage: ./run.sh [OPTION...]      OPTION: for `espnet3-par run`, such as --set parallel.n_workers=8
set -euo pipefail
cd "$(dirname "$0")"

. ../mini_an4/path.sh
../mini_an4/local/fetch.sh
../mini_an4/local/prepare.py ../mini_an4/downloads/an4 data

espnet3-par run conf/train.yaml "$@"
espnet3-par collect exp/voice --format scp --key utt_id --field pitch --output exp/utt2pitch
cat exp/utt2pitch
