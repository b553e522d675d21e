// The primitives of simd/vec.h with WebAssembly's SIMD, which has no FMA.
#pragma once
#include "simd/four.h"

SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return fma(a, b, c); }
SIMD_INLINE Vf rounded(Vf v) { return v; }

SIMD_INLINE Vf max(Vf a, Vf b) { return a > b ? a : b; }
SIMD_INLINE Vf min(Vf a, Vf b) { return a < b ? a : b; }
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)wasm_f32x4_sqrt((v128_t)v); }

SIMD_INLINE const float* inMemory(const float* constants) { return constants; }
#include "simd/exp2.h"
#include "simd/half.h"

SIMD_INLINE Vi lookUp(Vi v, const uint8_t* table) { return (Vi)wasm_i8x16_swizzle(wasm_v128_load(table), (v128_t)v); }
SIMD_INLINE Vi bytesToInts(const void* p) {
  return (Vi)wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
}
SIMD_INLINE Vi signedBytesToInts(const void* p) {
  return (Vi)wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p)));
}
SIMD_INLINE Vi pairs(Vi a, Vi b) { return (Vi)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b); }
#include "simd/wide_dots.h"
