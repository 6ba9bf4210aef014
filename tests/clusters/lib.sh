# shellcheck shell=bash disable=SC2154
# What the scripts beside this file share. Each starts a real scheduler for the tests, as root and without
# systemd, on the loopback interface or in namespaces of its own:
#
#   tests/clusters/NAME.sh up DIR      starts it, or what is missing of it, and waits until it takes jobs
#   . DIR/env.sh                       what its users' commands need
#   tests/clusters/NAME.sh down DIR    ends it and every job; with WIPE=1 DIR goes too
#
# All state is in DIR. A script may be run again at any time, by two tests at once too.

set -euo pipefail
shopt -s nullglob

. "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

fail() { echo "${0##*/}: $*" >&2; exit 1; }

give_up() { fail "failed: $2; the end of $1:"$'\n'"$(tail -n 15 "$1")"; } # LOG WHAT

# Calls the function do_COMMAND with ARG... and with DIR set, for `NAME.sh COMMAND DIR [ARG...]`. What do_down
# leaves running is ended.
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
    [ "$1" = down ] || return 0
    ns_end_all
    [ "${WIPE:-0}" != 1 ] || rm -rf --one-file-system "$DIR"
}

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

answers() { timeout 2 bash -c ": < /dev/tcp/127.0.0.1/$1" 2> /dev/null; } # PORT

# Before a daemon is started. Or another cluster's would get what is meant for this one.
port_is_ours() { # PORT PIDFILE
    alive "$2" || ! answers "$1" || fail "port $1 is taken; the head of $0 says how to choose"
}
