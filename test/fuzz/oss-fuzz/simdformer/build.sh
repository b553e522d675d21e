#!/bin/bash -eu
# Compiles the fuzzer of the engine's commands. OSS-Fuzz sets OUT, CXX, CXXFLAGS and LIB_FUZZING_ENGINE, and starts this in the
# repository.
objects=$(mktemp -d)
flags=(-std=c++20 -Inative -DSIMDFORMER_SCALAR -fno-rtti -fno-math-errno -fno-trapping-math -ffp-contract=fast -w)
# Checks of AddressSanitizer by calls: kernels are so much inlined code that checks within it take minutes to compile.
if [[ $CXXFLAGS == *address* ]]; then flags+=(-fsanitize-address-outline-instrumentation); fi
sources=(native/isa/*.cc native/heap.cc native/panels.cc native/run.cc native/threads.cc test/native/fuzz_run.cc)
printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} bash -c \
  '$0 $1 '"${flags[*]}"' -c "$3" -o "$2/$(basename "$3").o"' "$CXX" "$CXXFLAGS" "$objects" {}
$CXX $CXXFLAGS $LIB_FUZZING_ENGINE "$objects"/*.o -lpthread -o "$OUT/fuzz_run"
# The heap reserves more addresses than the memory limit allows for.
printf '[libfuzzer]\nrss_limit_mb = 0\nmax_len = 512\n' > "$OUT/fuzz_run.options"
