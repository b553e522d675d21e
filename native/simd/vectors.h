// Primitives of simd/vec.h for vectors of any width kWidth, which the header of the set defines before it includes this
// one.
//
// Vf, Vi and Vu are vector types of GCC and Clang. The operators + - * / < > & | ^ ~ << >> and `mask ? a : b` work on
// them. A comparison gives a Vi of 0 and -1. simd/scalar.h has the same for one float.
#pragma once

typedef float Vf __attribute__((vector_size(kWidth * 4)));
typedef int32_t Vi __attribute__((vector_size(kWidth * 4)));
typedef uint32_t Vu __attribute__((vector_size(kWidth * 4)));
typedef double Vd __attribute__((vector_size(kWidth * 8)));
typedef int64_t Vl __attribute__((vector_size(kWidth * 8)));

SIMD_INLINE Vf splat(float x) { return x - Vf{}; }
SIMD_INLINE Vi splatInt(int32_t x) { return x - Vi{}; }
SIMD_INLINE Vi asInt(Vf v) { return (Vi)v; }
SIMD_INLINE Vf asFloat(Vi v) { return (Vf)v; }
SIMD_INLINE Vf toFloat(Vi v) { return __builtin_convertvector(v, Vf); }
SIMD_INLINE Vi toInt(Vf v) { return __builtin_convertvector(v, Vi); }  // rounds towards zero

// Unsigned lanes, for random bits. They wrap around.
SIMD_INLINE Vu splatBits(uint32_t x) { return x - Vu{}; }
SIMD_INLINE Vu laneNumbers() {
  Vu v = {};
  for (uint32_t i = 0; i < kWidth; ++i) v[i] = i;
  return v;
}

// GCC would convert bytes one by one, so each set has its own bytesToInts.
SIMD_INLINE Vi shortsToInts(const void* p) {
  typedef uint16_t Shorts __attribute__((vector_size(kWidth * 2)));
  Shorts v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Vi);
}

// Exchanges lanes 2i and 2i + 1.
template <size_t... I>
SIMD_INLINE Vf swapNeighbours(Vf v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (I ^ 1)...);
}

// Combines the lanes of a vector in a fixed order: the lower half with the upper half, then the halves of the result.
template <class V, class Combine>
SIMD_INLINE auto fold(V v, Combine combine) {
  std::remove_cvref_t<decltype(v[0])> lanes[kWidth];
  memcpy(lanes, &v, sizeof v);
  for (size_t half = kWidth / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i) lanes[i] = combine(lanes[i], lanes[i + half]);
  return lanes[0];
}

// Stores the low 8 bits of each integer.
SIMD_INLINE void storeBytes(void* p, Vi v) {
  typedef int8_t Bytes __attribute__((vector_size(kWidth)));
  // Converting to 16 bits first keeps GCC in registers.
  typedef int16_t Shorts __attribute__((vector_size(kWidth * 2)));
  const Bytes bytes = __builtin_convertvector(__builtin_convertvector(v, Shorts), Bytes);
  memcpy(p, &bytes, sizeof bytes);
}

// Stores the low 16 bits of each integer.
SIMD_INLINE void storeShorts(void* p, Vi v) {
  typedef int16_t Shorts __attribute__((vector_size(kWidth * 2)));
  const Shorts shorts = __builtin_convertvector(v, Shorts);
  memcpy(p, &shorts, sizeof shorts);
}

// A transposition has two steps. The first transposes the 4 × 4 floats of each quarter, which is four lanes that
// instructions shuffle cheaply. The second exchanges quarters, in the header of the set. Both work in place on four
// vectors at a time, so that all stay in registers.

// Interleaves a and b in each quarter: n floats of a from float `first` on, as many of b, then the next n of each.
template <size_t first, size_t n, size_t... I>
SIMD_INLINE Vf interleave(Vf a, Vf b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (I / 4 * 4 + first + I % 4 / (2 * n) * n + I % n + I / n % 2 * kWidth)...);
}
// Quarters first, first + step, … of a, then the same quarters of b.
template <size_t first, size_t step, size_t... I>
SIMD_INLINE Vf quarters(Vf a, Vf b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b,
                                 ((first + I % (kWidth / 2) / 4 * step) * 4 + I % 4 + I / (kWidth / 2) * kWidth)...);
}
SIMD_INLINE void transposeQuarters(Vf (&rows)[kWidth]) {
  constexpr auto all = std::make_index_sequence<kWidth>();
#pragma GCC unroll 4
  for (size_t i = 0; i < kWidth; i += 4) {
    Vf* r = rows + i;
    const Vf a = interleave<0, 1>(r[0], r[1], all), b = interleave<2, 1>(r[0], r[1], all);
    const Vf c = interleave<0, 1>(r[2], r[3], all), d = interleave<2, 1>(r[2], r[3], all);
    r[0] = interleave<0, 2>(a, c, all), r[1] = interleave<2, 2>(a, c, all);
    r[2] = interleave<0, 2>(b, d, all), r[3] = interleave<2, 2>(b, d, all);
  }
}

// Quarter j of sums[i] has the sums of quarter j of rows 4i to 4i + 3. Pairs of vectors exchange halves and are added,
// which halves their number each time. This takes half the shuffles of a transposition.
SIMD_INLINE void sumQuarters(const Vf (&rows)[kWidth], Vf (&sums)[kWidth / 4]) {
  constexpr auto all = std::make_index_sequence<kWidth>();
#pragma GCC unroll 4
  for (size_t i = 0; i < kWidth / 4; ++i) {
    const Vf* r = rows + 4 * i;
    const Vf a = interleave<0, 1>(r[0], r[1], all) + interleave<2, 1>(r[0], r[1], all);
    const Vf b = interleave<0, 1>(r[2], r[3], all) + interleave<2, 1>(r[2], r[3], all);
    sums[i] = interleave<0, 2>(a, b, all) + interleave<2, 2>(a, b, all);
  }
}

SIMD_INLINE Vd toDouble(Vf v) { return __builtin_convertvector(v, Vd); }
SIMD_INLINE Vf toSingle(Vd v) { return __builtin_convertvector(v, Vf); }
SIMD_INLINE Vd splatDouble(double x) { return x - Vd{}; }
SIMD_INLINE Vl asLong(Vd v) { return (Vl)v; }
SIMD_INLINE Vd asDouble(Vl v) { return (Vd)v; }
