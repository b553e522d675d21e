#!/bin/sh
# Writes the pairs of sentences that `simdformer train translation` reads:
#   sh examples/translation/multi30k.sh de|fr <output folder> [<local folder with Multi30k>]
# Without a local folder, Multi30k is downloaded: see scripts/corpora.mjs.
set -eu
language=$1 out=$2
data=$(node "$(dirname "$0")/../../scripts/corpora.mjs" multi30k ${3:+--from "$3"})
mkdir -p "$out"
for part in train val test_2016_flickr; do
  paste "$data/$part.lc.norm.tok.en" "$data/$part.lc.norm.tok.$language" >"$out/$part.$language.tsv"
done
