// The primitives of simd/vec.h with AVX-512.
#pragma once
inline constexpr size_t kWidth = 16;
#include "simd/vectors.h"

SIMD_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
SIMD_INLINE Vf fused(Vf a, Vf b, Vf c) { return (Vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
SIMD_INLINE Vf rounded(Vf v) {
  asm("" : "+v"(v));
  return v;
}

SIMD_INLINE Vf max(Vf a, Vf b) { return (Vf)_mm512_max_ps((__m512)a, (__m512)b); }
SIMD_INLINE Vf min(Vf a, Vf b) { return (Vf)_mm512_min_ps((__m512)a, (__m512)b); }
SIMD_INLINE Vf sqrt(Vf v) { return (Vf)_mm512_sqrt_ps((__m512)v); }

SIMD_INLINE __mmask16 firstLanes(size_t n) { return static_cast<__mmask16>((1u << n) - 1); }
SIMD_INLINE Vf loadFirst(const float* p, size_t n) { return (Vf)_mm512_maskz_loadu_ps(firstLanes(n), p); }
SIMD_INLINE void storeFirst(float* p, Vf v, size_t n) { _mm512_mask_storeu_ps(p, firstLanes(n), (__m512)v); }

inline constexpr bool kStoresNonTemporal = true;
SIMD_INLINE void storeNonTemporal(float* p, Vf v) { _mm512_stream_ps(p, (__m512)v); }
SIMD_INLINE void fenceNonTemporal() { _mm_sfence(); }

SIMD_INLINE float sum(Vf v) { return _mm512_reduce_add_ps((__m512)v); }
SIMD_INLINE float maximum(Vf v) { return _mm512_reduce_max_ps((__m512)v); }
SIMD_INLINE int32_t sum(Vi v) { return _mm512_reduce_add_epi32((__m512i)v); }
SIMD_INLINE int32_t maximum(Vi v) { return _mm512_reduce_max_epi32((__m512i)v); }

SIMD_INLINE void transpose(Vf (&rows)[16]) {
  constexpr auto all = std::make_index_sequence<16>();
  transposeQuarters(rows);
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    Vf* r = rows + i;
    const Vf a = quarters<0, 1>(r[0], r[4], all), b = quarters<2, 1>(r[0], r[4], all);
    const Vf c = quarters<0, 1>(r[8], r[12], all), d = quarters<2, 1>(r[8], r[12], all);
    r[0] = quarters<0, 2>(a, c, all), r[4] = quarters<1, 2>(a, c, all);
    r[8] = quarters<0, 2>(b, d, all), r[12] = quarters<1, 2>(b, d, all);
  }
}
SIMD_INLINE Vf sumsOfRows(const Vf (&rows)[16]) {
  constexpr auto all = std::make_index_sequence<16>();
  Vf sums[4];
  sumQuarters(rows, sums);
  const Vf a = quarters<0, 2>(sums[0], sums[1], all) + quarters<1, 2>(sums[0], sums[1], all);
  const Vf b = quarters<0, 2>(sums[2], sums[3], all) + quarters<1, 2>(sums[2], sums[3], all);
  return quarters<0, 2>(a, b, all) + quarters<1, 2>(a, b, all);
}

SIMD_INLINE const float* inMemory(const float* constants) { return constants; }
#include "simd/polynomial.h"

// Gives the bits of simd/exp2.h with two thirds of the instructions.
SIMD_INLINE Vf exp2NonPositive(Vf x) {
  static constexpr float kP[] = {1.326472706e-3f, 9.671512649e-3f, 5.550733744e-2f, .2402224209f, .6931469776f, 1.f};
  const Vf held = min(splat(0.f), x);
  const Vf k = (Vf)_mm512_roundscale_ps((__m512)held, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __mmask16 kept = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-125.49999f), _CMP_NLT_UQ);
  return (Vf)_mm512_maskz_scalef_ps(kept, (__m512)polynomial(held - k, kP), (__m512)k);
}

SIMD_INLINE Vi lookUp(Vi v, const uint8_t* table) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return (Vi)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes), (__m512i)v);
}
SIMD_INLINE Vi bytesToInts(const void* p) {
  return (Vi)_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
SIMD_INLINE Vi signedBytesToInts(const void* p) {
  return (Vi)_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
SIMD_INLINE Vf halves(const void* p) { return (Vf)_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }

SIMD_INLINE Vi bytePairs(Vi a, Vi b) { return (Vi)_mm512_maddubs_epi16((__m512i)a, (__m512i)b); }
SIMD_INLINE Vi addPairs(Vi a, Vi b) { return (Vi)_mm512_add_epi16((__m512i)a, (__m512i)b); }
SIMD_INLINE Vi sumsOfPairs(Vi v) {
  Vi sums = (Vi)_mm512_madd_epi16((__m512i)v, _mm512_set1_epi16(1));
  asm("" : "+v"(sums));  // see pair_dots.h
  return sums;
}
SIMD_INLINE Vi magnitudes(Vi v) { return (Vi)_mm512_abs_epi8((__m512i)v); }
SIMD_INLINE Vi withSign(Vi v, Vi of) {
  return (Vi)_mm512_mask_sub_epi8((__m512i)v, _mm512_movepi8_mask((__m512i)of), __m512i{}, (__m512i)v);
}
#include "simd/pair_dots.h"

// Dot products by AVX512-VNNI, which processors before Ice Lake and Zen 4 lack.
struct VnniDots : PlainSums {
  template <int kBits>
  SIMD_INLINE static void add(Sums& sums, Vi weights, const int32_t* x) {
    sums.of = (Vi)_mm512_dpbusd_epi32((__m512i)sums.of, (__m512i)weights, _mm512_set1_epi32(*x));
  }
};
using Dots = PairDots;
template <class Body>
SIMD_INLINE void withDots(const Body& body) {
  if (cpu().vnni) return body(VnniDots());
  body(PairDots());
}

// Bfloat16 with AVX512-BF16 and AMX. Processors before Cooper Lake and Zen 4 lack both.
#define SIMD_HAS_BFLOAT16

// 32 floats, rounded, in their order: each lane is a pair.
SIMD_INLINE Vf pairsOf(Vf first, Vf second) { return (Vf)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first); }
// Pairs of the lanes of two vectors, rounded.
SIMD_INLINE Vf pairLanes(Vf low, Vf high) {
  typedef int16_t Shorts __attribute__((vector_size(64)));
  constexpr Shorts kOrder = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                             8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (Vf)_mm512_permutexvar_epi16((__m512i)kOrder, (__m512i)pairsOf(low, high));
}
// Numbers 2 and 0, 6 and 4, … of 32, then 3 and 1, 7 and 5, …: every chain of products in the order of addProducts().
SIMD_INLINE Vf pairsOfChains(Vf pairs) {
  typedef int16_t Shorts __attribute__((vector_size(64)));
  constexpr Shorts kOrder = {2, 0, 6, 4, 10, 8, 14, 12, 18, 16, 22, 20, 26, 24, 30, 28,
                             3, 1, 7, 5, 11, 9, 15, 13, 19, 17, 23, 21, 27, 25, 31, 29};
  return (Vf)_mm512_permutexvar_epi16((__m512i)kOrder, (__m512i)pairs);
}
// sum + the product of the second numbers of each pair, rounded, + that of the first, rounded. The pair at a is used in
// all lanes.
SIMD_INLINE Vf addProducts(Vf sum, const float* a, Vf b) {
  int32_t pair;
  memcpy(&pair, a, sizeof pair);
  return (Vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)b);
}

// Registers of AMX with 64 bytes per row: 0 to 6 have `rows` rows, 7 has 16. A thread configures them before it uses them,
// and releases them.
SIMD_INLINE void configureTiles(size_t rows = 16) {
  struct {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  for (size_t i = 0; i < 7; ++i) config.rows[i] = static_cast<uint8_t>(rows);
  _tile_loadconfig(&config);
}
SIMD_INLINE void releaseTiles() { _tile_release(); }

// Products of bytes by AMX: kByteRows rows with up to kByteTiles tiles of 16 features. Registers 0 to 2 have sums, 3 the
// rows, 4 and 5 the weights of 64 inputs; 6 and 7 have the rows and weights of 32 inputs.
#define SIMD_HAS_BYTE_TILES
inline constexpr size_t kByteRows = 16, kByteTiles = 3;
SIMD_INLINE void configureByteTiles() {
  struct {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 32, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 8};
  } config;
  _tile_loadconfig(&config);
}

// sums [tiles, 16, 16] = the products of 16 rows with `tiles` tiles of the weight, which are bytesStep bytes apart, over
// one or two groups of 32 inputs. Each row has the words of 64 inputs.
inline void multiplyByteTiles(const int32_t* words, const uint8_t* bytes, size_t bytesStep, size_t groups, size_t tiles,
                              int32_t* sums) {
  constexpr size_t kSums = kByteRows * 16;
  asm volatile("" ::: "memory");  // GCC does not know that tiles are loaded from memory
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  if (groups == 2) {
    _tile_loadd(3, words, 64);
    _tile_loadd(4, bytes, 64);
    _tile_dpbsud(0, 3, 4);
    if (tiles > 1) {
      _tile_loadd(5, bytes + bytesStep, 64);
      _tile_dpbsud(1, 3, 5);
    }
    if (tiles > 2) {
      _tile_loadd(4, bytes + 2 * bytesStep, 64);
      _tile_dpbsud(2, 3, 4);
    }
  } else {
    _tile_loadd(6, words, 64);
    _tile_loadd(7, bytes, 64);
    _tile_dpbsud(0, 6, 7);
    if (tiles > 1) {
      _tile_loadd(7, bytes + bytesStep, 64);
      _tile_dpbsud(1, 6, 7);
    }
    if (tiles > 2) {
      _tile_loadd(7, bytes + 2 * bytesStep, 64);
      _tile_dpbsud(2, 6, 7);
    }
  }
  _tile_stored(0, sums, 64);
  if (tiles > 1) _tile_stored(1, sums + kSums, 64);
  if (tiles > 2) _tile_stored(2, sums + 2 * kSums, 64);
  asm volatile("" ::: "memory");
}

// Products with the low and high bytes of weights that are multiplied by integer scales. Registers 0 to 5 have the sums
// of both for three tiles, 6 the rows, 7 the weights of 64 inputs.
inline constexpr size_t kScaledBytes = 4096;  // low bytes of a tile, which its high bytes follow

// sums [tiles, 2, 16, 16] = the products of `rows` rows with the low and with the high bytes of the tiles at `bytes`, over
// `runs` times 64 inputs.
inline void multiplyScaledTiles(const int32_t* words, size_t rows, const uint8_t* bytes, size_t tiles, size_t runs,
                                int32_t* sums) {
  constexpr size_t kSums = kByteRows * 16, kTileBytes = 2 * kScaledBytes;
  asm volatile("" ::: "memory");
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (; runs > 0; --runs, words += rows * 16, bytes += 1024) {
    _tile_loadd(6, words, 64);
    _tile_loadd(7, bytes, 64);
    _tile_dpbsud(0, 6, 7);
    _tile_loadd(7, bytes + kScaledBytes, 64);
    _tile_dpbssd(1, 6, 7);
    if (tiles > 1) {
      _tile_loadd(7, bytes + kTileBytes, 64);
      _tile_dpbsud(2, 6, 7);
      _tile_loadd(7, bytes + kTileBytes + kScaledBytes, 64);
      _tile_dpbssd(3, 6, 7);
    }
    if (tiles > 2) {
      _tile_loadd(7, bytes + 2 * kTileBytes, 64);
      _tile_dpbsud(4, 6, 7);
      _tile_loadd(7, bytes + 2 * kTileBytes + kScaledBytes, 64);
      _tile_dpbssd(5, 6, 7);
    }
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kSums, 64);
  if (tiles > 1) {
    _tile_stored(2, sums + 2 * kSums, 64);
    _tile_stored(3, sums + 3 * kSums, 64);
  }
  if (tiles > 2) {
    _tile_stored(4, sums + 4 * kSums, 64);
    _tile_stored(5, sums + 5 * kSums, 64);
  }
  asm volatile("" ::: "memory");
}

// Multiplies bytes, minus an offset, by the factors of their lanes. The products have 16 bits: `low` receives their low
// bytes and `high` the high ones.
SIMD_INLINE void scaleQuads(Vi bytes, int offset, Vi factors, uint8_t* low, uint8_t* high) {
  const __m512i all = (__m512i)bytes, start = _mm512_set1_epi16(static_cast<int16_t>(offset));
  const __m512i twice = _mm512_or_si512(_mm512_and_si512((__m512i)factors, _mm512_set1_epi32(0xffff)),
                                        _mm512_slli_epi32((__m512i)factors, 16));
  const __m512i byte = _mm512_set1_epi16(0xff);
  const __m512i even = _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_and_si512(all, byte), start), twice);
  const __m512i odd = _mm512_mullo_epi16(_mm512_sub_epi16(_mm512_srli_epi16(all, 8), start), twice);
  _mm512_store_si512(low, _mm512_or_si512(_mm512_and_si512(even, byte), _mm512_slli_epi16(odd, 8)));
  _mm512_store_si512(high, _mm512_or_si512(_mm512_srli_epi16(even, 8), _mm512_andnot_si512(byte, odd)));
}

// sums [32, 32] += a·b for blocks of 32 inputs: a [32, 32] in pairs of inputs, b [16 pairs, 32]. Only the first 16 rows
// or columns are computed if the others are not needed.
inline void multiplyTiles(const float* a, const float* b, size_t blocks, float* sums, bool bothRows, bool bothCols) {
  constexpr size_t kRow = 128, kBlock = 512;  // bytes of a row of b and of sums; floats of a block
  asm volatile("" ::: "memory");              // GCC does not know that tiles are loaded from memory
  _tile_loadd(0, sums, kRow);
  if (bothCols) _tile_loadd(1, sums + 16, kRow);
  if (bothRows) _tile_loadd(2, sums + 512, kRow);
  if (bothRows && bothCols) _tile_loadd(3, sums + 528, kRow);
  for (; blocks > 0; --blocks, a += kBlock, b += kBlock) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, kRow);
    _tile_dpbf16ps(0, 4, 6);
    if (bothCols) {
      _tile_loadd(7, b + 16, kRow);
      _tile_dpbf16ps(1, 4, 7);
    }
    if (!bothRows) continue;
    _tile_loadd(5, a + 256, 64);
    _tile_dpbf16ps(2, 5, 6);
    if (bothCols) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, kRow);
  if (bothCols) _tile_stored(1, sums + 16, kRow);
  if (bothRows) _tile_stored(2, sums + 512, kRow);
  if (bothRows && bothCols) _tile_stored(3, sums + 528, kRow);
  asm volatile("" ::: "memory");
}
