#!/usr/bin/env bash
# Runs the stage that conf/train.yaml names, and shows what came out.
# Arguments are handed to `espnet3-par run`, as in: ./run.sh --set parallel.n_workers=8
set -euo pipefail
cd "$(dirname "$0")"

espnet3-par run conf/train.yaml "$@"
head -n 3 exp/fbank/results.jsonl
