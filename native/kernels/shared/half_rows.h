// Products of a few rows with weights of 16 bits, which are widened as they are read, without a panel.
#pragma once
#include "formats/formats.h"
#include "kernels/shared/gemm_tile.h"

inline constexpr size_t kHalfRows = 4;
// Tiles at a time: enough sums to hide the latency of a multiply-add, and enough streams from memory.
inline constexpr size_t kHalfTiles = kWidth == kTile ? 8 : kWidth == 8 ? 2 : 1;

// sums[tile][feature] = the products of a row with `kTiles` tiles, `step` bytes apart, in the order of
// kernels/shared/gemm.h, so that more rows have the same bits.
template <class Format, size_t kTiles>
void halfRow(const float* x, size_t inputs, const uint8_t* tile, size_t step, float* sums, size_t sumsStep) {
  constexpr size_t kVecs = kTile / kWidth;
  Vf total[kTiles][kVecs] = {};
  for (size_t k = 0; k < inputs; k += kMaxBlockDepth) {
    Vf sum[kTiles][kVecs] = {};
    for (size_t i = k; i < inputs && i < k + kMaxBlockDepth; ++i) {
      const Vf value = splat(x[i]);
      eachAccumulator<kTiles, kVecs>([&](size_t t, size_t v) {
        sum[t][v] = fused(value, Format::values(tile + t * step + 2 * (i * kTile + v * kWidth)), sum[t][v]);
      });
    }
    eachAccumulator<kTiles, kVecs>(
        [&](size_t t, size_t v) { total[t][v] = k > 0 ? sum[t][v] + total[t][v] : sum[t][v]; });
  }
  eachAccumulator<kTiles, kVecs>([&](size_t t, size_t v) { store(sums + t * sumsStep + v * kWidth, total[t][v]); });
}
