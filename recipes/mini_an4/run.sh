#!/usr/bin/env bash
# AN4 with eight utterances: voice activity detection, features and their statistics.
#
# usage: ./run.sh [--stage N] [--stop_stage N] [--conf FILE] [-- OPTION...]
#   --stage N        start at this stage (1)
#   --stop_stage N   stop after this stage (6)
#   --conf FILE      the config (conf/train.yaml)
#   OPTION...        for `espnet3-par run`, such as `--set parallel.n_workers=8`
# Stages: 1 fetch data and model, 2 prepare data, 3 vad, 4 fbank, 5 collect_stats, 6 show results
set -euo pipefail
cd "$(dirname "$0")"

usage() { sed -n 's/^# \{0,1\}//; 2,/^set/{/^set/!p}' "$0"; }
log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') run.sh: $*" >&2; }

stage=1
stop_stage=6
conf=conf/train.yaml
while [ $# -gt 0 ]; do
    case $1 in
        --stage) stage=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --stop_stage | --stop-stage) stop_stage=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --conf) conf=$2; shift 2 ;;
        --) shift; break ;;
        -h | --help) usage; exit 0 ;;
        *) echo "run.sh: unknown option $1; options for \`espnet3-par run\` come after --" >&2; exit 2 ;;
    esac
done
for number in "${stage}" "${stop_stage}"; do
    if ! [[ ${number} =~ ^[1-6]$ ]]; then
        echo "run.sh: a stage is a number from 1 to 6, not ${number}; see --help" >&2
        exit 2
    fi
done

within() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

. ./path.sh

if within 1; then
    log "stage 1: fetch data and model"
    local/fetch.sh
fi
if within 2; then
    log "stage 2: prepare data"
    local/prepare.py
fi
if within 3; then
    log "stage 3: voice activity detection"
    espnet3-par run "${conf}" --stage vad "$@"
fi
if within 4; then
    log "stage 4: filterbank features"
    espnet3-par run "${conf}" --stage fbank "$@"
fi
if within 5; then
    log "stage 5: statistics of the features"
    espnet3-par run "${conf}" --stage collect_stats "$@"
fi
if within 6; then
    log "stage 6: results"
    local/show.py
fi
