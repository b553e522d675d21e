// Vectors of VEC_WIDTH floats, named the same on every instruction set. The only place that calls intrinsics.
//
// Vf, Vi and Vu are GCC/Clang vector types (plain float, int32_t and uint32_t when VEC_WIDTH is 1), so + - * / < > & |
// ^ ~ << >> and `mask ? a : b` work on them as they are; a comparison gives a Vi of 0 and -1 (a bool when scalar).

#if VEC_WIDTH == 1
using Vf = float;
using Vi = int32_t;
using Vu = uint32_t;
#else
typedef float Vf __attribute__((vector_size(VEC_WIDTH * 4)));
typedef int32_t Vi __attribute__((vector_size(VEC_WIDTH * 4)));
typedef uint32_t Vu __attribute__((vector_size(VEC_WIDTH * 4)));
#endif

inline constexpr size_t kWidth = VEC_WIDTH;

#define SIMD_INLINE inline __attribute__((always_inline))

SIMD_INLINE Vf load(const float* p) {
  Vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
SIMD_INLINE void store(float* p, Vf v) { memcpy(p, &v, sizeof v); }

#if VEC_WIDTH == 1
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
SIMD_INLINE Vi toInt(Vf v) { return static_cast<int32_t>(v); }  // towards zero
#else
SIMD_INLINE Vf splat(float x) { return x - Vf{}; }
SIMD_INLINE Vi splatInt(int32_t x) { return x - Vi{}; }
SIMD_INLINE Vi asInt(Vf v) { return (Vi)v; }
SIMD_INLINE Vf asFloat(Vi v) { return (Vf)v; }
SIMD_INLINE Vf toFloat(Vi v) { return __builtin_convertvector(v, Vf); }
SIMD_INLINE Vi toInt(Vf v) { return __builtin_convertvector(v, Vi); }  // towards zero
#endif

// Unsigned lanes, for random bits: they wrap around.
#if VEC_WIDTH == 1
SIMD_INLINE Vu splatBits(uint32_t x) { return x; }
SIMD_INLINE Vu laneNumbers() { return 0; }
#else
SIMD_INLINE Vu splatBits(uint32_t x) { return x - Vu{}; }
SIMD_INLINE Vu laneNumbers() {
  Vu v = {};
  for (uint32_t i = 0; i < kWidth; ++i) v[i] = i;
  return v;
}
#endif
SIMD_INLINE Vu rotateLeft(Vu v, int bits) { return v << bits | v >> (32 - bits); }

// a * b + c, fused where the instruction set can (the compiler contracts it, -ffp-contract=fast).
#if defined(__wasm_relaxed_simd__)
SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return (Vf)wasm_f32x4_relaxed_madd((v128_t)a, (v128_t)b, (v128_t)c); }
#else
SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
#endif
// The same, fused by an intrinsic wherever the instruction set can, for sums that must round alike in every loop: the
// compiler does not contract all of those that go from one iteration to the next.
#if VEC_WIDTH == 16
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return (Vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif VEC_WIDTH == 8
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return (Vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif VEC_WIDTH == 4 && defined(__aarch64__)
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return (Vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return fma(a, b, c); }
#endif
// v itself, but opaque to the compiler: if it is a product, it is rounded, not contracted with the addition that
// follows.
SIMD_INLINE Vf rounded(Vf v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// As x86 does it: the second operand if either is NaN.
#if VEC_WIDTH == 16
SIMD_INLINE Vf max(Vf a, Vf b) { return (Vf)_mm512_max_ps((__m512)a, (__m512)b); }
SIMD_INLINE Vf min(Vf a, Vf b) { return (Vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif VEC_WIDTH == 8
SIMD_INLINE Vf max(Vf a, Vf b) { return (Vf)_mm256_max_ps((__m256)a, (__m256)b); }
SIMD_INLINE Vf min(Vf a, Vf b) { return (Vf)_mm256_min_ps((__m256)a, (__m256)b); }
#elif VEC_WIDTH == 4 && defined(__x86_64__)
SIMD_INLINE Vf max(Vf a, Vf b) { return (Vf)_mm_max_ps((__m128)a, (__m128)b); }
SIMD_INLINE Vf min(Vf a, Vf b) { return (Vf)_mm_min_ps((__m128)a, (__m128)b); }
#else
SIMD_INLINE Vf max(Vf a, Vf b) { return a > b ? a : b; }
SIMD_INLINE Vf min(Vf a, Vf b) { return a < b ? a : b; }
#endif

#if VEC_WIDTH == 1
SIMD_INLINE Vf sqrt(Vf v) { return __builtin_sqrtf(v); }
#elif VEC_WIDTH == 16
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)_mm512_sqrt_ps((__m512)v); }
#elif VEC_WIDTH == 8
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)_mm256_sqrt_ps((__m256)v); }
#elif defined(__x86_64__)
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)_mm_sqrt_ps((__m128)v); }
#elif defined(__aarch64__)
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)vsqrtq_f32((float32x4_t)v); }
#elif defined(__wasm_simd128__)
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)wasm_f32x4_sqrt((v128_t)v); }
#endif

#if VEC_WIDTH == 16
SIMD_INLINE Vf roundToInteger(Vf v) {
  return (Vf)_mm512_roundscale_ps((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// p·2^k for a whole k, or 0 where x < least.
SIMD_INLINE Vf scaledFrom(float least, Vf x, Vf p, Vf k) {
  const __mmask16 kept = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(least), _CMP_NLT_UQ);
  return (Vf)_mm512_maskz_scalef_ps(kept, (__m512)p, (__m512)k);
}
#endif

// The first n < kWidth floats: other lanes are loaded as 0 and not stored, and their memory is not touched.
#if VEC_WIDTH == 16
SIMD_INLINE __mmask16 firstLanes(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
SIMD_INLINE Vf loadFirst(const float* p, size_t n) { return (Vf)_mm512_maskz_loadu_ps(firstLanes(n), p); }
SIMD_INLINE void storeFirst(float* p, Vf v, size_t n) { _mm512_mask_storeu_ps(p, firstLanes(n), (__m512)v); }
#elif VEC_WIDTH == 8
SIMD_INLINE __m256i firstLanes(size_t n) {
  const Vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return (__m256i)(lane < splatInt(static_cast<int32_t>(n)));
}
SIMD_INLINE Vf loadFirst(const float* p, size_t n) { return (Vf)_mm256_maskload_ps(p, firstLanes(n)); }
SIMD_INLINE void storeFirst(float* p, Vf v, size_t n) { _mm256_maskstore_ps(p, firstLanes(n), (__m256)v); }
#elif VEC_WIDTH == 1
SIMD_INLINE Vf loadFirst(const float*, size_t) { return 0; }
SIMD_INLINE void storeFirst(float*, Vf, size_t) {}
#else
SIMD_INLINE Vf loadFirst(const float* p, size_t n) {
  Vf v = {};
  for (size_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
SIMD_INLINE void storeFirst(float* p, Vf v, size_t n) {
  for (size_t i = 0; i < n; ++i) p[i] = v[i];
}
#endif

SIMD_INLINE Vf loadLanes(const float* p, size_t lanes) { return lanes == kWidth ? load(p) : loadFirst(p, lanes); }
SIMD_INLINE void storeLanes(float* p, Vf v, size_t lanes) { lanes == kWidth ? store(p, v) : storeFirst(p, v, lanes); }

// Non-temporal stores: past the caches, to an address that is a multiple of a vector's size. endPast() is the fence
// before other threads are told of them, as a release does not order such stores.
#if VEC_WIDTH == 16
SIMD_INLINE void storePast(float* p, Vf v) { _mm512_stream_ps(p, (__m512)v); }
SIMD_INLINE void endPast() { _mm_sfence(); }
#elif VEC_WIDTH == 8
SIMD_INLINE void storePast(float* p, Vf v) { _mm256_stream_ps(p, (__m256)v); }
SIMD_INLINE void endPast() { _mm_sfence(); }
#else
SIMD_INLINE void storePast(float* p, Vf v) { store(p, v); }
SIMD_INLINE void endPast() {}
#endif
inline constexpr bool kStoresPast = VEC_WIDTH >= 8;

// n / step, rounded up.
template <class N, class Step>
constexpr auto divideUp(N n, Step step) {
  return (n + step - 1) / step;
}

// The lesser of the two.
inline size_t atMost(size_t limit, size_t n) { return n < limit ? n : limit; }

// n, rounded up to a multiple of kWidth.
inline size_t wholeVectors(size_t n) { return divideUp(n, kWidth) * kWidth; }

// Constants whose values the compiler must not know, so that they are read from memory: V8 would make each of them anew
// wherever it is used, in three instructions.
SIMD_INLINE const float* inMemory(const float* constants) {
#ifdef __wasm_relaxed_simd__
  asm("" : "+r"(constants));
#endif
  return constants;
}

// Calls body(c, lanes) for c = 0, kWidth, … below n: lanes is kWidth, or less in the last call.
template <class Body>
SIMD_INLINE void eachVector(size_t n, const Body& body) {
  size_t c = 0;
  for (; c + kWidth <= n; c += kWidth) body(c, kWidth);
  if (c < n) body(c, n - c);
}

// The sum and the maximum of a vector's lanes, always in the same order: one half with the other, then halves of that.
#if VEC_WIDTH == 1
SIMD_INLINE float sum(Vf v) { return v; }
SIMD_INLINE float maximum(Vf v) { return v; }
#else
template <class Combine>
SIMD_INLINE float fold(Vf v, Combine combine) {
  float lanes[kWidth];
  store(lanes, v);
  for (size_t half = kWidth / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i) lanes[i] = combine(lanes[i], lanes[i + half]);
  return lanes[0];
}
#if VEC_WIDTH == 16
SIMD_INLINE float sum(Vf v) { return _mm512_reduce_add_ps((__m512)v); }
SIMD_INLINE float maximum(Vf v) { return _mm512_reduce_max_ps((__m512)v); }
#else
SIMD_INLINE float sum(Vf v) {
  return fold(v, [](float a, float b) { return a + b; });
}
SIMD_INLINE float maximum(Vf v) {
  return fold(v, [](float a, float b) { return a > b ? a : b; });
}
#endif
#endif

// Lanes 2i and 2i + 1 change places.
#if VEC_WIDTH == 1
SIMD_INLINE Vf swapNeighbours(Vf v, std::index_sequence<0>) { return v; }
#else
template <size_t... I>
SIMD_INLINE Vf swapNeighbours(Vf v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (I ^ 1)...);
}
#endif

// Rows become columns: first the 4 × 4 floats of each quarter (four lanes, which instructions shuffle cheaply), then
// the quarters. Four vectors at a time, in place, so that all stay in registers.
#if VEC_WIDTH == 1
SIMD_INLINE void transpose(Vf (&)[1]) {}
SIMD_INLINE Vf sumsOfRows(const Vf (&rows)[1]) { return rows[0]; }
#else
// In each quarter: n floats of a from float `first` on, as many of b, the next n of a, …
template <size_t first, size_t n, size_t... I>
SIMD_INLINE Vf interleave(Vf a, Vf b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (I / 4 * 4 + first + I % 4 / (2 * n) * n + I % n + I / n % 2 * kWidth)...);
}
// Every step-th quarter of a from quarter `first` on, then those of b.
template <size_t first, size_t step, size_t... I>
SIMD_INLINE Vf quarters(Vf a, Vf b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b,
                                 ((first + I % (kWidth / 2) / 4 * step) * 4 + I % 4 + I / (kWidth / 2) * kWidth)...);
}
SIMD_INLINE void transpose(Vf (&rows)[kWidth]) {
  constexpr auto all = std::make_index_sequence<kWidth>();
#pragma GCC unroll 4
  for (size_t i = 0; i < kWidth; i += 4) {
    Vf* r = rows + i;
    const Vf a = interleave<0, 1>(r[0], r[1], all), b = interleave<2, 1>(r[0], r[1], all);
    const Vf c = interleave<0, 1>(r[2], r[3], all), d = interleave<2, 1>(r[2], r[3], all);
    r[0] = interleave<0, 2>(a, c, all), r[1] = interleave<2, 2>(a, c, all);
    r[2] = interleave<0, 2>(b, d, all), r[3] = interleave<2, 2>(b, d, all);
  }
#if VEC_WIDTH == 8
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const Vf a = rows[i], b = rows[i + 4];
    rows[i] = quarters<0, 1>(a, b, all), rows[i + 4] = quarters<1, 1>(a, b, all);
  }
#elif VEC_WIDTH == 16
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    Vf* r = rows + i;
    const Vf a = quarters<0, 1>(r[0], r[4], all), b = quarters<2, 1>(r[0], r[4], all);
    const Vf c = quarters<0, 1>(r[8], r[12], all), d = quarters<2, 1>(r[8], r[12], all);
    r[0] = quarters<0, 2>(a, c, all), r[4] = quarters<1, 2>(a, c, all);
    r[8] = quarters<0, 2>(b, d, all), r[12] = quarters<1, 2>(b, d, all);
  }
#endif
}

// Lane r: the sum of row r's lanes. Halves of two vectors change places and are added, with half as many vectors each
// time, which takes half as many shuffles as transposing.
SIMD_INLINE Vf sumsOfRows(const Vf (&rows)[kWidth]) {
  constexpr auto all = std::make_index_sequence<kWidth>();
  Vf sums[kWidth / 4];
#pragma GCC unroll 4
  for (size_t i = 0; i < kWidth / 4; ++i) {
    const Vf* r = rows + 4 * i;
    const Vf a = interleave<0, 1>(r[0], r[1], all) + interleave<2, 1>(r[0], r[1], all);
    const Vf b = interleave<0, 1>(r[2], r[3], all) + interleave<2, 1>(r[2], r[3], all);
    sums[i] = interleave<0, 2>(a, b, all) + interleave<2, 2>(a, b, all);
  }
#if VEC_WIDTH == 8
  return quarters<0, 1>(sums[0], sums[1], all) + quarters<1, 1>(sums[0], sums[1], all);
#elif VEC_WIDTH == 16
  const Vf a = quarters<0, 2>(sums[0], sums[1], all) + quarters<1, 2>(sums[0], sums[1], all);
  const Vf b = quarters<0, 2>(sums[2], sums[3], all) + quarters<1, 2>(sums[2], sums[3], all);
  return quarters<0, 2>(a, b, all) + quarters<1, 2>(a, b, all);
#else
  return sums[0];
#endif
}
#endif
