// Every arm64 machine: 4 floats, FMA, 32 registers.
#include "isa/begin.h"

#if defined(__aarch64__)
#define ISA neon
#define ISA_NAME "neon"
#define ISA_SIMD "simd/neon.h"
#include "isa/kernels.h"
#endif
