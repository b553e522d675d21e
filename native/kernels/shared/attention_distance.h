// Biases and scores by relative position. A table row has 2M + 1 entries, where M is the maximum distance. Key j and a
// query at position i use entry clip(j - i, -M, M) + M.
#pragma once
#include "kernels/shared/attention_tile.h"

namespace attention {

// A block of scores [keys, queries], with `stride` floats between rows. Its queries begin at i, its keys at k, of one
// item.
struct Block {
  float* scores;
  size_t stride;
  uint32_t i, queries, k, keys;
};

// The relative biases of one head, arranged for vectors whose lanes are queries i, i + 1, …, all with the same key j.
// Entries are reversed, because lanes read entries j - i, j - i - 1, …. Both ends are repeated for the width of a
// vector.
class RelativeTable {
 public:
  static constexpr size_t size(size_t distances) { return distances + 2 * kWidth; }

  RelativeTable(float* memory, uint32_t distances) : table_(memory), distances_(distances) {}

  void load(const float* bias) {
    for (size_t t = 0; t < size(distances_); ++t) table_[t] = bias[entry(t)] * kLog2E;
  }
  void clear() {
    for (size_t t = 0; t < size(distances_); ++t) table_[t] = 0.f;
  }
  // Adds the table's values to `to`, which has the original order.
  void unload(float* to) const {
    for (size_t t = 0; t < size(distances_); ++t) to[entry(t)] += table_[t];
  }
  // Points to the vector for key j and queries at positions from i on.
  float* at(int64_t i, int64_t j) const {
    const int64_t start = i - j + distances_ / 2 + static_cast<int64_t>(kWidth);
    const int64_t last = static_cast<int64_t>(distances_ + kWidth);
    return table_ + (start < 0 ? 0 : start > last ? last : start);
  }

 private:
  size_t entry(size_t t) const {
    const size_t fromEnd = t < kWidth ? 0 : t - kWidth < distances_ ? t - kWidth : distances_ - 1;
    return distances_ - 1 - fromEnd;
  }

  float* table_;
  uint32_t distances_;
};

inline void addRelativeBias(const Block& block, const RelativeTable& table, int64_t shift) {
  for (uint32_t j = 0; j < block.keys; ++j) {
    float* row = block.scores + j * block.stride;
    for (uint32_t i = 0; i < block.queries; i += kWidth)
      store(row + i, load(row + i) + load(table.at(int64_t{block.i} + i + shift, int64_t{block.k} + j)));
  }
}

// Table rows that differ by query: the row of query block.i + i begins at data + i·stride.
struct DistanceRows {
  float* data;
  size_t stride;
  uint32_t distances;

  // Index of the entry for query block.i + i and the block's first key. It may be out of range.
  int64_t entry(const Block& block, size_t i, int64_t shift) const {
    return int64_t{block.k} - (int64_t{block.i} + static_cast<int64_t>(i) + shift) + distances / 2;
  }
  int64_t clip(int64_t at) const { return at < 0 ? 0 : at < distances ? at : distances - 1; }
  // True if all entries of the vector that begins at `at` are in range.
  bool inside(int64_t at) const { return at >= 0 && at + static_cast<int64_t>(kWidth) <= distances; }

  // The vector of row i's entries that begins at `at`. Entries out of range repeat the first or last one.
  Vf vector(size_t i, int64_t at) const {
    const float* row = data + i * stride;
    if (inside(at)) return load(row + at);
    float clipped[kWidth];
    for (size_t lane = 0; lane < kWidth; ++lane) clipped[lane] = row[clip(at + static_cast<int64_t>(lane))];
    return load(clipped);
  }
  void clear(size_t rows) const {
    for (size_t i = 0; i < rows; ++i) memset(data + i * stride, 0, distances * sizeof(float));
  }
  void scale(size_t i, float factor) const {
    for (uint32_t t = 0; t < distances; ++t) data[i * stride + t] *= factor;
  }
};

// block += factor · entries (Shaw, Uszkoreit and Vaswani 2018). Products of a query with all distances are computed
// first, and each key selects one of them, as in the Music Transformer (Huang et al. 2018).
inline void addEntries(const Block& block, const DistanceRows& rows, int64_t shift, float factor) {
  for (size_t i = 0; i < block.queries; i += kWidth) {
    for (size_t j = 0; j < block.keys; j += kWidth) {
      Vf entries[kWidth];
      for (size_t r = 0; r < kWidth; ++r) {
        entries[r] = Vf{};
        if (i + r >= block.queries) continue;
        entries[r] = rows.vector(i + r, rows.entry(block, i + r, shift) + static_cast<int64_t>(j));
      }
      transpose(entries);
      for (size_t r = 0; r < kWidth && j + r < block.keys; ++r) {
        float* to = block.scores + (j + r) * block.stride + i;
        store(to, fma(entries[r], splat(factor), load(to)));
      }
    }
  }
}

// entries += factor · block: the transpose of addEntries.
inline void sumEntries(const Block& block, const DistanceRows& rows, int64_t shift, float factor) {
  transposed(block.scores, block.stride, block.keys, block.queries, [&](size_t i, size_t j, Vf v, size_t n) {
    float* row = rows.data + i * rows.stride;
    const int64_t at = rows.entry(block, i, shift) + static_cast<int64_t>(j);
    if (rows.inside(at)) return store(row + at, fma(v, splat(factor), load(row + at)));
    float values[kWidth];
    store(values, v);
    for (size_t lane = 0; lane < n; ++lane) row[rows.clip(at + static_cast<int64_t>(lane))] += factor * values[lane];
  });
}

}  // namespace attention
