# shellcheck shell=bash disable=SC2231
# Which processes are a cluster's, for lib.sh: starting, recognising and ending them.
#
# A cluster's processes are known by their UTS namespace. Every daemon is started in one that is pinned to a
# file, DIR/ns/NAME, and nothing it starts gets out by detaching, by losing its parent or by clearing its
# environment. So `down` finds jobs that nobody else knows any more, and never hits a stranger whose process
# id is in an old pid file. It is also what gives several nodes of one machine a host name each.

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

ns_pinned() { [ "$(stat -f -c %T "$1" 2> /dev/null)" = nsfs ]; } # FILE

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
