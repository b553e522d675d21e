// The part of Dots (simd/vec.h) that sets share whose sums are one vector.
#pragma once

struct PlainSums {
  static constexpr size_t kWords = 1;
  static constexpr bool kSigned = false, kBitsMatter = false, kFourBitsMatter = false;
  static constexpr bool takesEightBits() { return false; }
  struct Sums {
    Vi of;
  };
  template <int kBits>
  SIMD_INLINE static Sums begin(int32_t start) {
    return {splatInt(start)};
  }
  template <int kBits>
  SIMD_INLINE static Vi total(const Sums& sums, int32_t) {
    return sums.of;
  }
};
