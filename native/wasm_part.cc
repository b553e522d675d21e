// A part of the engine's kernels as a WebAssembly module of its own, which a device loads when it first needs them. It
// shares the memory and the table of functions with the core, so that pointers to either mean the same in both. Its data
// lie at a fixed address that the core leaves free (wasm/build.mjs). What it calls, it imports from the core.
#include "abi.h"

namespace simdformer {

#if defined(__wasm_relaxed_simd__)
namespace relaxed {
#else
namespace simd128 {
#endif
const Isa& isa();
extern "C" __attribute__((export_name("part"))) const Isa* part() { return &isa(); }
}

}  // namespace simdformer
