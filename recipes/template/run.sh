#!/usr/bin/env bash
# Runs the stage that conf/train.yaml names; edit that file first.
# Arguments are handed to `espnet3-par run`, as in: ./run.sh --set parallel.n_workers=8
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v espnet3-par > /dev/null; then
    echo "run.sh: espnet3-par is not on PATH: cargo install --path ITS_FOLDER, or add target/release" >&2
    exit 127
fi
espnet3-par run conf/train.yaml "$@"
