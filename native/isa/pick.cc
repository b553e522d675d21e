// Which instruction sets this build and this machine have. Reads cpuid itself: __builtin_cpu_supports differs by
// compiler and does not ask the operating system whether it saves the wide registers.
#include <cstring>

#include "engine.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

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

#if defined(__x86_64__)
struct Cpu {
  bool avx2 = false;
  bool avx512 = false;

  Cpu() {
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return;
    constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28;
    if ((c & kOsxsave) == 0) return;
    unsigned low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    constexpr unsigned kYmm = 0x6, kZmm = 0xe6;  // register files that the system saves
    const bool fma = (c & kFma) != 0 && (c & kAvx) != 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return;
    constexpr unsigned kBmi = 1u << 3, kAvx2 = 1u << 5, kBmi2 = 1u << 8;
    constexpr unsigned kAvx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;  // F DQ CD BW VL
    avx2 = fma && (low & kYmm) == kYmm && (b & (kAvx2 | kBmi | kBmi2)) == (kAvx2 | kBmi | kBmi2);
    avx512 = avx2 && (low & kZmm) == kZmm && (b & kAvx512) == kAvx512;
  }
};
#endif

struct Available {
  const Isa* isas[5] = {};

  Available() {
    int n = 0;
#if defined(__x86_64__)
    const Cpu cpu;
    if (cpu.avx512) isas[n++] = &avx512::isa();
    if (cpu.avx2) isas[n++] = &avx2::isa();
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
