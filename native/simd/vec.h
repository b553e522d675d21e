// Vectors of kWidth floats, named the same on every instruction set. These are its primitives, which its own header,
// simd/<set>.h, has: the only ones that call intrinsics.
//
//   kWidth                            floats in a vector
//   Vf, Vi, Vu                        of float, int32_t and uint32_t; they have the operators of C++, lane by lane
//   splat splatInt splatBits          the same in all lanes
//   asInt asFloat, toFloat toInt      the same bits; the same value (toInt: towards zero)
//   laneNumbers()                     0, 1, 2, …
//   Vd, Vl                            kWidth doubles and int64_t, more than one register: toDouble toSingle splatDouble
//   asLong asDouble                   as those of floats
//   bytesToInts(p), shortsToInts(p)   kWidth unsigned numbers of 8 or 16 bits
//   signedBytesToInts(p)              kWidth numbers of 8 bits with a sign
//   halves(p)                         kWidth floats of 16 bits as floats
//   fma(a, b, c)                      a * b + c, fused where the set can: the compiler contracts it
//   fused(a, b, c)                    the same, fused by an intrinsic wherever the set can, for sums that must round
//                                     alike in every loop: the compiler does not contract all of those that go from
//                                     one iteration to the next
//   rounded(v)                        v itself, but opaque to the compiler: if it is a product, it is rounded, not
//                                     contracted with the addition that follows
//   max(a, b), min(a, b)              as x86 does it: the second operand if either is NaN
//   sqrt(v)
//   loadFirst(p, n)                   the first n < kWidth floats: other lanes are loaded as 0 and not stored, and
//   their storeFirst(p, v, n)               memory is not touched kStoresPast                       whether the set has
//   non-temporal stores, past the caches: storePast(p, v)                   to an address that is a multiple of a
//   vector's size endPast()                         the fence before other threads are told of them, as a release does
//   not order such
//                                     stores
//   sum(v), maximum(v)                of a vector's lanes, always in the same order; of integers, too
//   storeBytes(p, v), storeShorts     integers as 8 or 16 bits, of which they keep the low ones
//   Dots                              products of bytes, of which a word of 32 bits has four. Sums, one for each lane,
//                                     begin<kBits>(start), add<kBits>(sums, weights, x) the products of the unsigned
//                                     bytes of `weights` with the signed ones of a word at x, and have a
//                                     total<kBits>(sums, start). Of weights kBits may be set: 8; 7 or less, which
//                                     kBitsMatter tells to matter where not takesEightBits(); 4, of 8 words at most, if
//                                     kFourBitsMatter. With kSigned those of 8 bits count from -128 on. At x there are
//                                     kWords: 1 word, or 2 of which the first has the bytes 0 and 2 as 16 bits, the
//                                     second 1 and 3
//   withDots(body)                    calls body(Dots()) with those that this machine has
//   swapNeighbours(v, lanes)          lanes 2i and 2i + 1 change places
//   transpose(rows)                   kWidth vectors: rows become columns
//   sumsOfRows(rows)                  lane r is the sum of row r's lanes
//   inMemory(constants)               constants whose values the compiler must not know, so that they are read from
//                                     memory: V8 would make each of them anew wherever it is used, in three
//                                     instructions
//   exp2NonPositive(x)                2^x for x ≤ 0, within 2 ulp down to x = -125.5 and 0 from there; x > 0 counts as
//   0,
//                                     NaN stays NaN. For probabilities relative to the largest: it costs half of exp()
#pragma once

SIMD_INLINE Vf load(const float* p) {
  Vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
SIMD_INLINE void store(float* p, Vf v) { memcpy(p, &v, sizeof v); }

SIMD_INLINE Vf loadLanes(const float* p, size_t lanes) { return lanes == kWidth ? load(p) : loadFirst(p, lanes); }
SIMD_INLINE void storeLanes(float* p, Vf v, size_t lanes) { lanes == kWidth ? store(p, v) : storeFirst(p, v, lanes); }

SIMD_INLINE Vu rotateLeft(Vu v, int bits) { return v << bits | v >> (32 - bits); }

// n / step, rounded up.
template <class N, class Step>
constexpr auto divideUp(N n, Step step) {
  return (n + step - 1) / step;
}

// The lesser of the two.
inline size_t atMost(size_t limit, size_t n) { return n < limit ? n : limit; }

// n, rounded up to a multiple of kWidth.
inline size_t wholeVectors(size_t n) { return divideUp(n, kWidth) * kWidth; }

// Calls body(c, lanes) for c = 0, kWidth, … below n: lanes is kWidth, or less in the last call.
template <class Body>
SIMD_INLINE void eachVector(size_t n, const Body& body) {
  size_t c = 0;
  for (; c + kWidth <= n; c += kWidth) body(c, kWidth);
  if (c < n) body(c, n - c);
}
