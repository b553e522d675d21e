// The steps from products of queries and keys to scores: soft caps, biases, masks, and hidden keys. Scores are
// multiplied by log₂ e, so that their exponentials are powers of 2.
#pragma once
#include "kernels/shared/attention_distance.h"

namespace attention {

inline constexpr uint32_t kUnlimited = 0xffffffff;  // no limit on this side of the window

// The shape of a bias or mask, [items | 1, heads | 1, rows | 1, cols | 1]. A dimension of size 1 is broadcast.
struct Grid {
  uint32_t items, heads, rows, cols;

  bool fits(Span span, uint32_t batch, uint32_t headCount) const {
    if ((items != 1 && items != batch) || (heads != 1 && heads != headCount)) return false;
    uint64_t count = 1;
    for (const uint32_t n : {items, heads, rows, cols}) {
      if (count > 0xffffffffu) return false;
      count *= n;
    }
    return span.covers(count);
  }
  bool covers(uint32_t queries, uint32_t keys) const {
    return (rows == 1 || queries <= rows) && (cols == 1 || keys <= cols);
  }
  size_t rowStride() const { return rows == 1 ? 0 : cols; }
  size_t at(uint32_t b, uint32_t h, uint32_t i, uint32_t j) const {
    const uint64_t matrix = uint64_t{items == 1 ? 0 : b} * heads + (heads == 1 ? 0 : h);
    return (matrix * rows + (rows == 1 ? 0 : i)) * cols + (cols == 1 ? 0 : j);
  }
  // A vector of entries for one query and `count` keys; `data` points to the first.
  Vf vector(const float* data, size_t count) const { return cols == 1 ? splat(*data) : loadLanes(data, count); }

  // Calls put(score, v) for each vector of queries of a block, with v the entries of this bias or mask. `data` points
  // to the entry for the block's first query and key.
  template <class Put>
  void eachEntry(const Block& block, const float* data, const Put& put) const {
    const uint32_t together = cols == 1 ? 1 : block.keys;
    for (uint32_t k = 0; k < block.keys; k += together)
      transposed(data, rowStride(), block.queries, together, [&](size_t key, size_t query, Vf v, size_t) {
        put(block.scores + (k + key) * block.stride + query, v);
      });
  }
};

// Calls change(score) for each vector of queries of a block.
template <class Change>
inline void eachScore(const Block& block, const Change& change) {
  for (uint32_t j = 0; j < block.keys; ++j)
    for (uint32_t i = 0; i < block.queries; i += kWidth) change(block.scores + j * block.stride + i);
}

// cap · tanh(score / cap) (Gemma 2, arXiv 2408.00118). `cap` is multiplied by log₂ e as well.
SIMD_INLINE Vf capped(Vf score, Vf cap) { return cap * tanh(score / cap); }

// Adds a bias to a score. Masks often consist of the lowest float, which must stay finite after the multiplication by
// log₂ e. If all keys of a query have this bias, it attends to them equally, as in PyTorch.
SIMD_INLINE Vf biased(Vf score, Vf bias) {
  constexpr float kMin = -2.3e38f;
  const Vf held = bias > splat(-INFINITY) ? max(splat(kMin), bias) : bias;
  return fma(held, splat(kLog2E), min(splat(kLargest), score));
}

// Replaces a score by -infinity where the mask (of integers) is 0.
SIMD_INLINE Vf masked(Vf score, Vf mask) { return asInt(mask) == splatInt(0) ? splat(-INFINITY) : score; }

// Hides keys after the visible ones: query i sees no key after i + reach. Hidden scores become -infinity.
inline void maskFuture(const Block& block, int64_t reach) {
  const Vi lane = (Vi)laneNumbers();
  for (uint32_t j = 0; j < block.keys; ++j) {
    const int64_t first = int64_t{block.k} + j - reach - block.i;  // the first query of the block that sees this key
    if (first <= 0) continue;
    float* row = block.scores + j * block.stride;
    for (uint32_t i = 0; i < block.queries && i < first; i += kWidth) {
      const int64_t hidden = first - i < static_cast<int64_t>(kWidth) ? first - i : static_cast<int64_t>(kWidth);
      store(row + i, lane < splatInt(static_cast<int32_t>(hidden)) ? splat(-INFINITY) : load(row + i));
    }
  }
}

// Hides keys before the visible ones: query i sees no key before i + reach. Hidden scores become -infinity.
inline void maskPast(const Block& block, int64_t reach) {
  const Vi lane = (Vi)laneNumbers();
  for (uint32_t j = 0; j < block.keys; ++j) {
    // number of queries of the block that see this key
    const int64_t seen = int64_t{block.k} + j - reach - block.i + 1;
    if (seen >= int64_t{block.queries}) return;
    float* row = block.scores + j * block.stride;
    uint32_t i = seen > 0 ? static_cast<uint32_t>(seen) / kWidth * kWidth : 0;
    for (; i < block.queries; i += kWidth) {
      const int32_t left = seen > i ? static_cast<int32_t>(seen - i) : 0;
      store(row + i, lane < splatInt(left) ? load(row + i) : splat(-INFINITY));
    }
  }
}

}  // namespace attention
