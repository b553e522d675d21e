// Products of rows with the packed matrix of their group: the experts of a mixture. Only groups with rows are read.
#include "kernels/shared/groups.h"

// q = x [rows, depth] as integers, where each group begins a block, for weights of this format.
//   x        [rows, depth]  sorted by group
//   offsets  [groups + 1]   see GroupRows
struct QuantizeGroups {
  static constexpr const char* name = "quantizeGroups";
  static constexpr const char* signature = "in:x in:offsets out:q u32:rows u32:depth u32:groups u32:format";
  Span x, offsets, q;
  uint32_t rows, depth, groups, format;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    REQUIRE(format < kFormatCount && kindOfFormat(format).bits > 0, "this format has no integers");
    REQUIRE(x.covers(rows, depth, depth), "x is too small for rows and depth");
    REQUIRE(offsets.covers(uint64_t{groups} + 1), "offsets is smaller than groups + 1");
    REQUIRE(q.covers(rows * Int8Layout(kindOfFormat(format), depth).rowWords()), "q is too small");
    return nullptr;
  }

  void run(Context& context) const {
    const IntegerKind kind = kindOfFormat(format);
    const size_t words = Int8Layout(kind, depth).rowWords();
    context.team.parallelRange(maxGroupBlocks(rows, groups, kInt8PanelRows), 1, [&](uint64_t index, uint64_t) {
      const GroupBlock block = groupBlockAt(context, offsets, rows, groups, kInt8PanelRows, index);
      if (block.rows == 0) return;
      const uint64_t row = block.start + block.first;
      quantizePanel(context.f32(x) + row * depth, depth, block.rows, depth, kind, context.i32(q) + row * words);
    });
  }
};
PACKED_KERNEL(QuantizeGroups)

// y[r] = x[r]·w[g]ᵀ for each row r of group g.
//   x        [rows, depth]         sorted by group
//   q        x as integers, by quantizeGroups. Needed for a product of integers
//   w        [groups · cols, depth] packed
//   offsets  [groups + 1]          see GroupRows
//   y        [rows, cols]
//   wide     [rows, the features of all tiles of a group], working memory. Needed if cols is not a multiple of a tile's
//            features, because then groups share tiles
struct GroupedQuantizedLinear {
  static constexpr const char* name = "groupedQuantizedLinear";
  static constexpr const char* signature =
      "in:x in?:q in:w in:offsets inout:y inout?:wide u32:rows u32:cols u32:depth u32:groups u32:format u32:integers";
  Span x, q, w, offsets, y, wide;
  uint32_t rows, cols, depth, groups, format, integers;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    REQUIRE(groups >= 1, "there are no groups");
    REQUIRE(uint64_t{groups} * cols <= 0xffffffffu, "w has too many features");
    if (const char* reason = checkPacked(w, format, groups * cols, depth)) return reason;
    REQUIRE(x.covers(rows, depth, depth), "x is too small for rows and depth");
    REQUIRE(offsets.covers(uint64_t{groups} + 1), "offsets is smaller than groups + 1");
    REQUIRE(y.covers(rows, cols, cols), "y is too small for rows and cols");
    REQUIRE(cols % kTile == 0 || wide.covers(rows, maxTiles() * kTile, maxTiles() * kTile), "wide is too small");
    if (integers == 0) return nullptr;
    const IntegerKind kind = kindOfFormat(format);
    REQUIRE(kind.bits > 0, "this format has no integers");
    REQUIRE(q.covers(rows * Int8Layout(kind, depth).rowWords()), "q is too small for rows and depth");
    return nullptr;
  }

  void run(Context& context) const {
    if (rows == 0 || cols == 0) return;
    const uint64_t step = blockRows(), grain = grainFor(context.team.threads());
    const uint64_t across = divideUp(maxTiles(), grain), chunks = maxGroupBlocks(rows, groups, step) * across;
    context.team.parallelRange(chunks, 1, [&](uint64_t chunk, uint64_t) {
      const GroupBlock block = groupBlockAt(context, offsets, rows, groups, step, chunk / across);
      if (block.rows == 0) return;
      const QuantizedLinear product = productOf(block);
      const uint64_t tile = chunk % across * grain, end = atMost(tile + grain, divideUp(product.cols, kTile));
      if (tile >= end) return;
      product.multiplyBlock(context, block.first, block.rows, tile, end,
                            next(context, static_cast<uint32_t>(chunk), static_cast<uint32_t>(chunks), across, grain));
      if (cols % kTile != 0) narrow(context, block, tile * kTile, atMost(end * kTile, product.cols));
    });
  }

 private:
  // Tiles of a group at most: it can begin and end within a tile.
  uint64_t maxTiles() const { return cols % kTile == 0 ? cols / kTile : divideUp(cols, kTile) + 1; }
  // Features before a group in its first tile.
  uint64_t skipped(uint64_t group) const { return group * cols % kTile; }

  uint64_t blockRows() const { return integers != 0 ? kInt8MaxRows : QuantizedLinear::kBlockRows; }

  // Tiles of a chunk. With few rows for each group, a thread reads memory in long runs.
  uint64_t grainFor(int threads) const {
    const uint64_t tiles = maxTiles(), unit = integers != 0 ? kInt8Tiles : QuantizedLinear::kPanel / kTile;
    const uint64_t used = atMost(groups, rows);
    if (rows > 16 * used) return unit;
    return divideUp(atMost(tiles, divideUp(tiles * used, 4 * static_cast<uint64_t>(threads))), unit) * unit;
  }

  // The tiles of the chunk that this thread will probably run after this one.
  PackedTiles next(const Context& context, uint32_t chunk, uint32_t chunks, uint64_t across, uint64_t grain) const {
    const uint64_t after = context.team.after(chunk, chunks);
    GroupBlock block = groupBlockAt(context, offsets, rows, groups, blockRows(), after / across);
    const QuantizedLinear product = productOf(block);
    return product.tilesFrom(context, after % across * grain, divideUp(product.cols, kTile));
  }

  // The product of all rows of a block's group. Its features begin with a tile.
  QuantizedLinear productOf(const GroupBlock& block) const {
    const auto wordsOf = [&](uint64_t features) {
      return static_cast<uint32_t>(
          withFormat(format, [&](auto f) { return packedWords<decltype(f)>(features, depth); }));
    };
    const uint32_t size = static_cast<uint32_t>(block.size), start = static_cast<uint32_t>(block.start);
    const uint32_t skip = static_cast<uint32_t>(skipped(block.group));
    QuantizedLinear product{};
    product.x = {x.offset + start * depth, size * depth};
    if (integers != 0) {
      const uint32_t rowWords = static_cast<uint32_t>(Int8Layout(kindOfFormat(format), depth).rowWords());
      product.q = {q.offset + start * rowWords, size * rowWords};
    }
    product.rows = size, product.cols = skip + cols, product.depth = depth;
    product.w = {w.offset + wordsOf(block.group * cols - skip), wordsOf(product.cols)};
    product.xStride = depth;
    product.yStride = cols % kTile == 0 ? cols : static_cast<uint32_t>(maxTiles() * kTile);
    product.y = {(cols % kTile == 0 ? y : wide).offset + start * product.yStride, size * product.yStride};
    product.format = format, product.integers = integers, product.activation = kNone;
    return product;
  }

  // Copies features of a block, from `first` to below `end`, from `wide` to y.
  void narrow(const Context& context, const GroupBlock& block, uint64_t first, uint64_t end) const {
    const uint64_t stride = maxTiles() * kTile, skip = skipped(block.group), from = first < skip ? skip : first;
    for (uint64_t r = block.start + block.first; r < block.start + block.first + block.rows; ++r)
      memcpy(context.f32(y) + r * cols + from - skip, context.f32(wide) + r * stride + from,
             (end - from) * sizeof(float));
  }
};
PACKED_KERNEL(GroupedQuantizedLinear)
