#!/usr/bin/env bash
# Grid Engine: this machine is master and only host. Queue all.q with 8 slots, parallel environment smp,
# consumable gpu (2). Everybody may submit, root too. See lib.sh for up and down.
#
# PAR_SGE_PORT, from the environment: the first of 2 ports; other ones for every cluster [16444]
usage='sge.sh up|down DIR'
. "$(dirname "$0")/lib.sh"

port=${PAR_SGE_PORT:-16444}
programs=/usr/lib/gridengine # those in /usr/bin set SGE_ROOT themselves
packaged=/usr/share/gridengine
host=$(hostname)

do_up() {
    need gridengine-master gridengine-exec gridengine-client
    getent hosts "$host" > /dev/null || fail "$host has no address: a line in /etc/hosts gives it one"
    make_root
    # shellcheck disable=SC1091
    . "$DIR/env.sh"
    [ -e "$DIR/db/complete" ] || make_database
    start_daemons
    [ -e "$DIR/etc/configured" ] || configure
    wait_for 30 "$DIR/spool/qmaster/messages" queue_is_open
}

# An installation of its own, whose programs are the package's.
make_root() {
    local root=$DIR/root arch dir
    arch=$("$packaged/util/arch")
    mkdir -p "$root"/{bin,lib,utilbin,default/common} "$DIR"/{etc,log,pid,tmp}
    mkdir -p "$DIR"/spool/{qmaster/job_scripts,execd}
    chmod 755 "$DIR"
    chmod 1777 "$DIR/tmp" # where a job's TMP is
    ln -sfn "$packaged/util" "$root/util"
    for dir in bin lib utilbin; do
        ln -sfn "$programs" "$root/$dir/$arch"
    done
    echo "$host" > "$root/default/common/act_qmaster"
    # 127.0.0.1 is localhost when one looks it up; it has to be the same host.
    echo "$host localhost localhost.localdomain" > "$root/default/common/host_aliases"
    cat > "$DIR/env.sh" << ENV
export SGE_ROOT=$root SGE_CELL=default SGE_CLUSTER_NAME=par SGE_ARCH=$arch
export SGE_QMASTER_PORT=$port SGE_EXECD_PORT=$((port + 1)) PATH=$programs:\$PATH
ENV
}

# Replaces the values of settings in `name value` lines.
with() { # NAME=VALUE... < FILE
    local setting script=
    for setting in "$@"; do
        script+="s|^${setting%%=*}[[:space:]].*|${setting%%=*} ${setting#*=}|;"
    done
    sed "$script"
}

# What is read before the master answers. Load reports are frequent, and accounting is written at once.
make_database() {
    local common=$DIR/root/default/common
    rm -rf "$DIR/db"
    mkdir "$DIR/db"
    with spooling_params="$DIR/db" qmaster_spool_dir="$DIR/spool/qmaster" binary_path="$programs" \
        < "$packaged/default-bootstrap" > "$common/bootstrap"
    with execd_spool_dir="$DIR/spool/execd" min_uid=0 min_gid=0 mailer=/bin/true \
        load_report_time=00:00:05 max_unheard=00:00:30 shell_start_mode=unix_behavior \
        reporting_params="accounting=true reporting=false flush_time=00:00:01 accounting_flush_time=00:00:00 \
joblog=false sharelog=00:00:00" < "$packaged/default-configuration" > "$DIR/etc/configuration"
    {
        "$programs/spoolinit" berkeleydb libspoolb "$DIR/db" init
        "$programs/spooldefaults" configuration "$DIR/etc/configuration"
        "$programs/spooldefaults" complexes "$packaged/util/resources/centry"
        "$programs/spooldefaults" usersets "$packaged/util/resources/usersets"
        "$programs/spooldefaults" managers root sgeadmin
        chown -R sgeadmin: "$DIR"/{db,root,spool,pid} # the user the daemons become
    } >> "$DIR/log/spool" 2>&1 || give_up "$DIR/log/spool" "making the database"
    touch "$DIR/db/complete"
}

start_daemons() {
    local settings=(SGE_ROOT="$SGE_ROOT" SGE_CELL="$SGE_CELL" SGE_CLUSTER_NAME="$SGE_CLUSTER_NAME"
        SGE_QMASTER_PORT="$port" SGE_EXECD_PORT=$((port + 1)) SGE_EXECD_PIDFILE="$DIR/pid/execd")
    ns_make control
    port_is_ours "$port" "$DIR/spool/qmaster/qmaster.pid"
    alive "$DIR/spool/qmaster/qmaster.pid" \
        || ns_run control "$DIR/log/qmaster" env "${settings[@]}" "$programs/sge_qmaster"
    wait_for 30 "$DIR/spool/qmaster/messages" ask -sh
    [ -e "$DIR/etc/configured" ] || ask -ah "$host" > /dev/null 2>&1 || true # it is one already, perhaps
    port_is_ours $((port + 1)) "$DIR/pid/execd"
    alive "$DIR/pid/execd" || ns_run control "$DIR/log/execd" env "${settings[@]}" "$programs/sge_execd"
    wait_for 30 "$DIR/spool/qmaster/messages" ask -se "$host"
}

ask() { timeout 10 qconf "$@"; }

# OPTION of qconf takes a file: what is on standard input.
change() { # OPTION
    cat > "$DIR/etc/new"
    ask "$1" "$DIR/etc/new" >> "$DIR/log/configure" 2>&1 || give_up "$DIR/log/configure" "qconf $1"
}

# No test has time for the scheduler's usual intervals, and a busy machine must not stop it.
configure() {
    ask -as "$host" >> "$DIR/log/configure" 2>&1 || true
    ask -ssconf | with schedule_interval=0:0:2 flush_submit_sec=1 flush_finish_sec=1 \
        job_load_adjustments=NONE load_adjustment_decay_time=0:0:0 | change -Msconf
    { ask -sc | grep -v '^gpu '; echo 'gpu gpu INT <= YES YES 0 0'; } | change -Mc
    ask -mattr exechost complex_values gpu=2 "$host" >> "$DIR/log/configure" 2>&1
    ask -sp smp > /dev/null 2>&1 || change -Ap << 'PE'
pe_name            smp
slots              999
user_lists         NONE
xuser_lists        NONE
start_proc_args    NONE
stop_proc_args     NONE
allocation_rule    $pe_slots
control_slaves     FALSE
job_is_first_task  TRUE
urgency_slots      min
accounting_summary FALSE
qsort_args         NONE
PE
    ask -sq all.q > /dev/null 2>&1 || ask -sq | with qname=all.q hostlist="$host" slots=8 pe_list=smp \
        rerun=TRUE load_thresholds=NONE shell_start_mode=unix_behavior notify=00:00:05 tmpdir="$DIR/tmp" \
        | change -Aq
    touch "$DIR/etc/configured"
}

# No letter after the architecture: neither alarm nor error nor unknown.
queue_is_open() { timeout 10 qstat -f | grep -q '^all.q@.*amd64 *$'; }

# The queue is emptied first, or the next `up` would start its jobs. The master takes seconds to write what
# it knows, which is not needed where it is thrown away.
do_down() {
    if [ "${WIPE:-0}" != 1 ] && alive "$DIR/spool/qmaster/qmaster.pid"; then
        # shellcheck disable=SC1091
        . "$DIR/env.sh"
        timeout 10 qdel -f -u '*' > /dev/null 2>&1 || true
        stop "$DIR/pid/execd" "$DIR/spool/qmaster/qmaster.pid"
    fi
    ns_kill control
    rm -f "$DIR/pid/execd" "$DIR/spool/qmaster/qmaster.pid"
}

dispatch "$@"
