#!/usr/bin/env bash
# A fake LSF: bsub, bjobs, bkill, bparams.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2015,SC2154
. "$(dirname "$(readlink -f "$0")")/lib.sh"

bsub() {
    [ $# = 0 ] || fail 255 "bsub: this site does not set LSB_BSUB_PARSE_SCRIPT"
    local spool name='' out='' err='' queue=normal array='^([^][]+)\[1-([0-9]+)\](%([0-9]+))?$'
    spool=$(mktemp "$FAKE_CLUSTER/lsbatch.XXXXXX")
    cat > "$spool"
    directives '#BSUB' "$spool" all
    set -- "${words[@]}"
    while [ $# -gt 0 ]; do
        [ $# -gt 1 ] || fail 255 "$1: No argument. Job not submitted."
        case $1 in
            -J) name=$2 ;;
            -o) out=$2 ;;
            -e) err=$2 ;;
            -q) queue=$2 ;;
            -n | -M) [[ $2 =~ ^[1-9][0-9]*$ ]] || fail 255 "$2: Bad argument for option $1. Job not submitted." ;;
            -W) [[ $2 =~ ^([0-9]+:)?[0-9]+$ ]] || fail 255 "$2: Bad RUNLIMIT specification. Job not submitted." ;;
            -R | -P) ;;
            *) fail 255 "bsub: illegal option -- ${1#-}" ;;
        esac
        shift 2
    done
    [ "$queue" = normal ] || fail 255 "$queue: No such queue. Job not submitted."
    # A job that is no array has the index 0.
    first=0 last=0 most=1 cwd=$PWD
    if [[ $name =~ $array ]]; then
        first=1 last=${BASH_REMATCH[2]} most=${BASH_REMATCH[4]:-$last}
        ((last > 0)) || fail 255 "$name: Bad index list. Job not submitted."
    elif [[ $name == *[][]* ]]; then
        fail 255 "$name: Bad index list. Job not submitted."
    fi
    ((last <= ${FAKE_MAX_ARRAY:-1000})) || fail 255 "Job array index too large. Job not submitted."
    new_job
    # Not the file that was submitted: what came from stdin, under a name of LSF's own.
    mv "$spool" "$job/1795346880.$id.shell"
    chmod 700 "$job/1795346880.$id.shell"
    save first last most cwd name out err
    start
    echo "Job <$id> is submitted to default queue <$queue>."
}

launch() { # INDEX
    cd "$cwd" || exit 1
    exec >> "$(log "$out" "$1")" || exit 1
    if [ -n "$err" ]; then exec 2>> "$(log "$err" "$1")"; else exec 2>&1; fi
    in_session LSB_JOBID="$id" LSB_JOBINDEX="$1" LSB_JOBNAME="$name" LS_SUBCWD="$cwd" \
        LSB_HOSTS=fake LSB_QUEUE=normal "$job/1795346880.$id.shell"
}

log() { # PATH INDEX
    local path=${1:-/dev/null}
    path=${path//%J/$id}
    echo "${path//%I/$2}"
}

collect_logs() { # INDEX CODE
    cd "$cwd" && cat >> "$(log "$out" "$1")" << END

------------------------------------------------------------
Sender: LSF System <lsfadmin@fake>
Subject: Job ${id}[$1]: <$name> in cluster <fake> $([ "$2" = 0 ] && echo Done || echo Exited)
END
}

bjobs() {
    ! down || fail 255 "LSF is down. Please wait ..." "Cannot connect to LSF. Please wait ..."
    [ "${*:1:4}" = "-a -noheader -o jobid jobindex stat exit_code exit_reason delimiter='|'" ] \
        || fail 255 "bjobs: illegal option in $*"
    local known exit=0
    for known in "${@:5}"; do
        if ! load "$known"; then
            echo "Job <$known> is not found" >&2
            exit=255
            continue
        fi
        for ((n = first; n <= last; n++)); do
            look "$n"
            local reason=-
            [ -e "$job/cancelled" ] && reason="TERM_OWNER: job killed by owner"
            case $state in
                queued) echo "$id|$n|PEND|-|-" ;;
                running) echo "$id|$n|RUN|-|-" ;;
                deleted) echo "$id|$n|EXIT|-|$reason" ;;
                ended) [ "$code" = 0 ] && echo "$id|$n|DONE|-|-" || echo "$id|$n|EXIT|$code|$reason" ;;
            esac
        done
    done
    exit "$exit"
}

bkill() {
    local known exit=0
    for known; do
        if ! load "$known"; then
            echo "Job <$known>: No matching job found" >&2
            exit=255
        else
            cancel INT all
            echo "Job <$known> is being terminated"
        fi
    done
    exit "$exit"
}

bparams() {
    printf '    %s\n' "MAX_JOB_ARRAY_SIZE = ${FAKE_MAX_ARRAY:-1000}" "MAX_JOB_NUM = 10000"
}

"$command" "$@"
