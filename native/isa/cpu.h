// The processor that this runs on.
#pragma once

namespace simdformer {

struct Cpu {
  bool avx2 = false;
  bool avx512 = false;
  bool amd = false;
};

#if defined(__x86_64__)
const Cpu& cpu();
#else
constexpr Cpu cpu() { return {}; }
#endif

}  // namespace simdformer
