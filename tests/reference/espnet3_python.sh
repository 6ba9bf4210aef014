#!/usr/bin/env bash
# Providers and runners derived from ESPnet3's own classes, by ESPnet3 itself and by espnet3-par: the
# merged files are the same to the byte. Then each of ESPnet3's faults is first seen in ESPnet3.
#
# The classes are those of the PyPI package, unpacked and not installed; torch, which they import and do
# not use here, is stood in for by standin/torch.py. ESPnet3 runs in one process: Dask is not installed.
#
# usage: tests/reference/espnet3_python.sh [ESPNET3_PAR]     default: the debug build, built first
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
if [ $# -eq 0 ]; then
    cargo build --quiet
    set -- "${CARGO_TARGET_DIR:-target}/debug/espnet3-par"
fi
par=$(realpath "$1")
tests/reference/fetch_espnet3.sh
venv=$(pwd)/target/espnet3/venv
. tests/reference/venv.sh
venv "$venv" omegaconf typeguard tqdm numpy
PYTHONPATH=$(pwd)/target/espnet3:$here/standin:$here/espnet3_python
export PYTHONPATH PYTHONDONTWRITEBYTECODE=1
work=$(pwd)/target/espnet3/python
rm -rf "$work"
mkdir -p "$work"
cd "$work"
cp "$here/espnet3_python/conf.yaml" .

# The process that an item kills, if it is asked to.
driver() { timeout 60 bash -c 'echo $$ > driver; exec "$0" "$@"' "$@"; }
# Both read the same config, with the same changes: KEY=VALUE...
espnet3() { # OUTPUT_DIR KEY=VALUE...
    driver "$venv/bin/python" "$here/espnet3_python/espnet3_run.py" conf.yaml "$@"
}
ours() { # OUTPUT_DIR KEY=VALUE...
    local output_dir=$1
    shift
    driver "$par" run conf.yaml --set "python=$venv/bin/python" --set "output_dir=$output_dir" \
        --set "parallel.shards=$shards" "${@/#/--set=}"
}

fail() { echo "espnet3_python.sh: $*" >&2; exit 1; }
says() { # WORDS STATUS COMMAND...: it ends with this status, and says this
    local words=$1 status=$2 got=0
    shift 2
    "$@" > said.txt 2>&1 || got=$?
    [ "$got" = "$status" ] && grep -qF "$words" said.txt && return
    cat said.txt >&2
    fail "$*: status $got and not $status, or it does not say \"$words\""
}
calls() { sort calls | uniq -c | awk '{ n += $1 } END { print n + 0, NR }'; } # how many, of how many items
same() { # THEIRS OURS: what merge wrote, and every utterance's own file in its order
    for name in text.scp length.scp; do
        [ "$(wc -l < "$1/$name")" = 40 ] || fail "$1/$name is not complete"
        cmp "$1/$name" "$2/$name"
    done
    cmp <(cut -d' ' -f2 "$1/json.scp" | xargs cat) <(cut -d' ' -f2 "$2/json.scp" | xargs cat)
}

shards=3

echo "merged files:"
inference=(provider._target_=classes.Inference 'provider.params.test=${test}')
for batch in null 1 7; do
    says 'returned True' 0 espnet3 "theirs.$batch" "batch_size=$batch"
    says 'done, 40 of 40 items' 0 ours "ours.$batch" "batch_size=$batch"
    same "theirs.$batch" "ours.$batch"
    says 'returned True' 0 espnet3 "theirs.$batch.inference" "batch_size=$batch" "${inference[@]}"
    says 'done, 40 of 40 items' 0 ours "ours.$batch.inference" "batch_size=$batch" "${inference[@]}"
    same "theirs.$batch.inference" "ours.$batch.inference"
    echo "  the same to the byte with batch_size $batch: EnvironmentProvider, InferenceProvider"
done

echo "a bad item, 39 of 0 to 39:"
rm calls
says 'ValueError: corrupt audio' 1 espnet3 theirs.bad test.bad=39
[ ! -e theirs.bad/text.scp ] || fail "ESPnet3 has results"
touch healed
says 'returned True' 0 espnet3 theirs.bad test.bad=39
theirs=$(calls)
[ "$theirs" = "80 40" ] || fail "ESPnet3 made calls for items: $theirs"
rm healed calls
says 'item 39: ValueError: corrupt audio' 1 ours ours.bad test.bad=39
[ "$(wc -l < ours.bad/text.scp)" = 39 ] || fail "not all others are done"
touch healed
says 'done, 40 of 40 items' 0 "$par" run conf.yaml --retry-failed --set "python=$venv/bin/python" \
    --set output_dir=ours.bad --set test.bad=39
same theirs.bad ours.bad
[ "$(calls)" = "41 40" ] || fail "items were computed again: $(calls)"
rm healed
echo "  ESPnet3: the run ends without results, and the next one computes all 40 again"
echo "  here: named, the 39 others done; then it alone is computed again"

echo "kill -9 of the driver, at item 20:"
says 'Killed' 137 espnet3 theirs.killed test.kills=20
touch healed
says 'Shard is already locked by another runner: theirs.killed/split.0' 1 espnet3 theirs.killed test.kills=20
says 'Shard is already locked by another runner: theirs.killed/split.0' 1 espnet3 theirs.killed test.kills=20
rm healed calls
shards=20
says 'Killed' 137 ours ours.killed test.kills=20
touch healed
says 'done, 40 of 40 items' 0 ours ours.killed test.kills=20
same theirs.null ours.killed
read -r made of < <(calls)
[ "$of" = 40 ] && [ "$made" -le 46 ] || fail "$made calls for $of items"
rm healed
echo "  ESPnet3: \"already locked\", until somebody removes the lock"
echo "  here: the next run goes on, $made calls for 40 items in all"

echo "another model, the same directory:"
says 'returned True' 0 espnet3 theirs.null model=large
cmp theirs.null/text.scp theirs.7/text.scp
grep -q small theirs.null/text.scp
says 'model: "small" before, "large" now' 2 ours ours.null model=large
echo "  ESPnet3: status 0, and the old model's results"
echo "  here: refused, and the key named"

echo "another number of workers:"
says 'Cannot resume with a different number of parallel shards' 1 espnet3 theirs.null parallel.n_workers=3
says 'done, 40 of 40 items' 0 ours ours.null parallel.n_workers=3
echo "  ESPnet3: refused"
echo "  here: nothing is to be done"

echo "a runner without writer hooks:"
rm -f calls
plain=runner._target_=classes.Plain
says 'returned None' 0 espnet3 theirs.plain "$plain"
says 'returned None' 0 espnet3 theirs.plain "$plain"
[ "$(calls)" = "40 40" ] || fail "ESPnet3 computed again"
[ "$(find theirs.plain -type f -size +0 -not -name manifest.json | wc -l)" = 0 ] || fail "ESPnet3 kept results"
says 'done, 40 of 40 items' 0 ours ours.plain "$plain"
[ "$(grep -c '"text":"small' ours.plain/results.jsonl)" = 40 ] || fail "records are missing"
echo "  ESPnet3: computed, dropped, marked done; the next run has nothing to do"
echo "  here: the records are in results.jsonl"

echo "forward(idx, dataset, model, test), without **env:"
says "unexpected keyword argument 'output_dir'" 1 espnet3 theirs.strict runner._target_=classes.Strict
says 'done, 40 of 40 items' 0 ours ours.strict runner._target_=classes.Strict
echo "  ESPnet3: a TypeError"
echo "  here: computed"
