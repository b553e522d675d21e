// How a matrix product is cut into blocks, each a task. No bit depends on it (see gemm.h), so that it may look at how
// many threads there are.
#pragma once
#include "kernels/shared/gemm.h"

// Blocks of C: their rows and columns, and how many there are down and across each matrix of a batch.
struct Blocks {
  uint64_t rowStep, colStep, down, across;
};

// C = op(a)·op(b), for each matrix of a batch.
struct ProductSize {
  uint64_t rows, cols, depth, batch;
  bool transposeA, transposeB;
};

class GemmCut {
 public:
  GemmCut(const ProductSize& size, uint64_t threads) : size_(size), threads_(threads) {}

  // Of many rows: see ManyRows.
  Blocks many() const {
    // Blocks are as large as suits a level-2 cache at first.
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

  // Of few rows: see fewRows(). With one task for each thread B is read in the longest runs. Where B stays in the
  // caches two are better, as threads then end at the same time; but not for a single row, as a narrow task has few
  // sums under way. Where runs would become too short the rows are cut, not the columns.
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

  // Of a weight in panels: see rowsInPanels(). Few rows wait for panels: each thread reads the same number of columns,
  // in one run. With more rows there are several tasks of whole panels for each thread, so that threads end at the same
  // time.
  Blocks inPanels() const {
    const uint64_t panels = divideUp(size_.cols, kPanelCols);
    const uint64_t down = divideUp(tilesDown(), kMaxTilesDown), perThread = size_.rows <= kWaitingRows ? 1 : 4;
    const uint64_t across = threads_ == 1 ? 1 : divideUp(atMost(perThread * threads_, tasksWorth()), down);
    const uint64_t wide = panels < across ? 1 : panels / across;  // what is left over is a short task
    return blocks(divideUp(tilesDown(), down) * kTileRows,
                  perThread == 1 ? wholeVectors(divideUp(size_.cols, across)) : wide * kPanelCols);
  }

  // How many matrices of a batch that are one block each make a task.
  uint64_t together() const { return kLeastWork / (size_.rows * size_.cols * size_.depth) + 1; }

 private:
  static constexpr uint64_t kWaitingRows = 64;     // that wait for panels
  static constexpr uint64_t kLongRun = 192;        // floats
  static constexpr uint64_t kLeastWork = 1 << 17;  // multiply-adds that are worth a task: two microseconds

  // How many tiles a block is high and wide.
  struct TilesOfBlock {
    uint64_t high, wide;
  };

  uint64_t tilesDown() const { return divideUp(size_.rows, kTileRows); }
  uint64_t tilesAcross() const { return divideUp(size_.cols, tileCols_); }

  Blocks blocks(uint64_t rowStep, uint64_t colStep) const {
    return {rowStep, colStep, divideUp(size_.rows, rowStep), divideUp(size_.cols, colStep)};
  }

  // How many tasks are worth their start. Fewer than eight rows take as long as eight: they wait for B.
  uint64_t tasksWorth() const { return (size_.rows < 8 ? 8 : size_.rows) * size_.cols * size_.depth / kLeastWork + 1; }

  // Whether such blocks are fewer than so many for each thread, and long enough to be halved.
  bool areTooFew(const TilesOfBlock& block, uint64_t perThread) const {
    const uint64_t tasks = divideUp(tilesDown(), block.high) * divideUp(tilesAcross(), block.wide) * size_.batch;
    const bool isLong = block.high * block.wide * kTileRows * tileCols_ * size_.depth > 2 * kLeastWork;
    return threads_ > 1 && tasks < perThread * threads_ && isLong;
  }

  static void halve(uint64_t& n) { n = (n + 1) / 2; }

  // A gradient of weights sums over all rows of both factors: few square blocks read least of them.
  void shrinkGradient(TilesOfBlock& block) const {
    while (block.high * block.wide > 1 && areTooFew(block, 1)) {
      const bool isHigh = block.high > 1 && block.high * kTileRows >= atMost(size_.cols, block.wide * tileCols_);
      halve(block.wide == 1 || isHigh ? block.high : block.wide);
    }
  }

  // Other products are cut until threads share the blocks evenly. Each block packs its columns of B for itself, and a
  // column costs as much as two rows of A. Blocks of fewer rows are the last resort: each reads B once more.
  void shrinkProduct(TilesOfBlock& block) const {
    while (block.wide > kTuning.tilesTogether && areTooFew(block, 4)) halve(block.wide);
    while (block.high > 1 && areTooFew(block, 4)) halve(block.high);
  }

  // How many blocks there are down, at least `least`: nearly equally tall, and so many that threads end together. Each
  // packs its part of B, which takes as long as one more tile.
  uint64_t evenDown(uint64_t least, uint64_t across) const {
    const auto longest = [&](uint64_t down) {
      return divideUp(down * across * size_.batch, threads_) * (divideUp(tilesDown(), down) + 1);
    };
    uint64_t best = least;
    for (uint64_t down = least + 1; down < 2 * least && down * across * size_.batch <= 16 * threads_; ++down)
      if (longest(down) < longest(best)) best = down;
    return best;
  }

  const ProductSize size_;
  const uint64_t threads_, tileCols_ = tileColsOf(size_.rows, size_.transposeB);
};
