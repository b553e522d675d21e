// Features of the processor at run time.
#pragma once
#include <cstddef>

namespace simdformer {

struct Cpu {
  bool avx2 = false;
  bool avx512 = false;
  bool vnni = false;     // AVX512-VNNI
  bool avxVnni = false;  // AVX-VNNI
  bool bf16 = false;     // AVX512-BF16
  bool amx = false;      // AMX with bfloat16 and bytes; see allowsAmx()
  bool dotProd = false;  // arm64: sdot and udot
  size_t cache = 0;      // bytes of the largest cache; 0 if unknown
  bool amd = false;      // made by AMD
};

#if defined(__x86_64__) || defined(__aarch64__)
const Cpu& cpu();
// Distances in bytes at which products of few rows prefetch weights into level 1, and before that into level 2. The
// second is 0 if there is only the first (int8_unpack.h).
extern const size_t kAhead, kFarAhead;
#else
constexpr Cpu cpu() { return {}; }
inline constexpr size_t kAhead = 0, kFarAhead = 0;
#endif

#if defined(__x86_64__)
// True if the processor has AMX and the operating system lets this process use it.
bool allowsAmx();
#endif

}  // namespace simdformer
