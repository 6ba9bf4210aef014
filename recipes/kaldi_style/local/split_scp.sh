#!/usr/bin/env bash
# Splits a wav.scp into parts of nearly the same number of lines: FOLDER/1/wav.scp, FOLDER/2/wav.scp, …
#
# usage: local/split_scp.sh WAV_SCP FOLDER PARTS
set -euo pipefail
scp=$1 folder=$2 parts=$3
total=$(wc -l < "${scp}")
if [ "${parts}" -gt "${total}" ]; then
    echo "split_scp.sh: ${parts} parts of ${total} lines; take a smaller --nj" >&2
    exit 1
fi
for ((part = 1; part <= parts; part++)); do
    mkdir -p "${folder}/${part}"
    first=$((total * (part - 1) / parts + 1)) last=$((total * part / parts))
    sed -n "${first},${last}p" "${scp}" > "${folder}/${part}/wav.scp"
done
