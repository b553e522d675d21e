// AVX-512, on x86-64 since Skylake-SP (2017) and Zen 4: vectors of 16 floats, masks, 32 registers.
#include "isa/begin.h"

#if defined(__x86_64__)

// Clang's attribute takes one string only, which is longer than a line.
// clang-format off
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512cd,avx512vnni,avx512bf16,amx-tile,amx-bf16,amx-int8,avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx512cd,avx512vnni,avx512bf16,amx-tile,amx-bf16,amx-int8,avx2,fma,f16c,bmi,bmi2,prefer-vector-width=512")
#endif
// clang-format on

#define ISA avx512
#define ISA_NAME "avx512"
#define ISA_SIMD "simd/avx512.h"
#include "isa/kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
