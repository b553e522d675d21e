// Primitives of simd/vec.h for all sets with vectors of four floats, in portable code.
#pragma once
inline constexpr size_t kWidth = 4;
#include "simd/vectors.h"

SIMD_INLINE Vf loadFirst(const float* p, size_t n) {
  Vf v = {};
  for (size_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
SIMD_INLINE void storeFirst(float* p, Vf v, size_t n) {
  for (size_t i = 0; i < n; ++i) p[i] = v[i];
}

inline constexpr bool kStoresNonTemporal = false;
SIMD_INLINE void storeNonTemporal(float* p, Vf v) { memcpy(p, &v, sizeof v); }
SIMD_INLINE void fenceNonTemporal() {}

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

SIMD_INLINE void transpose(Vf (&rows)[4]) { transposeQuarters(rows); }
SIMD_INLINE Vf sumsOfRows(const Vf (&rows)[4]) {
  Vf sums[1];
  sumQuarters(rows, sums);
  return sums[0];
}
