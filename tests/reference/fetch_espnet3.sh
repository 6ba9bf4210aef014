#!/usr/bin/env bash
# Unpacks ESPnet's wheel from PyPI into target/espnet3, once. Nothing of it is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=target/espnet3
mkdir -p "$work"
if [ ! -e "$work/complete" ]; then
    pip download --quiet --no-deps --ignore-requires-python --dest "$work" espnet==202611
    python3 -m zipfile -e "$work"/espnet-202611-*.whl "$work"
    touch "$work/complete"
fi
