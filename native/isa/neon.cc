// Every arm64 machine: 4 floats, FMA, 32 registers.
#include "isa/begin.h"

#if defined(__aarch64__)
#define ISA neon
#define ISA_NAME "neon"
#define VEC_WIDTH 4
#define TILE_ROWS 8
#define TILE_VECS 2
#include "isa/kernels.h"
#endif
