#!/usr/bin/env bash
# A fake Moab over Torque: msub, showq, canceljob.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2015,SC2154
. "$(dirname "$(readlink -f "$0")")/lib.sh"

msub() {
    local queue=batch with_variables='' array='^([^][]+)\[1-([0-9]+)\](%([1-9][0-9]*))?$'
    if [ "${1-}" = -E ]; then
        with_variables=1
        shift
    fi
    [ $# = 1 ] && [ -r "$1" ] || fail 1 "ERROR:    cannot open command file '$*'"
    local script=$1
    name=${1##*/} out='' cwd=$PWD shell=/bin/sh is_array='' first=1 last=1 most=1
    directives '#PBS' "$script"
    set -- "${words[@]}"
    while [ $# -gt 0 ]; do
        [ $# -gt 1 ] || fail 1 "ERROR:    option '$1' needs an argument"
        case $1 in
            -N) name=$2 ;;
            -q) queue=$2 ;;
            -o) out=$2 ;;
            -S) shell=$2 ;;
            -t)
                [ -z "${FAKE_NO_ARRAYS-}" ] || fail 1 "ERROR:    cannot submit job - job arrays are disabled"
                [[ $2 =~ $array ]] && ((BASH_REMATCH[2] > 0)) || fail 1 "ERROR:    cannot submit job - invalid array '$2'"
                last=${BASH_REMATCH[2]} most=${BASH_REMATCH[4]:-$last} is_array=1
                ;;
            -l)
                [[ $2 =~ ^(nodes=1:ppn=[0-9]+|mem=[0-9]+([kMG]?B)|walltime=[0-9]+:[0-9]{2}:[0-9]{2})$ ]] \
                    || fail 1 "ERROR:    cannot submit job - invalid resource '$2'"
                ;;
            -e | -A) ;;
            -j) [ "$2" = oe ] || fail 1 "ERROR:    invalid join '$2'" ;;
            *) fail 1 "ERROR:    invalid option '$1'" ;;
        esac
        shift 2
    done
    [ "$queue" = batch ] || fail 1 "ERROR:    cannot submit job - queue '$queue' is unknown"
    new_job
    cp "$script" "$job/$id.SC"
    save name out cwd shell is_array with_variables first last most
    start
    printf '\n%s\n' "Moab.$id${is_array:+[]}"
}

launch() { # INDEX
    local more=()
    cd "$FAKE_CLUSTER/home" || exit 1
    exec > "$job/$1.OU" 2>&1
    # Only where -E asked for it.
    [ -z "$with_variables" ] || more=(MOAB_JOBNAME="$name" MOAB_JOBARRAYINDEX="$1" MOAB_JOBARRAYRANGE="$last")
    in_session PBS_JOBID="$(torque_id "$1")" PBS_O_WORKDIR="$cwd" PBS_ENVIRONMENT=PBS_BATCH \
        ${more[@]+"${more[@]}"} "$shell" "$job/$id.SC"
}

# A job of its own for Torque, with any id.
torque_id() { echo "$((id + $1)).head"; }

collect_logs() { # INDEX
    cd "$cwd" && cp "$job/$1.OU" "${out//\$PBS_JOBID/$(torque_id "$1")}"
}

showq() {
    ! down || fail 1 "ERROR:    lost connection to server" "ERROR:    cannot request service (status)"
    local completed=''
    if [ "${1-}" = -c ]; then
        completed=1
        shift
    fi
    [ "$*" = "--xml -w user=$(id -un)" ] || fail 1 "ERROR:    invalid request '$*'"
    local active='' eligible='' over='' folder
    for folder in "$FAKE_CLUSTER"/[0-9]*; do
        load "${folder##*/}" || continue
        for ((n = first; n <= last; n++)); do
            look "$n"
            case $state in
                queued) eligible+=$(one Idle) ;;
                running) active+=$(one Running 'MasterHost="n1" ') ;;
                ended) over+=$(one Completed "CompletionCode=\"$code\" ") ;;
                deleted) over+=$(one Completed 'CompletionCode="CNCLD" ') ;;
            esac
        done
    done
    printf '<Data>\n <Object>queue</Object>\n <cluster LocalActiveNodes="1" time="1553503935"/>\n'
    if [ -n "$completed" ]; then
        printf ' <queue option="completed">%s\n </queue>\n' "$over"
    else
        printf ' <queue option="%s">%s\n </queue>\n' active "$active" eligible "$eligible" blocked ''
    fi
    printf '</Data>\n'
}

one() { # STATE MORE
    local own=Moab.$id${is_array:+[$n]}
    printf '\n  <job %sDRMJID="%s" GJID="%s" JobID="%s" JobName="%s" ReqProcs="1" State="%s" User="%s"/>' \
        "${2-}" "$(torque_id "$n")" "$own" "$own" "$name" "$1" "$(id -un)"
}

canceljob() {
    local known
    for known; do
        load "${known#Moab.}" || fail 1 "ERROR:    invalid job specified ($known)"
        cancel TERM all
        printf "\njob '%s' cancelled\n" "$known"
    done
}

"$command" "$@"
