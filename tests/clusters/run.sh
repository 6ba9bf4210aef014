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

# The recipe on real speech, sent elsewhere by `parallel.env` alone, finds what it found here.
speech() { # ENV [OPTION...]
    (
        umask 0 # HTCondor's jobs are another user's
        cd recipes/mini_an4
        . ./path.sh
        # Two clusters at once may want it.
        flock . sh -c '[ -e exp/asr/results.jsonl ] || ./run.sh --stop_stage 7'
        for stage in vad fbank asr; do
            espnet3-par run conf/train.yaml --stage "$stage" --restart --set "parallel.env=$1" \
                --set "output_dir=exp/on_$1/$stage" "${@:2}"
            cmp "exp/$stage/results.jsonl" "exp/on_$1/$stage/results.jsonl"
        done
    )
}

slurm() {
    PAR_MAX_ARRAY=40 up slurm
    speech slurm
    # Alone: it waits for all four GPUs.
    run speech_everywhere::slurm
    run same_everywhere::slurm slurm:: queue::
    run slurm_faults:: hunt::nothing_lost_on_slurm --test-threads=1
}
# No `&&` between the two: a failure in a list of commands would not end this.
ssh() {
    up ssh
    speech ssh --set "parallel.options={hosts: [h1, h2], connect_options: {config: $PAR_SSH_CONFIG}}"
    run same_everywhere::ssh speech_everywhere::ssh ssh:: ssh_stage:: sshfs:: hunt::nothing_lost_on_hosts \
        --test-threads=1
}
sge() {
    up sge
    speech sge
    run same_everywhere::sge speech_everywhere::sge
}
torque() {
    PAR_SLURM_PORT=18817 up torque
    speech torque
    run commands_over_slurm
}
condor() {
    PAR_CACHE=$PWD/target/debian13 PAR_BIND=$PWD up condor
    speech htcondor
    run same_everywhere::htcondor
}

for cluster in "$@"; do
    echo "== $cluster"
    since=$SECONDS
    # In a process of its own, which ends what it started.
    ("$cluster")
    echo "== $cluster: passed in $((SECONDS - since)) s"
done
