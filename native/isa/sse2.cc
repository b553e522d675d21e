// The x86-64 baseline, which every such machine has: 4 floats, no FMA, 16 registers.
#include "isa/begin.h"

#if defined(__x86_64__)
#define ISA sse2
#define ISA_NAME "sse2"
#define VEC_WIDTH 4
#define TILE_ROWS 6
#define TILE_VECS 2
#include "isa/kernels.h"
#endif
