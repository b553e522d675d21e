// Products of rows as integers (int8_rows.h) with 16 features of a packed weight, or of two tiles side by side where
// one fills a vector, unpacked to bytes.
#pragma once
#include "kernels/shared/int8_rows.h"

// Tiles that meet a row together: so many products hide the latency of one, and share what is read of the row.
inline constexpr size_t kInt8Tiles = kWidth == kTile ? 2 : 1, kInt8Cols = kInt8Tiles * kTile;

// Some parts of the inputs of one tile, or of kInt8Tiles. All point at the first of these.
struct Int8Operands {
  const uint8_t* bytes;          // of the weights, 64 for each 4 inputs
  const float *scales, *minima;  // of each part; either may be null
  const int32_t *words, *heads;  // of a block of rows
  size_t parts, halves, tail;    // halves: of a part, each 16 inputs; tail: of the last part
  size_t bytesStep, scalesStep;  // from a tile's to the next one's
};

inline constexpr int kInt8Unrolled = kUnrolled > 1 ? 4 : 1;  // for the pragma, which takes a name or a number

SIMD_INLINE Vf splatWord(const int32_t* word) {
  float value;
  memcpy(&value, word, sizeof value);
  return splat(value);
}

inline constexpr float kNoSums[kInt8Rows * kInt8Cols] = {};

// sums[row][feature] (+)= the products with kVecs vectors of features from `lane` on. A block has `kRows` rows. Sums
// lie in memory, as registers are for the products.
template <class Products, int kBits, size_t kRows, size_t kVecs>
SIMD_INLINE void int8Lanes(const Int8Operands& in, size_t lane, bool adds, float* sums) {
  constexpr bool kWhole = kWidth == kTile;  // vectors are tiles
  const size_t bytesStep = kWhole ? in.bytesStep : kWidth * 4, scalesStep = kWhole ? in.scalesStep : kWidth;
  const uint8_t* bytes = in.bytes + lane * 4;
  const int32_t *words = in.words, *heads = in.heads;
  const float* scales = in.scales == nullptr ? nullptr : in.scales + lane;
  const float* minima = in.minima == nullptr ? nullptr : in.minima + lane;
  const float* from = adds ? sums : kNoSums;
  for (size_t part = 0; part < in.parts; ++part, heads += kRows * kHeadWords) {
    typename Products::Sums products[kRows][kVecs];
    eachAccumulator<kRows, kVecs>(
        [&](size_t r, size_t v) { products[r][v] = Products::template begin<kBits>(heads[r * kHeadWords + 2]); });
    const size_t halves = part + 1 < in.parts ? in.halves : in.tail;
    for (size_t half = 0; half < halves; ++half, words += kRows * kHalfWords, bytes += kHalf * kTile) {
#pragma GCC unroll kInt8Unrolled
      for (size_t k = 0; k < kHalf / 4; ++k) {
        Vi weights[kVecs];
        eachAccumulator<1, kVecs>(
            [&](size_t, size_t v) { weights[v] = loadInts(bytes + k * kTile * 4 + v * bytesStep); });
        eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) {
          Products::template add<kBits>(products[r][v], weights[v], words + r * kHalfWords + k * Dots::kWords);
        });
      }
    }
    // add(sum, r, product, at): a sum with one more product, whose scales and minima are that far away.
    const auto addAll = [&](const auto& add) {
      eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) {
        const size_t to = r * kInt8Cols + lane + v * kWidth;
        const Vi total = Products::template total<kBits>(products[r][v], heads[r * kHeadWords + 2]);
        store(sums + to, add(load(from + to), r, toFloat(total), v * scalesStep));
      });
    };
    const auto scale = [&](size_t r) { return splatWord(heads + r * kHeadWords); };
    if (scales == nullptr) {
      addAll([&](Vf sum, size_t r, Vf product, size_t) { return sum + rounded(product * scale(r)); });
    } else if (minima == nullptr) {
      addAll([&](Vf sum, size_t r, Vf product, size_t at) {
        return sum + rounded(product * (load(scales + at) * scale(r)));
      });
    } else {
      addAll([&](Vf sum, size_t r, Vf product, size_t at) {
        sum += rounded(product * (load(scales + at) * scale(r)));
        return sum + rounded(load(minima + at) * splatWord(heads + r * kHeadWords + 1));
      });
      minima += kTile;
    }
    if (scales != nullptr) scales += kTile;
    from = sums;
  }
}

template <class Products, int kBits, size_t kRows>
void int8Tile(const Int8Operands& in, size_t tiles, bool adds, float* sums) {
  if constexpr (kWidth == kTile) {
    if (tiles == 2) return int8Lanes<Products, kBits, kRows, 2>(in, 0, adds, sums);
    int8Lanes<Products, kBits, kRows, 1>(in, 0, adds, sums);
  } else {
    constexpr size_t kVecs = kWidth == 1 ? 4 : 2;
    for (size_t lane = 0; lane < kTile; lane += kVecs * kWidth)
      int8Lanes<Products, kBits, kRows, kVecs>(in, lane, adds, sums);
  }
}

using Int8Tile = void (*)(const Int8Operands& in, size_t tiles, bool adds, float* sums);

template <class Products, int kBits, size_t... I>
Int8Tile int8TileWith(size_t rows, std::index_sequence<I...>) {
  static constexpr Int8Tile tiles[] = {int8Tile<Products, kBits, I + 1>...};
  return tiles[rows - 1];
}

inline Int8Tile int8TileOf(IntegerKind kind, size_t rows) {
  constexpr auto all = std::make_index_sequence<kInt8Rows>();
  Int8Tile tile = nullptr;
  withDots([&](auto products) {
    using Products = decltype(products);
    tile = int8TileWith<Products, 8>(rows, all);
    if constexpr (Products::kBitsMatter)
      if (kind.bits < 8 || Products::takesEightBits()) tile = int8TileWith<Products, 7>(rows, all);
    if constexpr (Products::kFourBitsMatter)
      if (kind.bits == 4) tile = int8TileWith<Products, 4>(rows, all);
  });
  return tile;
}
