// WebAssembly's SIMD (all browsers since 2023, Node ≥ 16): vectors of 4 floats, no FMA.
#include "isa/begin.h"

#if defined(__wasm_simd128__) && !defined(__wasm_relaxed_simd__)
#define ISA simd128
#define ISA_NAME "simd128"
#define ISA_SIMD "simd/simd128.h"
#include "isa/kernels.h"
#endif
