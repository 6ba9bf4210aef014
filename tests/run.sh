#!/usr/bin/env bash
# All tests, on a machine that has Rust: what else they need is installed here.
#
# usage: tests/run.sh [STEP...]     default: lint unit recipe instructions reference scale rendered python clusters
#
# clusters starts real schedulers and hosts, and needs root; all others do not, but scale starts a Slurm where it is root.
set -euo pipefail
cd "$(dirname "$0")/.."

log() { printf '\n== %s\n' "$*"; }

# Installs Debian packages that are not there, where this is Debian and we may.
need() { # COMMAND PACKAGE
    command -v "$1" > /dev/null && return
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        log "installing $2"
        apt-get update -qq && apt-get install -y -qq "$2" > /dev/null
    fi
    command -v "$1" > /dev/null || { echo "tests/run.sh: $1 is missing (package $2)" >&2; exit 1; }
}

lint() {
    log "format and lints"
    cargo fmt --check
    cargo clippy --quiet --all-targets -- -D warnings
    # Packages beside this one have lock files of their own, which say what it depends on too.
    for package in fuzz recipes/own_stage; do
        cargo metadata --locked --format-version 1 --manifest-path "$package/Cargo.toml" > /dev/null
    done
}

unit() {
    # Without it the tests of Python's providers and runners would pass by saying so.
    need python3 python3
    log "cargo test"
    PAR_PYTHON=required cargo test --quiet
}

# Python, with what downloading and virtual environments need.
need_python() {
    need python3 python3
    if ! python3 -c 'import ensurepip, pip' 2> /dev/null; then
        log "installing python3-pip and python3-venv"
        apt-get update -qq && apt-get install -y -qq python3-pip python3-venv > /dev/null
    fi
}

recipe() {
    need_python
    log "the recipe, from nothing, on real speech"
    rm -rf recipes/mini_an4/exp
    ./recipes/mini_an4/run.sh
    diff <(sed -n '/^    utterance /,/^    `---/s/^    //p; /^$/d' recipes/mini_an4/README.md) \
        <(./recipes/mini_an4/run.sh --stage 9 | sed '/^$/d')
    need sox sox
    log "a long recording"
    tests/long_recording.sh
    log "a corpus with broken files"
    tests/broken_corpus.sh
    log "the recipe in Python"
    rm -rf recipes/mini_an4_python/exp
    ./recipes/mini_an4_python/run.sh
    diff <(sed -n 's/^    \([fm].*-b [0-9.]*\)$/\1/p' recipes/mini_an4_python/README.md) \
        recipes/mini_an4_python/exp/utt2pitch
    log "the recipe with a stage of its own"
    rm -rf recipes/own_stage/exp
    ./recipes/own_stage/run.sh | tail -n 2 | diff - <(sed -n 's/^    \({"idx".*\)/\1/p' recipes/own_stage/README.md)
    log "the recipe in Kaldi's manner"
    rm -rf recipes/kaldi_style/exp recipes/kaldi_style/data
    ./recipes/kaldi_style/run.sh
}

# Counted, not timed: wall times tell nothing on a busy machine.
instructions() {
    need valgrind valgrind
    log "instructions an item costs"
    benches/instructions.sh
}

reference() {
    need_python
    log "numbers against the reference implementations"
    tests/reference/compare.sh
    tests/reference/score.sh
    tests/reference/speaker.sh
    need sox sox
    tests/reference/augment.sh
    tests/reference/sphinx.sh
}

# Small, and nothing that is timed fails it.
scale() {
    need_python
    need espeak-ng espeak-ng
    log "a corpus: beside PocketSphinx, killed, resumed"
    local finish=local
    [ "$(id -u)" != 0 ] || finish=slurm
    tests/scale.sh --number 600 --repeats 8 --finish "$finish" --strict no
}

# What is handed to schedulers, read by what is not ours.
rendered() {
    need_python
    log "ESPnet3's own configs"
    tests/reference/espnet3.sh
    log "submit files and manifests, by HTCondor's parser and Kubernetes' schemas"
    local venv=target/parsers
    . tests/reference/venv.sh
    venv "$venv" 'htcondor==24.12.*' kubernetes-validate
    "$venv/bin/python" tests/clusters/check_submit_file.py tests/rendered/htcondor/*.txt > /dev/null
    "$venv/bin/python" tests/clusters/check_manifest.py tests/rendered/kube/*.txt > /dev/null
}

# ESPnet3's own classes, by ESPnet3 and here.
python() {
    need_python
    log "providers and runners derived from ESPnet3's"
    tests/reference/espnet3_python.sh
}

# Most of the time is waiting for schedulers: two at a time.
clusters() {
    log "real schedulers and hosts"
    cargo test --quiet --test clusters --no-run
    local slurm_log=target/clusters.slurm.log failed=0
    # What a shell starts in the background ignores SIGINT, and so would the runs that tests interrupt.
    env --default-signal=INT,QUIT tests/clusters/run.sh slurm > "$slurm_log" 2>&1 &
    tests/clusters/run.sh ssh sge torque condor || failed=1
    wait $! || failed=1
    cat "$slurm_log"
    return "$failed"
}

[ $# -gt 0 ] || set -- lint unit recipe instructions reference scale rendered python clusters
for step in "$@"; do
    "$step"
done
log "passed: $*"
