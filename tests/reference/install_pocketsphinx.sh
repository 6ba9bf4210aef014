#!/usr/bin/env bash
# Installs PocketSphinx from PyPI (100 MB with numpy) into target/reference_sphinx/venv, once.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p target/reference_sphinx
. tests/reference/venv.sh
venv target/reference_sphinx/venv numpy pocketsphinx==5.1.1
