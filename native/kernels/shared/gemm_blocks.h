// Division of a matrix product into blocks of C, each a task. The division affects no bit (see gemm.h), so it may
// depend on the number of threads.
#pragma once
#include "kernels/shared/gemm.h"

// Blocks of C: rows and columns of each, and the number of blocks down and across each matrix of a batch.
struct Blocks {
  uint64_t rowStep, colStep, down, across;
};

// The size of C = op(a)·op(b), for each matrix of a batch.
struct ProductSize {
  uint64_t rows, cols, depth, batch;
  bool transposeA, transposeB;
};

class GemmCut {
 public:
  GemmCut(const ProductSize& size, uint64_t threads) : size_(size), threads_(threads) {}

  // Blocks for ManyRows.
  Blocks many() const {
    // Blocks begin with the size that suits a level-2 cache.
    TilesOfBlock block = {atMost(kMaxTilesDown, tilesDown()), atMost(kMaxTilesAcross, tilesAcross())};
    if (size_.transposeA)
      shrinkGradient(block);
    else
      shrinkProduct(block);
    const uint64_t across = divideUp(tilesAcross(), block.wide);
    const uint64_t down = evenDown(divideUp(tilesDown(), block.high), across);
    return blocks(divideUp(tilesDown(), down) * kTileRows, size_.transposeA
                                                               ? wholeVectors(divideUp(size_.cols, across))
                                                               : divideUp(tilesAcross(), across) * tileCols_);
  }

  // Blocks for fewRows(). One task per thread reads B in the longest runs. If B stays in the caches, two are better,
  // because threads then end at the same time. For a single row one is better, because a narrow task has too few sums
  // in flight. If runs would become too short, rows are divided instead of columns.
  Blocks few() const {
    const uint64_t worth = tasksWorth();
    const bool isCached = size_.cols * size_.depth <= kCachedB;
    const bool halves = isCached && size_.rows > 1 && worth >= 2 * threads_;
    const uint64_t tasks = divideUp(halves ? 2 * threads_ : atMost(threads_, worth), size_.batch);
    const uint64_t down = size_.cols < kLongRun * tasks ? atMost(tasks, tilesDown()) : 1;
    const uint64_t runs = divideUp(size_.cols, maxFewCols(size_.rows)), wanted = divideUp(tasks, down);
    const uint64_t across = wanted >= runs ? wanted : divideUp(runs, threads_) * threads_;
    return blocks(divideUp(size_.rows, down), wholeVectors(divideUp(size_.cols, across)));
  }

  // Blocks for rowsInPanels(). With few rows, threads wait for memory, so each reads equally many columns in one run.
  // With more rows, each thread has several tasks of whole panels, so that threads end at the same time.
  Blocks inPanels() const {
    const uint64_t panels = divideUp(size_.cols, kPanelCols);
    const uint64_t down = divideUp(tilesDown(), kMaxTilesDown), perThread = size_.rows <= kWaitingRows ? 1 : 4;
    const uint64_t across = threads_ == 1 ? 1 : divideUp(atMost(perThread * threads_, tasksWorth()), down);
    const uint64_t wide = panels < across ? 1 : panels / across;  // the remainder is a short task
    return blocks(divideUp(tilesDown(), down) * kTileRows,
                  perThread == 1 ? wholeVectors(divideUp(size_.cols, across)) : wide * kPanelCols);
  }

  // The number of matrices of a batch per task, if each is one block.
  uint64_t together() const { return kMinWork / (size_.rows * size_.cols * size_.depth) + 1; }

 private:
  static constexpr uint64_t kWaitingRows = 64;   // up to so many rows, the time is that of reading panels
  static constexpr uint64_t kLongRun = 192;      // floats
  static constexpr uint64_t kMinWork = 1 << 17;  // minimum number of multiply-adds per task: two microseconds

  // Height and width of a block in tiles.
  struct TilesOfBlock {
    uint64_t high, wide;
  };

  uint64_t tilesDown() const { return divideUp(size_.rows, kTileRows); }
  uint64_t tilesAcross() const { return divideUp(size_.cols, tileCols_); }

  Blocks blocks(uint64_t rowStep, uint64_t colStep) const {
    return {rowStep, colStep, divideUp(size_.rows, rowStep), divideUp(size_.cols, colStep)};
  }

  // The maximum number of tasks that are worth their overhead. Fewer than eight rows take as long as eight, because
  // they wait for B.
  uint64_t tasksWorth() const { return (size_.rows < 8 ? 8 : size_.rows) * size_.cols * size_.depth / kMinWork + 1; }

  // True if there are fewer than `perThread` blocks of this size per thread, and they are large enough to be halved.
  bool areTooFew(const TilesOfBlock& block, uint64_t perThread) const {
    const uint64_t tasks = divideUp(tilesDown(), block.high) * divideUp(tilesAcross(), block.wide) * size_.batch;
    const bool isLong = block.high * block.wide * kTileRows * tileCols_ * size_.depth > 2 * kMinWork;
    return threads_ > 1 && tasks < perThread * threads_ && isLong;
  }

  static void halve(uint64_t& n) { n = (n + 1) / 2; }

  // The product is a gradient of weights, which sums over all rows of both factors. A few square blocks read the least
  // memory.
  void shrinkGradient(TilesOfBlock& block) const {
    while (block.high * block.wide > 1 && areTooFew(block, 1)) {
      const bool isHigh = block.high > 1 && block.high * kTileRows >= atMost(size_.cols, block.wide * tileCols_);
      halve(block.wide == 1 || isHigh ? block.high : block.wide);
    }
  }

  // Other products are divided until threads share the blocks evenly. Each block packs its columns of B, and a column
  // costs as much as two rows of A. Rows are divided last, because each block then reads B again.
  void shrinkProduct(TilesOfBlock& block) const {
    while (block.wide > kTuning.tilesTogether && areTooFew(block, 4)) halve(block.wide);
    while (block.high > 1 && areTooFew(block, 4)) halve(block.high);
  }

  // Returns the number of blocks down, at least `least`, with which the busiest thread has the least work. Nine equal
  // blocks, for example, keep one of two threads idle for a tenth of the time. Each block packs its part of B, which
  // takes as long as one more tile.
  uint64_t evenDown(uint64_t least, uint64_t across) const {
    const auto busiest = [&](uint64_t down) {
      return divideUp(down * across * size_.batch, threads_) * (divideUp(tilesDown(), down) + 1);
    };
    uint64_t best = least;
    for (uint64_t down = least + 1; down < 2 * least && down * across * size_.batch <= 16 * threads_; ++down)
      if (busiest(down) < busiest(best)) best = down;
    return best;
  }

  const ProductSize size_;
  const uint64_t threads_, tileCols_ = tileColsOf(size_.rows, size_.transposeB);
};
