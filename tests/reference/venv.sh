# Makes a virtual environment, unless it is there.
#
# usage: . tests/reference/venv.sh; venv FOLDER PIP_ARGUMENT... [-- PIP_ARGUMENT...]...
venv() {
    local folder=$1 install=()
    shift
    if [ -e "${folder}/complete" ]; then
        return
    fi
    rm -rf "${folder}"
    python3 -m venv "${folder}"
    for argument in "$@" --; do
        if [ "${argument}" = -- ]; then
            "${folder}/bin/pip" install --quiet "${install[@]}"
            install=()
        else
            install+=("${argument}")
        fi
    done
    touch "${folder}/complete"
}
