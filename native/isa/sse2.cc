// The x86-64 baseline: 4 floats, no FMA, 16 registers.
#include "isa/begin.h"

#if defined(__x86_64__)
#define ISA sse2
#define ISA_NAME "sse2"
#define ISA_SIMD "simd/sse2.h"
#include "isa/kernels.h"
#endif
