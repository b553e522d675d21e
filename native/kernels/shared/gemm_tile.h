// The register tile of matrix products: its size, its operands, and the loop over k. gemm.h describes the algorithm.
#pragma once
#include "kernels/shared/fetch.h"
#include "kernels/shared/pack.h"

inline constexpr size_t kMaxBlockDepth = 512;

// Size of the tile.
inline constexpr size_t kTileRows = kTuning.tileRows, kTileVecs = kTuning.tileVecs;
inline constexpr size_t kTileCols = kTileVecs * kWidth,
                        kMaxTileCols = 8 * kWidth;  // kMaxTileCols is for tiles of one row
static_assert(kTileCols < kMaxTileCols);
// Columns of a panel of a weight (panels.h).
inline constexpr size_t kPanelCols = kTuning.panelTiles * kTileCols;

// A tile of one row is wider, so that it has as many accumulators.
inline size_t tileColsOf(size_t rows, bool bTransposed) { return rows == 1 && !bTransposed ? kMaxTileCols : kTileCols; }

// Depth of the blocks of k. They are nearly equal, because a short last block would cost as much traffic of C as a full
// one.
inline size_t blockDepth(size_t depth) { return divideUp(depth, divideUp(depth, kMaxBlockDepth)); }

// The target of a tile's sums: `cols` columns of C. The sums are added to C if `add`; `bias` for these columns is added
// if not null. With few rows, sums begin with those at `start`, or with zeros if it is null.
struct TileTarget {
  float* c;
  size_t row, cols;
  bool add;
  const float* bias;
  const float* start = nullptr;
  size_t startRow = 0;
};

// Stores the sums of a tile at the right edge of C; rows of `sums` are tileCols apart. Not inlined, because copies in
// every tile would make the addon 10 % larger.
__attribute__((noinline)) inline void storeEdge(const float* sums, size_t tileCols, size_t rows,
                                                const TileTarget& target) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < target.cols; ++j) {
      float value = sums[r * tileCols + j];
      if (target.add) value += target.c[r * target.row + j];
      if (target.bias != nullptr) value += target.bias[j];
      target.c[r * target.row + j] = value;
    }
  }
}

// Calls body(r, v) for each accumulator of a tile, unrolled. Accumulators with a run-time index would not stay in
// registers.
template <size_t kRows, size_t kVecs, class Body>
SIMD_INLINE void eachAccumulator(const Body& body) {
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) body(r, v);
}

inline constexpr int kUnrolled = kTuning.unrolled;  // the pragma accepts a name, but no expression

// Variants of a tile.
enum class TileMode {
  kPlain,      // without additional work
  kPacked,     // for packed A and B
  kPacks,      // also stores the rows of B in `panel`, one after the other
  kContinues,  // begins with the sums at target.start
  kFetches,    // like kContinues, and prefetches `next`, the part of B for the next tile
};

// The factors of a tile: A(r, k) = a[r·aRow + k·aCol] and B(k, j) = b[k·bRow + j].
struct TileOperands {
  size_t depth;
  const float* a;
  size_t aRow, aCol;
  const float* b;
  size_t bRow;
  float* panel = nullptr;       // for kPacks
  const float* next = nullptr;  // for kFetches; `nextRow` floats between rows
  size_t nextRow = 0;
};

// The sums of a tile of C, kRows × kVecs vectors in registers.
template <size_t kRows, size_t kVecs>
class TileSums {
 public:
  SIMD_INLINE void begin(const float* from, size_t stride) {
    each([&](size_t r, size_t v) { sum_[r][v] = load(from + r * stride + v * kWidth); });
  }

  // Adds the outer product of a column of A, a[r·aRow], with a row of B.
  SIMD_INLINE void add(const float* a, size_t aRow, const Vf (&row)[kVecs]) {
    const float* group = a;
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      if (r != 0 && r % 4 == 0) group += 4 * aRow;  // an x86 address can add at most 3 strides to a register
      const Vf x = splat(group[r % 4 * aRow]);
      eachAccumulator<1, kVecs>([&](size_t, size_t v) { sum_[r][v] = fused(x, row[v], sum_[r][v]); });
    }
  }

  // True if 16 registers hold the sums and a column of A, but not a row of B. Then each vector of B is loaded when it
  // is used.
  static constexpr size_t kSums = kRows * kVecs;
  static constexpr bool kLoadsVectors = kSums + kVecs + 1 > 16 && kSums + kRows + 1 <= 16;
  SIMD_INLINE void addByVector(const float* a, size_t aRow, const float* b) {
    Vf x[kRows];
    eachAccumulator<kRows, 1>([&](size_t r, size_t) { x[r] = splat(a[r * aRow]); });
    eachAccumulator<1, kVecs>([&](size_t, size_t v) {
      const Vf part = load(b + v * kWidth);
      eachAccumulator<kRows, 1>([&](size_t r, size_t) { sum_[r][v] = fused(x[r], part, sum_[r][v]); });
    });
  }

  SIMD_INLINE void finish(const TileTarget& target) {
    if (target.cols < kVecs * kWidth) {
      float sums[kSums * kWidth];
      each([&](size_t r, size_t v) { store(sums + (r * kVecs + v) * kWidth, sum_[r][v]); });
      return storeEdge(sums, kVecs * kWidth, kRows, target);
    }
    const auto at = [&](size_t r, size_t v) { return target.c + r * target.row + v * kWidth; };
    if (target.add) each([&](size_t r, size_t v) { sum_[r][v] += load(at(r, v)); });
    if (target.bias != nullptr) each([&](size_t r, size_t v) { sum_[r][v] += load(target.bias + v * kWidth); });
    each([&](size_t r, size_t v) { store(at(r, v), sum_[r][v]); });
  }

 private:
  template <class Body>
  static SIMD_INLINE void each(const Body& body) {
    eachAccumulator<kRows, kVecs>(body);
  }

  Vf sum_[kRows][kVecs] = {};
};

// Computes kRows × kVecs vectors of C. Each k adds the outer product of a column of A and a row of B. Rows of C are
// prefetched first, because they lie on other pages.
template <size_t kRows, size_t kVecs, TileMode kMode>
void tile(const TileOperands& in, const TileTarget& target) {
  constexpr bool kContinues = kMode == TileMode::kContinues || kMode == TileMode::kFetches;
  constexpr bool kFetches = kMode == TileMode::kFetches, kPacks = kMode == TileMode::kPacks;
  constexpr bool kPacked = kMode == TileMode::kPacked;
  const auto eachOfRow = [](const auto& body) { eachAccumulator<1, kVecs>([&](size_t, size_t v) { body(v); }); };
  const size_t aRow = kPacked ? 1 : in.aRow, aCol = kPacked ? kTileRows : in.aCol;
  const size_t bRow = kPacked ? kVecs * kWidth : in.bRow, depth = in.depth;
  const float *a = in.a, *b = in.b;
  [[maybe_unused]] float* panel = in.panel;
  [[maybe_unused]] const float* next = in.next;
  TileSums<kRows, kVecs> sums;
  if (kContinues && target.start != nullptr) sums.begin(target.start, target.startRow);
  if (depth >= kTuning.minAhead)
    eachAccumulator<kRows, kVecs>(
        [&](size_t r, size_t v) { __builtin_prefetch(target.c + r * target.row + v * kWidth, 1); });
#pragma GCC unroll kUnrolled
  for (size_t k = 0; k < depth; ++k, a += aCol, b += bRow) {
    if constexpr (kFetches) {
      eachOfRow([&](size_t v) { __builtin_prefetch(next + v * kWidth, 0, kFetchTo); });
      next += in.nextRow;
    }
    if constexpr (TileSums<kRows, kVecs>::kLoadsVectors && !kPacks) {
      sums.addByVector(a, aRow, b);
      continue;
    }
    Vf row[kVecs];
    eachOfRow([&](size_t v) { row[v] = load(b + v * kWidth); });
    if constexpr (kPacks) {
      // Hardware prefetchers stop at page boundaries, and rows of B may be a page apart.
      eachOfRow([&](size_t v) { __builtin_prefetch(b + kTuning.packAhead * bRow + v * kWidth); });
      eachOfRow([&](size_t v) { store(panel + v * kWidth, row[v]); });
      panel += kVecs * kWidth;
    }
    sums.add(a, aRow, row);
  }
  sums.finish(target);
}

// Multiplies packed panels of B, `next` floats apart, with a packed tile of A. V8 unrolls the loop over k only inside
// another loop: 1.18 times as fast in Node 20.
inline void packedTiles(size_t depth, const float* a, const float* b, size_t next, size_t panels, TileTarget target) {
  for (; panels > 0; --panels, b += next, target.c += kTileCols) {
    tile<kTileRows, kTileVecs, TileMode::kPacked>({depth, a, 1, kTileRows, b, kTileCols}, target);
    if (target.bias != nullptr) target.bias += kTileCols;
  }
}

using Tile = void (*)(const TileOperands& in, const TileTarget& target);

template <size_t kVecs, TileMode kMode, size_t... I>
Tile tileWith(size_t rows, std::index_sequence<I...>) {
  static constexpr Tile tiles[] = {tile<I + 2, kVecs, kMode>...};
  return tiles[rows - 2];
}

// Tiles of one row do not prefetch, because the hardware does it for them.
template <size_t... I>
Tile rowTileOf(size_t cols, std::index_sequence<I...>) {
  static constexpr Tile tiles[] = {tile<1, I + 1, TileMode::kContinues>...};
  return tiles[cols / kWidth - 1];
}

template <TileMode kMode>
Tile tileOf(size_t rows, size_t cols) {
  constexpr auto all = std::make_index_sequence<kTileRows - 1>();
  if (rows == 1) return rowTileOf(cols, std::make_index_sequence<kMaxTileCols / kWidth>());
  if (cols == kTileCols) return tileWith<kTileVecs, kMode>(rows, all);
  if (cols == kWidth) return tileWith<1, kMode>(rows, all);
  return tileWith<2, kMode>(rows, all);
}

// The width of the next tile if `cols` columns are left. It is narrower at the edge of C. With one row, packing is
// avoided if possible.
inline size_t widthOf(size_t cols, size_t tileCols) {
  if (cols >= tileCols) return tileCols;
  if (tileCols == kMaxTileCols) return cols < kWidth ? kWidth : cols / kWidth * kWidth;
  return atMost(kTileCols, wholeVectors(cols));
}

inline Tile packingTileOf(size_t cols) {
  if (cols == kTileCols) return tile<kTileRows, kTileVecs, TileMode::kPacks>;
  return cols == kWidth ? tile<kTileRows, 1, TileMode::kPacks> : tile<kTileRows, 2, TileMode::kPacks>;
}
