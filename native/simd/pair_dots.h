#pragma once
#include "simd/plain_sums.h"

// Dots of sets that multiply bytes and add pairs of products in 16 bits. Products of weights with at most 6 bits fit
// into 16 bits. Signed weights of 8 bits move their sign to the other factor, so they fit too. All products of a part
// with weights of 4 bits fit, and are added in 16 bits. A set has
//
//   bytePairs(unsigned, signed)     the sums of pairs, in 16 bits
//   addPairs(a, b)                  in 16 bits
//   sumsOfPairs(pairs)              in 32 bits
//   magnitudes(v), withSign(v, of)  of bytes: |v|; v times the sign of `of`
struct PairDots : PlainSums {
  static constexpr bool kSigned = true, kBitsMatter = true, kFourBitsMatter = true;
  template <int kBits>
  SIMD_INLINE static Sums begin(int32_t start) {
    return {splatInt(kBits == 4 ? 0 : start)};
  }
  template <int kBits>
  SIMD_INLINE static Vi total(const Sums& sums, int32_t start) {
    return kBits == 4 ? sumsOfPairs(sums.of) + splatInt(start) : sums.of;
  }
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    const Vi bytes = splatInt(*x);
    if constexpr (kBits == 4) {
      sums.of = addPairs(sums.of, bytePairs(weights, bytes));
    } else if constexpr (kBits < 8) {
      sums.of += sumsOfPairs(bytePairs(weights, bytes));
    } else {
      const Vi given = weights ^ splatInt(-0x7f7f7f80);
      sums.of += sumsOfPairs(bytePairs(magnitudes(given), withSign(bytes, given)));
    }
  }
};
