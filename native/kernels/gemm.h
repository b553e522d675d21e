// C (+)= A·B on one thread: the register tile, the packing of B and the loops around them, after BLIS (Van Zee, van de
// Geijn 2015). Strides describe every operand, so that transposed and sliced matrices are read where they lie.
//
//   A [rows, depth]   A(i, k) = a[i·aRow + k·aCol]
//   B [depth, cols]   B(k, j) = b[k·bRow + j]       or, transposed,  b[j·bRow + k]
//   C [rows, cols]    C(i, j) = c[i·cRow + j]
//
// Each C(i, j) is summed over k in order, in blocks of blockDepth(depth) whose sums are added in order. That depends on
// depth alone, so a row's result is the same bits in any batch, at any place in it, on any number of threads.
#pragma once

struct Gemm {
  const float* a;
  size_t aRow, aCol;
  const float* b;
  size_t bRow;
  bool bTransposed;
  float* c;
  size_t cRow;
  size_t rows, cols, depth;
  bool accumulate;
  const float* bias;  // [cols], added at the end, or null
};

inline constexpr size_t kMaxBlockDepth = 512;
inline constexpr size_t kWideRows = TILE_ROWS / 2;
inline constexpr size_t kTileCols = TILE_VECS * kWidth, kMaxTileCols = 4 * kTileCols;

// A tile of few rows is wider: as many accumulators, and longer runs of B, which such a product reads as fast as memory
// goes.
inline size_t tileColsOf(size_t rows, size_t cols, bool bTransposed) {
  if (rows == 1 && cols >= kMaxTileCols && !bTransposed) return kMaxTileCols;
  return rows <= kWideRows && cols > kTileCols ? 2 * kTileCols : kTileCols;
}

// Blocks of nearly the same depth; a last one of a few k would cost as much traffic of C as a full one.
inline size_t blockDepth(size_t depth) {
  const size_t blocks = (depth + kMaxBlockDepth - 1) / kMaxBlockDepth;
  return blocks == 0 ? 0 : (depth + blocks - 1) / blocks;
}

// Adds what belongs to a tile at the right edge of C, whose sums have been put aside.
inline void storeEdge(const float* sums, size_t tileCols, size_t rows, size_t cols, float* c, size_t cRow, bool add,
                      const float* bias) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < cols; ++j) {
      float value = sums[r * tileCols + j];
      if (add) value += c[r * cRow + j];
      if (bias != nullptr) value += bias[j];
      c[r * cRow + j] = value;
    }
  }
}

struct TileTarget {
  float* c;
  size_t row, cols;
  bool add;
  const float* bias;
};

// rows × (vecs vectors) of C in registers: for each k one outer product of a column of A with a row of B. With kPacks
// it also leaves the rows of B that it has read in `panel`, one after the other.
template <size_t kRows, size_t kVecs, bool kPacks = false>
void tile(size_t depth, const float* a, size_t aRow, size_t aCol, const float* b, size_t bRow, const TileTarget& target,
          [[maybe_unused]] float* panel) {
  Vf sum[kRows][kVecs] = {};
  for (; depth > 0; --depth, a += aCol, b += bRow) {
    Vf row[kVecs];
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) row[v] = load(b + v * kWidth);
    if constexpr (kPacks) {
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v) store(panel + v * kWidth, row[v]);
      panel += kVecs * kWidth;
    }
    const float* group = a;
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      if (r != 0 && r % 4 == 0)
        group += 4 * aRow;  // x86 addresses reach 0, 1, 2 and 4 strides, so one more register does
      const Vf x = splat(group[r % 4 * aRow]);
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v) sum[r][v] = fma(x, row[v], sum[r][v]);
    }
  }
  if (target.cols < kVecs * kWidth) {
    float sums[kRows * kVecs * kWidth];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v) store(sums + (r * kVecs + v) * kWidth, sum[r][v]);
    return storeEdge(sums, kVecs * kWidth, kRows, target.cols, target.c, target.row, target.add, target.bias);
  }
  if (target.add) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v) sum[r][v] += load(target.c + r * target.row + v * kWidth);
  }
  if (target.bias != nullptr) {
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
      for (size_t v = 0; v < kVecs; ++v) sum[r][v] += load(target.bias + v * kWidth);
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) store(target.c + r * target.row + v * kWidth, sum[r][v]);
}

using Tile = void (*)(size_t depth, const float* a, size_t aRow, size_t aCol, const float* b, size_t bRow,
                      const TileTarget& target, float* panel);

template <size_t kVecs, size_t... I>
Tile tileWith(size_t rows, std::index_sequence<I...>) {
  static constexpr Tile tiles[] = {tile<I + 1, kVecs>...};
  return tiles[rows - 1];
}

inline Tile tileOf(size_t rows, size_t cols) {
  if (cols == kMaxTileCols) return tile<1, 4 * TILE_VECS>;
  if (cols > kTileCols) return tileWith<2 * TILE_VECS>(rows, std::make_index_sequence<kWideRows>());
  if (cols > kWidth) return tileWith<TILE_VECS>(rows, std::make_index_sequence<TILE_ROWS>());
  return tileWith<1>(rows, std::make_index_sequence<TILE_ROWS>());
}

// B(k … k+depth, j … j+cols) as rows of panelCols floats, zeros beyond cols.
inline void packRows(const float* b, size_t bRow, size_t depth, size_t cols, size_t panelCols, float* panel) {
  for (size_t k = 0; k < depth; ++k, b += bRow, panel += panelCols) {
    for (size_t j = 0; j < panelCols; j += kWidth) {
      if (j + kWidth <= cols) {
        store(panel + j, load(b + j));
      } else {
        store(panel + j, j < cols ? loadFirst(b + j, cols - j) : splat(0.f));
      }
    }
  }
}

// The same from Bᵀ, kWidth × kWidth floats at a time.
inline void packTransposed(const float* b, size_t bRow, size_t depth, size_t cols, size_t panelCols, float* panel) {
  for (size_t j = 0; j < panelCols; j += kWidth) {
    const size_t lines = cols <= j ? 0 : cols - j < kWidth ? cols - j : kWidth;
    for (size_t k = 0; k < depth; k += kWidth) {
      const float* from = b + j * bRow + k;
      float* to = panel + k * panelCols + j;
      const size_t length = depth - k < kWidth ? depth - k : kWidth;
      Vf square[kWidth];
      if (lines == kWidth && length == kWidth) {
#pragma GCC unroll 16
        for (size_t i = 0; i < kWidth; ++i) square[i] = load(from + i * bRow);
        transpose(square);
#pragma GCC unroll 16
        for (size_t i = 0; i < kWidth; ++i) store(to + i * panelCols, square[i]);
        continue;
      }
      for (size_t i = 0; i < kWidth; ++i) {
        square[i] =
            i < lines ? (length == kWidth ? load(from + i * bRow) : loadFirst(from + i * bRow, length)) : splat(0.f);
      }
      transpose(square);
      for (size_t i = 0; i < length; ++i) store(to + i * panelCols, square[i]);
    }
  }
}

// Computes one thread's block of C. `panel` has room for kMaxBlockDepth × kMaxTileCols floats. finish(j, cols) is
// called when columns j … j+cols are complete, while they are still in the cache.
template <class Finish>
void gemmBlock(const Gemm& g, float* panel, const Finish& finish) {
  const size_t tileCols = tileColsOf(g.rows, g.cols, g.bTransposed);
  // B is read in place unless it is transposed, or its rows lie on different pages and the copy will be used often.
  const bool packs = !g.bTransposed && g.bRow >= 1024 && g.rows > 3 * TILE_ROWS;
  const size_t step = blockDepth(g.depth);
  size_t k = 0;
  do {
    const size_t depth = g.depth - k < step ? g.depth - k : step;
    const bool last = k + depth == g.depth;
    for (size_t j = 0; j < g.cols; j += tileCols) {
      const size_t cols = g.cols - j < tileCols ? g.cols - j : tileCols;
      const float* b = g.bTransposed ? g.b + j * g.bRow + k : g.b + k * g.bRow + j;
      const size_t width = cols <= kWidth ? kWidth : cols <= kTileCols ? kTileCols : tileCols;
      size_t bRow = g.bRow;
      if (g.bTransposed || cols < width) {
        (g.bTransposed ? packTransposed : packRows)(b, bRow, depth, cols, width, panel);
        b = panel;
        bRow = width;
      }
      for (size_t i = 0; i < g.rows; i += TILE_ROWS) {
        const size_t rows = g.rows - i < TILE_ROWS ? g.rows - i : TILE_ROWS;
        const bool first = packs && b != panel && width == tileCols;
        const Tile compute = first ? tile<TILE_ROWS, TILE_VECS, true> : tileOf(rows, width);
        compute(depth, g.a + i * g.aRow + k * g.aCol, g.aRow, g.aCol, b, bRow,
                {g.c + i * g.cRow + j, g.cRow, cols, k > 0 || g.accumulate,
                 last && g.bias != nullptr ? g.bias + j : nullptr},
                panel);
        if (first) {
          b = panel;
          bRow = width;
        }
      }
      if (last) finish(j, cols);
    }
    k += depth;
  } while (k < g.depth);
}
