// WASM SIMD (all browsers since 2023, Node ≥ 16): 4 floats, no FMA. V8 keeps a 4 × 8 tile in registers, a larger one
// not.
#include "isa/begin.h"

#if defined(__wasm_simd128__) && !defined(__wasm_relaxed_simd__)
#define ISA simd128
#define ISA_NAME "simd128"
#define VEC_WIDTH 4
#define TILE_ROWS 4
#define TILE_VECS 2
#include "isa/kernels.h"
#endif
