// Dot products of bytes for sets that multiply bytes and add neighbouring products in 16 bits.
#pragma once
#include "simd/plain_sums.h"

// 16 bits hold a sum of two products if weights have at most 6 bits. With 8 bits, weights become signed and their sign
// moves to the other factor, so that their magnitude has 7 bits. With 4 bits, 16 bits hold the sums of up to 8 calls of
// add(). A set provides:
//
//   bytePairs(unsigned, signed)  16-bit lanes: the sums of two neighbouring products
//   addPairs(a, b)               the sums of 16-bit lanes
//   sumsOfPairs(pairs)           32-bit lanes: the sums of two neighbouring 16-bit lanes. An empty asm statement hides the
//                                result from the optimizer. Clang would join it with an addition to vpdpwssd, which
//                                processors without VNNI do not have
//   magnitudes(v)                |v| of signed bytes
//   withSign(v, of)              bytes v, negated where `of` is negative
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
