# shellcheck shell=bash disable=SC2154,SC2231
# What the scripts beside this file share. Each starts a real scheduler for the tests, as root and without
# systemd, on the loopback interface or in namespaces of its own:
#
#   tests/clusters/NAME.sh up DIR      starts it, or what is missing of it, and waits until it takes jobs
#   . DIR/env.sh                       what its users' commands need
#   tests/clusters/NAME.sh down DIR    ends it and every job; with WIPE=1 DIR goes too
#
# All state is in DIR. A script may be run again at any time, by two tests at once too.
#
# A cluster's processes are known by their UTS namespace. Every daemon is started in one that is pinned to a
# file, DIR/ns/NAME, and nothing it starts gets out by detaching, by losing its parent or by clearing its
# environment. So `down` finds jobs that nobody else knows any more, and never hits a stranger whose process
# id is in an old pid file. It is also what gives several nodes of one machine a host name each.

set -euo pipefail
shopt -s nullglob

fail() { echo "${0##*/}: $*" >&2; exit 1; }

give_up() { fail "failed: $2; the end of $1:"$'\n'"$(tail -n 15 "$1")"; } # LOG WHAT

# Calls the function do_COMMAND with ARG... and with DIR set, for `NAME.sh COMMAND DIR [ARG...]`.
dispatch() {
    { [ $# -ge 2 ] && declare -F "do_$1" > /dev/null; } || fail "usage: $usage"
    [ "$(id -u)" = 0 ] || fail "only root can start daemons and make namespaces"
    DIR=$(realpath -m "$2")
    # Configuration files have no quoting; sockets have at most 107 characters.
    [[ $DIR != *[[:space:]]* && ${#DIR} -le 80 ]] || fail "$DIR: blanks, or more than 80 characters"
    if [ "$1" = up ]; then
        [ -e "$DIR/lock" ] || [ -z "$(ls -A "$DIR" 2> /dev/null)" ] || fail "$DIR is not empty and not mine"
        mkdir -p "$DIR"
    elif [ ! -e "$DIR/lock" ]; then
        [ "$1" = down ] || fail "$DIR: nothing was started here"
        return 0
    fi
    # One at a time. `-o` keeps the lock from the daemons, which would hold it for ever.
    [ "${PAR_CLUSTER_LOCK:-}" = "$DIR" ] \
        || PAR_CLUSTER_LOCK=$DIR exec flock -o -w 600 "$DIR/lock" "$0" "$@"
    "do_$1" "${@:3}"
}

wipe_if_asked() { [ "${WIPE:-0}" != 1 ] || rm -rf --one-file-system "$DIR"; }

# Installs the Debian packages that are missing. Where they would start services, policy-rc.d must forbid it.
need() { # PACKAGE...
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] || apt_get install -y --no-install-recommends "${missing[@]}"
}

# apt-get, after one update; says nothing unless it fails. Two at once would trip over each other's lock.
apt_get() {
    local log
    log=$(mktemp)
    set -- timeout 600 apt-get -q "$@"
    [ -n "${apt_updated:-}" ] || set -- sh -c 'timeout 300 apt-get -q update && exec "$@"' sh "$@"
    DEBIAN_FRONTEND=noninteractive flock /run/lock/par-clusters-apt "$@" > "$log" 2>&1 || give_up "$log" "$*"
    apt_updated=yes
    rm -f "$log"
}

# Calls COMMAND until it succeeds, for so long at most. COMMAND must end by itself.
wait_for() { # SECONDS LOG COMMAND...
    local end=$((SECONDS + $1)) log=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || give_up "$log" "$*"
        sleep 0.1
    done
}

listens() { timeout 2 bash -c ": < /dev/tcp/127.0.0.1/$1"; } # PORT

# Does the pid file name a living process of this cluster? A dead one that init has not reaped yet still takes
# signals, but has no namespaces: it does not count, and neither does a stranger that got the same number.
alive() { # PIDFILE
    local pid file
    pid=$(cat "$1" 2> /dev/null) && [ -n "$pid" ] || return 1
    for file in "$DIR"/ns/*; do
        [ -z "$(ns_threads "${file##*/}" "$pid")" ] || return 0
    done
    return 1
}

# TERM to the processes of all these pid files, KILL to what is still there after ten seconds.
stop() { # PIDFILE...
    local file end=$((SECONDS + 10))
    for file in "$@"; do
        ! alive "$file" || kill "$(cat "$file")" 2> /dev/null || true
    done
    for file in "$@"; do
        while alive "$file" && [ $SECONDS -lt $end ]; do sleep 0.1; done
        ! alive "$file" || kill -9 "$(cat "$file")" 2> /dev/null || true
        rm -f "$file"
    done
}

ns_pinned() { [ "$(stat -f -c %T "$1")" = nsfs ]; } # FILE

# Makes the namespace NAME, unless it is there.
ns_make() { # NAME [HOSTNAME]
    local file=$DIR/ns/$1
    mkdir -p "$DIR/ns"
    [ -e "$file" ] || : > "$file"
    ns_pinned "$file" || unshare --uts="$file" hostname "${2:-$(hostname)}"
}

# Starts a daemon in the namespace. Nothing of what is set or open here reaches it or its jobs.
ns_run() { # NAME LOG COMMAND...
    local name=$1 log=$2
    shift 2
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        setsid nsenter --uts="$DIR/ns/$name" "$@" < /dev/null >> "$log" 2>&1 || give_up "$log" "$*"
}

# The threads in the namespace. All, as a process whose first one is dead holds its ports until the last is.
ns_threads() { # NAME [PROCESS]
    local thread
    for thread in /proc/${2:-[0-9]*}/task/*; do
        [ ! "$thread/ns/uts" -ef "$DIR/ns/$1" ] || echo "${thread##*/}"
    done
}

# KILL to everything in the namespaces, until nothing is left that could start something new.
ns_kill() { # NAME...
    local name threads end=$((SECONDS + 10))
    for name in "$@"; do
        while threads=$(ns_threads "$name") && [ -n "$threads" ]; do
            [ $SECONDS -lt $end ] || fail "cannot kill" "$threads"
            # shellcheck disable=SC2086
            kill -9 $threads 2> /dev/null || true
            sleep 0.05
        done
    done
}

# Ends what is in any of the namespaces, and them.
ns_end_all() {
    local file
    for file in "$DIR"/ns/*; do
        ns_kill "${file##*/}"
        ! ns_pinned "$file" || umount "$file"
        rm -f "$file"
    done
}
