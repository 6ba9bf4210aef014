#!/usr/bin/env bash
# Every config in ESPnet3's own recipes that has a `parallel:` section: read here as it is, and
# rendered for each scheduler. The configs are taken from the PyPI package, into target/espnet3.
#
# usage: tests/reference/espnet3.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(pwd)/target/espnet3
tests/reference/fetch_espnet3.sh
cargo build --quiet --example toy
toy=$(pwd)/target/debug/examples/toy

cd "$work"
printf 'stage: toy\ntoy: {n: 40}\n' > toy.yaml
options=(cores=4 memory=8GB disk=1GB image=registry.example/espnet:1)
read_all=0
while read -r config; do
    check=("$toy" run toy.yaml "$config" --stage toy --dry-run --set "output_dir=$work/exp")
    "${check[@]}" > dry_run.txt 2> messages.txt || { cat messages.txt; echo "$config" >&2; exit 1; }
    for env in slurm pbs torque sge lsf htcondor oar moab kube; do
        "${check[@]}" --set "parallel.env=$env" "${options[@]/#/--set=parallel.options.}" \
            > dry_run.txt 2> messages.txt || { cat messages.txt; echo "$config, $env" >&2; exit 1; }
        grep -q 'espnet3-par-task' dry_run.txt
    done
    read_all=$((read_all + 1))
done < <(grep -rlE '^parallel' egs3 --include='*.yaml')
[ "$read_all" -ge 9 ] || { echo "only $read_all configs were found" >&2; exit 1; }
echo "$read_all configs of ESPnet3, each for nine schedulers"
