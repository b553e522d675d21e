// The primitives of simd/vec.h with SSE2, which has no FMA.
#pragma once
#include "simd/four.h"

SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return fma(a, b, c); }
SIMD_INLINE Vf rounded(Vf v) {
  asm("" : "+v"(v));
  return v;
}

SIMD_INLINE Vf max(Vf a, Vf b) { return (Vf)_mm_max_ps((__m128)a, (__m128)b); }
SIMD_INLINE Vf min(Vf a, Vf b) { return (Vf)_mm_min_ps((__m128)a, (__m128)b); }
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)_mm_sqrt_ps((__m128)v); }

SIMD_INLINE const float* inMemory(const float* constants) { return constants; }
#include "simd/exp2.h"
#include "simd/half.h"
#include "simd/look_up.h"

SIMD_INLINE Vi bytesToInts(const void* p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  const __m128i bytes = _mm_cvtsi32_si128(word), zero = __m128i{};
  return (Vi)_mm_unpacklo_epi16(_mm_unpacklo_epi8(bytes, zero), zero);
}
SIMD_INLINE Vi signedBytesToInts(const void* p) {
  int32_t word;
  memcpy(&word, p, sizeof word);
  const __m128i bytes = _mm_cvtsi32_si128(word), twice = _mm_unpacklo_epi8(bytes, bytes);
  return (Vi)_mm_srai_epi32(_mm_unpacklo_epi16(twice, twice), 24);
}
SIMD_INLINE Vi pairs(Vi a, Vi b) { return (Vi)_mm_madd_epi16((__m128i)a, (__m128i)b); }
#include "simd/wide_dots.h"
