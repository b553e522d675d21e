// Plain C++, one float at a time: runs anywhere and shows what a kernel means.
#include "isa/begin.h"

#define ISA scalar
#define ISA_NAME "scalar"
#define VEC_WIDTH 1
#define TILE_ROWS 4
#define TILE_VECS 2
#include "isa/kernels.h"
