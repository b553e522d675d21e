// SSE2, the baseline of x86-64: vectors of 4 floats, no FMA, 16 registers. Only machines from before 2013 use it, so
// the compiler optimizes for size. Without FMA this changes no result.
#include "isa/begin.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#else
#pragma GCC optimize("Os")
#endif

#define ISA sse2
#define ISA_NAME "sse2"
#define ISA_SIMD "simd/sse2.h"
#include "isa/kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
