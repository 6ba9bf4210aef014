#!/usr/bin/env bash
# A fake PBS Professional: qsub, qstat, qdel.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2015,SC2059,SC2154
. "$(dirname "$(readlink -f "$0")")/lib.sh"

server=fakepbs

qsub() {
    [ $# = 1 ] && [ -r "$1" ] || fail 1 "qsub: script file:: No such file or directory"
    local script=$1 queue=workq array='^([0-9]+)-([0-9]+)(%([1-9][0-9]*))?$'
    # No array: one task, 0.
    name=${1##*/} out='' first=0 last=0 most=1 is_array='' cwd=$PWD join=''
    directives '#PBS' "$script"
    set -- "${words[@]}"
    while [ $# -gt 0 ]; do
        [ $# -gt 1 ] || fail 2 "qsub: option requires an argument -- '${1#-}'"
        case $1 in
            -N) name=$2 ;;
            -q) queue=$2 ;;
            -j) join=$2 ;;
            -o) out=$2 ;;
            -J)
                [[ $2 =~ $array ]] && ((BASH_REMATCH[1] < BASH_REMATCH[2])) \
                    || fail 2 "qsub: illegal -J value"
                first=${BASH_REMATCH[1]} last=${BASH_REMATCH[2]} is_array=1
                most=${BASH_REMATCH[4]:-1000}
                ;;
            -l)
                [[ $2 =~ ^(select=1(:[a-z]+=[^:,]+)*|walltime=[0-9]+:[0-9]{2}:[0-9]{2})$ ]] \
                    || fail 2 "qsub: Illegal attribute or resource value for $2"
                ;;
            -e | -A | -v) ;;
            *) fail 2 "qsub: invalid option -- '${1#-}'" ;;
        esac
        shift 2
    done
    [[ $name =~ ^[[:alpha:]][^[:space:]]*$ ]] || fail 2 "qsub: illegal -N value"
    [ "$queue" = workq ] || fail 170 "qsub: Unknown queue"
    [ "$join" = oe ] && [ -n "$out" ] || fail 2 "qsub: this fake keeps one log a task"
    ((last - first < ${FAKE_MAX_ARRAY:-10000})) || fail 3 "qsub: Array job exceeds server or queue size limit"
    new_job
    cp "$script" "$job/$id.SC"
    chmod 500 "$job/$id.SC"
    save name out first last most is_array cwd
    start
    echo "$id${is_array:+[]}.$server"
}

launch() { # INDEX
    local array=()
    # A job begins at home, in a script that was copied when it was submitted.
    cd "$FAKE_CLUSTER/home" || exit 1
    exec > "$job/$1.OU" 2>&1
    [ -z "$is_array" ] || array=(PBS_ARRAY_INDEX="$1" PBS_ARRAY_ID="${id}[].$server")
    in_session PBS_JOBID="$(element "$1")" PBS_O_WORKDIR="$cwd" PBS_ENVIRONMENT=PBS_BATCH \
        PBS_JOBNAME="$name" ${array[@]+"${array[@]}"} /bin/bash -c "$job/$id.SC"
}

# Copied to where they are wanted when the task is over.
collect_logs() { # INDEX
    cd "$cwd" && cp "$job/$1.OU" "${out//^array_index^/$1}"
}

element() { echo "$id${is_array:+[$1]}.$server"; }

qstat() {
    if [ "$*" = "-B -f" ]; then
        printf '%s\n' "Server: $server" "    server_state = Active" \
            "    max_array_size = ${FAKE_MAX_ARRAY:-10000}"
        return
    fi
    local head='{\n\t"timestamp":\t1795346880,\n\t"pbs_version":\t"23.06.06",\n\t"pbs_server":\t"'$server'"'
    if down; then
        printf "$head\n}\n"
        fail 255 "Connection refused" "qstat: cannot connect to server $server (errno=15010)"
    fi
    [ "${*:1:5}" = "-t -x -f -F json" ] || fail 2 "qstat: illegal option in $*"
    local known jobs='' exit=0
    for known in "${@:6}"; do
        if ! load "${known%%[.[]*}" || [ "$known" != "$id${is_array:+[]}.$server" ]; then
            echo "qstat: Unknown Job Id $known" >&2
            exit=153
            continue
        fi
        local over=1 elements=''
        for ((n = first; n <= last; n++)); do
            look "$n"
            [[ $state == ended || $state == deleted ]] || over=
        done
        for ((n = first; n <= last; n++)); do
            look "$n"
            local ran='"exec_host":\t"'$server'/'$n'",\n\t\t\t"run_count":\t1,\n\t\t\t' on="Job run at Sun Nov 22 at 11:15 on ($server:ncpus=1)"
            local letter=${over:+F} how=finished
            letter=${letter:-${is_array:+X}}
            [ "${code:-0}" = 0 ] || how=failed
            [ -e "$job/cancelled" ] && how="terminated by ann@$server"
            case $state in
                queued) one Q '"comment":\t"Not Running: Not enough free nodes available"' ;;
                running) one R "$ran"'"comment":\t"'"$on"'"' ;;
                ended) one "${letter:-F}" "$ran"'"comment":\t"'"$on and $how"'",\n\t\t\t"Exit_status":\t'"$code" ;;
                deleted) one "${letter:-F}" '"comment":\t"Subjob finished",\n\t\t\t"Exit_status":\t1' ;;
            esac
        done
        if [ -n "$is_array" ]; then
            state=$([ -n "$over" ] && echo F || echo B)
            elements=$(printf '\t\t"%s[].%s":\t{\n\t\t\t"Job_Name":\t"%s",\n\t\t\t"job_state":\t"%s",\n\t\t\t"array":\t"True"\n\t\t},\n' "$id" "$server" "$name" "$state")$elements
        fi
        jobs+=${jobs:+,\\n}$elements
    done
    printf "$head${jobs:+,\n\t\"Jobs\":\t{\n$jobs\n\t\}}\n}\n"
    exit "$exit"
}

one() { # LETTER MORE
    elements+="${elements:+,\n}\t\t\"$(element "$n")\":\t{\n\t\t\t\"Job_Name\":\t\"$name\",\n\t\t\t\"job_state\":\t\"$1\",\n\t\t\t$2\n\t\t}"
}

qdel() {
    local known exit=0
    for known; do
        if ! load "${known%%[.[]*}"; then
            echo "qdel: Unknown Job Id $known" >&2
            exit=153
        else
            cancel TERM all
        fi
    done
    exit "$exit"
}

"$command" "$@"
