// Lists the instruction sets of this build that the machine supports.
#include <cstring>
#include <iterator>

#include "engine.h"
#include "isa/cpu.h"
#include "isa/has_scalar.h"

namespace simdformer {

#if defined(__wasm_relaxed_simd__)
namespace relaxed {
const Isa& isa();
}
#elif defined(__wasm__)
namespace simd128 {
const Isa& isa();
}
#elif defined(SIMDFORMER_SCALAR)
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

struct Built {
  const Isa& (*isa)();
  bool (*runsHere)();
};

bool always() { return true; }

// The sets of this build, best first. A WebAssembly module has one set: JavaScript chooses the module.
constexpr Built kBuilt[] = {
#if defined(__x86_64__)
    {avx512::isa, [] { return cpu().avx512; }},
    {avx2::isa, [] { return cpu().avx2; }},
    {sse2::isa, always},
#elif defined(__aarch64__)
    {neon::isa, always},
#endif
#if defined(__wasm_relaxed_simd__)
    {relaxed::isa, always},
#elif defined(__wasm__)
    {simd128::isa, always},
#elif defined(SIMDFORMER_SCALAR)
    {scalar::isa, always},
#endif
};

struct Available {
  const Isa* isas[std::size(kBuilt) + 1] = {};  // ends with null

  Available() {
    size_t n = 0;
    for (const Built& built : kBuilt)
      if (built.runsHere()) isas[n++] = &built.isa();
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
