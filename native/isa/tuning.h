// Preferences of each instruction set, found by measuring (npm run bench -- gemm, attention, wasm), one entry for each
// set. They affect only time, never results. kernels/shared/gemm.h and gemm_tile.h explain most of them.
#pragma once
#include <cstddef>

namespace simdformer {

struct Tuning {
  // The tile of a matrix product, and that of a product in attention: rows × vectors of sums in registers. It needs
  // enough sums to hide the latency of a multiply-add, and enough free registers for a row of B.
  size_t tileRows, tileVecs, attentionRows, attentionVecs = 2;

  // True if weights are laid out in panels (panels.h), and the width of a panel in tiles. A panel's rows are whole
  // cache lines.
  bool panels = true;
  size_t panelTiles = 2;
  // Number of rows of A that count as few; twice as many if B is so large that it comes from memory.
  size_t fewRows = 2 * tileRows;
  // Maximum rows and columns of a block of C. Its part of A takes most of a level-2 cache of 1 MB.
  size_t blockRows = 320, blockCols = 384;
  // Number of k in one iteration of a tile's loop.
  int unrolled = 2;

  // True if there are prefetch instructions. Then: rows that packing fetches ahead, the depth from which C is fetched,
  // and whether attention of a few queries fetches the next block of keys, in general and if several heads share keys.
  // Hardware prefetchers of some processors do this by themselves.
  bool prefetches = true;
  size_t packAhead = 32, leastAhead = 64;
  bool fetchesKeys = true, fetchesSharedKeys = fetchesKeys;
  // Replacements for prefetching. Before a part of B is packed, a word of every cache line of this many tiles' columns
  // is read.
  size_t touchedTiles = 0;
  // Number of panels that a tile of A meets together, so that whole lines of C are written.
  size_t tilesTogether = 1;
  // True to pack rows of A, so that all distances are constants.
  bool packsRows = false;

  // Rows of integers that are stored together; tiles of 16 features that meet a row together; and whether a few rows
  // meet weights that are unpacked in registers, which takes one function for each format.
  size_t int8Rows = 4, int8Tiles = 1;
  bool int8InRegisters = false;

  // Attention of a few queries: keys in a block, and queries that share the loads of a block.
  unsigned decodeKeys = 32, decodeQueries = 1;
};

namespace tuning {

// 8 × 3 loads less for each multiply-add than attention's 12 × 2, and reads fewer rows of A at a time: rows that are a
// power of two apart share few sets of the cache. Prefetchers of Zen 5 keep more lines in flight than instructions do:
// one query beside many keys is 1.2 times as fast without instructions. They miss the short rows of keys that heads
// share, which are read 1.3 to 1.4 times as fast with instructions.
inline constexpr Tuning avx512{.tileRows = 8,
                               .tileVecs = 3,
                               .attentionRows = 12,
                               .panelTiles = 1,
                               .fewRows = 64,
                               .fetchesKeys = false,
                               .fetchesSharedKeys = true,
                               .int8Rows = 8,
                               .int8Tiles = 3,
                               .int8InRegisters = true,
                               .decodeKeys = 64,
                               .decodeQueries = 4};

// Panels of narrow vectors read a single cache line of each row of B. From some rows on, packing costs less than these
// cache misses (128 rows take two thirds of the time on Zen 3), so fewer rows count as few than with 16 floats.
inline constexpr Tuning avx2{
    .tileRows = 6, .tileVecs = 2, .attentionRows = 6, .int8InRegisters = true, .decodeQueries = 2};
inline constexpr Tuning sse2{.tileRows = 6, .tileVecs = 2, .attentionRows = 6};
inline constexpr Tuning neon{.tileRows = 8, .tileVecs = 2, .attentionRows = 8, .int8InRegisters = true};
inline constexpr Tuning scalar{.tileRows = 4, .tileVecs = 2, .attentionRows = 4};

// WebAssembly cannot prefetch, and its narrow tiles read and write half a line at a time. Larger blocks of C share the
// cost of the replacements. In V8, longer loops over k are slower. V8 keeps a 4 × 8 tile in registers but not a larger
// one, which waits for address arithmetic unless A is packed.
inline constexpr Tuning simd128{.tileRows = 4,
                                .tileVecs = 2,
                                .attentionRows = 4,
                                .panels = false,
                                .blockRows = 192,
                                .blockCols = 512,
                                .unrolled = 1,
                                .prefetches = false,
                                .fetchesKeys = false,
                                .touchedTiles = 16,
                                .tilesTogether = 4,
                                .packsRows = true};
// The 12 sums of a 6 × 8 tile hide the latency of the machine's FMA, and stay in registers with FMA.
inline constexpr Tuning relaxed{.tileRows = 6,
                                .tileVecs = 2,
                                .attentionRows = 6,
                                .panels = false,
                                .blockRows = 192,
                                .blockCols = 512,
                                .unrolled = 1,
                                .prefetches = false,
                                .fetchesKeys = false,
                                .touchedTiles = 16,
                                .tilesTogether = 4};

}  // namespace tuning
}  // namespace simdformer
