// Products of rows as integers (int8_rows.h) with 16 features of a packed weight, unpacked to bytes, or of some tiles
// side by side if a tile fills a vector.
#pragma once
#include "kernels/shared/int8_rows.h"

// Tiles that meet a row together: enough products to hide the latency of one, which share the loads of the row.
inline constexpr size_t kInt8Tiles = kTuning.int8Tiles, kInt8Cols = kInt8Tiles * kTile;
inline constexpr size_t kInt8TileRows = 4;
static_assert(kInt8Rows % kInt8TileRows == 0 && (kInt8Tiles == 1 || kWidth == kTile));

// Some parts of the inputs of one tile, or of kInt8Tiles. Pointers are those of the first tile.
struct Int8Operands {
  const uint8_t* bytes;          // weights, 64 bytes for each 4 inputs
  const float *scales, *minima;  // for each part; either may be null
  const int32_t *words, *heads;  // some rows of a block
  size_t height;                 // of that block
  size_t parts, halves, tail;    // halves of a part, 16 inputs each; tail: halves of the last part
  size_t bytesStep, scalesStep;  // from one tile to the next
};

inline constexpr int kInt8Unrolled = kUnrolled > 1 ? 4 : 1;  // the pragma takes a name or a number

SIMD_INLINE Vf splatWord(const int32_t* word) {
  float value;
  memcpy(&value, word, sizeof value);
  return splat(value);
}

inline constexpr float kNoSums[kInt8TileRows * kInt8Cols] = {};

// sums[row][feature] (+)= the products of kRows rows with kVecs vectors of features from `lane` on. Sums stay in memory
// if registers suffice only for the products.
template <class Products, int kBits, size_t kRows, size_t kVecs>
SIMD_INLINE void int8Lanes(const Int8Operands& in, size_t lane, bool adds, float* sums) {
  constexpr bool kWhole = kWidth == kTile;  // vectors are tiles, and registers are many
  const size_t bytesStep = kWhole ? in.bytesStep : kWidth * 4, scalesStep = kWhole ? in.scalesStep : kWidth;
  const uint8_t* bytes = in.bytes + lane * 4;
  const int32_t *words = in.words, *heads = in.heads;
  const float* scales = in.scales == nullptr ? nullptr : in.scales + lane;
  const float* minima = in.minima == nullptr ? nullptr : in.minima + lane;
  const float* from = adds ? sums : kNoSums;
  const auto place = [&](size_t r, size_t v) { return r * kInt8Cols + lane + v * kWidth; };
  [[maybe_unused]] Vf held[kRows][kVecs];
  if constexpr (kWhole)
    eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) { held[r][v] = load(from + place(r, v)); });
  for (size_t part = 0; part < in.parts; ++part, heads += in.height * kHeadWords) {
    typename Products::Sums products[kRows][kVecs];
    eachAccumulator<kRows, kVecs>(
        [&](size_t r, size_t v) { products[r][v] = Products::template begin<kBits>(heads[r * kHeadWords + 2]); });
    const size_t halves = part + 1 < in.parts ? in.halves : in.tail;
    for (size_t half = 0; half < halves; ++half, words += in.height * kHalfWords, bytes += kHalf * kTile) {
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
        const Vf product = toFloat(Products::template total<kBits>(products[r][v], heads[r * kHeadWords + 2]));
        if constexpr (kWhole)
          held[r][v] = add(held[r][v], r, product, v * scalesStep);
        else
          store(sums + place(r, v), add(load(from + place(r, v)), r, product, v * scalesStep));
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
  if constexpr (kWhole)
    eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) { store(sums + place(r, v), held[r][v]); });
}

// At most kTiles tiles.
template <class Products, int kBits, size_t kRows, size_t kTiles = kInt8Tiles>
void int8Tile(const Int8Operands& in, size_t tiles, bool adds, float* sums) {
  if constexpr (kTiles > 1)
    if (tiles < kTiles) return int8Tile<Products, kBits, kRows, kTiles - 1>(in, tiles, adds, sums);
  if constexpr (kWidth == kTile) {
    int8Lanes<Products, kBits, kRows, kTiles>(in, 0, adds, sums);
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
  constexpr auto all = std::make_index_sequence<kInt8TileRows>();
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
