// Products of matrices whose elements are rounded to bfloat16, with sums in float32. All instruction sets give the same
// bits, those of AMX's TDPBF16PS:
//
//   Rounding: to nearest, ties to even. Subnormal floats become zeros with their sign.
//   Sum:      begins with 0. For each block of 32 inputs (the last is padded with zeros):
//               even = 0 + x[0]·y[0] + x[2]·y[2] + … + x[30]·y[30], rounded after each addition, not before
//               odd  = 0 + x[1]·y[1] + … + x[31]·y[31], likewise
//               sum  = sum + (even + odd), rounded after each addition
//             All roundings are to nearest. A subnormal result becomes zero with its sign.
//
// VDPBF16PS adds two products to a sum in the same way, so it computes both chains if operands are arranged for it.
// Elsewhere, elements are stored as floats. Their products are exact, so multiply-adds of floats do the same unless a
// product overflows or a result is subnormal. The exponents of a block's elements show if that is possible. Such blocks
// are computed in double precision.
//
// BFMMLA and BFDOT of arm64 round sums to odd, so no other machine could reproduce their bits. They are not used.
#pragma once
#include "kernels/shared/gemm_tile.h"

namespace bfloat16 {

inline constexpr size_t kBlock = 32;         // inputs
inline constexpr size_t kMaxBlocks = 16;     // number of blocks that large products pack at a time
inline constexpr size_t kTileFloats = 1024;  // room for any tile

// A way to multiply. Operands are packed in strips: rows of the left factor, or columns of the right one, as many as a
// tile has. The blocks of a strip follow one another.
struct Way {
  size_t rows, cols;             // size of a tile
  size_t leftBlock, rightBlock;  // words of a block of a strip
  // Pack a strip of `count` rows or columns and `depth` inputs. Element (i, k) is in[i·stride + k], or with `crossed`
  // in[k·stride + i].
  void (*packLeft)(const float* in, size_t stride, bool crossed, size_t count, size_t depth, float* out);
  void (*packRight)(const float* in, size_t stride, bool crossed, size_t count, size_t depth, float* out);
  // sums [rows, cols] += left·right. Only the first `height` rows and `width` columns are needed.
  void (*multiply)(const float* left, const float* right, size_t blocks, float* sums, size_t height, size_t width);
};

// Subnormal lanes become zeros with their sign.
SIMD_INLINE Vf withoutSubnormals(Vf v) {
  const Vi bits = asInt(v);
  return asFloat((bits & splatInt(0x7f800000)) == splatInt(0) ? bits & splatInt(INT32_MIN) : bits);
}

// The nearest bfloat16 as a float.
SIMD_INLINE Vf nearest(Vf v) {
  const Vi bits = asInt(v);
  const Vi size = bits & splatInt(0x7fffffff);
  const Vi rounded = (Vi)((Vu)bits + splatBits(0x7fff) + (((Vu)bits >> 16) & splatBits(1)));
  const Vi kept = size > splatInt(0x7f800000) ? bits | splatInt(0x400000) : rounded;  // a quiet NaN
  return asFloat((size < splatInt(0x800000) ? bits & splatInt(INT32_MIN) : kept) & splatInt(-0x10000));
}

// Elements as floats, in the order of inputs.
struct AsFloats {
  static constexpr size_t kRows = kTuning.attentionRows, kVecs = kTuning.attentionVecs;
  static constexpr size_t kUnits = kBlock;                      // words of a row's or column's block
  static constexpr size_t kStep = 2, kSecond = 1, kSteps = 16;  // a chain: words between its units; the second chain
  static constexpr size_t kHead = kWidth > 2 ? kWidth : 2;      // words behind a block: its least and largest exponent

  SIMD_INLINE static void row(const float* in, size_t n, float* out) {
    for (size_t k = 0; k < kBlock; k += kWidth)
      store(out + k, k >= n ? Vf{} : nearest(loadLanes(in + k, atMost(kWidth, n - k))));
  }
  SIMD_INLINE static Vf unit(size_t u, size_t n, const auto& loadRow) { return u < n ? nearest(loadRow(u)) : Vf{}; }
  SIMD_INLINE static Vf add(Vf sum, const float* x, Vf y) { return fused(splat(*x), y, sum); }
};

#ifdef SIMD_HAS_BFLOAT16
// Pairs of inputs that follow one another, for AMX.
struct AsPairs {
  static constexpr size_t kUnits = kBlock / 2, kHead = 0;

  SIMD_INLINE static Vf words(const float* in, size_t n) {
    return pairsOf(loadLanes(in, atMost(kWidth, n)), n > kWidth ? loadLanes(in + kWidth, n - kWidth) : Vf{});
  }
  SIMD_INLINE static void row(const float* in, size_t n, float* out) { store(out, words(in, n)); }
  SIMD_INLINE static Vf unit(size_t u, size_t n, const auto& loadRow) { return pair(2 * u, 2 * u + 1, n, loadRow); }
  SIMD_INLINE static Vf pair(size_t low, size_t high, size_t n, const auto& loadRow) {
    return pairLanes(low < n ? loadRow(low) : Vf{}, high < n ? loadRow(high) : Vf{});
  }
};

// Pairs in the order of VDPBF16PS: the even chain, then the odd one.
struct AsChains {
  static constexpr size_t kRows = kTuning.attentionRows, kVecs = kTuning.attentionVecs;
  static constexpr size_t kUnits = kBlock / 2, kHead = 0;
  static constexpr size_t kStep = 1, kSecond = 8, kSteps = 8;

  SIMD_INLINE static void row(const float* in, size_t n, float* out) {
    store(out, pairsOfChains(AsPairs::words(in, n)));
  }
  SIMD_INLINE static Vf unit(size_t u, size_t n, const auto& loadRow) {
    const size_t first = u % 8 * 4 + u / 8;
    return AsPairs::pair(first + 2, first, n, loadRow);
  }
  SIMD_INLINE static Vf add(Vf sum, const float* x, Vf y) { return addProducts(sum, x, y); }
};
#endif

// The exponents of a block of AsFloats: the least of an element that is not 0 (300 if all are), and the largest.
inline void findExponents(const float* block, size_t count, float* head) {
  Vi most = splatInt(0), least = splatInt(INT32_MIN);  // negated
  for (size_t i = 0; i < count; i += kWidth) {
    const Vi size = asInt(load(block + i)) & splatInt(0x7fffffff);
    const Vi other = size == splatInt(0) ? splatInt(INT32_MIN) : -size;
    most = size > most ? size : most;
    least = other > least ? other : least;
  }
  const int32_t smallest = maximum(least);
  head[0] = smallest == INT32_MIN ? 300.f : static_cast<float>(-smallest >> 23);
  head[1] = static_cast<float>(maximum(most) >> 23);
}

// True if no product of these blocks overflows, and all sums are multiples of the least normal float. Exponents count
// from -127, and elements have 8 bits.
inline bool areOrdinary(const float* left, const float* right) {
  constexpr float kMin = 2 * 127 + 2 * 7 - 126, kMax = 2 * 127 + 126;
  return left[0] + right[0] >= kMin && left[1] + right[1] <= kMax;
}

// sum + x·y, rounded once, with a subnormal result as zero. A product is exact in double precision, and rounding the sum
// twice does no harm (Figueroa 1995). Near the least normal float, it is rounded as if exponents had no limit.
inline float addExactly(float sum, float x, float y) {
  const double exact = static_cast<double>(sum) + static_cast<double>(x) * y;
  if (exact > -0x1p-120 && exact < 0x1p-120) {
    const float scaled = static_cast<float>(exact * 0x1p100);
    return scaled > -0x1p-26f && scaled < 0x1p-26f ? (std::signbit(scaled) ? -0.f : 0.f) : scaled * 0x1p-100f;
  }
  return static_cast<float>(exact);
}

// A block of AsFloats in double precision.
__attribute__((noinline)) inline void multiplyExactly(const float* left, const float* right, float* sums) {
  constexpr size_t kCols = AsFloats::kVecs * kWidth;
  for (size_t r = 0; r < AsFloats::kRows; ++r) {
    for (size_t j = 0; j < kCols; ++j) {
      float chains[2] = {};
      for (size_t k = 0; k < kBlock; ++k)
        chains[k % 2] = addExactly(chains[k % 2], left[r * kBlock + k], right[k * kCols + j]);
      const float block = addExactly(chains[0], chains[1], 1.f);
      sums[r * kCols + j] = addExactly(sums[r * kCols + j], block, 1.f);
    }
  }
}

// One chain of a block, for a tile.
template <class Form, size_t kRows, size_t kVecs>
SIMD_INLINE void addChain(const float* left, const float* right, Vf (&sum)[kRows][kVecs]) {
#pragma GCC unroll 1
  for (size_t s = 0; s < Form::kSteps; ++s, left += Form::kStep, right += Form::kStep * kVecs * kWidth) {
    Vf row[kVecs];
    eachAccumulator<1, kVecs>([&](size_t, size_t v) { row[v] = load(right + v * kWidth); });
    eachAccumulator<kRows, kVecs>(
        [&](size_t r, size_t v) { sum[r][v] = Form::add(sum[r][v], left + r * Form::kUnits, row[v]); });
  }
}

template <class Form>
void multiplyChains(const float* left, const float* right, size_t blocks, float* sums, size_t, size_t) {
  constexpr size_t kCols = Form::kVecs * kWidth;
  constexpr size_t kLeft = Form::kRows * Form::kUnits, kRight = Form::kUnits * kCols;
  for (; blocks > 0; --blocks, left += kLeft + Form::kHead, right += kRight + Form::kHead) {
    if constexpr (Form::kHead > 0) {
      if (!areOrdinary(left + kLeft, right + kRight)) {
        multiplyExactly(left, right, sums);
        continue;
      }
    }
    Vf even[Form::kRows][Form::kVecs] = {}, odd[Form::kRows][Form::kVecs] = {};
    addChain<Form>(left, right, even);
    addChain<Form>(left + Form::kSecond, right + Form::kSecond * kCols, odd);
    eachAccumulator<Form::kRows, Form::kVecs>([&](size_t r, size_t v) {
      float* sum = sums + r * kCols + v * kWidth;
      store(sum, withoutSubnormals(load(sum) + withoutSubnormals(even[r][v] + odd[r][v])));
    });
  }
}

// out[i, u]: the units of `count` rows of n inputs.
template <class Form>
void packAlong(const float* in, size_t stride, size_t count, size_t n, float* out) {
  for (size_t i = 0; i < count; ++i) Form::row(in + i * stride, n, out + i * Form::kUnits);
}
// out[u, i]: the units of `count` columns, padded with zeros to whole vectors.
template <class Form>
void packAcross(const float* in, size_t stride, size_t count, size_t n, float* out, size_t outStride) {
  for (size_t u = 0; u < Form::kUnits; ++u)
    eachVector(count, [&](size_t i, size_t lanes) {
      store(out + u * outStride + i, Form::unit(u, n, [&](size_t k) { return loadLanes(in + k * stride + i, lanes); }));
    });
}

inline constexpr size_t kMaxLanes = 32 > kWidth ? 32 : kWidth;  // rows or columns of a strip, in whole vectors

// A strip of the left factor: blocks [kRows, units].
template <class Form, size_t kRows>
void packLeft(const float* in, size_t stride, bool crossed, size_t count, size_t depth, float* out) {
  constexpr size_t kSize = kRows * Form::kUnits;
  for (size_t k = 0; k < depth; k += kBlock, out += kSize + Form::kHead) {
    const size_t n = atMost(kBlock, depth - k);
    if (crossed) {
      float columns[Form::kUnits * kMaxLanes];
      packAcross<Form>(in + k * stride, stride, count, n, columns, kMaxLanes);
      packTransposed(columns, kMaxLanes, Form::kUnits, count, out, Form::kUnits);
    } else {
      packAlong<Form>(in + k, stride, count, n, out);
    }
    memset(out + count * Form::kUnits, 0, (kRows - count) * Form::kUnits * sizeof(float));
    if constexpr (Form::kHead > 0) findExponents(out, kSize, out + kSize);
  }
}

// A strip of the right factor: blocks [units, kCols].
template <class Form, size_t kCols>
void packRight(const float* in, size_t stride, bool crossed, size_t count, size_t depth, float* out) {
  constexpr size_t kSize = kCols * Form::kUnits;
  for (size_t k = 0; k < depth; k += kBlock, out += kSize + Form::kHead) {
    const size_t n = atMost(kBlock, depth - k);
    if (wholeVectors(count) < kCols) memset(out, 0, kSize * sizeof(float));
    if (crossed) {
      packAcross<Form>(in + k * stride, stride, count, n, out, kCols);
    } else {
      float rows[Form::kUnits * kMaxLanes];
      packAlong<Form>(in + k, stride, count, n, rows);
      packTransposed(rows, Form::kUnits, count, Form::kUnits, out, kCols);
    }
    if constexpr (Form::kHead > 0) findExponents(out, kSize, out + kSize);
  }
}

template <class Form, size_t kRows, size_t kCols>
constexpr Way wayOf(decltype(Way::multiply) multiply) {
  static_assert(kRows <= kMaxLanes && kCols <= kMaxLanes && kRows * kCols <= kTileFloats);
  return {kRows,
          kCols,
          kRows * Form::kUnits + Form::kHead,
          kCols * Form::kUnits + Form::kHead,
          packLeft<Form, kRows>,
          packRight<Form, kCols>,
          multiply};
}

// The fastest way of this machine.
inline const Way& way() {
#ifdef SIMD_HAS_BFLOAT16
  static constexpr Way kTiles =
      wayOf<AsPairs, 32, 32>([](const float* left, const float* right, size_t blocks, float* sums, size_t height,
                                size_t width) { multiplyTiles(left, right, blocks, sums, height > 16, width > 16); });
  static constexpr Way kChains = wayOf<AsChains, AsChains::kRows, AsChains::kVecs * kWidth>(multiplyChains<AsChains>);
  if (allowsAmx()) return kTiles;
  if (cpu().bf16) return kChains;
#endif
  static constexpr Way kFloats = wayOf<AsFloats, AsFloats::kRows, AsFloats::kVecs * kWidth>(multiplyChains<AsFloats>);
  return kFloats;
}

// A thread makes one before it multiplies.
class Session {
 public:
#ifdef SIMD_HAS_BFLOAT16
  Session() {
    if (allowsAmx()) configureTiles();
  }
  ~Session() {
    if (allowsAmx()) releaseTiles();
  }
#else
  Session() {}
#endif
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

}  // namespace bfloat16
