// The processor that this runs on.
#pragma once
#include <cstddef>

namespace simdformer {

struct Cpu {
  bool avx2 = false;
  bool avx512 = false;
  bool vnni = false;     // of 512 bits
  bool avxVnni = false;  // of 256
  bool dotProd = false;  // of arm64
  size_t cache = 0;      // bytes of the largest one, or 0 if it does not say
};

#if defined(__x86_64__) || defined(__aarch64__)
const Cpu& cpu();
#else
constexpr Cpu cpu() { return {}; }
#endif

}  // namespace simdformer
