// C (+)= A·B in bfloat16 on one thread, and the cut of C into blocks. A block packs its rows of A, then its columns of B
// one strip after the other, 512 inputs at a time.
#pragma once
#include "kernels/shared/bfloat16.h"
#include "kernels/shared/gemm_blocks.h"

namespace bfloat16 {

inline constexpr size_t kMaxRows = 384, kMaxCols = 384;  // largest block of C
inline constexpr size_t kMaxInputs = kBlock * kMaxBlocks;

// Packed rows take at most one word for each input, and a head for each block.
inline constexpr size_t kHeads = kMaxBlocks * (kMaxRows + kMaxCols) * 2;
inline constexpr size_t kGemmFloats =
    kMaxRows * kMaxInputs + kMaxLanes * kMaxInputs + kHeads + kMaxRows * kMaxCols + 2 * kTileFloats;
static_assert(kGemmFloats <= kScratchFloats);

// Stores a tile of sums of C at (i, j), with all that is added to it.
inline void finishTile(const Gemm& g, const float* sums, size_t stride, size_t i, size_t j, size_t height,
                       size_t width) {
  for (size_t r = 0; r < height; ++r, sums += stride) {
    float* to = g.c + (i + r) * g.cRow + j;
    eachVector(width, [&](size_t x, size_t lanes) {
      Vf sum = load(sums + x);
      if (g.accumulate) sum += loadLanes(to + x, lanes);
      if (g.bias != nullptr) sum += loadLanes(g.bias + j + x, lanes);
      storeLanes(to + x, sum, lanes);
    });
  }
}

// Like gemmBlock() of gemm.h. `memory` has space for kGemmFloats.
template <class Finish>
void multiplyBlock(const Gemm& g, float* memory, const Finish& finish) {
  const Way& by = way();
  const size_t tile = by.rows * by.cols, across = divideUp(g.cols, by.cols);
  const size_t leftStrip = by.leftBlock * kMaxBlocks;
  // Sums of all tiles wait for the next inputs. If there are no more, one tile after the other uses the same memory.
  const size_t nextSums = g.depth > kMaxInputs ? tile : 0;
  float* sums = memory;
  float* right = sums + (nextSums > 0 ? tile * across * divideUp(g.rows, by.rows) : tile);
  float* left = right + by.rightBlock * kMaxBlocks;
  for (size_t k = 0, depth = 0; k < g.depth; k += depth) {
    depth = atMost(kMaxInputs, g.depth - k);
    const size_t blocks = divideUp(depth, kBlock);
    const float* a = g.a + k * g.aCol;
    const bool acrossA = g.aCol != 1;
    for (size_t i = 0; i < g.rows; i += by.rows)
      by.packLeft(a + i * g.aRow, acrossA ? g.aCol : g.aRow, acrossA, atMost(by.rows, g.rows - i), depth,
                  left + i / by.rows * leftStrip);
    float* sum = sums;
    for (size_t j = 0; j < g.cols; j += by.cols) {
      const size_t width = atMost(by.cols, g.cols - j);
      const float* b = g.bTransposed ? g.b + j * g.bRow + k : g.b + k * g.bRow + j;
      by.packRight(b, g.bRow, !g.bTransposed, width, depth, right);
      if (g.columnSums != nullptr) sumColumns(b, g.bRow, depth, width, k > 0 || g.accumulateSums, g.columnSums + j);
      for (size_t i = 0; i < g.rows; i += by.rows, sum += nextSums) {
        const size_t height = atMost(by.rows, g.rows - i);
        if (k == 0) memset(sum, 0, tile * sizeof(float));
        by.multiply(left + i / by.rows * leftStrip, right, blocks, sum, height, width);
        if (k + depth < g.depth) continue;
        finishTile(g, sum, by.cols, i, j, height, width);
        finish(i, j, height, width);
      }
    }
  }
}

// A block of C without further functions.
inline void multiplyBlock(const Gemm& g, float* memory) {
  const Session session;
  multiplyBlock(g, memory, [](size_t, size_t, size_t, size_t) {});
}

inline constexpr uint64_t kMinWork = 1 << 20;  // multiply-adds that are worth a task

// The number of matrices of a batch, of one block each, that make a task.
inline uint64_t together(const ProductSize& size) { return kMinWork / (size.rows * size.cols * size.depth) + 1; }

// Blocks of C that keep the threads busy. They affect no bit.
inline Blocks blocksOf(const ProductSize& size, uint64_t threads) {
  constexpr uint64_t kPerThread = 4;
  const Way& by = way();
  uint64_t high = atMost(kMaxRows / by.rows, divideUp(size.rows, by.rows));
  uint64_t wide = atMost(kMaxCols / by.cols, divideUp(size.cols, by.cols));
  const auto blocks = [&] {
    const uint64_t rowStep = high * by.rows, colStep = wide * by.cols;
    return Blocks{rowStep, colStep, divideUp(size.rows, rowStep), divideUp(size.cols, colStep)};
  };
  while (threads > 1 && high * wide > 1) {
    const Blocks now = blocks();
    if (now.down * now.across * size.batch >= kPerThread * threads) break;
    if (now.rowStep * now.colStep * size.depth < 2 * kMinWork) break;
    uint64_t& longer = now.colStep >= now.rowStep && wide > 1 ? wide : high > 1 ? high : wide;
    longer = (longer + 1) / 2;
  }
  return blocks();
}

}  // namespace bfloat16
