// Vectors of kWidth floats, with the same names on every instruction set. simd/<set>.h defines these primitives; no other
// file calls intrinsics.
//
// Types and conversions
//   kWidth                          floats in a vector
//   Vf, Vi, Vu                      vectors of float, int32_t and uint32_t, with C++ operators that work lane by lane
//   Vd, Vl                          kWidth doubles and kWidth int64_t, in more than one register
//   splat, splatInt, splatBits      one value in all lanes (of Vf, Vi, Vu); splatDouble for Vd
//   laneNumbers()                   0, 1, 2, …
//   asInt, asFloat                  the same bits as another type; asLong, asDouble for Vd and Vl
//   toFloat, toInt                  the same value as another type (toInt rounds towards zero); toDouble, toSingle
//
// Memory
//   loadFirst(p, n)                 loads the first n < kWidth floats; other lanes are 0, and their memory is not read
//   storeFirst(p, v, n)             stores the first n < kWidth lanes; other memory is not written
//   storeNonTemporal(p, v)          stores past the caches; p is a multiple of a vector's size
//   fenceNonTemporal()              orders non-temporal stores before later ones; needed before other threads are told
//                                   of them, as a release store does not order them
//   kStoresNonTemporal              true if the set has non-temporal stores
//   bytesToInts(p), shortsToInts(p) kWidth unsigned integers of 8 or 16 bits as Vi
//   signedBytesToInts(p)            kWidth signed integers of 8 bits as Vi
//   halves(p)                       kWidth floats of 16 bits as Vf
//   storeBytes(p, v)                stores the low 8 bits of each integer; storeShorts the low 16 bits
//   inMemory(constants)             hides constants from the compiler, so that it reads them from memory: V8 would make
//                                   each of them anew, in three instructions, wherever it is used
//
// Arithmetic
//   fma(a, b, c)                    a * b + c, fused if the set can; the compiler contracts it
//   fused(a, b, c)                  the same by an intrinsic, for sums that must round alike in every loop; the compiler
//                                   does not contract all sums that go from one iteration to the next
//   rounded(v)                      v, opaque to the compiler: a product is rounded, not contracted with a later addition
//   max(a, b), min(a, b)            as on x86: the second operand if either is NaN
//   sqrt(v)                         the square root
//   exp2NonPositive(x)              2^x for x ≤ 0, within 2 ulp down to x = -125.5, and 0 below; x > 0 counts as 0, NaN
//                                   stays NaN. For probabilities relative to the largest; half the cost of exp()
//
// Across lanes
//   sum(v), maximum(v)              over all lanes, always in the same order; of floats and integers
//   swapNeighbours(v, lanes)        exchanges lanes 2i and 2i + 1
//   transpose(rows)                 transposes kWidth vectors
//   sumsOfRows(rows)                lane r is the sum of the lanes of row r
//   lookUp(v, table)                replaces each byte of v, 0 to 15, by that byte of a table of 16 bytes
//
// Products of bytes
//   Dots                            sums of products, one for each lane. A word of 32 bits has four bytes.
//     begin<kBits>(start)           the sums before the first product
//     add<kBits>(sums, weights, x)  adds the products of the unsigned bytes of `weights` and the signed bytes at x
//     total<kBits>(sums, start)     the sums as Vi
//     kBits                         8, or 7 if no weight has the eighth bit, or 4 if only four bits are set
//     kBitsMatter                   7 bits are faster, unless takesEightBits()
//     kFourBitsMatter               4 bits are faster, for at most 8 words between begin and total
//     kSigned                       weights of 8 bits count from -128
//     kWords                        words at x for four bytes: 1, or 2 with 16 bits for each byte, where the first word
//                                   has bytes 0 and 2 and the second has bytes 1 and 3
//   withDots(body)                  calls body(Dots()) with the Dots that this machine supports
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
