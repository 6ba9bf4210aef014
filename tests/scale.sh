#!/usr/bin/env bash
# The recipe corpus_scale at its size, with two workers:
#   1. the stage asr: its time beside PocketSphinx's over the same utterances, the words of both, and how long
#      the last worker works alone
#   2. the same, killed with -9 twenty times (driver, task, workers) and resumed by the same command with another
#      number of workers; the rest is done by a Slurm that is started for it. Records, `text` and the word error
#      rate must be the undisturbed run's, to the byte.
# asr and score have every utterance several times, so that there is something to measure and to kill.
#
# usage: tests/scale.sh [--number N] [--repeats N] [--finish slurm|local] [--strict yes|no] [--seed N]
#   --number N       how many utterances; espeak-ng makes them anew where the recipe has another number (5000)
#   --repeats N      how often asr has each of them (4)
#   --finish ENV     where the killed run ends: slurm needs root (slurm)
#   --strict yes|no  whether a worker that is idle for 5 % of the run is a failure (yes)
#   --seed N         for the moments of the kills (any)
# Needs espeak-ng, and 0.7 GB for 5000 utterances; PocketSphinx is installed from PyPI into target/reference_sphinx, once.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$(pwd)

number=5000 repeats=4 finish=slurm strict=yes seed=${RANDOM}
while [ $# -gt 0 ]; do
    case $1 in
        --number | --repeats | --finish | --strict | --seed)
            [ $# -gt 1 ] || { echo "scale.sh: $1 has no value" >&2; exit 2; }
            printf -v "${1#--}" %s "$2"
            shift 2
            ;;
        -h | --help) sed -n 's/^# \{0,1\}//; 2,/^set/{/^set/!p}' "$0"; exit 0 ;;
        *) echo "scale.sh: unknown option $1; see --help" >&2; exit 2 ;;
    esac
done

log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') scale.sh: $*" >&2; }

exp=${root}/target/scale
rm -rf "${exp}"
mkdir -p "${exp}/data"

tests/reference/install_pocketsphinx.sh
python=${root}/target/reference_sphinx/venv/bin/python
scale=${root}/tests/reference/scale.py

cd recipes/corpus_scale
. ./path.sh
if [ "$(cat exp/prepare/data/text 2> /dev/null | wc -l)" != "${number}" ]; then
    rm -rf data exp
fi
./run.sh --number "${number}" --stop_stage 4

for table in wav.scp utt2dur text utt2spk; do
    for ((time = 1; time <= repeats; time++)); do
        sed "s/^[^ ]*/&-${time}/" "exp/prepare/data/${table}"
    done | LC_ALL=C sort > "${exp}/data/${table}"
done
mkdir "${exp}/no_utt2dur"
cp "${exp}/data/wav.scp" "${exp}/no_utt2dur"

asr() { # OUTPUT_DIR DATA_DIR: a command line, in ${command}
    command=(espnet3-par run conf/decode.yaml --stage asr --set "output_dir=$1"
        --set "asr.manifest=$2/wav.scp")
}
score() { # NAME OF
    espnet3-par run conf/decode.yaml --stage score --set "output_dir=${exp}/$1" \
        --set "score.ref=${exp}/data/text" --set "score.hyp=${exp}/$2/results.jsonl"
}

log "asr, three times"
for time in 1 2 3; do
    asr "${exp}/undisturbed.${time}" "${exp}/data"
    "${python}" "${scale}" time "${exp}/undisturbed.${time}" "${exp}/costs.time" "${command[@]}"
    cmp "${exp}/undisturbed.${time}/results.jsonl" "${exp}/undisturbed.1/results.jsonl"
done
mv "${exp}/undisturbed.1" "${exp}/undisturbed"
asr "${exp}/no_costs" "${exp}/no_utt2dur"
"${python}" "${scale}" time "${exp}/no_costs" "${exp}/counts.time" "${command[@]}"
cmp "${exp}/no_costs/results.jsonl" "${exp}/undisturbed/results.jsonl"
score score undisturbed
log "PocketSphinx"
"${python}" "${scale}" pocketsphinx ../mini_an4/downloads exp/prepare/data "${exp}"

log "asr, killed twenty times, --seed ${seed}"
asr "${exp}/killed" "${exp}/data"
"${python}" "${scale}" kill "${exp}/killed" "${seed}" "${command[@]}"
if [ "${finish}" = slurm ]; then
    slurm=$(mktemp -d /tmp/par.XXXXXX)
    trap 'WIPE=1 "${root}/tests/clusters/slurm.sh" down "${slurm}" || true; rm -rf "${slurm}"' EXIT
    PAR_SLURM_PORT=18017 PAR_SLURM_ACCOUNTING=0 "${root}/tests/clusters/slurm.sh" up "${slurm}"
    # shellcheck source=/dev/null
    . "${slurm}/env.sh"
fi
log "and finished, by ${finish}"
"${command[@]}" --set "parallel.env=${finish}" --set parallel.n_workers=3
score score_killed killed
cmp "${exp}/killed/results.jsonl" "${exp}/undisturbed/results.jsonl"
cmp "${exp}/killed/text" "${exp}/undisturbed/text"
for file in results.jsonl score.json result.txt; do
    cmp "${exp}/score_killed/${file}" "${exp}/score/${file}"
done

"${python}" "${scale}" report exp/prepare/data "${exp}" "${repeats}" "${strict}"
