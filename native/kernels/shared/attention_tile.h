// Matrix products inside the blocks of attention, and sizes that its kernels share.
#pragma once
#include "kernels/shared/cells.h"
#include "kernels/shared/pack.h"

namespace attention {

// Queries of a block are the lanes of vectors and its keys are rows: scores are stored transposed, [key, query]. The
// softmax over keys then needs no sums across lanes, and no product needs transposed keys, values or probabilities.
inline constexpr size_t kPanel = kTuning.attentionVecs * kWidth;  // queries per tile
inline constexpr size_t kKeys = 128;              // keys per block; items with fewer keys need no rescaling
inline constexpr size_t kMaxWidth = kWidestHead;  // features per head: a block then fits into a thread's scratch memory
inline constexpr uint32_t kMaxRows = 0x7fffffff;  // rows of q and k: counters may exceed the last row without overflow
inline constexpr size_t kMaxDistances = 65537;    // entries in a head's table of relative biases

inline constexpr float kLog2E = 1.44269504088896341f, kLn2 = .693147180559945309f;
inline constexpr float kLargest = 3.402823466e38f;

struct Factor {
  const float* data;
  size_t stride;
};

// The target of a product, and its form.
//
//   C = factor · A·B                            without `add`
//   C += factor · A·B                           with `add`
//   C[r] = factors[r] · (A·B)[r]                with factors, without `add`
//   C[r] = factors[r] · C[r] + (A·B)[r]         with factors and `add`
struct Result {
  float* c;
  size_t stride;
  bool add = false;
  float factor = 1.f;
  const float* factors = nullptr;
};

// Writes the sums of a tile [rows, kPanel] to a target that has factors or is added to. One function serves tiles of all
// heights: such code in each tile would add 100 kB to the addon and 270 kB to the WebAssembly modules. The way through
// memory takes up to 3 % of the time of attention.
inline void writeTile(const float* sums, size_t rows, size_t lanes, const Result& result) {
  const auto write = [&](const auto& value) {
    float* row = result.c;
    for (size_t r = 0; r < rows; ++r, row += result.stride, sums += kPanel) {
      if (lanes == kPanel) {
#pragma GCC unroll 8
        for (size_t v = 0; v < kPanel; v += kWidth)
          store(row + v, value(load(sums + v), r, [&] { return load(row + v); }));
        continue;
      }
      for (size_t v = 0; v < lanes; v += kWidth) {
        const size_t n = atMost(kWidth, lanes - v);
        storeLanes(row + v, value(load(sums + v), r, [&] { return loadLanes(row + v, n); }), n);
      }
    }
  };
  const Vf factor = splat(result.factor);
  const float* factors = result.factors;
  if (factors == nullptr)
    write([&](Vf x, size_t, const auto& old) { return fused(x, factor, old()); });
  else if (!result.add)
    write([&](Vf x, size_t r, const auto&) { return x * splat(factors[r]); });
  else
    write([&](Vf x, size_t r, const auto& old) { return fused(old(), splat(factors[r]), x); });
}

// Computes a tile C [kRows, lanes] of A·B. A(r, k) is a[r·stride + k], or a[k·stride + r] if kByColumn. Rows of B must
// be readable in whole vectors; columns of C from `lanes` on are not written. Tiles of all sizes round alike, so a
// query gives the same bits with any other queries in its block.
template <size_t kRows, size_t kVecs, bool kByColumn>
void tile(Factor a, Factor b, size_t depth, const Result& result, size_t lanes) {
  Vf sum[kRows][kVecs] = {};
  const float* left = a.data;
  const float* right = b.data;
  for (; depth > 0; --depth, left += kByColumn ? a.stride : 1, right += b.stride) {
    Vf row[kVecs];
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) row[v] = load(right + v * kWidth);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const Vf x = splat(left[kByColumn ? r : r * a.stride]);
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v) sum[r][v] = fused(x, row[v], sum[r][v]);
    }
  }
  if (result.factors == nullptr && !result.add) {
    const Vf factor = splat(result.factor);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v)
        storeLanes(result.c + r * result.stride + v * kWidth, sum[r][v] * factor,
                   v + 1 < kVecs ? kWidth : lanes - v * kWidth);
    }
    return;
  }
  float sums[kRows * kPanel];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) store(sums + r * kPanel + v * kWidth, sum[r][v]);
  }
  writeTile(sums, kRows, lanes, result);
}

using Tile = void (*)(Factor a, Factor b, size_t depth, const Result& result, size_t lanes);

// Returns the function for a number of rows and of vectors.
template <bool kByColumn, size_t... I>
Tile pickTile(size_t rows, size_t vecs, std::index_sequence<I...>) {
  static constexpr Tile tiles[] = {tile<1 + I / kTuning.attentionVecs, 1 + I % kTuning.attentionVecs, kByColumn>...};
  return tiles[(rows - 1) * kTuning.attentionVecs + vecs - 1];
}

// A product of any number of rows and lanes.
template <bool kByColumn>
void product(Factor a, Factor b, size_t rows, size_t lanes, size_t depth, const Result& result) {
  const size_t tiles = divideUp(rows, kTuning.attentionRows);
  for (size_t lane = 0; lane < lanes; lane += kPanel) {
    const size_t width = lanes - lane < kPanel ? lanes - lane : kPanel;
    const size_t vecs = divideUp(width, kWidth);
    for (size_t t = 0, row = 0; t < tiles; ++t) {
      const size_t height = rows / tiles + (t < rows % tiles);  // tiles of nearly equal height
      const Tile run =
          pickTile<kByColumn>(height, vecs, std::make_index_sequence<kTuning.attentionRows * kTuning.attentionVecs>());
      Result part = result;
      part.c += row * result.stride + lane;
      if (part.factors != nullptr) part.factors += row;
      run({a.data + row * (kByColumn ? 1 : a.stride), a.stride}, {b.data + lane, b.stride}, depth, part, width);
      row += height;
    }
  }
}

// C = A·B and C = Aᵀ·B.
inline constexpr auto& rowProduct = product<false>;
inline constexpr auto& columnProduct = product<true>;

// Returns rows as the right factor of a product: in place if they are whole vectors, else copied to `memory`.
inline Factor wholeRows(const float* in, size_t stride, size_t rows, size_t cols, float* memory) {
  if (cols % kWidth == 0) return {in, stride};
  packRows(in, stride, rows, cols, memory, wholeVectors(cols));
  return {memory, wholeVectors(cols)};
}

}  // namespace attention
