# shellcheck shell=bash disable=SC2034,SC2154,SC1091,SC2086
# What the fake schedulers share. A job is a folder below $FAKE_CLUSTER, a task a process in a session
# of its own. Each fake says in `launch` how its scheduler starts a task.
#
#   FAKE_CLUSTER    where jobs are kept; home/ in it is the user's home
#   FAKE_SLOTS      so many tasks of a job run at a time (8)
#   FAKE_MAX_ARRAY  so many tasks may be in an array (1000)
#   FAKE_DOWN       set: questions get no answer
set -u
me=${0##*/}

fail() { # CODE WORDS...
    local code=$1
    shift
    printf '%s\n' "$@" >&2
    exit "$code"
}

down() { [ -n "${FAKE_DOWN-}" ]; }

# A folder for a new job: `id`, and `job`, the folder. Ids are far apart: there is room for tasks.
new_job() {
    for ((id = 1000; ; id += 1000)); do
        job=$FAKE_CLUSTER/$id
        if mkdir "$job" 2> /dev/null; then return; fi
    done
}

# Keeps variables with the job.
save() { # NAMES...
    for _name; do printf '%s=%q\n' "$_name" "${!_name}"; done > "$job/saved"
}

# Takes up a job: `id`, `job` and what was saved.
load() { # ID
    id=$1 job=$FAKE_CLUSTER/$1
    [[ $id =~ ^[0-9]+$ ]] && [ -e "$job/saved" ] && . "$job/saved"
}

# The words of the directives in a script, into `words`; `all`: also those behind the first command.
directives() { # PREFIX FILE [all]
    local line lines=
    while IFS= read -r line; do
        case $line in
            "$1 "*) lines+=${line#"$1 "}$'\n' ;;
            '#'* | '') ;;
            *) [ "${3-}" = all ] || break ;;
        esac
    done < "$2"
    # xargs reads quotes as these schedulers do, and leaves `$` alone.
    lines=$(printf %s "$lines" | xargs -r printf '%s\n') || fail 1 "$me: unmatched quote"
    mapfile -t words <<< "$lines"
}

# Hands the job to a process of its own. Wants `first`, `last` and `most` saved.
start() {
    setsid "$0" --supervise "$id" < /dev/null > "$job/supervisor.log" 2>&1 &
}

# Starts tasks, as many at a time as may run, and notes how each ends.
supervise() { # ID
    local n going=0 slots=${FAKE_SLOTS:-8}
    load "$1"
    for ((n = first; n <= last; n++)); do
        if ((going >= most || going >= slots)); then
            wait -n
            ((going--))
        fi
        [ -e "$job/cancelled" ] && break
        one_task "$n" &
        ((going++))
    done
    wait
}

one_task() { # TASK
    local code
    # Who runs in the background does not hear SIGINT, unless he says so.
    (
        trap - INT QUIT
        echo "$BASHPID" > "$job/$1.pid"
        [ ! -e "$job/cancelled" ] || exit 143
        launch "$1"
    ) < /dev/null &
    wait "$!"
    code=$?
    collect_logs "$1" "$code"
    echo "$code" > "$job/$1.code.new" && mv "$job/$1.code.new" "$job/$1.code"
}

# Where the scheduler does something with the logs of a task that has ended.
collect_logs() { :; }

# A login of the user's on a node: this environment and no other, and nothing of ours ignored.
in_session() { # [NAME=VALUE...] COMMAND...
    exec setsid env -i --default-signal \
        PATH=/usr/bin:/bin HOME="$FAKE_CLUSTER/home" SHELL=/bin/bash LANG=C \
        USER="$(id -un)" LOGNAME="$(id -un)" "$@"
}

# How a task is, into `state`: queued, running, ended (with `code`) or deleted before it ran.
look() { # TASK
    local pid tries
    state=queued code=
    if [ ! -e "$job/$1.pid" ]; then
        [ -e "$job/cancelled" ] && state=deleted
        return
    fi
    read -r pid < "$job/$1.pid"
    for ((tries = 0; tries < 100; tries++)); do
        if [ -e "$job/$1.code" ]; then
            read -r code < "$job/$1.code"
            state=ended
            return
        fi
        if [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null; then
            state=running
            return
        fi
        sleep 0.01
        read -r pid < "$job/$1.pid"
    done
    fail 70 "$me: task $1 of $id is gone, and nobody saw it end"
}

# Ends the job: nothing is started any more, and what runs gets a signal, `all` of the session or its
# `leader`.
cancel() { # SIGNAL all|leader
    local n pid fields sessions=' '
    : > "$job/cancelled"
    for ((n = first; n <= last; n++)); do
        look "$n"
        [ "$state" = running ] || continue
        read -r pid < "$job/$n.pid"
        kill -s "$1" "$pid"
        sessions+="$pid "
    done
    [ "$2" = all ] || return 0
    for pid in /proc/[0-9]*; do
        read -r fields < "$pid/stat" || continue
        pid=${pid#/proc/}
        # pid (comm) state ppid pgrp session, proc_pid_stat(5)
        set -- "$1" ${fields##*) }
        [[ $sessions == *" $5 "* && $sessions != *" $pid "* ]] && kill -s "$1" "$pid"
    done 2> /dev/null
    return 0
}

if [ "${1-}" = --supervise ]; then
    command=supervise
    shift
else
    command=$me
    echo "$me $*" >> "$FAKE_CLUSTER/calls"
fi
