// Products of 8-bit rows by AMX. Its instructions multiply 16 rows of 64 inputs with 16 features, and write integer sums
// to memory, where they are scaled and added up in the usual order. So the bits are those of any other way.
//
//   - Weights with one scale per feature are multiplied as they are. The register tile (int8_tile.h) reads the sums of 64
//     inputs.
//   - K-quants: weights are multiplied by their integer scales first. The products have up to 14 bits; their low and high
//     bytes are two operands. The sums of a whole record then need one scale.
//   - Weights whose groups of 32 inputs have floats as scales are multiplied by VNNI, which was faster in measurements
//     (docs/engine.md).
#pragma once
#include "kernels/shared/int8_tile.h"

#ifdef SIMD_HAS_BYTE_TILES

inline constexpr size_t kStoredSums = kByteRows * kTile;  // sums of a part for a tile of the weight: [row][feature]
static_assert(kInt8PanelRows == kByteRows && kTile == kWidth && kInt8Tiles == kByteTiles && Dots::kWords == 1);
static_assert(kRunWords * 4 == 64);

// Sums that are read from memory instead of computed.
struct StoredSums : PlainSums {
  SIMD_INLINE static Sums load(const Int8Operands& in, size_t part, size_t r, size_t v) {
    const int32_t* from = in.products + (part * kInt8Tiles + v) * kStoredSums + r * kTile;
    return {loadInts(from)};
  }
  template <int>
  SIMD_INLINE static Vi total(const Sums& sums, int32_t start) {
    return sums.of + splatInt(start);
  }
};

// Makes registers of AMX ready on this thread, if it is to multiply with weights of this kind.
class ByteTiles {
 public:
  // True if AMX multiplies with weights of this kind on this machine.
  static bool multiply(IntegerKind kind) {
    return (kind.parts == 0 || kind.factorGroups > 0) && cpu().vnni && allowsAmx();
  }

  explicit ByteTiles(IntegerKind kind) : used_(multiply(kind)) {
    if (!used_) return;
    if (kind.factorGroups > 0)
      configureTiles();
    else
      configureByteTiles();
  }
  ~ByteTiles() {
    if (used_) releaseTiles();
  }
  ByteTiles(const ByteTiles&) = delete;
  ByteTiles& operator=(const ByteTiles&) = delete;
  bool used() const { return used_; }

 private:
  const bool used_;
};

// Computes the sums of all parts of `in` for a panel of kByteRows rows and `tiles` tiles of the weight.
inline void multiplyByAmx(const Int8Operands& in, size_t tiles, int32_t* products) {
  const int32_t* words = in.words;
  const uint8_t* bytes = in.bytes;
  for (size_t part = 0; part < in.parts; ++part, products += kInt8Tiles * kStoredSums) {
    const size_t groups = (part + 1 < in.parts ? in.halves : in.tail) / 2;
    multiplyByteTiles(words, bytes, in.bytesStep, groups, tiles, products);
    words += kByteRows * kRunWords;
    bytes += groups * kGroup * kTile;
  }
}

// A record of weights times their integer scales: low bytes, which are unsigned, and high bytes, which are signed.
struct ScaledBytes {
  static constexpr size_t kBytes = 8 * kGroup * kTile;
  alignas(64) uint8_t low[kBytes];
  uint8_t high[kBytes];
};
static_assert(ScaledBytes::kBytes == kScaledBytes);

// Rows of a panel, from the first words and heads of a record on.
struct RecordRows {
  const int32_t *words, *heads;
  size_t height, runs, parts;
  bool minima;
};

// sums[row · kInt8Cols + feature] (+)= the products of low and high bytes, times their scales, and the minima. kMinima:
// the number of minima of a feature, or 0 if it is not a constant.
template <size_t kMinima>
void addRecordWith(const RecordRows& rows, const int32_t* products, const RecordFactors& factors, bool adds,
                   float* sums) {
  const Vf unit = load(factors.units), minimumUnit = rows.minima ? load(factors.minimumUnits) : splat(0.f);
  Vf minima[kMinima > 0 ? kMinima : 1];
  for (size_t part = 0; part < kMinima; ++part) minima[part] = load(factors.minimumFactors + part * kTile);
  for (size_t r = 0; r < rows.height; ++r) {
    const auto productsAt = [&](size_t half) { return loadInts(products + half * kStoredSums + r * kTile); };
    const int32_t* head = rows.heads + r * kHeadWords;
    const auto sumOf = [&](size_t part) { return splatWord(head + part * rows.height * kHeadWords + 1); };
    const Vf scale = splatWord(head);
    Vf sum = adds ? load(sums + r * kInt8Cols) : splat(0.f);
    sum += rounded(toFloat(productsAt(0) + (productsAt(1) << 8)) * (unit * scale));
    if (rows.minima) {
      Vf low = splat(0.f);  // exact
      if constexpr (kMinima > 0) {
#pragma GCC unroll 8
        for (size_t part = 0; part < kMinima; ++part) low = fused(minima[part], sumOf(part), low);
      } else {
        for (size_t part = 0; part < rows.parts; ++part)
          low = fused(load(factors.minimumFactors + part * kTile), sumOf(part), low);
      }
      sum += rounded(low * (minimumUnit * scale));
    }
    store(sums + r * kInt8Cols, sum);
  }
}
inline void addRecord(const RecordRows& rows, const int32_t* products, const RecordFactors& factors, bool adds,
                      float* sums) {
  if (rows.minima && rows.parts == 8) return addRecordWith<8>(rows, products, factors, adds, sums);
  addRecordWith<0>(rows, products, factors, adds, sums);
}

#endif
