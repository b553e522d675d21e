// Plain C++, one float at a time: runs anywhere and shows what a kernel means.
#include "isa/begin.h"

#define ISA scalar
#define ISA_NAME "scalar"
#define ISA_SIMD "simd/scalar.h"
#include "isa/kernels.h"
