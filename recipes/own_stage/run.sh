#!/usr/bin/env bash
# A stage of one's own: which words of AN4's test set its training set does not have.
#
# usage: ./run.sh [OPTION...]      OPTION: for `own_stage run`, such as --set parallel.n_workers=8
set -euo pipefail
cd "$(dirname "$0")"

../mini_an4/local/fetch.sh
../mini_an4/local/prepare.py ../mini_an4/downloads/an4 data
cut -d ' ' -f 2- data/train/text | tr ' ' '\n' | sort -u > data/lexicon

# What is built here is shared with the checkout around it.
cargo build --release --quiet --target-dir ../../target
../../target/release/own_stage run conf/train.yaml "$@"
cat exp/oov/results.jsonl
