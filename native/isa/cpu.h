// The processor that this runs on.
#pragma once
#include <cstddef>

namespace simdformer {

struct Cpu {
  bool avx2 = false;
  bool avx512 = false;
  bool vnni = false;     // with 512 bits
  bool avxVnni = false;  // with 256 bits
  bool dotProd = false;  // on arm64
  size_t cache = 0;      // bytes of the largest cache; 0 if unknown
};

#if defined(__x86_64__) || defined(__aarch64__)
const Cpu& cpu();
#else
constexpr Cpu cpu() { return {}; }
#endif

}  // namespace simdformer
