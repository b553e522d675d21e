// NEON, which every arm64 processor has: vectors of 4 floats, FMA, 32 registers. Uses dot products of bytes if
// available.
#include "isa/begin.h"

#if defined(__aarch64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("+dotprod")
#endif

#define ISA neon
#define ISA_NAME "neon"
#define ISA_SIMD "simd/neon.h"
#include "isa/kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
