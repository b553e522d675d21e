// AVX2, on x86-64 since Haswell (2013) and Zen: vectors of 8 floats, FMA, 16 registers. Uses AVX-VNNI if available.
#include "isa/begin.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi,bmi2,avxvnni")
#endif

#define ISA avx2
#define ISA_NAME "avx2"
#define ISA_SIMD "simd/avx2.h"
#include "isa/kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
