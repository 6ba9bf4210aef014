#!/usr/bin/env bash
# Slurm: four nodes n1 to n4 on this machine, each with 4 CPUs, 4000 MB and 2 GPUs as far as Slurm knows, and
# its own host name. Partitions main (all nodes) and short (n1, one minute). See lib.sh for up and down.
#
# Settings, from the environment:
#   PAR_SLURM_PORT         the first of 14 ports: other ones for every cluster [16817]
#   PAR_SLURM_ACCOUNTING   0: no slurmdbd, so sacct refuses [1]
#   PAR_MAX_ARRAY          MaxArraySize: the highest array index plus one [1001]
# Lines in DIR/etc/extra.conf are added to slurm.conf. After a change `up` restarts Slurm; jobs go on.
usage='slurm.sh up|down DIR; slurm.sh kill DIR NODE: it is gone at once, with its jobs, until the next up'
here=$(dirname "$0")
. "$here/lib.sh"
. "$here/accounting.sh"

nodes=(n1 n2 n3 n4)
port=${PAR_SLURM_PORT:-16817} # slurmctld; the nodes have the next four
accounting=${PAR_SLURM_ACCOUNTING:-1}

do_up() {
    need slurmctld slurmd slurm-client munge
    mkdir -p "$DIR"/{etc,state,spool,log,pid,munge,dev}
    chmod 755 "$DIR"
    export SLURM_CONF=$DIR/etc/slurm.conf
    echo "export SLURM_CONF=$SLURM_CONF PATH=$DIR/bin:\$PATH" > "$DIR/env.sh"
    ns_make control
    start_munge
    configure
    [ "$accounting" = 0 ] || start_accounting
    start_slurm
}

# Tells the daemons who a user is, by a key that only this cluster has.
start_munge() {
    [ -s "$DIR/munge/key" ] || (umask 277 && head -c 128 /dev/urandom > "$DIR/munge/key")
    # --force: others may enter the directory, as they must in order to submit.
    alive "$DIR/pid/munged" || ns_run control "$DIR/log/munged" munged --force --num-threads=2 \
        --key-file="$DIR/munge/key" --socket="$DIR/munge/socket" --pid-file="$DIR/pid/munged" \
        --seed-file="$DIR/munge/seed" --log-file="$DIR/log/munged"
    wait_for 10 "$DIR/log/munged" timeout 5 munge -S "$DIR/munge/socket" -n
}

# Slurm sets CUDA_VISIBLE_DEVICES for device files only: these do what /dev/null does.
configure() {
    local conf=$DIR/etc/slurm.conf gpu
    for gpu in gpu0 gpu1; do
        [ -c "$DIR/dev/$gpu" ] || mknod -m 666 "$DIR/dev/$gpu" c 1 3
    done
    echo "NodeName=n[1-4] Name=gpu AutoDetect=off File=$DIR/dev/gpu[0-1]" > "$DIR/etc/gres.conf"
    slurm_conf > "$conf.new"
    cmp -s "$conf.new" "$conf" || stop_slurm
    mv "$conf.new" "$conf"
}

# Clients find munge by AccountingStoragePass when they ask slurmdbd. cred_expire is also how long a requeued
# job waits: two minutes, were it not given.
slurm_conf() {
    cat "$here/slurm.conf"
    cat << CONF
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
AuthInfo=socket=$DIR/munge/socket,cred_expire=6
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/pid/slurmctld
SlurmdPidFile=$DIR/pid/slurmd.%n
SlurmctldLogFile=$DIR/log/slurmctld
SlurmdLogFile=$DIR/log/slurmd.%n
MaxArraySize=${PAR_MAX_ARRAY:-1001}
NodeName=n[1-4] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 4))] \
CPUs=4 RealMemory=4000 Gres=gpu:2
CONF
    if [ "$accounting" != 0 ]; then
        printf 'AccountingStorage%s\n' Type=accounting_storage/slurmdbd TRES=gres/gpu \
            Host=127.0.0.1 Port=$((port + 12)) Pass="$DIR/munge/socket"
    fi
    cat "$DIR/etc/extra.conf" 2> /dev/null || true
}

start_slurm() {
    local node
    port_is_ours "$port" "$DIR/pid/slurmctld"
    alive "$DIR/pid/slurmctld" || ns_run control "$DIR/log/slurmctld" slurmctld -f "$SLURM_CONF"
    for node in "${nodes[@]}"; do
        mkdir -p "$DIR/spool/$node"
        ns_make "$node" "$node"
        alive "$DIR/pid/slurmd.$node" || ns_run "$node" "$DIR/log/slurmd.$node" \
            slurmd -f "$SLURM_CONF" -N "$node"
    done
    wait_for 40 "$DIR/log/slurmctld" all_nodes_usable
}

all_nodes_usable() {
    [ "$(timeout 5 sinfo -h -N -p main -t idle,mix,alloc -o %N | wc -l)" = ${#nodes[@]} ]
}

# Each before what it writes to. Jobs do not notice.
stop_slurm() {
    stop "$DIR"/pid/slurm{ctld,d.n1,d.n2,d.n3,d.n4}
    stop "$DIR/pid/slurmdbd"
    stop "$DIR/pid/mariadbd"
}

do_kill() { # NODE
    [[ " ${nodes[*]} " == *" ${1:-} "* ]] || fail "which of ${nodes[*]}?"
    ns_kill "$1"
}

# The queue is emptied first, or the next `up` would start its jobs.
do_down() {
    ! alive "$DIR/pid/slurmctld" || cancel_all 2> /dev/null || true
    stop_slurm
    stop "$DIR/pid/munged"
}

cancel_all() {
    export SLURM_CONF=$DIR/etc/slurm.conf
    timeout 5 squeue -h -o %A | sort -u | timeout 5 xargs -r scancel -Q
}

dispatch "$@"
