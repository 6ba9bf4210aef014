#!/usr/bin/env bash
# All tests, on a machine that has Rust: what else they need is installed here.
#
# usage: tests/run.sh [STEP...]     default: lint unit recipe reference
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
}

unit() {
    log "cargo test"
    cargo test --quiet
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
}

reference() {
    need_python
    log "numbers against the reference implementations"
    tests/reference/compare.sh
}

[ $# -gt 0 ] || set -- lint unit recipe reference
for step in "$@"; do
    "$step"
done
log "passed: $*"
