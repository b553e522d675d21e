// Products of few rows with 16-bit weights, which are converted in registers without a panel.
#pragma once
#include "formats/formats.h"
#include "kernels/shared/gemm_tile.h"

inline constexpr size_t kHalfRows = 4;
// Tiles per pass: enough sums to hide the latency of a multiply-add, and enough parallel streams from memory.
inline constexpr size_t kHalfTiles = kWidth == kTile ? 8 : kWidth == 8 ? 2 : 1;
// Bytes that each stream is prefetched ahead. This makes products 1.18 times as fast as with the processor's own
// prefetching.
inline constexpr size_t kHalfAhead = 512;

// sums[tile][feature] = the product of a row with kTiles tiles, which are `step` bytes apart. It adds in the order of
// kernels/shared/gemm.h, so a row has the same bits in a larger product.
template <class Format, size_t kTiles>
void halfRow(const float* x, size_t inputs, const uint8_t* tile, size_t step, float* sums, size_t sumsStep) {
  constexpr size_t kVecs = kTile / kWidth;
  Vf total[kTiles][kVecs] = {};
  for (size_t k = 0; k < inputs; k += kMaxBlockDepth) {
    Vf sum[kTiles][kVecs] = {};
    for (size_t i = k; i < inputs && i < k + kMaxBlockDepth; ++i) {
      const Vf value = splat(x[i]);
      if constexpr (kTuning.prefetches)
        if (2 * i * kTile % 64 == 0)
          for (size_t t = 0; t < kTiles; ++t) __builtin_prefetch(tile + t * step + 2 * i * kTile + kHalfAhead);
      eachAccumulator<kTiles, kVecs>([&](size_t t, size_t v) {
        sum[t][v] = fused(value, Format::values(tile + t * step + 2 * (i * kTile + v * kWidth)), sum[t][v]);
      });
    }
    eachAccumulator<kTiles, kVecs>(
        [&](size_t t, size_t v) { total[t][v] = k > 0 ? sum[t][v] + total[t][v] : sum[t][v]; });
  }
  eachAccumulator<kTiles, kVecs>([&](size_t t, size_t v) { store(sums + t * sumsStep + v * kWidth, total[t][v]); });
}
