// WASM relaxed SIMD (Chrome 114, Node 22, Firefox 145): 4 floats, and the machine's FMA if it has one.
#include "isa/begin.h"

#if defined(__wasm_relaxed_simd__)
#define ISA relaxed
#define ISA_NAME "relaxed"
#define ISA_SIMD "simd/relaxed.h"
#include "isa/kernels.h"
#endif
