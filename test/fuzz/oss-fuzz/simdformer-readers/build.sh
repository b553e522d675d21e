#!/bin/bash -eu
# Bundles the fuzzers of readers that need no other files, and hands each to Jazzer.js. OSS-Fuzz starts this in the repository,
# and provides compile_javascript_fuzzer.
[ -d node_modules ] || npm ci --ignore-scripts --no-audit --no-fund
for target in safetensors gguf wav; do
  npx esbuild "test/fuzz/$target.fuzz.ts" --bundle --platform=node --format=esm --external:@jazzer.js/core \
    --log-level=warning --outfile="build/oss-fuzz/$target.fuzz.js"
  compile_javascript_fuzzer simdformer "build/oss-fuzz/$target.fuzz.js"
done
