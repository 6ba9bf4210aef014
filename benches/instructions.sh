#!/usr/bin/env bash
# Instructions that one item costs a worker, and `collect`, beside the work itself: counted by callgrind, so
# they are the same on a busy machine. Each figure is the difference between a run of many items and one
# of few. Exits 1 where a budget is passed.
#
# usage: benches/instructions.sh [PROGRAM]     PROGRAM: the bench `workloads`, built if not given
set -euo pipefail
cd "$(dirname "$0")/.."

# About a tenth above what was counted when they were set (docs/performance.md).
worker_budget=1650
collect_budget=230
few=2000
many=22000

program=${1:-$(cargo bench --bench workloads --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')}
program=$(realpath "${program}")
work=$(mktemp -d)
trap 'rm -rf "${work}"' EXIT

# Instructions of the process whose command line has the word.
count() { # WORD FOLDER
    grep -lE "^cmd: +[^ ]+ $1( |$)" "$2"/callgrind.* | xargs sed -n 's/^\(summary\|totals\): //p' | sort -n | tail -1
}

for n in "${few}" "${many}"; do
    mkdir "${work}/${n}"
    printf '%s\n' "stage: bench" "bench: {workload: noop, n: ${n}}" "output_dir: ${work}/${n}/run" \
        "parallel: {n_workers: 1, shards: 1}" > "${work}/${n}/conf.yaml"
    for words in "run ${work}/${n}/conf.yaml" "collect ${work}/${n}/run"; do
        # shellcheck disable=SC2086
        valgrind --quiet --tool=callgrind --trace-children=yes \
            --callgrind-out-file="${work}/${n}/callgrind.%p" "${program}" ${words} > "${work}/log" 2>&1 ||
            { cat "${work}/log" >&2; exit 1; }
    done
done

failed=0
declare -A word=([worker]=espnet3-par-worker [collect]=collect)
for part in worker collect; do
    budget=${part}_budget
    a=$(count "${word[${part}]}" "${work}/${few}")
    b=$(count "${word[${part}]}" "${work}/${many}")
    each=$(((b - a) / (many - few)))
    echo "${part}: ${each} instructions an item (budget ${!budget})"
    if [ "${each}" -gt "${!budget}" ] || [ "${each}" -le 0 ]; then
        failed=1
    fi
done
exit "${failed}"
