#!/usr/bin/env bash
# Installs PocketSphinx from PyPI (100 MB with numpy) into target/reference_sphinx/venv, once.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=target/reference_sphinx/venv
if [ ! -e "${venv}/complete" ]; then
    rm -rf "${venv}"
    python3 -m venv "${venv}"
    "${venv}/bin/pip" install --quiet numpy pocketsphinx==5.1.1
    touch "${venv}/complete"
fi
