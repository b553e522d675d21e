// The SIMD primitives that kernels are written in. Each simd/<set>.h implements all of them for its instruction set,
// and the end of this file adds helpers that all sets share. No other file uses SIMD intrinsics.
//
// A lane is one element of a vector. Functions work lane by lane unless the table says otherwise. Pointers need no
// alignment unless the table says so. v, a, b, c and x are vectors, p is a pointer, n is a number of lanes.
//
// Types
//   kWidth                     floats per vector: 1 (scalar), 4, 8 or 16
//   Vf, Vi, Vu                 kWidth float, int32_t, uint32_t, with the operators of C++: + - * / < > & | ^ ~ << >> ?:
//   Vd, Vl                     kWidth double, int64_t; they take several registers
//
// Constants and conversions
//   splat(x)                   Vf with x in every lane; also splatInt (Vi), splatBits (Vu), splatDouble (Vd)
//   laneNumbers()              Vu with lanes 0, 1, 2, …
//   asInt(v), asFloat(v)       reinterpret the bits: Vf to Vi, Vi to Vf; also asLong (Vd to Vl), asDouble (Vl to Vd)
//   toInt(v), toFloat(v)       convert the values: Vf to Vi (towards zero), Vi to Vf
//   toDouble(v), toSingle(v)   convert the values: Vf to Vd, Vd to Vf (to nearest)
//
// Loads and stores
//   load(p), store(p, v)       kWidth floats
//   loadFirst(p, n)            loads the first n < kWidth floats. Other lanes are 0. Memory beyond p + n is not read
//   storeFirst(p, v, n)        stores the first n < kWidth lanes. Memory beyond p + n is not written
//   storeNonTemporal(p, v)     like store(), but bypasses the caches; p must be aligned to sizeof(Vf)
//   fenceNonTemporal()         makes earlier non-temporal stores visible before later stores. Call it before other threads
//                              may read the results, because a release store does not order non-temporal ones
//   kStoresNonTemporal         false if storeNonTemporal() is a plain store
//   bytesToInts(p)             loads kWidth unsigned 8-bit integers as Vi; shortsToInts(p): unsigned 16-bit integers
//   signedBytesToInts(p)       loads kWidth signed 8-bit integers as Vi
//   halves(p)                  loads kWidth IEEE 16-bit floats as Vf
//   storeBytes(p, v)           stores the low 8 bits of each lane of a Vi; storeShorts(p, v): the low 16 bits
//   inMemory(constants)        returns its argument, opaque to the compiler, so that constants are loaded from memory. V8
//                              would otherwise build each constant in three instructions at every use
//
// Arithmetic
//   fma(a, b, c)               a * b + c, rounded once if the set has FMA and the compiler contracts the expression
//   fused(a, b, c)             a * b + c, rounded once if the set has FMA, by an intrinsic. Use it for sums whose bits must
//                              not depend on the loop: compilers do not contract every loop-carried sum
//   rounded(v)                 v, opaque to the compiler: a product is rounded and cannot be contracted with a later sum
//   max(a, b), min(a, b)       the second operand if either is NaN, as on x86
//   sqrt(v)                    the square root, correctly rounded
//   exp2NonPositive(x)         2^x for x ≤ 0, within 2 ulp for x ≥ -125.5, and 0 below. A positive x counts as 0; NaN stays
//                              NaN. It costs half of exp(), and serves probabilities relative to the largest one
//
// Operations across lanes
//   sum(v), maximum(v)         of all lanes of a Vf or Vi, combined in the same order in every build
//   swapNeighbours(v, lanes)   exchanges lanes 2i and 2i + 1; `lanes` is std::make_index_sequence<kWidth>()
//   transpose(rows)            transposes kWidth vectors in place, as a square matrix
//   sumsOfRows(rows)           Vf whose lane r is the sum of the lanes of rows[r]
//   lookUp(v, table)           replaces each byte of v, from 0 to 15, by table[byte]
//
// Dot products of bytes
//   Each lane of `weights` holds four unsigned bytes of one output feature. All lanes multiply them with the same four
//   signed bytes of the input, to which `x` points.
//
//   withDots(body)             calls body(Dots()) with the fastest implementation that this machine supports
//   Dots::Sums                 one running 32-bit sum per lane
//   begin<kBits>(start)        Sums that begin at the integer `start`
//   add<kBits>(sums, w, x)     adds the four products of each lane of w with the bytes at x
//   total<kBits>(sums, start)  the sums as Vi, with the same `start` as begin()
//   kBits                      an upper bound of the bits of a weight that may be set: 8, 7 or 4
//   kBitsMatter                true if 7 bits are faster than 8, unless takesEightBits()
//   kFourBitsMatter            true if 4 bits are faster, for at most 8 calls of add() per total()
//   kSigned                    true if add<8>() subtracts 128 from each byte of a weight
//   kWords                     32-bit words at x for four bytes. 1: the bytes in order. 2: 16 bits for each byte, where the
//                              first word has bytes 0 and 2, and the second word has bytes 1 and 3
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

// n / step, rounded up. Both are integers, n ≥ 0, step > 0.
template <class N, class Step>
constexpr auto divideUp(N n, Step step) {
  return (n + step - 1) / step;
}

// The smaller of the two arguments.
inline size_t atMost(size_t limit, size_t n) { return n < limit ? n : limit; }

// n, rounded up to a multiple of kWidth.
inline size_t wholeVectors(size_t n) { return divideUp(n, kWidth) * kWidth; }

// Calls body(c, lanes) for c = 0, kWidth, 2·kWidth, … < n. `lanes` is kWidth, except in the last call, which may have
// fewer.
template <class Body>
SIMD_INLINE void eachVector(size_t n, const Body& body) {
  size_t c = 0;
  for (; c + kWidth <= n; c += kWidth) body(c, kWidth);
  if (c < n) body(c, n - c);
}
