#!/usr/bin/env bash
# Fuzzes each target, or those that are named, for so many seconds, 300 unless told, from seeds that the
# tests have. Usage: fuzz/run.sh [SECONDS [TARGET...]]. Needs cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}

rm -rf fuzz/seeds
ESPNET3_PAR_SEEDS=$PWD/fuzz/seeds cargo test --no-default-features --features speech --lib -q -- write_seeds --ignored

shift $(($# > 0))
[ $# -gt 0 ] || set -- audio config records reply
for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    # Without sanitizers: there is no unsafe code, and it works on a stable toolchain.
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
done
