#!/usr/bin/env bash
# Writes what a wav.scp names as 8 kHz WAV files into a folder, and their own wav.scp. An entry that ends
# in | is a command, as in Kaldi.
#
# usage: local/convert.sh WAV_SCP FOLDER
set -euo pipefail
scp=$1 folder=$2
mkdir -p "${folder}"
while read -r utt_id what; do
    case ${what} in
        *'|') bash -c "${what%|}" < /dev/null ;;
        *) cat "${what}" ;;
    esac | sox -t wav - -r 8000 "${folder}/${utt_id}.wav"
    echo "${utt_id} ${folder}/${utt_id}.wav"
done < "${scp}" > "${folder}/wav.scp"
