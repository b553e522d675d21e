// C = a·B where one row meets a B from memory, so that only reading B counts. Memory gives most to a thread that reads
// it from end to end: a row of B after the other, while the sums wait in the level-1 cache. So threads share out blocks
// of rows of B, not its columns: half of what a processor prefetches of a row it would read in vain. The blocks' sums
// are added afterwards, in the order of gemm.h, to the same bits. On Zen 4 this takes two thirds of the time of panels
// held in registers, or less; of a B that lies in a cache up to twice theirs, so that it is for runs that outgrow the
// caches. Two rows gain nothing.
#pragma once
#include "kernels/shared/gemm.h"

class Stream {
 public:
  // `shared`: memory of all threads, where the sums of each block of k wait, [blocks, sumsRow()].
  Stream(const Gemm& g, float* shared) : g_(g), shared_(shared) {}

  // Whether this is the fastest way: on AMD's processors, for a B that outgrows what is surely cached.
  static bool fits(size_t rows, size_t cols, size_t bRow, size_t depth) {
    if (!cpu().amd || rows > 1 || bRow * depth < kLeastB) return false;
    return divideUp(depth, blockDepth(depth)) * sumsRow(cols) <= kSharedFloats;
  }

  // B in parts of a few columns of a block of k, block after block: threads sum runs of them.
  uint64_t parts() const { return divideUp(g_.depth, step()) * across(); }
  void sum(uint64_t part, uint64_t end) const {
    while (part < end) {
      const uint64_t first = part % across(), last = atMost(first + (end - part), across());
      sumBlock(part / across(), first * kPartCols, atMost(last * kPartCols, g_.cols));
      part += last - first;
    }
  }

  // C (+)= all blocks' sums of columns [from, to).
  void finish(size_t from, size_t to) const {
    eachVector(to - from, [&](size_t x, size_t lanes) {
      const size_t j = from + x;
      Vf total = load(sumsOf(0) + j);
      if (g_.accumulate) total += loadLanes(g_.c + j, lanes);
      for (size_t k = step(), block = 1; k < g_.depth; k += step(), ++block) total += load(sumsOf(block) + j);
      if (g_.bias != nullptr) total += loadLanes(g_.bias + j, lanes);
      storeLanes(g_.c + j, total, lanes);
    });
  }

 private:
  static constexpr size_t kLeastB = size_t{1} << 17, kPartCols = 64;
  // Longer rows, whose sums crowd a level-1 cache, go side by side: as many as the processor foresees.
  static constexpr size_t kLongRow = 2048, kTogether = 8;

  static size_t sumsRow(size_t cols) { return wholeVectors(cols) + kWidth; }  // not a power of two
  float* sumsOf(size_t block) const { return shared_ + block * sumsRow(g_.cols); }
  size_t step() const { return blockDepth(g_.depth); }
  uint64_t across() const { return divideUp(g_.cols, kPartCols); }

  void sumBlock(size_t block, size_t from, size_t to) const {
    const size_t start = block * step(), end = atMost(start + step(), g_.depth);
    float* sums = sumsOf(block);
    for (size_t j = from; j < to; j += kWidth) store(sums + j, Vf{});
    if (to - from <= kLongRow) {
      for (size_t k = start; k < end; ++k) addRows<4>(k, 1, from, to, sums);
    } else {
      for (size_t k = start; k < end; k += kTogether) addRows<8>(k, atMost(kTogether, end - k), from, to, sums);
    }
  }

  // sums += `depth` rows of B from row k on, times their elements of a.
  template <size_t kVecs>
  SIMD_INLINE void addRows(size_t k, size_t depth, size_t from, size_t to, float* sums) const {
    size_t j = from;
    for (; j + kVecs * kWidth <= to; j += kVecs * kWidth) add<kVecs>(k, depth, j, kWidth, sums);
    eachVector(to - j, [&](size_t x, size_t lanes) { add<1>(k, depth, j + x, lanes, sums); });
  }
  template <size_t kVecs>
  SIMD_INLINE void add(size_t k, size_t depth, size_t j, size_t lanes, float* sums) const {
    const float *a = g_.a + k * g_.aCol, *b = g_.b + k * g_.bRow + j;
    Vf sum[kVecs];
    eachAccumulator<1, kVecs>([&](size_t, size_t v) { sum[v] = load(sums + j + v * kWidth); });
    for (; depth > 0; --depth, a += g_.aCol, b += g_.bRow)
      eachAccumulator<1, kVecs>(
          [&](size_t, size_t v) { sum[v] = fused(splat(*a), loadLanes(b + v * kWidth, lanes), sum[v]); });
    eachAccumulator<1, kVecs>([&](size_t, size_t v) { store(sums + j + v * kWidth, sum[v]); });
  }

  const Gemm& g_;
  float* shared_;
};
