#!/usr/bin/env bash
# xargs or GNU parallel: a program is started for each part of the items, two at a time.
#
# usage: on_xargs.sh xargs|parallel PARTS WORKLOAD N OUT PROGRAM...
#   PROGRAM is called with WORKLOAD FIRST LAST OUT
set -euo pipefail
how=$1 parts=$2 workload=$3 n=$4 out=$5
shift 5
mkdir "$out.run"
ranges() {
    for ((part = 0; part < parts; part++)); do
        echo "$((n * part / parts)) $((n * (part + 1) / parts)) $(printf '%s.run/%06d' "$out" "$part")"
    done
}
case $how in
    xargs) ranges | xargs -P 2 -n 3 "$@" "$workload" ;;
    parallel) ranges | parallel --will-cite -j 2 --colsep ' ' "$@" "$workload" '{1}' '{2}' '{3}' ;;
esac
cat "$out.run"/* > "$out"
