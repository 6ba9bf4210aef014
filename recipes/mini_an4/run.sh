#!/usr/bin/env bash
# AN4 with eight utterances: is the data whole, where do people speak, features, what is said, and how much of it
# was recognised.
#
# usage: ./run.sh [--stage N] [--stop_stage N] [--conf FILE] [-- OPTION...]
#   --stage N        start at this stage (1)
#   --stop_stage N   stop after this stage (9)
#   --conf FILE      the config (conf/train.yaml)
#   OPTION...        for `espnet3-par run`, such as `--set parallel.n_workers=8`
# Stages: 1 fetch data and models, 2 make data directories, 3 prepare, 4 vad, 5 fbank, 6 collect_stats, 7 asr,
# 8 score, 9 show results
set -euo pipefail
cd "$(dirname "$0")"

usage() { sed -n 's/^# \{0,1\}//; 2,/^set/{/^set/!p}' "$0"; }
log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') run.sh: $*" >&2; }

stage=1
stop_stage=9
conf=conf/train.yaml
while [ $# -gt 0 ]; do
    case $1 in
        --stage) stage=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --stop_stage | --stop-stage) stop_stage=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --conf) conf=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --) shift; break ;;
        -h | --help) usage; exit 0 ;;
        *) echo "run.sh: unknown option $1; options for \`espnet3-par run\` come after --" >&2; exit 2 ;;
    esac
done
for number in "${stage}" "${stop_stage}"; do
    if ! [[ ${number} =~ ^[1-9]$ ]]; then
        echo "run.sh: a stage is a number from 1 to 9, not ${number}; see --help" >&2
        exit 2
    fi
done

within() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

. ./path.sh

if within 1; then
    log "stage 1: fetch data and models"
    local/fetch.sh
fi
if within 2; then
    log "stage 2: make data directories"
    local/prepare.py
fi
if within 3; then
    log "stage 3: is the data whole?"
    # 1: some items failed. One recording has no transcript; the seven others go on to asr and score.
    espnet3-par run "${conf}" --stage prepare "$@" || [ $? -eq 1 ]
fi
if within 4; then
    log "stage 4: voice activity detection"
    espnet3-par run "${conf}" --stage vad "$@"
fi
if within 5; then
    log "stage 5: filterbank features"
    espnet3-par run "${conf}" --stage fbank "$@"
fi
if within 6; then
    log "stage 6: statistics of the features"
    espnet3-par run "${conf}" --stage collect_stats "$@"
fi
if within 7; then
    log "stage 7: speech recognition"
    espnet3-par run "${conf}" --stage asr "$@"
fi
if within 8; then
    log "stage 8: word error rate"
    espnet3-par run "${conf}" --stage score "$@"
fi
if within 9; then
    log "stage 9: results"
    local/show.py
fi
