// Products of rows as integers (int8_rows.h) with 16 features of a packed weight, unpacked to bytes.
#pragma once
#include "kernels/shared/int8_rows.h"

// Some parts of the inputs of a tile. All point at the first of these.
struct Int8Operands {
  const uint8_t* bytes;          // of the weights, 64 for each 4 inputs
  const float *scales, *minima;  // of each part; minima may be null
  const int32_t *words, *heads;  // of a block of rows
  size_t scaleStride;            // from a part's scales to the next one's
  size_t parts, halves;          // halves: of a part, each 16 inputs
};

inline constexpr int kInt8Unrolled = kUnrolled > 1 ? 4 : 1;  // for the pragma, which takes a name or a number
inline constexpr size_t kInt8Vecs = kWidth == 1 ? 4 : kTile / kWidth < 2 ? 1 : 2;

// sums[row][feature] (+)= the products. A block has `kRows` rows.
template <class Products, bool kEightBits, size_t kRows>
void int8Tile(const Int8Operands& in, bool adds, float* sums) {
  for (size_t lane = 0; lane < kTile; lane += kInt8Vecs * kWidth) {
    Vf total[kRows][kInt8Vecs];
    eachAccumulator<kRows, kInt8Vecs>(
        [&](size_t r, size_t v) { total[r][v] = adds ? load(sums + r * kTile + lane + v * kWidth) : splat(0.f); });
    const uint8_t* bytes = in.bytes + lane * 4;
    const int32_t *words = in.words, *heads = in.heads;
    for (size_t part = 0; part < in.parts; ++part, heads += kRows * kHeadWords) {
      typename Products::Sums products[kRows][kInt8Vecs];
      eachAccumulator<kRows, kInt8Vecs>(
          [&](size_t r, size_t v) { products[r][v] = Products::begin(heads[r * kHeadWords + 2]); });
      for (size_t half = 0; half < in.halves; ++half, words += kRows * kHalfWords, bytes += kHalf * kTile) {
#pragma GCC unroll kInt8Unrolled
        for (size_t k = 0; k < kHalf / 4; ++k) {
          Vi weights[kInt8Vecs];
          eachAccumulator<1, kInt8Vecs>(
              [&](size_t, size_t v) { weights[v] = loadInts(bytes + k * kTile * 4 + v * kWidth * 4); });
          eachAccumulator<kRows, kInt8Vecs>([&](size_t r, size_t v) {
            Products::template add<kEightBits>(products[r][v], weights[v], words + r * kHalfWords + k * Dots::kWords);
          });
        }
      }
      const auto floatAt = [&](size_t word) {
        float value;
        memcpy(&value, heads + word, sizeof value);
        return splat(value);
      };
      eachAccumulator<kRows, kInt8Vecs>([&](size_t r, size_t v) {
        const Vf scale = load(in.scales + part * in.scaleStride + lane + v * kWidth) * floatAt(r * kHeadWords);
        total[r][v] += rounded(toFloat(Products::total(products[r][v])) * scale);
      });
      if (in.minima == nullptr) continue;
      eachAccumulator<kRows, kInt8Vecs>([&](size_t r, size_t v) {
        const Vf minimum = load(in.minima + part * kTile + lane + v * kWidth);
        total[r][v] += rounded(minimum * floatAt(r * kHeadWords + 1));
      });
    }
    eachAccumulator<kRows, kInt8Vecs>(
        [&](size_t r, size_t v) { store(sums + r * kTile + lane + v * kWidth, total[r][v]); });
  }
}

using Int8Tile = void (*)(const Int8Operands& in, bool adds, float* sums);

template <class Products, bool kEightBits, size_t... I>
Int8Tile int8TileWith(size_t rows, std::index_sequence<I...>) {
  static constexpr Int8Tile tiles[] = {int8Tile<Products, kEightBits, I + 1>...};
  return tiles[rows - 1];
}

inline Int8Tile int8TileOf(IntegerKind kind, size_t rows) {
  constexpr auto all = std::make_index_sequence<kInt8Rows>();
  Int8Tile tile = nullptr;
  withDots([&](auto products) {
    using Products = decltype(products);
    tile = Products::kBitsMatter && kind.bits < 8 ? int8TileWith<Products, false>(rows, all)
                                                  : int8TileWith<Products, true>(rows, all);
  });
  return tile;
}
