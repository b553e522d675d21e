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

SIMD_INLINE Vf halves(const void* p) {
  float16x4_t v;
  memcpy(&v, p, sizeof v);
  return (Vf)vcvt_f32_f16(v);
}
