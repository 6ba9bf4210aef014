#!/usr/bin/env bash
# A recipe in the manner of Kaldi and ESPnet2, over eight utterances of AN4: steps are called with
# $train_cmd and $decode_cmd, and cmd.sh says what these are.
#
# usage: ./run.sh [--nj N] [--cmd_backend local|sge|slurm] [--stage N] [--stop_stage N]
#   --nj N             parts that the data is split into (4)
#   --cmd_backend B    see cmd.sh (local)
# Stages: 1 fetch data, 2 split it, 3 convert to 8 kHz WAV, 4 durations, 5 show results
set -euo pipefail
cd "$(dirname "$0")"

log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') run.sh: $*" >&2; }

nj=4 stage=1 stop_stage=5 cmd_backend=local
while [ $# -gt 0 ]; do
    case $1 in
        --nj | --stage | --stop_stage | --cmd_backend)
            [ $# -gt 1 ] || { echo "run.sh: $1 has no value" >&2; exit 2; }
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        -h | --help) sed -n 's/^# \{0,1\}//; 2,/^set/{/^set/!p}' "$0"; exit 0 ;;
        *) echo "run.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
done

within() { [ "${stage}" -le "$1" ] && [ "${stop_stage}" -ge "$1" ]; }

. ./path.sh
. ./cmd.sh
if ! command -v sox > /dev/null; then
    echo "run.sh: there is no sox (on Debian: apt-get install sox)" >&2
    exit 1
fi

sdata=data/an4/split${nj}

if within 1; then
    log "stage 1: fetch data"
    ../mini_an4/run.sh --stop_stage 2
    mkdir -p data/an4
    # As Kaldi's recipes have it: the audio comes from a command.
    awk '{ print $1, "sox ../mini_an4/" $2 " -t wav - |" }' ../mini_an4/data/all/wav.scp > data/an4/wav.scp
fi
if within 2; then
    log "stage 2: split it into ${nj} parts"
    local/split_scp.sh data/an4/wav.scp "${sdata}" "${nj}"
fi
if within 3; then
    log "stage 3: convert to 8 kHz WAV"
    ${train_cmd} --mem 500M JOB=1:"${nj}" exp/wav/log/convert.JOB.log \
        local/convert.sh "${sdata}"/JOB/wav.scp exp/wav/JOB
fi
if within 4; then
    log "stage 4: durations"
    ${decode_cmd} --max-jobs-run 10 JOB=1:"${nj}" exp/wav/log/durations.JOB.log \
        cut "-d " -f 2 exp/wav/JOB/wav.scp \| xargs soxi -D \
        \| paste "-d " \<\(cut "-d " -f 1 exp/wav/JOB/wav.scp\) - \> exp/wav/JOB/utt2dur
fi
if within 5; then
    log "stage 5: results"
    for n in $(seq "${nj}"); do
        cat "exp/wav/${n}/utt2dur"
    done > exp/wav/utt2dur
    if [ "$(wc -l < exp/wav/utt2dur)" != "$(wc -l < data/an4/wav.scp)" ]; then
        echo "run.sh: exp/wav/utt2dur has not every utterance" >&2
        exit 1
    fi
    awk '{ n += 1; sum += $2 } END { print n " utterances, " sum " s: exp/wav/utt2dur" }' exp/wav/utt2dur
fi
