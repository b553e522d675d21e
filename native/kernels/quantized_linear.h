// A linear layer whose weight is packed (formats/layout.h).
#include "formats/formats.h"
#include "kernels/shared/activations.h"
#include "kernels/shared/gemm.h"
#include "kernels/shared/half_rows.h"
#include "kernels/shared/int8_product.h"

// Maximum number of floats of x that each chunk converts to integers by itself, if q is absent.
inline constexpr uint32_t kMaxHeld = 1 << 14;
CONSTANT("int8.maxHeld", kMaxHeld)

// y = f(x·wᵀ + bias): x [rows, depth], w [cols, depth] packed, bias [cols], y [rows, cols].
//
//   q      x as integers, by quantizeRows. An integer product needs it if x has more than kMaxHeld floats or kInt8PanelRows rows
//   pre    [rows, cols], contiguous: receives the argument of f, for the backward pass
struct QuantizedLinear {
  static constexpr const char* name = "quantizedLinear";
  static constexpr const char* signature =
      "in:x in?:q in:w in?:bias out:y out?:pre u32:rows u32:cols u32:depth u32:xStride u32:yStride u32:format "
      "u32:integers u32:activation";
  Span x, q, w, bias, y, pre;
  uint32_t rows, cols, depth, xStride, yStride, format, integers, activation;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    if (const char* reason = checkPacked(w, format, cols, depth)) return reason;
    REQUIRE(x.covers(rows, depth, xStride), "x is too small for rows, depth and xStride");
    REQUIRE(y.covers(rows, cols, yStride), "y is too small for rows, cols and yStride");
    REQUIRE(!bias.present() || bias.covers(cols), "bias is shorter than a row of y");
    REQUIRE(!pre.present() || pre.covers(rows, cols, cols), "pre is too small for its shape");
    REQUIRE(activation < kActivations, "unknown activation");
    return integers == 0 ? nullptr : checkIntegers();
  }

  void run(Context& context) const {
    if (rows == 0 || cols == 0) return;
    if (integers != 0) return runIntegers(context);
    if (isHalves()) return runHalves(context);
    const uint64_t down = divideUp(rows, kBlockRows), across = divideUp(cols, kPanel);
    context.team.parallelRange(down * across, 1, [&](uint64_t chunk, uint64_t) {
      const uint64_t row = chunk / across * kBlockRows;
      multiplyPanel(context, row, atMost(kBlockRows, rows - row), chunk % across * kPanel, cols);
    });
  }

  // Features that are unpacked together, and rows that are multiplied with them.
  static constexpr size_t kPanel = 3 * kTile, kBlockRows = kMaxTilesDown * kTileRows;

  // Computes rows from `row` on, a block of `height`, of the features of tiles `tile` to below `end`. For a product of
  // integers, q must be present, and both tiles are multiples of kInt8Tiles, or the end. `next`: the tiles that this
  // thread will probably read afterwards.
  void multiplyBlock(const Context& context, uint64_t row, size_t height, uint64_t tile, uint64_t end,
                     const PackedTiles& next) const {
    if (integers != 0) {
      const int32_t* from = context.i32(q) + row * Int8Layout(kindOfFormat(format), depth).rowWords();
      return multiplyIntegers(context, from, row, height, tile, end, next);
    }
    if (isHalves()) return multiplyHalves(context, tile, end);
    for (uint64_t col = tile * kTile; col < end * kTile; col += kPanel)
      multiplyPanel(context, row, height, col, atMost(end * kTile, cols));
  }

  // Tiles tile ≤ t < end, at most as many as are multiplied together.
  PackedTiles tilesFrom(const Context& context, uint64_t tile, uint64_t end) const {
    return {tileAt(context, tile), bytesOfTile(), static_cast<size_t>(atMost(kInt8Tiles, end - tile))};
  }

 private:
  // True if an integer product with so few rows takes as long as reading the weights.
  bool isFew() const { return rows <= 16; }
  // Chunks per thread that balance the load, and the minimum number of rows of such a chunk.
  static constexpr size_t kChunks = 12, kMinRows = 32;

  bool keeps() const { return pre.present(); }
  float* sums(const Context& context, uint64_t row, uint64_t col) const {
    return keeps() ? context.f32(pre) + row * cols + col : context.f32(y) + row * yStride + col;
  }

  // Unpacks inputs from `k` on of some features as a panel of floats.
  template <class Format>
  void unpackPanel(const Context& context, uint64_t col, size_t width, size_t k, size_t inputs, float* panel) const {
    const uint8_t* tiles = reinterpret_cast<const uint8_t*>(context.f32(w)) + col / kTile * tileBytes<Format>(depth);
    for (size_t t = 0; t * kTile < width; ++t)
      for (size_t g = 0; g * kGroup < inputs; ++g)
        Format::unpack(groupAt<Format>(tiles + t * tileBytes<Format>(depth), k / kGroup + g), kPanel,
                       panel + g * kGroup * kPanel + t * kTile);
  }

  // Rows of a block, and features from `col` to below `end`, at most a panel.
  void multiplyPanel(const Context& context, uint64_t row, size_t height, uint64_t col, uint64_t end) const {
    const size_t width = atMost(kPanel, end - col);
    multiply(context, row, col, height, width);
    if (activation == kNone && !keeps()) return;
    activateRows(context, sums(context, row, col), keeps() ? cols : yStride, row, col, height, width);
  }

  // Unpacks one block of inputs after another as a panel, and adds its product to the sums.
  void multiply(const Context& context, uint64_t row, uint64_t col, size_t height, size_t width) const {
    float *panel = context.scratch(), *memory = panel + kMaxBlockDepth * kPanel;
    static_assert(kMaxBlockDepth * kPanel + kGemmMemory <= kScratchFloats && kMaxBlockDepth % kGroup == 0);
    for (size_t k = 0; k < depth; k += kMaxBlockDepth) {
      const size_t inputs = atMost(kMaxBlockDepth, depth - k);
      withFormat(format, [&](auto f) { unpackPanel<decltype(f)>(context, col, width, k, inputs, panel); });
      const Gemm product{.a = context.f32(x) + row * xStride + k,
                         .aRow = xStride,
                         .b = panel,
                         .bRow = kPanel,
                         .c = sums(context, row, col),
                         .cRow = keeps() ? cols : yStride,
                         .rows = height,
                         .cols = width,
                         .depth = inputs,
                         .accumulate = k > 0,
                         .bias = bias.present() && k + inputs == depth ? context.f32(bias) + col : nullptr};
      gemmBlock(product, memory, [](size_t, size_t, size_t, size_t) {});
    }
  }

  const char* checkIntegers() const {
    const IntegerKind kind = kindOfFormat(format);
    REQUIRE(kind.bits > 0, "this format has no integers");
    const bool held = rows <= kInt8PanelRows && uint64_t{rows} * depth <= kMaxHeld;
    REQUIRE(q.present() || held, "q is missing");
    REQUIRE(!q.present() || q.covers(rows * Int8Layout(kind, depth).rowWords()), "q is too small for rows and depth");
    return nullptr;
  }

  // True if few rows are multiplied with a weight of 16-bit floats.
  bool isHalves() const { return rows <= kHalfRows && (format == kFloat16 || format == kBFloat16); }

  void runHalves(Context& context) const {
    const uint64_t tiles = divideUp(cols, kTile);
    const uint64_t share = divideUp(tiles, 4 * static_cast<uint64_t>(context.team.threads()));
    context.team.parallelRange(tiles, divideUp(share, kHalfTiles) * kHalfTiles,
                               [&](uint64_t tile, uint64_t last) { multiplyHalves(context, tile, last); });
  }

  void multiplyHalves(const Context& context, uint64_t tile, uint64_t last) const {
    if (format == kFloat16) return multiplyHalves<Float16>(context, tile, last);
    multiplyHalves<BFloat16>(context, tile, last);
  }

  // All rows, at most kHalfRows, and the features of tiles `tile` to below `last`.
  template <class Format>
  void multiplyHalves(const Context& context, uint64_t tile, uint64_t last) const {
    float sums[kHalfTiles][kHalfRows * kTile];
    for (uint64_t count = 0; tile < last; tile += count) {
      count = last - tile < kHalfTiles ? 1 : kHalfTiles;
      const auto multiply = count == 1 ? halfRow<Format, 1> : halfRow<Format, kHalfTiles>;
      for (uint64_t r = 0; r < rows; ++r)
        multiply(context.f32(x) + r * xStride, depth, tileAt(context, tile), tileBytes<Format>(depth),
                 sums[0] + r * kTile, kHalfRows * kTile);
      for (uint64_t t = 0; t < count; ++t) finishTile(context, sums[t], kTile, 0, (tile + t) * kTile, rows, kTile);
    }
  }

  // The division of a product into chunks: tiles per chunk, chunks across, rows per chunk, chunks down.
  struct Chunks {
    uint64_t grain, across, chunkRows, down;
  };

  // With many rows, a chunk has a few tiles. With few rows, a thread reads memory in long runs. Products in registers
  // multiply one tile after another, so that chunks may have any number of tiles.
  Chunks chunksFor(uint64_t threads) const {
    const uint64_t tiles = divideUp(cols, kTile), share = divideUp(tiles, 4 * threads);
    Chunks cut;
    const uint64_t together = rows <= kInt8FewRows && kindOfFormat(format).parts > 0 ? 1 : kInt8Tiles;
    cut.grain = isFew() ? divideUp(share, together) * together : kInt8Tiles;
    cut.across = divideUp(tiles, cut.grain);
    const uint64_t even = atMost(divideUp(kChunks * threads, cut.across), divideUp(rows, kMinRows));
    const uint64_t least = divideUp(rows, kInt8MaxRows);
    cut.chunkRows = divideUp(divideUp(rows, isFew() || even < least ? least : even), kInt8PanelRows) * kInt8PanelRows;
    cut.down = divideUp(rows, cut.chunkRows);
    return cut;
  }

  void runIntegers(Context& context) const {
    const IntegerKind kind = kindOfFormat(format);
    const auto [grain, across, chunkRows, down] = chunksFor(static_cast<uint64_t>(context.team.threads()));
    const uint64_t chunks = down * across, tiles = divideUp(cols, kTile);
    const size_t words = Int8Layout(kind, depth).rowWords();
    auto& memory = *reinterpret_cast<Int8Memory*>(context.scratch());
    static_assert(sizeof(Int8Memory) + 2 * kMaxHeld * 4 <= kScratchBytes);
    int32_t* held = reinterpret_cast<int32_t*>(&memory + 1);
    bool holds = false;  // true once this thread has converted x, in its first chunk
    context.team.parallelRange(chunks, 1, [&](uint64_t chunk, uint64_t) {
      const uint64_t row = chunk / across * chunkRows, first = chunk % across * grain;
      if (!q.present() && !holds) quantizeRows(context.f32(x), xStride, 0, rows, rows, depth, kind, held);
      holds = true;
      const int32_t* from = q.present() ? context.i32(q) + row * words : held;
      // Weights of the next chunk are prefetched. A thread may claim chunks from the back.
      const uint64_t next =
          context.team.after(static_cast<uint32_t>(chunk), static_cast<uint32_t>(chunks)) % across * grain;
      multiplyIntegers(context, from, row, atMost(chunkRows, rows - row), first, atMost(first + grain, tiles),
                       tilesFrom(context, next, tiles));
    });
  }

  // Rows of a chunk, whose integers begin at `from`, and the features of tiles `first` to below `end`.
  void multiplyIntegers(const Context& context, const int32_t* from, uint64_t row, size_t height, uint64_t first,
                        uint64_t end, const PackedTiles& next) const {
    auto& memory = *reinterpret_cast<Int8Memory*>(context.scratch());
    const bool scaled = kindOfFormat(format).parts == 0;  // features have scales of their own
    for (uint64_t t = first; t < end; t += kInt8Tiles) {
      const bool last = t + kInt8Tiles >= end;
      if (isFew() && last) fetchWeights(next.first, kAhead);
      const PackedTiles some = tilesFrom(context, t, end);
      const PackedTiles after = last ? next : tilesFrom(context, t + kInt8Tiles, end);
      const float* scales = scaled ? reinterpret_cast<const float*>(some.first) : nullptr;
      const auto finish = [&](size_t r, size_t count, float* sums) {
        finishTile(context, sums, kInt8Cols, row + r, t * kTile, count, some.count * kTile, scales,
                   some.bytes / sizeof(float));
      };
      Int8Product(format, some, isFew() ? nullptr : &after, {from, height, depth}, memory, finish).multiply();
    }
  }

  size_t bytesOfTile() const {
    return withFormat(format, [&](auto f) { return static_cast<size_t>(tileBytes<decltype(f)>(depth)); });
  }
  const uint8_t* tileAt(const Context& context, uint64_t tile) const {
    return reinterpret_cast<const uint8_t*>(context.f32(w)) + tile * bytesOfTile();
  }

  // Adds scales and bias, and applies f, to `features` features from `col` on, without those beyond the last column.
  // `stride` is the number of floats between rows of `products`. `scales`, if not null, multiply features; those of one
  // tile are `scalesStep` floats after those of the previous tile.
  __attribute__((noinline)) void finishTile(const Context& context, float* products, size_t stride, uint64_t row,
                                            uint64_t col, size_t height, size_t features, const float* scales = nullptr,
                                            size_t scalesStep = 0) const {
    const size_t width = atMost(features, cols - col);
    const bool activates = activation != kNone && !keeps();
    float* to = activates ? products : sums(context, row, col);  // values that are read again stay in the cache
    const size_t step = activates ? stride : keeps() ? cols : yStride;
    for (size_t r = 0; r < height; ++r) {
      eachVector(width, [&](size_t c, size_t lanes) {
        Vf value = load(products + r * stride + c);
        if (scales != nullptr) value = rounded(value * load(scales + c / kTile * scalesStep + c % kTile));
        if (bias.present()) value += loadLanes(context.f32(bias) + col + c, lanes);
        storeLanes(to + r * step + c, value, lanes);
      });
    }
    if (activates || keeps()) activateRows(context, to, step, row, col, height, width);
  }

  // Applies f to some rows and features. Its arguments begin at `from`, with `step` floats between rows.
  __attribute__((noinline)) void activateRows(const Context& context, const float* from, size_t step, uint64_t row,
                                              uint64_t col, size_t height, size_t width) const {
    float* to = context.f32(y) + row * yStride + col;
    withActivation(activation, [&](auto f) {
      for (size_t r = 0; r < height; ++r) {
        eachVector(width, [&](size_t c, size_t lanes) {
          storeLanes(to + r * yStride + c, activate<f()>(loadLanes(from + r * step + c, lanes)), lanes);
        });
      }
    });
  }
};
PACKED_KERNEL(QuantizedLinear)
