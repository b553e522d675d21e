// Plain C++, one float at a time. It runs anywhere, and shows the meaning of a kernel.
#include "isa/begin.h"

#define ISA scalar
#define ISA_NAME "scalar"
#define ISA_SIMD "simd/scalar.h"
#include "isa/kernels.h"
