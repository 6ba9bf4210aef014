#!/usr/bin/env bash
# A corpus of thousands of utterances that anybody can make, and recognise: sentences in AN4's style, said by
# espeak-ng, with noise.
#
# usage: ./run.sh [--stage N] [--stop_stage N] [--number N] [-- OPTION...]
#   --stage N        start at this stage (1)
#   --stop_stage N   stop after this stage (7)
#   --number N       how many utterances (5000)
#   OPTION...        for `espnet3-par run`, such as `--set parallel.n_workers=8`
# Stages: 1 sentences, 2 synthesise, 3 augment, 4 prepare, 5 asr, 6 score, 7 show results
# Needs espeak-ng (on Debian: apt-get install espeak-ng).
set -euo pipefail
cd "$(dirname "$0")"

usage() { sed -n 's/^# \{0,1\}//; 2,/^set/{/^set/!p}' "$0"; }
log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') run.sh: $*" >&2; }

stage=1
stop_stage=7
number=5000
while [ $# -gt 0 ]; do
    case $1 in
        --stage) stage=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --stop_stage | --stop-stage) stop_stage=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --number) number=${2:-}; shift $(($# > 1 ? 2 : 1)) ;;
        --) shift; break ;;
        -h | --help) usage; exit 0 ;;
        *) echo "run.sh: unknown option $1; options for \`espnet3-par run\` come after --" >&2; exit 2 ;;
    esac
done
for given in "${stage}" "${stop_stage}"; do
    if ! [[ ${given} =~ ^[1-7]$ ]]; then
        echo "run.sh: a stage is a number from 1 to 7, not ${given}; see --help" >&2
        exit 2
    fi
done

within() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

. ./path.sh

if within 1; then
    log "stage 1: sentences"
    there=${number}
    [ ! -e data/clean/text ] || there=$(wc -l < data/clean/text)
    if [ "${there}" != "${number}" ]; then
        echo "run.sh: data and exp are of ${there} utterances; \`rm -r data exp\` first, or --number ${there}" >&2
        exit 2
    fi
    ../mini_an4/local/fetch.sh
    an4=../mini_an4/downloads
    local/sentences.py --number "${number}" "${an4}/an4/etc/an4.dic" data/clean
    # Two noises and two rooms come with ESPnet's AN4.
    mkdir -p downloads
    tar -xzf "${an4}/an4.tar.gz" -C downloads --strip-components=1 downloads/noise downloads/rirs
    for kind in noise rirs; do
        for file in downloads/"${kind}"/*.wav; do
            echo "$(basename "${file}" .wav) ${file}"
        done > "data/${kind}.scp"
    done
fi
if within 2; then
    log "stage 2: synthesise"
    if ! command -v espeak-ng > /dev/null; then
        echo "run.sh: espeak-ng is missing (on Debian: apt-get install espeak-ng)" >&2
        exit 1
    fi
    espnet3-par run conf/synthesise.yaml "$@"
    local/wav_scp.py exp/synthesise data/clean
fi
if within 3; then
    log "stage 3: augment"
    espnet3-par run conf/augment.yaml "$@"
fi
if within 4; then
    log "stage 4: is the data whole?"
    espnet3-par run conf/decode.yaml --stage prepare "$@"
fi
if within 5; then
    log "stage 5: speech recognition"
    espnet3-par run conf/decode.yaml --stage asr "$@"
fi
if within 6; then
    log "stage 6: word error rate"
    espnet3-par run conf/decode.yaml --stage score "$@"
fi
if within 7; then
    log "stage 7: results"
    espnet3-par status exp
    head -n 1 exp/prepare/report.txt
    head -n 1 exp/score/result.txt
fi
