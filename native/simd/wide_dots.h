// Dot products of bytes for sets that multiply pairs of 16-bit integers.
#pragma once
#include "simd/plain_sums.h"

// pairs(a, b) of the set gives, in each lane, the sum of the products of its two 16-bit halves. Bytes 0 and 2 of a word
// come first, then bytes 1 and 3.
struct Dots : PlainSums {
  static constexpr size_t kWords = 2;
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    const Vi mask = splatInt(0x00ff00ff);
    sums.of += pairs(weights & mask, splatInt(x[0])) + pairs((weights >> 8) & mask, splatInt(x[1]));
  }
};
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  body(Dots());
}
