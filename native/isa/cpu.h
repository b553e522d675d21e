// Features of the processor at run time.
#pragma once
#include <cstddef>

namespace simdformer {

struct Cpu {
  bool avx2 = false;
  bool avx512 = false;
  bool vnni = false;       // AVX512-VNNI
  bool avxVnni = false;    // AVX-VNNI
  bool bf16 = false;       // AVX512-BF16
  bool amx = false;        // AMX with bfloat16 and bytes; see allowsAmx()
  bool dotProd = false;    // arm64: sdot and udot
  size_t cache = 0;        // bytes of the largest cache; 0 if unknown
  bool fetchesFar = true;  // prefetches far ahead into level 2 help; false for AMD, where they take bandwidth
};

#if defined(__x86_64__) || defined(__aarch64__)
const Cpu& cpu();
#else
constexpr Cpu cpu() { return {}; }
#endif

#if defined(__x86_64__)
// True if the processor has AMX and the operating system lets this process use it.
bool allowsAmx();
#endif

}  // namespace simdformer
