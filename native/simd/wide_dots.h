#pragma once

// Dots of sets that multiply pairs of 16 bits: the bytes 0 and 2 of a word, then 1 and 3.
struct Dots {
  static constexpr size_t kWords = 2;
  static constexpr bool kSigned = false;
  static constexpr bool kBitsMatter = false;
  struct Sums {
    Vi of;
  };
  SIMD_INLINE static Sums begin(int32_t start) { return {splatInt(start)}; }
  template <bool kEightBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    const Vi mask = splatInt(0x00ff00ff);
    sums.of += pairs(weights & mask, splatInt(x[0])) + pairs((weights >> 8) & mask, splatInt(x[1]));
  }
  SIMD_INLINE static Vi total(const Sums& sums) { return sums.of; }
};
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  body(Dots());
}
