// WASM relaxed SIMD (Chrome 114, Node 22, Firefox 145): 4 floats, and the machine's FMA where it has one. The 12 sums
// of a 6 × 8 tile hide its latency, and with FMA they stay in registers.
#include "isa/begin.h"

#if defined(__wasm_relaxed_simd__)
#define ISA relaxed
#define ISA_NAME "relaxed"
#define VEC_WIDTH 4
#define TILE_ROWS 6
#define TILE_VECS 2
#include "isa/kernels.h"
#endif
