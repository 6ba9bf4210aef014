#!/usr/bin/env bash
# The PBS commands qsub, qstat, qdel and so on, as Slurm has them for those who come from Torque, over the
# Slurm of slurm.sh: its settings count here, and one that is running in DIR is used.
#
# It knows less than a real PBS: no `qstat -x`, no exit status of a job anywhere, array elements as jobs with
# other numbers, resources ignored that it does not know. What works here need not work with PBS.
usage='torque.sh up|down DIR'
here=$(dirname "$0")
. "$here/lib.sh"

do_up() {
    need libslurm-perl libslurmdb-perl libswitch-perl
    [ -e "$DIR/torque/complete" ] || unpack
    # A TaskProlog is how Slurm gives a job more variables.
    mkdir -p "$DIR/etc"
    install -m 755 /dev/stdin "$DIR/etc/pbs_variables" < <(pbs_variables)
    echo "TaskProlog=$DIR/etc/pbs_variables" > "$DIR/etc/extra.conf"
    "$here/slurm.sh" up "$DIR"
}

# The package conflicts with Grid Engine's client, as both have a qsub: it is unpacked, not installed.
unpack() {
    local tree=$DIR/torque
    rm -rf "$tree"
    mkdir -p "$tree" "$DIR/bin"
    (cd "$tree" && apt_get download slurm-wlm-torque && dpkg -x slurm-wlm-torque_*.deb "$tree")
    # Its qsub calls the sbatch that lies beside it.
    ln -sf "$tree"/usr/bin/* /usr/bin/{sbatch,salloc,srun} "$DIR/bin"
    touch "$tree/complete"
}

# What PBS and Torque set in jobs, as far as Slurm knows it.
pbs_variables() {
    cat << 'PROLOG'
#!/bin/sh
id=$SLURM_JOB_ID.$SLURM_CLUSTER_NAME
if [ -n "$SLURM_ARRAY_TASK_ID" ]; then
    id="$SLURM_ARRAY_JOB_ID[$SLURM_ARRAY_TASK_ID].$SLURM_CLUSTER_NAME"
    echo "export PBS_ARRAY_INDEX=$SLURM_ARRAY_TASK_ID" # PBS
    echo "export PBS_ARRAYID=$SLURM_ARRAY_TASK_ID" # Torque
fi
echo "export PBS_JOBID=$id"
echo "export PBS_JOBNAME=$SLURM_JOB_NAME"
echo "export PBS_QUEUE=$SLURM_JOB_PARTITION"
echo "export PBS_O_WORKDIR=$SLURM_SUBMIT_DIR"
echo "export PBS_O_HOST=$SLURM_SUBMIT_HOST"
PROLOG
}

do_down() {
    "$here/slurm.sh" down "$DIR"
}

dispatch "$@"
