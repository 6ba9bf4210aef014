#!/usr/bin/env bash
# Starts real schedulers and hosts on this machine, one kind after another, and has the tests of
# tests/clusters use them. Needs root; installs what is missing.
#
# usage: tests/clusters/run.sh slurm|ssh|sge|torque|condor...
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/clusters

# Brings a cluster up that ends with this process.
up() { # SCRIPT
    local dir
    dir=$(mktemp -d /tmp/par.XXXXXX)
    # shellcheck disable=SC2064 # the directory is known now
    trap "WIPE=1 $here/$1.sh down $dir || true; rm -rf $dir" EXIT
    "$here/$1.sh" up "$dir"
    # shellcheck source=/dev/null
    . "$dir/env.sh"
}

run() { # TEST... [--OPTION...]
    cargo test --quiet --test clusters -- --ignored "$@"
}

slurm() {
    PAR_MAX_ARRAY=40 up slurm
    run same_everywhere::slurm slurm::
    run slurm_faults:: --test-threads=1
}
# No `&&` between the two: a failure in a list of commands would not end this.
ssh() {
    up ssh
    run same_everywhere::ssh ssh:: ssh_stage:: --test-threads=1
}
sge() {
    up sge
    run same_everywhere::sge
}
torque() {
    PAR_SLURM_PORT=18817 up torque
    run commands_over_slurm
}
condor() {
    PAR_CACHE=$PWD/target/debian13 PAR_BIND=$PWD up condor
    run same_everywhere::htcondor
}

for cluster in "$@"; do
    echo "== $cluster"
    since=$SECONDS
    # In a process of its own, which ends what it started.
    ("$cluster")
    echo "== $cluster: passed in $((SECONDS - since)) s"
done
