// The primitives of simd/vec.h with AVX2 and FMA.
#pragma once
inline constexpr size_t kWidth = 8;
#include "simd/vectors.h"

SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return (Vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
SIMD_INLINE Vf rounded(Vf v) {
  asm("" : "+v"(v));
  return v;
}

SIMD_INLINE Vf max(Vf a, Vf b) { return (Vf)_mm256_max_ps((__m256)a, (__m256)b); }
SIMD_INLINE Vf min(Vf a, Vf b) { return (Vf)_mm256_min_ps((__m256)a, (__m256)b); }
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)_mm256_sqrt_ps((__m256)v); }

SIMD_INLINE __m256i firstLanes(size_t n) {
  const Vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return (__m256i)(lane < splatInt(static_cast<int32_t>(n)));
}
SIMD_INLINE Vf loadFirst(const float* p, size_t n) { return (Vf)_mm256_maskload_ps(p, firstLanes(n)); }
SIMD_INLINE void storeFirst(float* p, Vf v, size_t n) { _mm256_maskstore_ps(p, firstLanes(n), (__m256)v); }

inline constexpr bool kStoresNonTemporal = true;
SIMD_INLINE void storeNonTemporal(float* p, Vf v) { _mm256_stream_ps(p, (__m256)v); }
SIMD_INLINE void fenceNonTemporal() { _mm_sfence(); }

SIMD_INLINE float sum(Vf v) {
  return fold(v, [](float a, float b) { return a + b; });
}
SIMD_INLINE float maximum(Vf v) {
  return fold(v, [](float a, float b) { return a > b ? a : b; });
}
SIMD_INLINE int32_t sum(Vi v) {
  return fold(v, [](int32_t a, int32_t b) { return a + b; });
}
SIMD_INLINE int32_t maximum(Vi v) {
  return fold(v, [](int32_t a, int32_t b) { return a > b ? a : b; });
}

SIMD_INLINE void transpose(Vf (&rows)[8]) {
  constexpr auto all = std::make_index_sequence<8>();
  transposeQuarters(rows);
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const Vf a = rows[i], b = rows[i + 4];
    rows[i] = quarters<0, 1>(a, b, all), rows[i + 4] = quarters<1, 1>(a, b, all);
  }
}
SIMD_INLINE Vf sumsOfRows(const Vf (&rows)[8]) {
  constexpr auto all = std::make_index_sequence<8>();
  Vf sums[2];
  sumQuarters(rows, sums);
  return quarters<0, 1>(sums[0], sums[1], all) + quarters<1, 1>(sums[0], sums[1], all);
}

SIMD_INLINE const float* inMemory(const float* constants) { return constants; }
#include "simd/exp2.h"

SIMD_INLINE Vi lookUp(Vi v, const uint8_t* table) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return (Vi)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), (__m256i)v);
}
SIMD_INLINE Vi bytesToInts(const void* p) {
  return (Vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
}
SIMD_INLINE Vi signedBytesToInts(const void* p) {
  return (Vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
}
SIMD_INLINE Vf halves(const void* p) { return (Vf)_mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p))); }

SIMD_INLINE Vi bytePairs(Vi a, Vi b) { return (Vi)_mm256_maddubs_epi16((__m256i)a, (__m256i)b); }
SIMD_INLINE Vi addPairs(Vi a, Vi b) { return (Vi)_mm256_add_epi16((__m256i)a, (__m256i)b); }
SIMD_INLINE Vi sumsOfPairs(Vi v) {
  Vi sums = (Vi)_mm256_madd_epi16((__m256i)v, _mm256_set1_epi16(1));
  asm("" : "+x"(sums));  // see pair_dots.h
  return sums;
}
SIMD_INLINE Vi magnitudes(Vi v) { return (Vi)_mm256_abs_epi8((__m256i)v); }
SIMD_INLINE Vi withSign(Vi v, Vi of) { return (Vi)_mm256_sign_epi8((__m256i)v, (__m256i)of); }
#include "simd/pair_dots.h"

// Dot products by AVX-VNNI: Intel processors since Alder Lake, which lack AVX-512.
struct VnniDots : PlainSums {
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    sums.of = (Vi)_mm256_dpbusd_avx_epi32((__m256i)sums.of, (__m256i)weights, _mm256_set1_epi32(*x));
  }
};
using Dots = PairDots;
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  if (cpu().avxVnni) return body(VnniDots());
  body(PairDots());
}
