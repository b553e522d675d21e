// What becomes of a block of products of queries and keys before its softmax: soft caps, biases, masks, and keys out of
// a query's sight. Scores are in units of ln 2, so that their powers are those of 2.
#pragma once
#include "kernels/shared/attention_distance.h"

namespace attention {

inline constexpr uint32_t kUnlimited = 0xffffffff;  // of a window to one side

// The shape of a bias or a mask, [items | 1, heads | 1, rows | 1, cols | 1]: what has one entry counts for all.
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
  // What `data`, which begins at a query and a key, has for this query and `count` keys.
  Vf vector(const float* data, size_t count) const { return cols == 1 ? splat(*data) : loadLanes(data, count); }

  // Calls put(score, v) for the scores of a block, a vector of queries at a time, where `data` begins at its first
  // query and key.
  template <class Put>
  void eachOf(const Block& block, const float* data, const Put& put) const {
    const uint32_t together = cols == 1 ? 1 : block.keys;
    for (uint32_t k = 0; k < block.keys; k += together)
      transposed(data, rowStride(), block.queries, together, [&](size_t key, size_t query, Vf v, size_t) {
        put(block.scores + (k + key) * block.stride + query, v);
      });
  }
};

// Calls change(score) for all scores of a block, a vector of queries at a time.
template <class Change>
inline void eachScore(const Block& block, const Change& change) {
  for (uint32_t j = 0; j < block.keys; ++j)
    for (uint32_t i = 0; i < block.queries; i += kWidth) change(block.scores + j * block.stride + i);
}

// cap · tanh(score / cap) (Gemma 2, arXiv 2408.00118), `cap` in units of ln 2 as well.
SIMD_INLINE Vf capped(Vf score, Vf cap) { return cap * tanh(score / cap); }

// A score with its bias. The least float, which masks are made of, stays finite in units of ln 2: a query whose keys
// all have it sees them all alike, as in PyTorch.
SIMD_INLINE Vf biased(Vf score, Vf bias) {
  constexpr float kLeast = -2.3e38f;
  const Vf held = bias > splat(-INFINITY) ? max(splat(kLeast), bias) : bias;
  return fma(held, splat(kLog2E), min(splat(kLargest), score));
}

// A score, or -infinity where the mask, whose words are integers, is 0.
SIMD_INLINE Vf masked(Vf score, Vf mask) { return asInt(mask) == splatInt(0) ? splat(-INFINITY) : score; }

// Scores of keys after what their query sees become -infinity: query i sees none after i + reach.
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

// The same of keys before what their query sees, which is none before i + reach.
inline void maskPast(const Block& block, int64_t reach) {
  const Vi lane = (Vi)laneNumbers();
  for (uint32_t j = 0; j < block.keys; ++j) {
    const int64_t seen = int64_t{block.k} + j - reach - block.i + 1;  // how many queries of the block see this key
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
