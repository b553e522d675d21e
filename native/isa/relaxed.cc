// WebAssembly's relaxed SIMD (Chrome 114, Node 22, Firefox 145): vectors of 4 floats, and FMA if the machine has it.
#include "isa/begin.h"

#if defined(__wasm_relaxed_simd__)
#define ISA relaxed
#define ISA_NAME "relaxed"
#define ISA_SIMD "simd/relaxed.h"
#include "isa/kernels.h"
#endif
