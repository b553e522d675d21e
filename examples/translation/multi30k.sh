#!/bin/sh
# Makes the files of pairs that `simdformer train translation` reads out of Multi30k's:
#   sh examples/translation/multi30k.sh de|fr <folder for the files> [<folder of Multi30k>]
set -eu
language=$1 out=$2 data=${3:-$(dirname "$0")/../../../shared/data/multi30k}
mkdir -p "$out"
for part in train val test_2016_flickr; do
  gunzip -c "$data/$part.lc.norm.tok.en.gz" >"$out/.en"
  gunzip -c "$data/$part.lc.norm.tok.$language.gz" >"$out/.other"
  paste "$out/.en" "$out/.other" >"$out/$part.$language.tsv"
done
rm "$out/.en" "$out/.other"
