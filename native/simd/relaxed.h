// The primitives of simd/vec.h with WebAssembly's relaxed SIMD.
#pragma once
#include "simd/four.h"

// The compiler does not turn a * b + c into relaxed_madd.
SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return (Vf)wasm_f32x4_relaxed_madd((v128_t)a, (v128_t)b, (v128_t)c); }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return fma(a, b, c); }
SIMD_INLINE Vf rounded(Vf v) { return v; }

SIMD_INLINE Vf max(Vf a, Vf b) { return a > b ? a : b; }
SIMD_INLINE Vf min(Vf a, Vf b) { return a < b ? a : b; }
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)wasm_f32x4_sqrt((v128_t)v); }

SIMD_INLINE const float* inMemory(const float* constants) {
  asm("" : "+r"(constants));
  return constants;
}
#include "simd/exp2.h"
#include "simd/half.h"

SIMD_INLINE Vi lookUp(Vi v, const uint8_t* table) { return (Vi)wasm_i8x16_swizzle(wasm_v128_load(table), (v128_t)v); }
SIMD_INLINE Vi bytesToInts(const void* p) {
  return (Vi)wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}
SIMD_INLINE Vi signedBytesToInts(const void* p) {
  return (Vi)wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p)));
}

// relaxed_dot multiplies signed bytes by unsigned ones of 7 bits. The specification allows engines to take all 8 bits,
// as VNNI does, or not; each engine always does the same. If it does not, the eighth bit of a weight takes a second
// product.
struct Dots {
  static constexpr size_t kWords = 1;
  static constexpr bool kSigned = false;
  static constexpr bool kBitsMatter = true, kFourBitsMatter = false;
  struct Sums {
    Vi of, high;
  };
  template <int kBits>
  SIMD_INLINE static Sums begin(int32_t start) {
    return {splatInt(start), Vi{}};
  }
  static bool takesEightBits() {
    static constexpr uint32_t kBytes[] = {0xffffffff, 0x80808080, 0x7f7f7f7f};
    const uint32_t* bytes = kBytes;
    asm("" : "+r"(bytes));  // keeps the compiler from evaluating the product
    const v128_t weights = wasm_v128_load32_splat(bytes);
    const auto dot = [&](const uint32_t* x) {
      return wasm_i32x4_extract_lane(
          wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_load32_splat(x), weights, wasm_i32x4_splat(7)), 0);
    };
    return dot(bytes + 1) == 7 - 4 * 128 * 255 && dot(bytes + 2) == 7 + 4 * 127 * 255;
  }
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    const v128_t bytes = wasm_v128_load32_splat(x);
    const Vi low = kBits == 8 ? weights & splatInt(0x7f7f7f7f) : weights;
    sums.of = (Vi)wasm_i32x4_relaxed_dot_i8x16_i7x16_add(bytes, (v128_t)low, (v128_t)sums.of);
    if constexpr (kBits < 8) return;
    const Vi high = (weights >> 7) & splatInt(0x01010101);
    sums.high = (Vi)wasm_i32x4_relaxed_dot_i8x16_i7x16_add(bytes, (v128_t)high, (v128_t)sums.high);
  }
  template <int kBits>
  SIMD_INLINE static Vi total(const Sums& sums, int32_t) {
    return sums.of + (sums.high << 7);
  }
};
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  body(Dots());
}
