// Which instruction sets this build and this machine have.
#include <cstring>

#include "engine.h"
#include "isa/cpu.h"

namespace simdformer {

#if defined(__wasm_relaxed_simd__)
namespace relaxed {
const Isa& isa();
}
#elif defined(__wasm__)
namespace simd128 {
const Isa& isa();
}
#else
namespace scalar {
const Isa& isa();
}
#endif
#if defined(__x86_64__)
namespace sse2 {
const Isa& isa();
}
namespace avx2 {
const Isa& isa();
}
namespace avx512 {
const Isa& isa();
}
#elif defined(__aarch64__)
namespace neon {
const Isa& isa();
}
#endif

namespace {

struct Available {
  const Isa* isas[5] = {};

  Available() {
    int n = 0;
#if defined(__x86_64__)
    if (cpu().avx512) isas[n++] = &avx512::isa();
    if (cpu().avx2) isas[n++] = &avx2::isa();
    isas[n++] = &sse2::isa();
#elif defined(__aarch64__)
    isas[n++] = &neon::isa();
#endif
#if defined(__wasm_relaxed_simd__)  // a module has one: JavaScript chooses the module
    isas[n++] = &relaxed::isa();
#elif defined(__wasm__)
    isas[n++] = &simd128::isa();
#else
    isas[n++] = &scalar::isa();
#endif
  }
};

}  // namespace

const Isa* const* availableIsas() {
  static const Available available;
  return available.isas;
}

const Isa* findIsa(const char* name) {
  for (const Isa* const* isa = availableIsas(); *isa != nullptr; ++isa)
    if (strcmp((*isa)->name, name) == 0) return *isa;
  return nullptr;
}

}  // namespace simdformer
