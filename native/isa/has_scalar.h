// Defines SIMDFORMER_SCALAR if the build has the scalar set. x86-64 and arm64 always have a better one, so their addons
// leave it out, which saves 350 kB. Self tests define the macro themselves, to compare the sets.
#pragma once

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(__wasm__) && !defined(SIMDFORMER_SCALAR)
#define SIMDFORMER_SCALAR
#endif
