#!/usr/bin/env bash
# A fake nvidia-smi: a machine with $FAKE_GPUS GPUs.
if [ "$*" != "--query-gpu=uuid --format=csv,noheader" ]; then
    echo "ERROR: Option $1 is not recognized." >&2
    exit 2
fi
if [ "${FAKE_GPUS:-0}" = 0 ]; then
    echo "No devices were found"
    exit 6
fi
for ((n = 0; n < FAKE_GPUS; n++)); do
    echo "GPU-0000000$n-aaaa-bbbb-cccc-0123456789ab"
done
