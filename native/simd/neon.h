// The primitives of simd/vec.h with NEON of arm64.
#pragma once
#include "simd/four.h"

SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return (Vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
SIMD_INLINE Vf rounded(Vf v) {
  asm("" : "+w"(v));
  return v;
}

SIMD_INLINE Vf max(Vf a, Vf b) { return a > b ? a : b; }
SIMD_INLINE Vf min(Vf a, Vf b) { return a < b ? a : b; }
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)vsqrtq_f32((float32x4_t)v); }

SIMD_INLINE const float* inMemory(const float* constants) { return constants; }
#include "simd/exp2.h"
#include "simd/plain_sums.h"

SIMD_INLINE Vi lookUp(Vi v, const uint8_t* table) { return (Vi)vqtbl1q_u8(vld1q_u8(table), (uint8x16_t)v); }
SIMD_INLINE Vi bytesToInts(const void* p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return (Vi)vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(word)))));
}
SIMD_INLINE Vi signedBytesToInts(const void* p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return (Vi)vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word)))));
}
SIMD_INLINE Vf halves(const void* p) {
  float16x4_t v;
  memcpy(&v, p, sizeof v);
  return (Vf)vcvt_f32_f16(v);
}

// The bytes of a weight as signed integers. With 8 bits, 128 is subtracted from each.
SIMD_INLINE int8x16_t signedBytes(Vi weights, bool eightBits) {
  return vreinterpretq_s8_s32((int32x4_t)(eightBits ? weights ^ splatInt(-0x7f7f7f80) : weights));
}
struct Dots {
  static constexpr size_t kWords = 1;
  static constexpr bool kSigned = true;
  static constexpr bool kBitsMatter = true, kFourBitsMatter = false;
  static constexpr bool takesEightBits() { return false; }
  struct Sums {
    int32x4_t low, high;
  };
  template <int kBits>
  SIMD_INLINE static Sums begin(int32_t) {
    return {vdupq_n_s32(0), vdupq_n_s32(0)};
  }
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    const int8x16_t w = signedBytes(weights, kBits == 8);
    const int8x16_t bytes = vreinterpretq_s8_s32(vdupq_n_s32(*x));
    sums.low = vpadalq_s16(sums.low, vmull_s8(vget_low_s8(w), vget_low_s8(bytes)));
    sums.high = vpadalq_s16(sums.high, vmull_high_s8(w, bytes));
  }
  template <int kBits>
  SIMD_INLINE static Vi total(const Sums& sums, int32_t start) {
    return (Vi)vpaddq_s32(sums.low, sums.high) + splatInt(start);
  }
};
// Dot products by sdot: Apple's processors, and most others since 2019.
struct FourDots : PlainSums {
  static constexpr bool kSigned = true, kBitsMatter = true;
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    const int8x16_t bytes = vreinterpretq_s8_s32(vdupq_n_s32(*x));
    sums.of = (Vi)vdotq_s32((int32x4_t)sums.of, signedBytes(weights, kBits == 8), bytes);
  }
};
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  if (cpu().dotProd) return body(FourDots());
  body(Dots());
}
