// What each instruction set prefers, found by measuring (npm run bench -- gemm, attention, wasm): one entry a set. No
// result depends on it, only time. kernels/shared/gemm.h and gemm_tile.h say what most of it is about.
#pragma once
#include <cstddef>

namespace simdformer {

struct Tuning {
  // A tile of a matrix product, and of one in attention: rows × vectors of sums in registers. It needs as many sums as
  // hide the latency of a multiply-add, and as few as leave registers for a row of B.
  size_t tileRows, tileVecs, attentionRows, attentionVecs = 2;

  // Whether weights are laid out in panels (see panels.h), and how many tiles' columns one has: whole lines of the
  // cache.
  bool panels = true;
  size_t panelTiles = 2;
  // Up to how many rows of A are few; twice as many if B is so large that it comes from memory.
  size_t fewRows = 2 * tileRows;
  // A block of C has at most so many rows and columns: its A takes most of a level-2 cache of 1 MB.
  size_t blockRows = 320, blockCols = 384;
  // k in one turn of a tile's loop.
  int unrolled = 2;

  // Whether there are prefetch instructions: by how many rows packing is ahead with them, from which depth it is worth
  // to fetch C, and whether attention of a few queries fetches the next block of keys, always or where several heads
  // share keys. That is for sets whose processors do not see by themselves what comes next.
  bool prefetches = true;
  size_t packAhead = 32, leastAhead = 64;
  bool fetchesKeys = true, fetchesSharedKeys = fetchesKeys;
  // Without them: a word of every line of so many tiles' columns of B is read before these are packed, …
  size_t touchedTiles = 0;
  // … so many panels meet a tile of A together, so that whole lines of C are written, …
  size_t tilesTogether = 1;
  // … and A is packed where it lies in rows, so that all distances are constants.
  bool packsRows = false;

  // Rows of integers that lie together; tiles of 16 features that meet a row together; whether few rows meet weights
  // that are unpacked in registers, of which there is a function for each format.
  size_t int8Rows = 4, int8Tiles = 1;
  bool int8InRegisters = false;

  // Attention of a few queries: keys in a block, queries that share what is read of them.
  unsigned decodeKeys = 32, decodeQueries = 1;
};

namespace tuning {

// 8 × 3 loads less for each multiply-add than attention's 12 × 2, and reads fewer rows of A at a time: a power of two
// apart, they share few sets of the cache. Zen 5's own prefetchers keep more lines on their way than instructions do:
// one query beside many keys is 1.2 times as fast without. They do not see the short rows of keys that heads share:
// these are read 1.3 to 1.4 times as fast with instructions.
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

// Panels of narrow vectors read a single line of each row of B: from some rows on packing costs less than waiting for
// these (128 rows take two thirds of the time on Zen 3), so few rows are fewer than with 16 floats.
inline constexpr Tuning avx2{
    .tileRows = 6, .tileVecs = 2, .attentionRows = 6, .int8InRegisters = true, .decodeQueries = 2};
inline constexpr Tuning sse2{.tileRows = 6, .tileVecs = 2, .attentionRows = 6};
inline constexpr Tuning neon{.tileRows = 8, .tileVecs = 2, .attentionRows = 8, .int8InRegisters = true};
inline constexpr Tuning scalar{.tileRows = 4, .tileVecs = 2, .attentionRows = 4};

// WebAssembly cannot prefetch, and its narrow tiles read and write half a line at a time; blocks of C are larger, as
// they share what is done about it. In V8 longer loops over k are slower. It keeps a 4 × 8 tile in registers, a larger
// one not, which waits for additions of addresses unless A is packed.
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
// The 12 sums of a 6 × 8 tile hide the latency of the machine's FMA, and with FMA they stay in registers.
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
