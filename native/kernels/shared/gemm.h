// C (+)= A·B on one thread: the register tile, the packing of B and the loops around them, after BLIS (Van Zee, van de
// Geijn 2015). Strides describe every operand, so that transposed and sliced matrices are read where they lie.
//
//   A [rows, depth]   A(i, k) = a[i·aRow + k·aCol]
//   B [depth, cols]   B(k, j) = b[k·bRow + j]       or, transposed,  b[j·bRow + k]
//   C [rows, cols]    C(i, j) = c[i·cRow + j]
//
// Each C(i, j) is summed over k in order, in blocks of blockDepth(depth) whose sums are added in order. That depends on
// depth alone, so a row's result is the same bits in any batch, at any place in it, on any number of threads.
//
// Many rows of A meet a panel of B, as wide as a tile, while it is in a cache. Few rows wait for B, and memory gives
// most when its rows are read from end to end: there all columns go some k at a time, and their sums wait in a buffer.
// AMD's processors prefetch a panel as well, and sums of several rows stay in registers: 10 to 20 % faster on Zen 4.
#pragma once
#include "kernels/shared/pack.h"

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
  float* columnSums;  // [cols] (+)= those of B, or null; not for few rows
  bool accumulateSums;
  bool few;  // isFew(), of the whole product
};

inline constexpr size_t kMaxBlockDepth = 512;

// The tile. Of 16 floats a vector it is 8 × 3, which loads less for each multiply-add than attention's 12 × 2, and
// reads fewer rows of A at a time: a power of two apart, they share few sets of the cache.
inline constexpr size_t kTileRows = kWidth == 16 ? 8 : TILE_ROWS, kTileVecs = kWidth == 16 ? 3 : TILE_VECS;
inline constexpr size_t kWideRows = kTileRows / 2;
inline constexpr size_t kTileCols = kTileVecs * kWidth, kMaxTileCols = 8 * kWidth;

// A tile of few rows is wider, so that it has as many accumulators.
inline size_t tileColsOf(size_t rows, size_t cols, bool bTransposed) {
  if (rows == 1 && cols >= kMaxTileCols && !bTransposed) return kMaxTileCols;
  return rows <= kWideRows && cols > kTileCols ? 2 * kTileCols : kTileCols;
}

// Blocks of nearly the same depth; a last one of a few k would cost as much traffic of C as a full one. Of more than a
// few k there are two, four, …, which threads can share (see stream.h); that costs many rows 1 % where one would do.
inline size_t blockDepth(size_t depth) {
  return divideUp(depth, depth <= kMaxBlockDepth / 2 ? 1 : 2 * divideUp(depth, 2 * kMaxBlockDepth));
}

// Where a tile's sums go: `cols` columns of C, added to what is there if `add`, with `bias` (of these columns) if any.
// Those of few rows begin with the sums at `start`, or with zeros if it is null.
struct TileTarget {
  float* c;
  size_t row, cols;
  bool add;
  const float* bias;
  const float* start = nullptr;
  size_t startRow = 0;
};

// The sums of a tile at the right edge of C, which have been put aside, rows of tileCols.
inline void storeEdge(const float* sums, size_t tileCols, size_t rows, const TileTarget& target) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < target.cols; ++j) {
      float value = sums[r * tileCols + j];
      if (target.add) value += target.c[r * target.row + j];
      if (target.bias != nullptr) value += target.bias[j];
      target.c[r * target.row + j] = value;
    }
  }
}

// Calls body(r, v) for each accumulator of a tile, unrolled: those that an index names at run time would not stay in
// registers.
template <size_t kRows, size_t kVecs, class Body>
SIMD_INLINE void eachAccumulator(const Body& body) {
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) body(r, v);
}

// WebAssembly cannot prefetch, and its narrow tiles read and write half a line at a time. There panels are touched and
// packed before they are used, so that whole lines are waited for, many at once, and some meet each tile of A together,
// so that whole lines of C are written; blocks of C are larger, for they share that.
#if defined(__wasm__)
inline constexpr bool kPacksAhead = true;
inline constexpr int kUnrolled = 1;                                 // k; in V8 longer loops are slower
inline constexpr size_t kMaxTilesDown = 32, kMaxTilesAcross = 16;   // in a block of C
inline constexpr size_t kTilesTogether = kMaxTileCols / kTileCols;  // panels that meet a tile of A
inline constexpr size_t kTouchedCols = kMaxTilesAcross * kTileCols;
#else
inline constexpr bool kPacksAhead = false;
inline constexpr int kUnrolled = 2;                       // k; 4 are slower than 1
inline constexpr size_t kMaxTilesDown = 320 / kTileRows;  // their A takes most of a level-2 cache of 1 MB
inline constexpr size_t kMaxTilesAcross = 8, kTilesTogether = 1, kTouchedCols = 1;
#endif

inline constexpr size_t kFarRows = 128;    // from one row of B to the next; nearer ones are read in place
inline constexpr size_t kRowsAhead = 32;   // what packing prefetches
inline constexpr int kFetchTo = 2;         // the level-2 cache: that of level 1 has B and sums in it
inline constexpr size_t kLeastAhead = 64;  // the depth from which it is worth to prefetch C

// What a tile does beside: nothing; leave the rows of B that it has read in `panel`, one after the other; go on with
// sums that were begun; or that, and fetch `next`, the part of B that the next tile will read.
enum class Beside { kNothing, kPacks, kContinues, kFetches };

// rows × (vecs vectors) of C in registers: for each k one outer product of a column of A with a row of B. C, whose rows
// lie on other pages, is fetched meanwhile; a large tile by halves, as all of it at once would hold up the reading of A
// and B.
template <size_t kRows, size_t kVecs, Beside kBeside = Beside::kNothing>
void tile(size_t depth, const float* a, size_t aRow, size_t aCol, const float* b, size_t bRow, const TileTarget& target,
          [[maybe_unused]] float* panel, [[maybe_unused]] const float* next) {
  Vf sum[kRows][kVecs] = {};
  if ((kBeside == Beside::kContinues || kBeside == Beside::kFetches) && target.start != nullptr) {
    eachAccumulator<kRows, kVecs>(
        [&](size_t r, size_t v) { sum[r][v] = load(target.start + r * target.startRow + v * kWidth); });
  }
  constexpr size_t kParts = !kPacksAhead && kRows * kVecs > 8 ? 2 : 1, kPartRows = divideUp(kRows, kParts);
  for (size_t part = 0, k = 0; part < kParts; ++part) {
    if (depth >= kLeastAhead) {
      const float* ahead = target.c + part * (kRows - kPartRows) * target.row;
      eachAccumulator<kPartRows, kVecs>(
          [&](size_t r, size_t v) { __builtin_prefetch(ahead + r * target.row + v * kWidth, 1); });
    }
#pragma GCC unroll kUnrolled
    for (const size_t end = depth * (part + 1) / kParts; k < end; ++k, a += aCol, b += bRow) {
      Vf row[kVecs];
      eachAccumulator<1, kVecs>([&](size_t, size_t v) { row[v] = load(b + v * kWidth); });
      if constexpr (kBeside == Beside::kFetches) {
        eachAccumulator<1, kVecs>([&](size_t, size_t v) { __builtin_prefetch(next + v * kWidth, 0, kFetchTo); });
        next += bRow;
      }
      if constexpr (kBeside == Beside::kPacks) {
        // Rows on other pages come as a surprise to the processor's own prefetching.
        eachAccumulator<1, kVecs>([&](size_t, size_t v) { __builtin_prefetch(b + kRowsAhead * bRow + v * kWidth); });
        eachAccumulator<1, kVecs>([&](size_t, size_t v) { store(panel + v * kWidth, row[v]); });
        panel += kVecs * kWidth;
      }
      const float* group = a;
#pragma GCC unroll 16
      for (size_t r = 0; r < kRows; ++r) {
        if (r != 0 && r % 4 == 0) group += 4 * aRow;  // an x86 address reaches at most 3 rows beyond a register
        const Vf x = splat(group[r % 4 * aRow]);
        eachAccumulator<1, kVecs>([&](size_t, size_t v) { sum[r][v] = fused(x, row[v], sum[r][v]); });
      }
    }
  }
  if (target.cols < kVecs * kWidth) {
    float sums[kRows * kVecs * kWidth];
    eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) { store(sums + (r * kVecs + v) * kWidth, sum[r][v]); });
    return storeEdge(sums, kVecs * kWidth, kRows, target);
  }
  if (target.add) {
    eachAccumulator<kRows, kVecs>(
        [&](size_t r, size_t v) { sum[r][v] += load(target.c + r * target.row + v * kWidth); });
  }
  if (target.bias != nullptr) {
    eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) { sum[r][v] += load(target.bias + v * kWidth); });
  }
  eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) { store(target.c + r * target.row + v * kWidth, sum[r][v]); });
}

using Tile = void (*)(size_t depth, const float* a, size_t aRow, size_t aCol, const float* b, size_t bRow,
                      const TileTarget& target, float* panel, const float* next);

template <size_t kVecs, Beside kBeside, size_t... I>
Tile tileWith(size_t rows, std::index_sequence<I...>) {
  static constexpr Tile tiles[] = {tile<I + 1, kVecs, kBeside>...};
  return tiles[rows - 1];
}

template <Beside kBeside>
Tile tileOf(size_t rows, size_t cols) {
  constexpr auto all = std::make_index_sequence<kTileRows>();
  if (cols == kMaxTileCols) return tile<1, 8, Beside::kContinues>;  // the processor foresees what one row reads
  if (cols > kTileCols) return tileWith<2 * kTileVecs, kBeside>(rows, std::make_index_sequence<kWideRows>());
  if (cols == kTileCols) return tileWith<kTileVecs, kBeside>(rows, all);
  if (cols == kWidth) return tileWith<1, kBeside>(rows, all);
  return tileWith<2, kBeside>(rows, all);
}

// The width of the next tile where `cols` columns are left: at the edge of C a narrower one.
inline size_t widthOf(size_t cols, size_t tileCols) {
  if (cols >= tileCols) return tileCols;
  return atMost(kTileCols, wholeVectors(cols));
}

inline Tile packingTileOf(size_t cols) {
  if (cols == kTileCols) return tile<kTileRows, kTileVecs, Beside::kPacks>;
  return cols == kWidth ? tile<kTileRows, 1, Beside::kPacks> : tile<kTileRows, 2, Beside::kPacks>;
}

// Loads a word of every line, so that all are on their way from memory at once.
inline void touch(const float* b, size_t bRow, size_t depth, size_t cols) {
  for (; depth > 0; --depth, b += bRow)
    for (size_t j = 0; j < cols; j += 16) (void)*static_cast<const volatile float*>(b + j);
}

// `count` panels of whole tiles side by side, one behind the other.
inline void packPanels(const float* b, size_t bRow, size_t depth, size_t count, float* panels) {
  for (size_t k = 0; k < depth; ++k, b += bRow)
    for (size_t p = 0; p < count; ++p)
      for (size_t v = 0; v < kTileCols; v += kWidth)
        store(panels + (p * depth + k) * kTileCols + v, load(b + p * kTileCols + v));
}

// Room for a packed tile of A. Somewhat more than it takes, or all tiles would begin in the same set of the cache.
inline constexpr size_t kPackedTile = kMaxBlockDepth * kTileRows + kWidth;

// A(i … i+rows, k … k+depth) from Aᵀ as tiles of kTileRows rows, kPackedTile apart: A(i, k) = tile[k·kTileRows + i].
// Aᵀ is read row by row as it lies; a tile, reading from row to row, would wait for memory each time.
inline void packColumns(const float* a, size_t aCol, size_t depth, size_t rows, float* packed) {
  for (size_t k = 0; k < depth; ++k, a += aCol) {
    float* to = packed + k * kTileRows;
    for (size_t i = 0; i < rows; i += kTileRows, to += kPackedTile) {
      __builtin_prefetch(a + kRowsAhead * aCol + i);
      if (i + kTileRows <= rows)  // a size that the compiler knows is a load and a store
        memcpy(to, a + i, kTileRows * sizeof(float));
      else
        memcpy(to, a + i, (rows - i) * sizeof(float));
    }
  }
}

// Whether B is read where it lies: up to a number of rows of A, and twice that of a B so large that it comes from
// memory.
inline constexpr size_t kFewRows = kPacksAhead ? 2 * kTileRows : 64, kLargeB = size_t{1} << 20;
inline bool isFew(size_t rows, size_t bRow, size_t depth, bool bTransposed) {
  return !bTransposed && rows <= (bRow * depth >= kLargeB ? 2 : 1) * kFewRows;
}

inline constexpr size_t kPanelFloats = kMaxBlockDepth * kMaxTileCols;
// Of few rows, a block of C has at most so many columns, rounded up to whole vectors.
inline constexpr size_t kFewFloats = size_t{1} << 18;
inline size_t maxFewCols(size_t rows) { return atMost(4096, kFewFloats / rows); }
inline constexpr size_t kSumsFloats = kFewFloats + 2 * kFewRows * 3 * kWidth;

inline constexpr size_t kPartFloats = size_t{1} << 15;  // of B
inline constexpr size_t kCachedB = size_t{1} << 16;     // floats of a small B, which some cache still holds

// On AMD: in blocks of so few columns the rows of B further down are fetched, not the panel beside, which is 20 %
// faster.
inline constexpr size_t kNarrow = 256, kNarrowPart = 128;

// A·B for few rows and at most maxFewCols() columns. At the edge of C the part of B that is no whole tile is packed.
template <class Finish>
void fewRows(const Gemm& g, float* edge, float* sums, const Finish& finish) {
  // The k that all columns go at a time: some rows of B, more where they are short.
  const bool isCached = g.bRow * g.depth <= kCachedB;
  const bool narrow = cpu().amd && g.bRow * g.depth >= kLargeB && g.cols <= kNarrow;
  const size_t least = narrow ? kNarrowPart : cpu().amd ? kMaxBlockDepth : g.rows <= 32 ? 32 : 64;
  const size_t most = isCached ? kPartFloats / g.cols : 0;
  const size_t part = most > least ? most : least;
  const size_t tileCols = tileColsOf(g.rows, g.cols, false), block = blockDepth(g.depth);
  const size_t sumsRow = wholeVectors(g.cols) + kWidth;  // not a power of two
  // The processor foresees what one row reads of a small B.
  const bool fetches = !kPacksAhead && (!isCached || g.rows > 1);
  // Tiles of nearly the same height: a last one of a row or two would compute at a fraction of the speed.
  const size_t height = divideUp(g.rows, divideUp(g.rows, kTileRows));
  for (size_t k = 0, depth = 0; k < g.depth; k += depth) {
    const size_t start = k / block * block, end = atMost(g.depth, start + block);
    depth = atMost(part, end - k);
    const bool ends = k + depth == end, last = k + depth == g.depth;
    for (size_t j = 0, width = 0; j < g.cols; j += width) {
      width = widthOf(g.cols - j, tileCols);
      const size_t cols = atMost(width, g.cols - j);
      const float* b = g.b + k * g.bRow + j;
      const bool whole = cols == width;
      if (!whole) packRows(b, g.bRow, depth, cols, edge, width);
      // While the rows of A meet this part of B, the next is on its way from memory.
      const float* below = b + depth * g.bRow;
      const float* next = narrow ? below : j + width < g.cols ? b + width : below - j;
      const float* bias = last && g.bias != nullptr ? g.bias + j : nullptr;
      for (size_t i = 0; i < g.rows; i += height) {
        const size_t rows = atMost(height, g.rows - i);
        float* sum = sums + i * sumsRow + j;
        const float* begun = k > start ? sum : nullptr;
        const TileTarget inC{g.c + i * g.cRow + j, g.cRow, cols, start > 0 || g.accumulate, bias, begun, sumsRow};
        const TileTarget inSums{sum, sumsRow, width, false, nullptr, begun, sumsRow};
        const bool fetching = fetches && whole && i == 0;
        const Tile compute = fetching ? tileOf<Beside::kFetches>(rows, width) : tileOf<Beside::kContinues>(rows, width);
        compute(depth, g.a + i * g.aRow + k * g.aCol, g.aRow, g.aCol, whole ? b : edge, whole ? g.bRow : width,
                ends ? inC : inSums, nullptr, next);
        if (last) finish(i, j, rows, cols);
      }
    }
  }
}

// sums (+)= the column sums of rows of B that a cache still holds.
inline void sumColumns(const float* b, size_t bRow, size_t depth, size_t cols, bool accumulate, float* sums) {
  eachVector(cols, [&](size_t j, size_t lanes) {
    Vf sum = splat(0.f);
    for (size_t k = 0; k < depth; ++k) sum += loadLanes(b + k * bRow + j, lanes);
    storeLanes(sums + j, accumulate ? loadLanes(sums + j, lanes) + sum : sum, lanes);
  });
}

// Columns of B that meet each tile of A together: panels of `width` columns, `depth` rows `row` apart, one panel behind
// the other. There are several only if they are packed.
struct Panels {
  const float* b;
  size_t row, width, count;
  size_t cols;  // of C, in the last of them
};

// Those from column j on, rows k … of a block of k, where they lie or packed in `memory`.
inline Panels panelsFrom(const Gemm& g, size_t k, size_t depth, size_t j, size_t tileCols, bool ahead, float* memory) {
  const size_t left = g.cols - j, width = widthOf(left, tileCols), cols = atMost(width, left);
  const float* b = g.bTransposed ? g.b + j * g.bRow + k : g.b + k * g.bRow + j;
  if (ahead && cols == tileCols) {
    const size_t count = atMost(kTilesTogether, left / tileCols);
    if (j % kTouchedCols == 0) touch(b, g.bRow, depth, atMost(kTouchedCols, left));
    packPanels(b, g.bRow, depth, count, memory);
    return {memory, width, width, count, cols};
  }
  if (!g.bTransposed && cols == width) return {b, g.bRow, width, 1, cols};
  if (g.bTransposed)
    packTransposed(b, g.bRow, cols, depth, memory, width);
  else
    packRows(b, g.bRow, depth, cols, memory, width);
  return {memory, width, width, 1, cols};
}

// A·B for many rows, at most kMaxTilesDown tiles.
template <class Finish>
void manyRows(const Gemm& g, float* memory, float* packedA, const Finish& finish) {
  const size_t tileCols = tileColsOf(g.rows, g.cols, g.bTransposed);
  // B is read in place unless it is transposed, or its rows lie far apart; A likewise.
  const bool packs = !g.bTransposed && g.bRow >= kFarRows;
  const bool ahead = kPacksAhead && packs && tileCols == kTileCols;
  const bool packsA = g.aRow == 1 && g.aCol > 1 && g.cols > tileCols;
  const size_t step = blockDepth(g.depth);
  for (size_t k = 0; k < g.depth; k += step) {
    const size_t depth = atMost(step, g.depth - k);
    if (packsA) packColumns(g.a + k * g.aCol, g.aCol, depth, g.rows, packedA);
    const bool last = k + depth == g.depth;
    for (size_t j = 0, done = 0; j < g.cols; j += done) {
      Panels panels = panelsFrom(g, k, depth, j, tileCols, ahead, memory);
      const size_t width = panels.width;
      done = panels.count * width;
      for (size_t i = 0; i < g.rows; i += kTileRows) {
        const size_t rows = atMost(kTileRows, g.rows - i);
        const bool packing = !kPacksAhead && packs && panels.b != memory && rows == kTileRows;
        const Tile compute = packing ? packingTileOf(width) : tileOf<Beside::kNothing>(rows, width);
        const float* a = packsA ? packedA + i / kTileRows * kPackedTile : g.a + i * g.aRow + k * g.aCol;
        for (size_t p = 0, col = j; p < panels.count; ++p, col += width) {
          const float* bias = last && g.bias != nullptr ? g.bias + col : nullptr;
          compute(depth, a, g.aRow, packsA ? kTileRows : g.aCol, panels.b + p * depth * width, panels.row,
                  {g.c + i * g.cRow + col, g.cRow, panels.cols, k > 0 || g.accumulate, bias}, memory, nullptr);
        }
        if (last) finish(i, j, rows, done - width + panels.cols);
        if (packing) panels.b = memory, panels.row = width;
      }
      if (g.columnSums == nullptr) continue;
      for (size_t p = 0, col = j; p < panels.count; ++p, col += width)
        sumColumns(panels.b + p * depth * width, panels.row, depth, panels.cols, k > 0 || g.accumulateSums,
                   g.columnSums + col);
    }
  }
}

// Computes one thread's block of C. `memory` has room for kGemmMemory floats. finish(i, j, rows, cols) is called when
// that part of C is complete, while it is still in the cache.
inline constexpr size_t kPackedFloats = kMaxTilesDown * kPackedTile;
inline constexpr size_t kGemmMemory = kPanelFloats + (kPackedFloats > kSumsFloats ? kPackedFloats : kSumsFloats);
static_assert(kGemmMemory <= kScratchFloats);
template <class Finish>
void gemmBlock(const Gemm& g, float* memory, const Finish& finish) {
  (g.few ? fewRows<Finish> : manyRows<Finish>)(g, memory, memory + kPanelFloats, finish);
}
