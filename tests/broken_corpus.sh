#!/usr/bin/env bash
# A corpus of 1000 utterances made of AN4's eight recordings, 1 % of it broken in each of seventeen ways, is recognised
# by AN4's model: every good utterance gets the words and the score of its recording, every broken one is named
# once with its reason, and exit codes are as documented. `prepare` sorts it, and asr takes the rest without a word.
# Then it is mended, and `--retry-failed` makes of the run what a new one is.
# Needs sox, for FLAC.
#
# usage: tests/broken_corpus.sh [DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/.."
work=${1:-target/broken_corpus}
recipe=$(pwd)/recipes/mini_an4
python=$(pwd)/tests/broken_corpus.py

command -v sox > /dev/null || { echo "broken_corpus.sh: sox is missing (package sox)" >&2; exit 1; }
"${recipe}/local/fetch.sh"
. "${recipe}/path.sh"
rm -rf "${work}"
mkdir -p "${work}"
cd "${work}"
ln -s "${recipe}/downloads" downloads
"${recipe}/local/prepare.py" 2> /dev/null
cat > conf.yaml << 'END'
stage: asr
output_dir: exp/${stage}
asr:
  manifest: corpus/wav.scp
  model: downloads/an4_ci_cont
  dict: downloads/an4/etc/an4.dic
  lm: downloads/an4/etc/an4.ug.lm
prepare:
  manifest: corpus
  sample_rate: 16000
parallel:
  env: local
  n_workers: 2
END

fail() { echo "broken_corpus.sh: $*" >&2; exit 1; }

# Both streams of espnet3-par must have these words.
says() { # WORDS CODE ARGUMENT...
    local code=0
    espnet3-par "${@:3}" > said 2>&1 || code=$?
    if [ "${code}" != "$2" ] || ! grep -qF -- "$1" said; then
        cat said >&2
        fail "exit code ${code}, expected $2 and \"$1\": espnet3-par ${*:3}"
    fi
}

"${python}" make
says 'done, 8 of 8 items' 0 run conf.yaml --set asr.manifest=data/all/wav.scp --set output_dir=exp/clean

says 'done, 830 of 1000 items, 170 failed' 1 run conf.yaml
"${python}" check exp/asr
cp exp/asr/results.jsonl exp/asr/errors.jsonl .
says 'done, 830 of 1000 items, 170 failed' 1 status exp/asr
says '"failed": 170' 1 status --json exp/asr
again() { # WORDS ARGUMENT...
    says "$1" 1 "${@:2}"
    cmp results.jsonl exp/asr/results.jsonl
    cmp errors.jsonl exp/asr/errors.jsonl
}
again '170 items failed, see exp/asr/errors.jsonl' collect exp/asr
again 'done, 830 of 1000 items, 170 failed' run conf.yaml
again 'done, 830 of 1000 items, 170 failed' run conf.yaml --retry-failed

says 'done, 820 of 1000 items, 180 failed' 1 run conf.yaml --stage prepare
"${python}" check_prepared exp/prepare
says 'done, 820 of 820 items' 0 run conf.yaml --set asr.manifest=exp/prepare/data/wav.scp \
    --set output_dir=exp/prepared
[ ! -e exp/prepared/errors.jsonl ] || fail "errors after prepare"
"${python}" check exp/prepared

"${python}" mend half.wav half.sph half.flac
says 'done, 860 of 1000 items, 140 failed' 1 run conf.yaml --retry-failed
"${python}" check exp/asr
"${python}" mend
says 'done, 1000 of 1000 items' 0 run conf.yaml --retry-failed
"${python}" check exp/asr
says 'done, 1000 of 1000 items' 0 status exp/asr
[ ! -e exp/asr/errors.jsonl ] || fail "errors after all was mended"
says 'done, 1000 of 1000 items' 0 run conf.yaml --set output_dir=exp/fresh
cmp exp/fresh/results.jsonl exp/asr/results.jsonl
cmp exp/fresh/text exp/asr/text
"${python}" mend 8k.wav
says 'done, 1000 of 1000 items' 0 run conf.yaml --stage prepare --retry-failed
echo "broken_corpus.sh: 1000 utterances: the good ones recognised, the broken ones named, then mended"
