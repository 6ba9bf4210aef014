#!/usr/bin/env bash
# A fake OAR: oarsub, oarstat, oardel.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2015,SC2154
. "$(dirname "$(readlink -f "$0")")/lib.sh"

oarsub() {
    # A queue of options, then the command.
    local count=1 cores
    name='' out='' err='' cwd=$PWD is_array=''
    while [ $# -gt 1 ]; do
        case $1 in
            -n) name=$2 ;;
            -O) out=$2 ;;
            -E) err=$2 ;;
            -q | -p | --project) ;;
            --array)
                [[ $2 =~ ^[1-9][0-9]*$ ]] || fail 251 "Value \"$2\" invalid for option array (number expected)"
                count=$2 is_array=1
                ;;
            -l)
                [[ $2 =~ ^/nodes=1/core=([0-9]+)(,walltime=[0-9]+:[0-9]{2}:[0-9]{2})?$ ]] \
                    || fail 251 "Bad resource request: $2"
                cores=${BASH_REMATCH[1]}
                ;;
            *) fail 251 "Unknown option: ${1#-}" ;;
        esac
        shift 2
    done
    [ $# = 1 ] && [[ $1 != -* ]] || fail 251 "Oarsub failed: no command"
    for path in "$out" "$err"; do
        [[ $path =~ ^[A-Za-z0-9_./%-]+$ ]] || fail 244 '/!\ Invalid stdout file name (bad character)'
    done
    if ((cores > 32)); then
        printf '%s\n' "There are not enough resources for your request" "OAR_JOB_ID=-5" \
            "Oarsub failed: please verify your request syntax or ask for support to your admin."
        exit 251
    fi
    new_job
    # Each element is a job with an id of its own; the array has that of the first.
    first=1 last=$count most=$count command_line=$1
    save name out err cwd first last most command_line
    start
    echo "[ADMISSION RULE] Modify resource description with type constraints"
    if [ -n "$is_array" ]; then
        echo "Simple array job submission is used" >&2
        for ((n = 1; n <= count; n++)); do echo "OAR_JOB_ID=$((id + n - 1))"; done
        echo "OAR_ARRAY_ID=$id"
    else
        echo "OAR_JOB_ID=$id"
    fi
}

launch() { # INDEX
    local own=$((id + $1 - 1))
    cd "$cwd" || exit 1
    exec > "${out//%jobid%/$own}" 2> "${err//%jobid%/$own}" || exit 1
    in_session OAR_JOB_ID="$own" OAR_ARRAY_ID="$id" OAR_ARRAY_INDEX="$1" OAR_JOB_NAME="$name" \
        OAR_WORKDIR="$cwd" OAR_O_WORKDIR="$cwd" /bin/bash -c "$command_line"
}

oarstat() {
    ! down || fail 255 "DB connection error, exiting."
    [ "${*:1:2}" = "-J --sql" ] && [[ $# = 3 && $3 =~ ^array_id\ IN\ \(([0-9,]+)\)$ ]] \
        || fail 255 "oarstat: cannot parse $*"
    local known word jobs=''
    for known in ${BASH_REMATCH[1]//,/ }; do
        load "$known" || continue
        for ((n = first; n <= last; n++)); do
            look "$n"
            local host='"fake-1"'
            case $state in
                queued) word=Waiting host='' ;;
                running) word=Running ;;
                # A command that fails has been carried out; one that was deleted has not.
                *) word=Terminated && [ ! -e "$job/cancelled" ] || word=Error ;;
            esac
            jobs+=${jobs:+$',\n'}$(printf '   "%d" : {\n      "Job_Id" : %d,\n      "array_id" : %d,\n      "array_index" : %d,\n      "state" : "%s",\n      "name" : "%s",\n      "assigned_network_address" : [%s]\n   }' \
                $((id + n - 1)) $((id + n - 1)) "$id" "$n" "$word" "$name" "$host")
        done
    done
    [ -n "$jobs" ] || fail 255 "hash- or arrayref expected (not a simple scalar, use allow_nonref to allow this) at oarstat line 285."
    printf '{\n%s\n}\n' "$jobs"
}

oardel() {
    [ "${1-}" = --array ] && shift || fail 1 "oardel: this fake ends arrays"
    local known
    for known; do
        load "$known" || fail 1 "The job $known does not exist"
        cancel TERM all
        echo "Deleting the job = $known ...REGISTERED."
    done
}

"$command" "$@"
