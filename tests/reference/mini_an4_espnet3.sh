#!/usr/bin/env bash
# ESPnet3's own mini_an4 recipe, unchanged: its inference by ESPnet3 and by espnet3-par. All .scp files are
# compared to the byte, and both times are printed; then the files and sums of collect_stats. By hand, never in CI: torch alone is several GB.
#
# usage: tests/reference/mini_an4_espnet3.sh VENV WORK [CONFIG...]
#   VENV      a virtual environment with Python 3.12 or newer and espnet==202611; made if it is not there
#   WORK      where the recipe is unpacked, and trained for one step; made if it is not there
#   CONFIG    of the recipe's conf/; inference_serial and inference_parallel by default
# espnet3-par is the one on PATH, or else the release build. It needs sox, if sph2pipe is not on PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -ge 2 ] || { sed -n 's/^# \{0,1\}//; 2,/^set/{/^set/!p}' "$0" >&2; exit 2; }

mkdir -p "$2"
venv=$(realpath -m "$1") work=$(realpath "$2")
shift 2
[ $# -gt 0 ] || set -- inference_serial inference_parallel

if ! command -v espnet3-par > /dev/null; then
    cargo build --release --quiet
    PATH=$(realpath "${CARGO_TARGET_DIR:-target}/release"):$PATH
fi
if ! "$venv/bin/python" -c 'import importlib.metadata as m; assert m.version("espnet") == "202611"' 2> /dev/null
then
    python=$(command -v python3.14 python3.13 python3.12 | head -n 1) ||
        { echo "a Python of 3.12 or newer is needed, or a VENV that has espnet==202611" >&2; exit 1; }
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet espnet==202611 lightning hydra-core tensorboard editdistance jiwer \
        dask distributed dask-jobqueue
fi
PATH=$work/bin:$venv/bin:$PATH

if [ ! -d "$work/egs3" ]; then
    tests/reference/fetch_espnet3.sh
    cp -r target/espnet3/egs3 "$work/egs3.new"
    mv "$work/egs3.new" "$work/egs3"
fi
if ! command -v sph2pipe > /dev/null; then
    command -v sox > /dev/null || { echo "neither sph2pipe nor sox is on PATH" >&2; exit 1; }
    mkdir -p "$work/bin"
    # The recipe calls `sph2pipe … FILE.sph`, and wants WAV on stdout.
    printf '#!/bin/sh\nfor file; do :; done\nexec sox -t sph "$file" -t wav -\n' > "$work/bin/sph2pipe"
    chmod +x "$work/bin/sph2pipe"
fi

stats_conf=$PWD/tests/reference/espnet3_stats.yaml
cd "$work/egs3/mini_an4/esp2_asr"
export PYTHONPATH=$work:$work/egs3/TEMPLATE/esp2_asr:$PWD
tag=training_asr_transformer
training=conf/$tag.yaml
if [ ! -e "exp/$tag/epoch0_step1_valid.loss.ckpt" ]; then
    echo "training, for one step"
    python run.py --stages create_dataset train_tokenizer collect_stats train \
        --training_config "$training" > "$work/training.log" 2>&1 || { tail "$work/training.log"; exit 1; }
fi

# Runs a command, tells the seconds it took, and shows the end of its log if it fails.
timed() { # LOG COMMAND...
    local log=$1 TIMEFORMAT=%R
    shift
    { time "$@" > "$log" 2>&1; } 2>&1 || { tail "$log" >&2; echo "see $log" >&2; exit 1; }
}

for config; do
    theirs=exp/$tag/$config ours=$work/ours/$config
    rm -rf "$theirs" "$ours"
    theirs_took=$(timed "$work/$config.espnet3.log" python run.py --stages infer \
        --training_config "$training" --inference_config "conf/$config.yaml")
    ours_took=$(timed "$work/$config.ours.log" espnet3-par run ../../TEMPLATE/esp2_asr/conf/inference.yaml \
        "conf/$config.yaml" --set "exp_tag=$tag" --set "inference_dir=$ours" --set "python=$venv/bin/python")

    compared=0
    for scp in "$theirs"/*/*.scp; do
        [ -s "$scp" ] || { echo "$scp is empty" >&2; exit 1; }
        cmp "$scp" "$ours/${scp#"$theirs"/}"
        compared=$((compared + 1))
    done
    extra=$(find "$ours" -mindepth 2 -maxdepth 2 -name '*.scp' | wc -l)
    [ "$compared" -ge 2 ] && [ "$extra" = "$compared" ] ||
        { echo "$compared .scp files by ESPnet3, $extra here" >&2; exit 1; }
    stage=$(sed -n 's/.*DONE\] stage: infer (\([0-9.]*\)s).*/\1/p' "$work/$config.espnet3.log" | tail -n 1)
    echo "$config: $compared .scp files, the same to the byte"
    echo "  ESPnet3      ${theirs_took} s, ${stage} s of it its stage"
    echo "  espnet3-par  ${ours_took} s"
done

# ESPnet3's own were collected for the training.
ours=$work/ours/stats
rm -rf "$ours"
took=$(timed "$work/stats.ours.log" espnet3-par run ../../TEMPLATE/esp2_asr/conf/training.yaml "$training" \
    "$stats_conf" --set "output_dir=$ours" --set "python=$venv/bin/python")
for shape in exp/stats/train/*_shape; do
    cmp "$shape" "$ours/train/${shape##*/}"
done
python - exp/stats/train/feats_stats.npz "$ours/merged.json" << 'END'
import json, sys
import numpy as np

theirs, ours = np.load(sys.argv[1]), json.load(open(sys.argv[2]))
for name, key in {"sum": "sum", "sum_square": "sq", "count": "count"}.items():
    assert np.array_equal(theirs[name], np.asarray(ours[key]["feats"], theirs[name].dtype)), name
END
echo "collect_stats: the same shapes and sums"
echo "  espnet3-par  ${took} s"
