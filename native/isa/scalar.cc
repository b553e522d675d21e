// Portable C++, one float at a time: the fallback for processors without another set, and the reference for all sets.
// The compiler optimizes for size, which changes no result.
#include "isa/begin.h"
#include "isa/has_scalar.h"

#if defined(SIMDFORMER_SCALAR)

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

#endif
