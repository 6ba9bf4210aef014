#!/usr/bin/env bash
# A fake Kubernetes: kubectl create, get, delete. A pod is a process that sees all of this machine.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2015,SC2154
. "$(dirname "$(readlink -f "$0")")/lib.sh"

label=espnet3-par/job

# Reads JSON: what is neither a list nor a mapping into `json`, by its path.
declare -A json
read_json() { # FILE
    rest=$(cat "$1")
    value "" && blank && [ -z "$rest" ] || fail 1 "error: error parsing $1: invalid JSON near ${rest:0:20}"
}
blank() { rest=${rest#"${rest%%[![:space:]]*}"}; }
eat() { blank && [ "${rest:0:1}" = "$1" ] && rest=${rest:1}; }
string() {
    blank
    [[ $rest =~ ^\"(([^\"\\]|\\.)*)\" ]] || return
    rest=${rest:${#BASH_REMATCH[0]}}
    printf -v text %b "${BASH_REMATCH[1]//\\\"/\"}"
}
value() { # PATH
    local n=0
    if eat '{'; then
        if eat '}'; then return; fi
        while string && eat :; do
            value "$1${1:+.}$text" || return
            if eat '}'; then return; fi
            eat , || return
        done
        return 1
    elif eat '['; then
        if eat ']'; then return; fi
        while value "$1.$n"; do
            if eat ']'; then return; fi
            eat , || return
            ((++n))
        done
        return 1
    elif string; then
        json[$1]=$text
    elif [[ $rest =~ ^[^][{},:[:space:]]+ ]]; then
        rest=${rest:${#BASH_REMATCH[0]}}
        json[$1]=${BASH_REMATCH[0]}
    else
        return 1
    fi
}

kubectl() {
    local verb=$1 file='' selector='' dry='' names=()
    namespace=default
    shift
    local given=$*
    while [ $# -gt 0 ]; do
        case $1 in
            -o) shift ;;
            -f) file=$2 && shift ;;
            -l) selector=$2 && shift ;;
            -n) namespace=$2 && shift ;;
            --dry-run=server) dry=1 ;;
            --ignore-not-found | --wait=false) ;;
            -*) fail 1 "error: unknown flag: $1" ;;
            *) names+=("$1") ;;
        esac
        shift
    done
    case "$verb $given" in
        "create -o name "* | "create --dry-run=server -o name "*) create ;;
        "get jobs,pods -o json -l "*) get ;;
        "delete jobs --ignore-not-found --wait=false "*) delete ;;
        *) fail 1 "error: unknown command \"$verb $given\"" ;;
    esac
}

# What the server refuses.
invalid() { fail 1 "The Job \"$name\" is invalid: $1"; }

create() {
    read_json "$file"
    local spec=spec.template.spec container=spec.template.spec.containers.0 key
    name=${json[metadata.name]-} namespace=${json[metadata.namespace]:-default}
    local server="Error from server" creating="error when creating \"$file\""
    [ "${json[apiVersion]-}/${json[kind]-}" = batch/v1/Job ] || fail 1 "error: no matches for kind in \"$file\""
    [ "$namespace" = default ] || fail 1 "$server (NotFound): $creating: namespaces \"$namespace\" not found"
    [[ $name =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] || invalid "metadata.name: Invalid value"
    for key in "${!json[@]}"; do
        case $key in
            spec.completionMode | spec.completions | spec.parallelism | spec.backoffLimitPerIndex | spec.podFailurePolicy.* | spec.ttlSecondsAfterFinished) ;;
            spec.template.metadata.labels.*) ;;
            "$container".name | "$container".image | "$container".command.[0-9]* | "$container".workingDir) ;;
            "$container".env.[0-9]*.name | "$container".env.[0-9]*.value) ;;
            "$container".resources.limits.* | "$container".resources.requests.*) ;;
            "$container".volumeMounts.[0-9]*.name | "$container".volumeMounts.[0-9]*.mountPath) ;;
            "$spec".restartPolicy | "$spec".activeDeadlineSeconds | "$spec".serviceAccountName | "$spec".volumes.[0-9]*) ;;
            apiVersion | kind | metadata.name | metadata.namespace | metadata.labels.*) ;;
            *) fail 1 "$server (BadRequest): $creating: Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \"$key\"" ;;
        esac
    done
    [ -n "${json[$container.image]-}" ] || invalid "$container.image: Required value"
    [ "${json[$spec.restartPolicy]-}" = Never ] || invalid "$spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
    [ "${json[spec.completionMode]-}" = Indexed ] || invalid "spec.backoffLimitPerIndex: Invalid value: requires indexed completion mode"
    for key in "$container.resources."{limits,requests}.{cpu,memory}; do
        [[ ${json[$key]-1} =~ ^[0-9]+([.][0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$ ]] || invalid "$key: Invalid value"
    done
    # Pods are found by the label of their template.
    [ "${json[spec.template.metadata.labels.$label]-}" = "${json[metadata.labels.$label]-}" ] || invalid "labels"
    command_line='' variables='' mounts=''
    for ((n = 0; ; n++)); do
        key=${json[$container.volumeMounts.$n.name]-}
        [ -n "$key" ] || break
        [ "${json[$spec.volumes.$n.name]-}" = "$key" ] || invalid "$container.volumeMounts[$n].name: Not found: \"$key\""
        [ "${json[$container.volumeMounts.$n.mountPath]}" != / ] || invalid "$container.volumeMounts[$n].mountPath: must not be /"
        mounts+=${json[$container.volumeMounts.$n.mountPath]}$'\n'
    done
    for ((n = 0; ; n++)); do
        [ -n "${json[$container.command.$n]+given}" ] || break
        # `$$` is a `$`; variables are not filled in here.
        printf -v command_line '%s %q' "$command_line" "${json[$container.command.$n]//\$\$/\$}"
    done
    for ((n = 0; ; n++)); do
        [ -n "${json[$container.env.$n.name]+given}" ] || break
        printf -v variables '%s %q' "$variables" "${json[$container.env.$n.name]}=${json[$container.env.$n.value]-}"
    done
    first=0 last=$((${json[spec.completions]} - 1)) most=${json[spec.parallelism]}
    cwd=${json[$container.workingDir]:-/}
    if [ -n "$dry" ]; then
        echo "job.batch/$name"
        return
    fi
    mkdir "$FAKE_CLUSTER/job.$name" 2> /dev/null || fail 1 "$server (AlreadyExists): $creating: jobs.batch \"$name\" already exists"
    new_job
    save name first last most cwd command_line variables mounts
    start
    echo "$id" > "$FAKE_CLUSTER/job.$name/id"
    echo "job.batch/$name"
}

launch() { # INDEX
    local mount seen='' argv=() variables_=()
    eval "argv=($command_line) variables_=($variables)"
    exec > "$job/$1.log" 2>&1
    # Of what is not mounted a pod sees nothing.
    while read -r mount; do
        [[ -n $mount && ${argv[-1]} == "${mount%/}"/* ]] && seen=1
    done <<< "$mounts"
    [ -n "$seen" ] || fail 127 "${argv[-1]}: No such file or directory"
    cd "$cwd" || exit 128
    exec setsid env -i --default-signal PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/ HOSTNAME="$name-$1" KUBERNETES_SERVICE_HOST=10.0.0.1 JOB_COMPLETION_INDEX="$1" \
        ${variables_[@]+"${variables_[@]}"} "${argv[@]}"
}

get() {
    ! down || fail 1 "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?"
    [[ $selector =~ ^"$label in ("([a-z0-9,-]+)\)$ ]] || fail 1 "error: cannot parse selector $selector"
    local wanted items='' own
    for wanted in ${BASH_REMATCH[1]//,/ }; do
        [ -e "$FAKE_CLUSTER/job.$wanted/id" ] || continue
        load "$(cat "$FAKE_CLUSTER/job.$wanted/id")"
        local done='' failed='' pods='' active=0 gone=''
        [ -e "$job/cancelled" ] && gone=1
        own='"labels": {"'$label'": "'$name'"'
        for ((n = first; n <= last; n++)); do
            look "$n"
            case $state in
                # A deleted job takes its pods with it, those that run when they have ended.
                ended)
                    [ -z "$gone" ] || continue
                    if [ "$code" = 0 ]; then
                        done+=${done:+,}$n
                        pod Succeeded '"containerStatuses": [{"name": "task", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]'
                    else
                        failed+=${failed:+,}$n
                        pod Failed '"containerStatuses": [{"name": "task", "state": {"terminated": {"exitCode": '"$code"', "reason": "Error"}}}]'
                    fi
                    ;;
                running) ((++active)) && pod Running '"containerStatuses": [{"name": "task", "state": {"running": {}}}]' ;;
                # There are as many pods as may run, and no more.
                queued)
                    ((active < most)) && ((++active)) \
                        && pod Pending '"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]'
                    ;;
            esac
        done
        local conditions=''
        if [ -z "$done$failed" ] || ((active > 0)); then :
        elif [ -z "$failed" ]; then conditions='"type": "Complete", "status": "True", "reason": "CompletionsReached"'
        else conditions='"type": "Failed", "status": "True", "reason": "FailedIndexes", "message": "Job has failed indexes"'
        fi
        [ -n "$gone" ] || items+=${items:+,}'
{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "'$name'", '$own'}},
 "spec": {"completionMode": "Indexed", "completions": '$((last + 1))', "parallelism": '$most'},
 "status": {"active": '$active', "completedIndexes": "'$done'", "failedIndexes": "'$failed'", "conditions": ['${conditions:+\{$conditions\}}']}}'
        items+=${pods:+${items:+,}$pods}
    done
    printf '{"apiVersion": "v1", "items": [%s], "kind": "List", "metadata": {"resourceVersion": ""}}\n' "$items"
}

pod() { # PHASE MORE
    local index="batch.kubernetes.io/job-completion-index" node='"nodeName": "node1"'
    [ "$1" != Pending ] || node=
    pods+=${pods:+,}'
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "'$name-$n-x7k2p'", '$own', "'$index'": "'$n'"}, "annotations": {"'$index'": "'$n'"}},
 "spec": {'$node'}, "status": {"phase": "'$1'", '$2'}}'
}

delete() {
    local known
    for known in "${names[@]:1}"; do
        [ -e "$FAKE_CLUSTER/job.$known/id" ] || continue
        load "$(cat "$FAKE_CLUSTER/job.$known/id")"
        # The first process of a container is told, and no other one.
        cancel TERM leader
        echo "job.batch \"$known\" deleted"
    done
}

"$command" "$@"
