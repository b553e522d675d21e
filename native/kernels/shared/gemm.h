// C (+)= A·B on one thread: packing of B, and the loops around the register tile, after BLIS (Van Zee, van de Geijn
// 2015). All operands have strides, so that transposed and sliced matrices are read in place.
//
//   A [rows, depth]   A(i, k) = a[i·aRow + k·aCol]
//   B [depth, cols]   B(k, j) = b[k·bRow + j]       or, transposed,  b[j·bRow + k]
//   C [rows, cols]    C(i, j) = c[i·cRow + j]
//
// Each C(i, j) is summed over k in order, in blocks of blockDepth(depth) whose sums are added in order. This order
// depends on depth alone. A row therefore has the same bits in any batch, at any place in it, and on any number of
// threads.
//
// With many rows, a panel of B (as wide as a tile) stays in a cache while all rows of A are multiplied with it. A
// weight in panels (panels.h) is stored in this order. For another B, the first tile that reads a panel packs it.
//
// With few rows, the time is that of reading B, and memory is fastest when it is read from end to end. So fewRows()
// takes a few rows of B at a time, over all columns, and keeps the unfinished sums of C in a buffer.
//
// gemmBlock() chooses one of four algorithms. GemmCut (gemm_blocks.h) cuts C into blocks for each of them.
//
//   fewRowsTransposed  Bᵀ and up to 8 rows: in registers, B is read once       many()
//   rowsInPanels       a weight in panels, any number of rows                  inPanels()
//   fewRows            B in rows, up to kFewRows rows or, if large, kMaxFew     few()
//   ManyRows           all others: B, A or both are packed                     many()
#pragma once
#include "kernels/shared/gemm_tile.h"

struct Gemm {
  const float* a;
  size_t aRow, aCol = 1;
  const float* b;
  size_t bRow;
  bool bTransposed = false;
  float* c;
  size_t cRow;
  size_t rows, cols, depth;
  bool accumulate = false;
  const float* bias = nullptr;  // [cols], added at the end; null if there is none
  float* columnSums = nullptr;  // [cols] (+)= the column sums of B; null if not needed, and for few rows
  bool accumulateSums = false;
  bool few = false;       // isFew() of the whole product
  bool inPanels = false;  // b is a weight of bRow columns in panels, read from column firstCol on
  size_t firstCol = 0;

  // The target of the tile at (i, j) for one block of k. The last block adds the bias.
  TileTarget target(size_t i, size_t j, size_t width, bool first, bool last) const {
    const float* biases = last && bias != nullptr ? bias + j : nullptr;
    return {c + i * cRow + j, cRow, width, !first || accumulate, biases};
  }
};

// Loads a word of every cache line, so that the processor fetches all lines at once.
inline void touch(const float* b, size_t bRow, size_t depth, size_t cols) {
  for (; depth > 0; --depth, b += bRow)
    for (size_t j = 0; j < cols; j += 16) (void)*static_cast<const volatile float*>(b + j);
}

// Maximum number of tiles in a block of C.
inline constexpr size_t kMaxTilesDown = kTuning.blockRows / kTileRows;
inline constexpr size_t kMaxTilesAcross = kTuning.blockCols / kTileCols;

// Memory for a packed tile of A, in floats. It is slightly larger than needed, because tiles a power of two apart would
// begin in the same set of the cache.
inline constexpr size_t kPackedTile = kMaxBlockDepth * kTileRows + kWidth;

// Packs rows of A as tiles of kTileRows rows, kPackedTile floats apart: A(i, k) = tile[k·kTileRows + i]. Elements of a
// row must be adjacent.
inline void packTiles(const float* a, size_t aRow, size_t depth, size_t rows, float* packed) {
  for (size_t i = 0; i < rows; i += kTileRows, packed += kPackedTile)
    packTransposed(a + i * aRow, aRow, atMost(kTileRows, rows - i), depth, packed, kTileRows);
}

// Like packTiles, if elements of a column of A are adjacent. Reads one column after another; a tile that steps from
// column to column would wait for memory each time.
inline void packColumns(const float* a, size_t aCol, size_t depth, size_t rows, float* packed) {
  for (size_t k = 0; k < depth; ++k, a += aCol) {
    float* to = packed + k * kTileRows;
    for (size_t i = 0; i < rows; i += kTileRows, to += kPackedTile) {
      __builtin_prefetch(a + kTuning.packAhead * aCol + i);
      if (i + kTileRows <= rows)  // with a constant size, memcpy becomes a load and a store
        memcpy(to, a + i, kTileRows * sizeof(float));
      else
        memcpy(to, a + i, (rows - i) * sizeof(float));
    }
  }
}

inline constexpr size_t kFewRows = kTuning.fewRows, kMaxFew = 2 * kFewRows;
inline constexpr size_t kLargeB = size_t{1} << 20;
inline bool isFew(size_t rows, size_t bFloats) { return rows <= (bFloats >= kLargeB ? kMaxFew : kFewRows); }

inline constexpr size_t kPanelFloats = kMaxBlockDepth * kMaxTileCols;
// Maximum number of floats in a block of C for few rows. Its columns are rounded up to whole vectors.
inline constexpr size_t kFewFloats = size_t{1} << 18;
inline size_t maxFewCols(size_t rows) { return atMost(4096, kFewFloats / rows); }
inline constexpr size_t kSumsFloats = kFewFloats + kMaxFew * 2 * kWidth;

inline constexpr size_t kPartFloats = size_t{1} << 15;  // floats of a part of B, for few rows
inline constexpr size_t kCachedB = size_t{1} << 16;     // floats of a B that counts as cached

// Calls body(i, rows, t) for each tile of `rows` rows of A. Tiles have nearly equal heights, because one with a row or
// two would compute at a fraction of the speed.
template <class Body>
void eachTile(size_t rows, const Body& body) {
  const size_t tiles = divideUp(rows, kTileRows);
  for (size_t i = 0, t = 0, height = 0; t < tiles; i += height, ++t) {
    height = divideUp(rows - i, tiles - t);
    body(i, height, t);
  }
}

// A·B for few rows and at most maxFewCols() columns, with B in rows.
template <class Finish>
void fewRows(const Gemm& g, float* edge, float* sums, const Finish& finish) {
  // Number of rows of B per part: more if they are short.
  const bool isCached = g.bRow * g.depth <= kCachedB;
  const size_t least = g.rows <= 32 ? 32 : 64, most = isCached ? kPartFloats / g.cols : 0;
  const size_t part = most > least ? most : least, step = blockDepth(g.depth);
  const size_t tileCols = tileColsOf(g.rows, false);
  const size_t sumsRow = wholeVectors(g.cols) + kWidth;  // not a power of two, so that rows use different cache sets
  // For a single row of A and a small B, the hardware prefetches enough.
  const bool fetches = kTuning.prefetches && (!isCached || g.rows > 1);
  for (size_t k = 0, depth = 0; k < g.depth; k += depth) {
    const size_t start = k / step * step, end = atMost(g.depth, start + step);
    depth = atMost(part, end - k);
    const bool ends = k + depth == end, last = k + depth == g.depth;
    for (size_t j = 0, width = 0; j < g.cols; j += width) {
      width = widthOf(g.cols - j, tileCols);
      const size_t cols = atMost(width, g.cols - j);
      const float *b = g.b + k * g.bRow + j, *below = b + depth * g.bRow;
      // While this part of B is used, the next part is prefetched.
      const float* next = j + width < g.cols ? b + width : below - j;
      const bool whole = cols == width;  // at the edge of C, the part is packed
      if (!whole) packRows(b, g.bRow, depth, cols, edge, width);
      eachTile(g.rows, [&](size_t i, size_t rows, size_t t) {
        float* sum = sums + i * sumsRow + j;
        TileTarget target = g.target(i, j, cols, start == 0, last);
        if (!ends) target = {sum, sumsRow, width, false, nullptr};
        target.start = k > start ? sum : nullptr;
        target.startRow = sumsRow;
        const bool fetching = fetches && whole && t == 0;
        const Tile compute =
            fetching ? tileOf<TileMode::kFetches>(rows, width) : tileOf<TileMode::kContinues>(rows, width);
        TileOperands in{depth, g.a + i * g.aRow + k * g.aCol, g.aRow, g.aCol, whole ? b : edge, whole ? g.bRow : width};
        in.next = next, in.nextRow = g.bRow;
        compute(in, target);
        if (last) finish(i, j, rows, cols);
      });
    }
  }
}

// A·B for a B in panels, which is read from end to end. Each tile prefetches a share of the next panel.
template <class Finish>
void rowsInPanels(const Gemm& g, float* edge, const Finish& finish) {
  const size_t tileCols = tileColsOf(g.rows, false), step = blockDepth(g.depth);
  const size_t tiles = divideUp(g.rows, kTileRows);
  for (size_t col = 0, part = 0; col < g.cols; col += part) {
    const size_t inside = (g.firstCol + col) % kPanelCols, panel = g.firstCol + col - inside;
    const size_t row = atMost(kPanelCols, g.bRow - panel);
    part = atMost(row - inside, g.cols - col);
    const float* b = g.b + panel * g.depth + inside;
    for (size_t k = 0, depth = 0; k < g.depth; k += depth, b += depth * row) {
      depth = atMost(step, g.depth - k);
      const bool last = k + depth == g.depth;
      const float* next = b + depth * row;
      for (size_t j = 0, width = 0; j < part; j += width, next += depth * width) {
        width = widthOf(part - j, tileCols);
        const size_t cols = atMost(width, part - j), nextRow = divideUp(width, tiles);
        const bool whole = cols == width;  // at the edge of C, the panel is packed
        if (!whole) packRows(b + j, row, depth, cols, edge, width);
        eachTile(g.rows, [&](size_t i, size_t rows, size_t t) {
          const Tile compute = tileOf<TileMode::kFetches>(rows, width);
          TileOperands in{depth,  g.a + i * g.aRow + k * g.aCol, g.aRow,
                          g.aCol, whole ? b + j : edge,          whole ? row : width};
          in.next = next + t * depth * nextRow, in.nextRow = nextRow;
          compute(in, g.target(i, col + j, cols, k == 0, last));
          if (last) finish(i, col + j, rows, cols);
        });
      }
    }
  }
}

// sums (+)= the column sums of some rows of B, which are still in a cache.
inline void sumColumns(const float* b, size_t bRow, size_t depth, size_t cols, bool accumulate, float* sums) {
  eachVector(cols, [&](size_t j, size_t lanes) {
    Vf sum = splat(0.f);
    for (size_t k = 0; k < depth; ++k) sum += loadLanes(b + k * bRow + j, lanes);
    storeLanes(sums + j, accumulate ? loadLanes(sums + j, lanes) + sum : sum, lanes);
  });
}

// Panels of B that are multiplied with each tile of A in turn: `width` columns each, `next` floats apart, with `row`
// floats between rows.
struct PanelsOfB {
  const float* b;
  size_t row, width, count, next;
  size_t cols;  // columns of C in the last panel
};

// Returns the panels from column j on and rows from k on, in place or packed in `memory`.
inline PanelsOfB panelsFrom(const Gemm& g, size_t k, size_t depth, size_t j, size_t tileCols, bool touches,
                            float* memory) {
  const size_t left = g.cols - j, width = widthOf(left, tileCols), cols = atMost(width, left);
  const float* b = g.bTransposed ? g.b + j * g.bRow + k : g.b + k * g.bRow + j;
  constexpr size_t kTouchedCols = kTuning.touchedTiles * kTileCols;
  if constexpr (kTouchedCols > 0)
    if (touches && j % kTouchedCols == 0) touch(b, g.bRow, depth, atMost(kTouchedCols, left));
  if (!g.bTransposed && cols == width)
    return {b, g.bRow, width, width == tileCols ? atMost(kTuning.tilesTogether, left / width) : 1, width, cols};
  if (g.bTransposed)
    packTransposed(b, g.bRow, cols, depth, memory, width);
  else
    packRows(b, g.bRow, depth, cols, memory, width);
  return {memory, width, width, 1, 0, cols};
}

// A finish whose type is erased: call(finish, j, rows, cols) is finish(0, j, rows, cols). Functions that take it are
// compiled once for all kernels, which saves 110 kB of the addon. They call it once for kWidth columns.
struct AnyFinish {
  const void* finish;
  void (*call)(const void* finish, size_t j, size_t rows, size_t cols);
};

// A·Bᵀ for few rows. Its time is that of reading B. kWidth rows of B at a time are transposed in registers, while the
// next ones are prefetched.
template <size_t kRows>
void fewRowsTransposed(const Gemm& g, AnyFinish finish) {
  const size_t step = blockDepth(g.depth);
  for (size_t j = 0; j < g.cols; j += kWidth) {
    const size_t cols = atMost(kWidth, g.cols - j);
    const float* next = g.b + (j + kWidth) * g.bRow;
    Vf total[kRows];
    const auto eachRow = [&](const auto& body) { eachAccumulator<kRows, 1>([&](size_t r, size_t) { body(r); }); };
    eachRow([&](size_t r) { total[r] = g.accumulate ? loadLanes(g.c + r * g.cRow + j, cols) : Vf{}; });
    for (size_t k = 0, depth = 0; k < g.depth; k += depth) {
      depth = atMost(step, g.depth - k);
      Vf sum[kRows] = {};
      transposed(g.b + j * g.bRow + k, g.bRow, cols, depth, [&](size_t i, size_t, Vf column, size_t) {
        __builtin_prefetch(next, 0, kFetchTo);
        next += 16;
        eachRow([&](size_t r) { sum[r] = fused(splat(g.a[r * g.aRow + (k + i) * g.aCol]), column, sum[r]); });
      });
      eachRow([&](size_t r) { total[r] = k > 0 || g.accumulate ? sum[r] + total[r] : sum[r]; });
    }
    eachRow([&](size_t r) {
      if (g.bias != nullptr) total[r] += loadLanes(g.bias + j, cols);
      storeLanes(g.c + r * g.cRow + j, total[r], cols);
    });
    finish.call(finish.finish, j, kRows, cols);
  }
}

inline constexpr size_t kFewTransposed = 8;
template <size_t... I>
void fewRowsTransposed(const Gemm& g, AnyFinish finish, std::index_sequence<I...>) {
  static constexpr void (*all[])(const Gemm&, AnyFinish) = {fewRowsTransposed<I + 1>...};
  all[g.rows - 1](g, finish);
}

inline constexpr size_t kPackingTiles = 4;  // minimum number of tiles across C for which packing rows of A pays

// A·B for many rows, at most kMaxTilesDown tiles, with B not in panels.
template <class Finish>
class ManyRows {
 public:
  // `panel` holds kPanelFloats floats, `packedA` kPackedFloats.
  ManyRows(const Gemm& g, float* panel, float* packedA, const Finish& finish)
      : g_(g), panel_(panel), packedA_(packedA), finish_(finish) {}

  void multiply() {
    const size_t step = blockDepth(g_.depth);
    for (k_ = 0; k_ < g_.depth; k_ += depth_) {
      depth_ = atMost(step, g_.depth - k_);
      isLast_ = k_ + depth_ == g_.depth;
      if (packsA_) packA();
      for (size_t j = 0; j < g_.cols;) j += multiplyPanels(j);
    }
  }

 private:
  void packA() {
    if (packsRowsOfA_)
      packTiles(g_.a + k_, g_.aRow, depth_, g_.rows, packedA_);
    else
      packColumns(g_.a + k_ * g_.aCol, g_.aCol, depth_, g_.rows, packedA_);
  }

  // Multiplies all tiles of A with the panels of B that begin at column j. Returns the number of columns of these
  // panels.
  size_t multiplyPanels(size_t j) {
    PanelsOfB panels = panelsFrom(g_, k_, depth_, j, tileCols_, touchesB_, panel_);
    const size_t cols = panels.count * panels.width;
    for (size_t i = 0, rows = 0, t = 0; i < g_.rows; i += rows, ++t) {
      rows = atMost(kTileRows, g_.rows - i);
      const bool packing = packsB_ && panels.b != panel_ && rows == kTileRows;  // the first whole tile packs
      multiplyTile(i, rows, t, j, panels, packing);
      if (isLast_) finish_(i, j, rows, cols - panels.width + panels.cols);
      if (packing) panels.b = panel_, panels.row = panels.width, panels.next = depth_ * panels.width;
    }
    if (g_.columnSums != nullptr) addColumnSums(j, panels);
    return cols;
  }

  // Multiplies tile t of A, `rows` rows from i on, with the panels of B. Packs the panels if `packing`.
  void multiplyTile(size_t i, size_t rows, size_t t, size_t j, const PanelsOfB& panels, bool packing) {
    const float* a = packsA_ ? packedA_ + t * kPackedTile : g_.a + i * g_.aRow + k_ * g_.aCol;
    const auto target = [&](size_t col) { return g_.target(i, col, panels.cols, k_ == 0, isLast_); };
    const bool isWhole = rows == kTileRows && panels.width == kTileCols;
    if (kTuning.packsRows && packsA_ && isWhole && panels.row == kTileCols)
      return packedTiles(depth_, a, panels.b, panels.next, panels.count, target(j));
    const Tile compute = packing ? packingTileOf(panels.width) : tileOf<TileMode::kPlain>(rows, panels.width);
    TileOperands in{depth_, a, packsA_ ? 1 : g_.aRow, packsA_ ? kTileRows : g_.aCol, panels.b, panels.row, panel_};
    for (size_t p = 0, col = j; p < panels.count; ++p, col += panels.width) {
      compute(in, target(col));
      in.b += panels.next;
      in.panel += depth_ * panels.width;
    }
  }

  void addColumnSums(size_t j, const PanelsOfB& panels) {
    for (size_t p = 0, col = j; p < panels.count; ++p, col += panels.width)
      sumColumns(panels.b + p * panels.next, panels.row, depth_, panels.cols, k_ > 0 || g_.accumulateSums,
                 g_.columnSums + col);
  }

  const Gemm& g_;
  float *panel_, *packedA_;
  const Finish& finish_;
  const size_t tileCols_ = tileColsOf(g_.rows, g_.bTransposed);
  const bool packsB_ = !g_.bTransposed;  // the first tile that reads a panel packs it; a transposed B is packed before
  const bool touchesB_ = kTuning.touchedTiles > 0 && packsB_&& tileCols_ == kTileCols;
  const bool packsRowsOfA_ = kTuning.packsRows && g_.aCol == 1 && g_.cols >= kPackingTiles * tileCols_;
  const bool packsA_ = packsRowsOfA_ || (g_.aRow == 1 && g_.aCol > 1 && g_.cols > tileCols_);
  // The current block of k.
  size_t k_ = 0, depth_ = 0;
  bool isLast_ = false;
};

// Computes one block of C. `memory` holds kGemmMemory floats. finish(i, j, rows, cols) is called for each part of C
// when it is complete and still in the cache.
inline constexpr size_t kPackedFloats = kMaxTilesDown * kPackedTile;
inline constexpr size_t kGemmMemory = kPanelFloats + (kPackedFloats > kSumsFloats ? kPackedFloats : kSumsFloats);
static_assert(kGemmMemory <= kScratchFloats);
template <class Finish>
void gemmBlock(const Gemm& g, float* memory, const Finish& finish) {
  if (kTuning.prefetches && g.bTransposed && g.rows <= kFewTransposed) {
    const auto call = [](const void* own, size_t j, size_t rows, size_t cols) {
      (*static_cast<const Finish*>(own))(0, j, rows, cols);
    };
    return fewRowsTransposed(g, AnyFinish{&finish, call}, std::make_index_sequence<kFewTransposed>());
  }
  if (kTuning.panels && g.inPanels) return rowsInPanels(g, memory, finish);
  if (g.few) return fewRows(g, memory, memory + kPanelFloats, finish);
  ManyRows<Finish>(g, memory, memory + kPanelFloats, finish).multiply();
}
