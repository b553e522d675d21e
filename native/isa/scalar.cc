// Portable C++, one float at a time: the fallback for every machine, and the reference for other sets. The compiler
// optimizes for size, which changes no result.
#include "isa/begin.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#else
#pragma GCC optimize("Os")
#endif

#define ISA scalar
#define ISA_NAME "scalar"
#define ISA_SIMD "simd/scalar.h"
#include "isa/kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
