// The primitives of simd/vec.h on single floats. Comparisons give a bool instead of a Vi.
#pragma once

inline constexpr size_t kWidth = 1;
using Vf = float;
using Vi = int32_t;
using Vu = uint32_t;
using Vd = double;
using Vl = int64_t;

SIMD_INLINE Vf splat(float x) { return x; }
SIMD_INLINE Vi splatInt(int32_t x) { return x; }
SIMD_INLINE Vi asInt(Vf v) {
  Vi i;
  memcpy(&i, &v, sizeof i);
  return i;
}
SIMD_INLINE Vf asFloat(Vi v) {
  Vf f;
  memcpy(&f, &v, sizeof f);
  return f;
}
SIMD_INLINE Vf toFloat(Vi v) { return static_cast<float>(v); }
SIMD_INLINE Vi toInt(Vf v) { return static_cast<int32_t>(v); }  // rounds towards zero
SIMD_INLINE Vi shortsToInts(const void* p) {
  uint16_t x;
  memcpy(&x, p, sizeof x);
  return x;
}
SIMD_INLINE Vi bytesToInts(const void* p) { return *static_cast<const uint8_t*>(p); }
SIMD_INLINE Vi signedBytesToInts(const void* p) { return *static_cast<const int8_t*>(p); }
SIMD_INLINE Vu splatBits(uint32_t x) { return x; }
SIMD_INLINE Vu laneNumbers() { return 0; }

SIMD_INLINE Vd toDouble(Vf v) { return v; }
SIMD_INLINE Vf toSingle(Vd v) { return static_cast<float>(v); }
SIMD_INLINE Vd splatDouble(double x) { return x; }
SIMD_INLINE Vl asLong(Vd v) {
  Vl l;
  memcpy(&l, &v, sizeof l);
  return l;
}
SIMD_INLINE Vd asDouble(Vl v) {
  Vd d;
  memcpy(&d, &v, sizeof d);
  return d;
}

SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return fma(a, b, c); }
SIMD_INLINE Vf rounded(Vf v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

SIMD_INLINE Vf max(Vf a, Vf b) { return a > b ? a : b; }
SIMD_INLINE Vf min(Vf a, Vf b) { return a < b ? a : b; }
SIMD_INLINE Vf sqrt(Vf v) { return __builtin_sqrtf(v); }

SIMD_INLINE Vf loadFirst(const float*, size_t) { return 0; }
SIMD_INLINE void storeFirst(float*, Vf, size_t) {}

inline constexpr bool kStoresNonTemporal = false;
SIMD_INLINE void storeNonTemporal(float* p, Vf v) { *p = v; }
SIMD_INLINE void fenceNonTemporal() {}

SIMD_INLINE float sum(Vf v) { return v; }
SIMD_INLINE float maximum(Vf v) { return v; }
SIMD_INLINE int32_t sum(Vi v) { return v; }
SIMD_INLINE int32_t maximum(Vi v) { return v; }
SIMD_INLINE void storeBytes(void* p, Vi v) { *static_cast<int8_t*>(p) = static_cast<int8_t>(v); }
SIMD_INLINE void storeShorts(void* p, Vi v) {
  const int16_t x = static_cast<int16_t>(v);
  memcpy(p, &x, sizeof x);
}
SIMD_INLINE Vf swapNeighbours(Vf v, std::index_sequence<0>) { return v; }
SIMD_INLINE void transpose(Vf (&)[1]) {}
SIMD_INLINE Vf sumsOfRows(const Vf (&rows)[1]) { return rows[0]; }

SIMD_INLINE const float* inMemory(const float* constants) { return constants; }
#include "simd/exp2.h"
#include "simd/half.h"
#include "simd/look_up.h"
#include "simd/plain_sums.h"

struct Dots : PlainSums {
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    for (int i = 0; i < 4; ++i) sums.of += (weights >> (8 * i) & 0xff) * static_cast<int8_t>(*x >> (8 * i));
  }
};
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  body(Dots());
}
