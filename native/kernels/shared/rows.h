// Statistics of a row for normalizations, softmax and the loss, and sums over many rows.
#pragma once
#include "kernels/shared/fetch.h"
#include "kernels/shared/results.h"

// Without this, g++ -O2 keeps the sums in memory: layer normalization takes 1.5 times as long. Clang needs no pragma.
#ifdef __clang__
#define UNROLL_WAYS
#else
#define UNROLL_WAYS _Pragma("GCC unroll 4")
#endif

// Sums `n` terms over a row. add(c, lanes, sums) must add the terms of a vector to sums[0 … n), and 0 in absent lanes.
// Two or four independent sums hide the latency of an addition. Sums of blocks are added in double, so that the error
// of a long row is that of a block.
template <size_t n>
struct Totals {
  double of[n] = {};
};
template <size_t n, class Add>
SIMD_INLINE Totals<n> totals(size_t cols, const Add& add) {
  constexpr size_t kBlock = 4096, kWays = n == 1 ? 4 : 2;
  Totals<n> result;
  for (size_t from = 0; from < cols; from += kBlock) {
    const size_t end = cols - from < kBlock ? cols : from + kBlock;
    Vf sums[kWays][n] = {};
    size_t c = from;
    for (; c + kWays * kWidth <= end; c += kWays * kWidth) {
      UNROLL_WAYS for (size_t way = 0; way < kWays; ++way) add(c + way * kWidth, kWidth, sums[way]);
    }
    for (; c + kWidth <= end; c += kWidth) add(c, kWidth, sums[0]);
    if (c < end) add(c, end - c, sums[1]);
    UNROLL_WAYS for (size_t k = 0; k < n; ++k) {
      UNROLL_WAYS for (size_t way = 1; way < kWays; ++way) sums[0][k] += sums[way][k];
      result.of[k] += static_cast<double>(sum(sums[0][k]));
    }
  }
  return result;
}

// v, with `other` in all lanes from `lanes` on.
SIMD_INLINE Vf firstLanesOr(Vf v, size_t lanes, float other) {
  return laneNumbers() < splatBits(static_cast<uint32_t>(lanes)) ? v : splat(other);
}

// The largest of x[0 … cols), and at least kLowest. So e^(x - largest) is 0 instead of NaN where x is -infinity. NaN
// may be ignored.
inline constexpr float kLowest = -3.402823466e38f;
SIMD_INLINE float largest(const float* x, size_t cols) {
  Vf a = splat(kLowest), b = a;
  size_t c = 0;
  for (; c + 2 * kWidth <= cols; c += 2 * kWidth) {
    a = max(a, load(x + c));
    b = max(b, load(x + c + kWidth));
  }
  eachVector(cols - c,
             [&](size_t i, size_t lanes) { a = max(a, firstLanesOr(loadLanes(x + c + i, lanes), lanes, kLowest)); });
  return maximum(max(a, b));
}

// ln Σ e^x over a row, as two parts whose sum would lose precision if x is large.
struct LogSum {
  float max, log;
  double rest;  // Σ (x - max), if kRest
};
// Computes LogSum in one pass over memory (Milakov, Gimelshein 2018, arXiv 1805.02867). The running sum is rescaled
// when the maximum grows, once per block. A block stays in the cache between its two uses.
template <bool kRest = false, class Meanwhile = NoWork>
SIMD_INLINE LogSum logSum(const float* x, size_t cols, const Meanwhile& meanwhile = {}) {
  constexpr size_t kBlock = 4096;
  float max = kLowest;
  double total = 0, rest = 0;
  for (size_t from = 0; from < cols; from += kBlock) {
    const size_t n = cols - from < kBlock ? cols - from : kBlock;
    const float* block = x + from;
    const float before = max, here = largest(block, n);
    if (here > max) max = here;
    const Vf shift = splat(max);
    const Totals<kRest ? 2 : 1> part = totals<kRest ? 2 : 1>(n, [&](size_t c, size_t lanes, Vf* sums) {
      fetchBehind(block + c, n);
      meanwhile(from + c, lanes);
      const Vf below = loadLanes(block + c, lanes) - shift;
      sums[0] += firstLanesOr(rounded(expNonPositive(below)), lanes, 0);  // rounded() gives the same bits in every loop
      if constexpr (kRest) sums[1] += firstLanesOr(below, lanes, 0);
    });
    if (from > 0) {
      const double grown = static_cast<double>(max) - static_cast<double>(before);
      total *= std::exp(-grown);
      if constexpr (kRest) rest -= grown * static_cast<double>(from);
    }
    total += part.of[0];
    if constexpr (kRest) rest += part.of[1];
  }
  return {max, static_cast<float>(std::log(total)), rest};
}

// Rows per chunk of column sums. Each chunk is summed into a row of partials [chunks, cols], and these are added in
// order. So the result does not depend on the number of threads.
inline constexpr uint64_t kRowsPerPartial = 32;
CONSTANT("rows.perPartial", kRowsPerPartial)
inline uint64_t partialsOf(uint64_t rows) { return divideUp(rows, kRowsPerPartial); }

// Calls body(nonTemporal, row, part) for all rows of gradients [rows, cols], with nonTemporal as in withResults. `part`
// is the chunk's row of partials [partialsOf(rows), width], zero at first, for `width` column sums. Pass width 0 if
// there are no column sums.
template <class Body>
void eachRowInParts(Team& team, uint64_t rows, uint64_t cols, float* partials, uint64_t width, const Body& body) {
  withResults(rows * cols, [&](auto nonTemporal, uint64_t) {
    team.parallel(static_cast<uint32_t>(partialsOf(rows)), [&](uint32_t chunk) {
      float* part = partials + chunk * width;
      memset(part, 0, width * sizeof(float));
      const uint64_t end = (chunk + uint64_t{1}) * kRowsPerPartial;
      for (uint64_t row = chunk * kRowsPerPartial; row < rows && row < end; ++row) body(nonTemporal, row, part);
      if (nonTemporal()) fenceNonTemporal();
    });
  });
}

// y[c] = Σ partials[k, c] over k < count (+ y[c] if accumulate).
inline void addPartials(Team& team, const float* partials, uint64_t count, uint64_t cols, uint64_t stride, float* y,
                        bool accumulate) {
  constexpr uint64_t kGrain = 256;
  team.parallelRange(cols, kGrain, [&](uint64_t first, uint64_t last) {
    eachVector(last - first, [&](size_t c, size_t lanes) {
      Vf total = accumulate ? loadLanes(y + first + c, lanes) : splat(0);
      for (uint64_t k = 0; k < count; ++k) total += loadLanes(partials + k * stride + first + c, lanes);
      storeLanes(y + first + c, total, lanes);
    });
  });
}

// Number of rows of `cols` columns per chunk, for `more` times the usual work. A row costs as much as some additional
// columns.
inline uint64_t rowGrain(uint64_t cols, uint64_t more = 1) { return 1 + more * 8192 / (cols + 64); }
