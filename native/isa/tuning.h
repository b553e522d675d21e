// Tuning parameters, one entry per instruction set, found by `npm run bench -- gemm`, `attention` and `wasm`. They
// affect speed, never results. kernels/shared/gemm.h and gemm_tile.h explain most of them.
#pragma once
#include <cstddef>

namespace simdformer {

struct Tuning {
  // Register tiles of matrix products and of products in attention: rows × vectors of sums. A tile needs enough sums to
  // hide the latency of a multiply-add, and registers must be left for a row of B.
  size_t tileRows, tileVecs, attentionRows, attentionVecs = 2;

  // True if weights may be rearranged in panels (panels.h), and the width of a panel in tiles. Rows of a panel are
  // whole cache lines.
  bool panels = true;
  size_t panelTiles = 2;
  // Maximum number of rows of A that count as few. Twice as many count as few if B is so large that it comes from
  // memory.
  size_t fewRows = 2 * tileRows;
  // Maximum rows and columns of a block of C. The rows of A for a block take most of a 1 MB level-2 cache.
  size_t blockRows = 320, blockCols = 384;
  // Unrolling factor of the loop over k in a tile.
  int unrolled = 2;

  // True if there are prefetch instructions. The following settings apply only then.
  //   packAhead           rows of B that packing prefetches ahead
  //   minAhead            depth from which a tile prefetches its part of C
  //   fetchesKeys         attention of few queries prefetches the next block of keys
  //   fetchesSharedKeys   the same if several heads share keys; some processors' hardware prefetchers make it unnecessary
  bool prefetches = true;
  size_t packAhead = 32, minAhead = 64;
  bool fetchesKeys = true, fetchesSharedKeys = fetchesKeys;
  // A replacement for prefetching: before a part of B is packed, one word of each cache line of this many tiles'
  // columns is read.
  size_t touchedTiles = 0;
  // Number of panels of B that are multiplied with one tile of A in turn, so that whole cache lines of C are written.
  size_t tilesTogether = 1;
  // True if rows of A are packed, so that all strides are constants.
  bool packsRows = false;

  // Products of 8-bit integers:
  //   int8Rows            rows of activations that are stored interleaved
  //   int8Tiles           tiles of 16 features that are multiplied with a row at once
  //   int8InRegisters     true if products with few rows unpack weights in registers, by one function per format
  size_t int8Rows = 4, int8Tiles = 1;
  bool int8InRegisters = false;

  // Attention of few queries: keys in a block, and queries that share the loads of a block.
  unsigned decodeKeys = 32, decodeQueries = 1;
};

namespace tuning {

// For matrix products an 8 × 3 tile loads less per multiply-add than attention's 12 × 2. It also reads fewer rows of A
// at once; rows that are a power of two apart compete for few sets of the cache.
//
// The hardware prefetchers of Zen 5 keep more lines in flight than prefetch instructions do. Without instructions, one
// query with many keys is 1.2 times as fast. Hardware misses the short rows of keys that heads share; with instructions
// these are read 1.3 to 1.4 times as fast.
inline constexpr Tuning avx512{.tileRows = 8,
                               .tileVecs = 3,
                               .attentionRows = 12,
                               .panelTiles = 1,
                               .fewRows = 64,
                               .fetchesKeys = false,
                               .fetchesSharedKeys = true,
                               .int8Rows = 16,
                               .int8Tiles = 3,
                               .int8InRegisters = true,
                               .decodeKeys = 64,
                               .decodeQueries = 4};

// With narrow vectors, a panel reads a single cache line of each row of B. From some number of rows on, packing costs
// less than these cache misses: on Zen 3, 128 rows take two thirds of the time. Therefore `fewRows` is smaller than
// with AVX-512.
inline constexpr Tuning avx2{
    .tileRows = 6, .tileVecs = 2, .attentionRows = 6, .int8InRegisters = true, .decodeQueries = 2};
inline constexpr Tuning sse2{.tileRows = 6, .tileVecs = 2, .attentionRows = 6};
inline constexpr Tuning neon{.tileRows = 8, .tileVecs = 2, .attentionRows = 8, .int8InRegisters = true};
inline constexpr Tuning scalar{.tileRows = 4, .tileVecs = 2, .attentionRows = 4};

// WebAssembly cannot prefetch, and its narrow tiles access half a cache line at a time. Larger blocks of C share the
// cost of the replacements for prefetching. Unrolled loops over k are slower in V8. It keeps a 4 × 8 tile in registers,
// but not a larger one. Unless A is packed, this tile waits for address arithmetic.
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
// The 12 sums of a 6 × 8 tile hide the latency of FMA. V8 keeps them in registers if the machine has FMA.
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
