#!/usr/bin/env bash
# HTCondor: a pool of three startds n1 to n3, each with 4 CPUs, 4000 MB and 2 GPUs as far as it knows.
#
# Debian 12 has no HTCondor: this is Debian 13's, in a directory tree of its own. Its commands, first on PATH
# after `. DIR/env.sh`, go in there by themselves, and so do jobs. What they see is Debian 13's /usr, and this
# machine's /tmp, DIR and the directories that PAR_BIND names.
#
# It refuses root's jobs. So the pool and its commands run as user 12345, whoever calls them: what they write,
# the log and the output of a job too, has to be in directories that 12345 may write to.
#
# Settings, from the environment:
#   PAR_CONDOR_PORT   the collector's port: another one for every pool [19618]
#   PAR_CACHE         where the tree is kept, for all pools and after a WIPE [DIR]
#   PAR_BIND          more directories, absolute, separated by blanks; a change restarts the pool []
usage='condor.sh up|down DIR'
here=$(dirname "$0")
. "$here/lib.sh"

port=${PAR_CONDOR_PORT:-19618}
user=12345
startds=(n1 n2 n3)

do_up() {
    local tree
    tree=$(realpath -m "${PAR_CACHE:-$DIR}")/debian13
    "$here/debian13.sh" "$tree" condor
    mkdir -p "$DIR"/{bin,etc,home,lock.d,log,pid,spool,execute/{n1,n2,n3}}
    chmod 755 "$DIR"
    chown -R "$user:$user" "$DIR"/{home,lock.d,log,pid,spool,execute}
    pool_config > "$DIR/etc/condor_config"
    cd "$DIR" # what the tree does not have cannot be a working directory in it
    ns_make pool
    enter_tree "$tree"
    commands
    port_is_ours "$port" "$DIR/pid/master"
    alive "$DIR/pid/master" || ns_run pool "$DIR/log/master" "$DIR/bin/inside" \
        /usr/sbin/condor_master -pidfile "$DIR/pid/master"
    wait_for 60 "$DIR/log/MasterLog" pool_is_ready
}

pool_config() {
    local name number=0
    cat "$here/condor_config"
    cat << CONF
LOCAL_DIR = $DIR
LOG = $DIR/log
SPOOL = $DIR/spool
EXECUTE = $DIR/execute
LOCK = $DIR/lock.d
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:$port
CONF
    for name in "${startds[@]}"; do
        number=$((number + 1))
        cat << CONF
STARTD$number = /usr/sbin/condor_startd
STARTD${number}_ARGS = -f -local-name $name
$name.STARTD_NAME = $name
$name.STARTD_LOG = $DIR/log/StartLog.$name
$name.STARTER_LOG = $DIR/log/StarterLog.$name
$name.STARTD_ADDRESS_FILE = $DIR/log/.startd_address.$name
$name.EXECUTE = $DIR/execute/$name
CONF
    done
}

# A process that does nothing keeps the mounts, which nobody else sees. So the commands get in, to say what
# they say then, when all daemons are dead.
enter_tree() { # TREE
    local binds="/tmp /dev /proc /sys $DIR ${PAR_BIND:-}"
    [ "$binds" = "$(cat "$DIR/etc/binds" 2> /dev/null)" ] || ns_kill pool
    alive "$DIR/pid/master" || ns_kill pool # its daemons survive it for a while
    echo "$binds" > "$DIR/etc/binds"
    cp /etc/hosts "$1/etc/hosts"
    # shellcheck disable=SC2016
    alive "$DIR/pid/inside" || ns_run pool "$DIR/log/inside" setsid -f unshare --mount bash -ec '
        for directory in $3; do
            mkdir -p "$1/$directory"
            mount --rbind "$directory" "$1/$directory"
        done
        echo $$ > "$2"
        exec chroot "$1" sleep infinity
        ' bash "$1" "$DIR/pid/inside" "$binds"
    wait_for 10 "$DIR/log/inside" alive "$DIR/pid/inside"
}

# A command by whose name this is called is run in there.
commands() {
    local command
    install -m 755 /dev/stdin "$DIR/bin/inside" << INSIDE
#!/bin/sh
[ "\${0##*/}" = inside ] || set -- "/usr/bin/\${0##*/}" "\$@"
exec nsenter --target "\$(cat "$DIR/pid/inside")" --mount --root --wdns="\$PWD" \\
    setpriv --reuid=$user --regid=$user --clear-groups \\
    env CONDOR_CONFIG="$DIR/etc/condor_config" HOME="$DIR/home" PATH=/usr/bin:/usr/sbin:/bin "\$@"
INSIDE
    for command in submit q rm history status hold release wait vacate_job version config_val; do
        ln -sf inside "$DIR/bin/condor_$command"
    done
    echo "export PATH=$DIR/bin:\$PATH" > "$DIR/env.sh"
}

pool_is_ready() {
    [ "$(timeout 10 "$DIR/bin/condor_status" -startd -af Name | wc -l)" = ${#startds[@]} ] \
        && timeout 10 "$DIR/bin/condor_q"
}

# The queue is emptied first, or the next `up` would start its jobs. TERM would wait for them, QUIT does not.
do_down() {
    if [ "${WIPE:-0}" != 1 ] && alive "$DIR/pid/master"; then
        timeout 10 "$DIR/bin/condor_rm" -all > /dev/null 2>&1 || true
        kill -QUIT "$(cat "$DIR/pid/master")" || true
        stop "$DIR/pid/master"
    fi
    ns_kill pool
    rm -f "$DIR"/pid/*
}

dispatch "$@"
