// A part of the kernels as a separate WebAssembly module, which a device loads when it first needs one of them. It
// shares memory and function table with the core, so pointers are valid in both. Its static data has a fixed address
// that the core leaves free (wasm/build.mjs). It imports the functions that it calls from the core.
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
