// A linear layer whose weight is packed (formats/layout.h).
#include "formats/formats.h"
#include "kernels/shared/activations.h"
#include "kernels/shared/gemm.h"

// y = f(x·wᵀ + bias): x [rows, depth], w [cols, depth] packed, bias [cols], y [rows, cols].
//   pre    [rows, cols] without gaps: receives the argument of f, which backward needs
struct QuantizedLinear {
  static constexpr const char* name = "quantizedLinear";
  static constexpr const char* signature =
      "in:x in:w in?:bias out:y out?:pre u32:rows u32:cols u32:depth u32:xStride u32:yStride u32:format u32:activation";
  Span x, w, bias, y, pre;
  uint32_t rows, cols, depth, xStride, yStride, format, activation;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    if (const char* reason = checkPacked(w, format, cols, depth)) return reason;
    REQUIRE(x.covers(rows, depth, xStride), "x is smaller than rows, depth and xStride say");
    REQUIRE(y.covers(rows, cols, yStride), "y is smaller than rows, cols and yStride say");
    REQUIRE(!bias.present() || bias.covers(cols), "bias is shorter than a row of y");
    REQUIRE(!pre.present() || pre.covers(rows, cols, cols), "pre is smaller than its shape says");
    REQUIRE(activation < kActivations, "unknown activation");
    return nullptr;
  }

  void run(Context& context) const {
    if (rows == 0 || cols == 0) return;
    const uint64_t down = divideUp(rows, kBlockRows), across = divideUp(cols, kPanel);
    context.team.parallelRange(down * across, 1, [&](uint64_t block, uint64_t) {
      const uint64_t row = block / across * kBlockRows, col = block % across * kPanel;
      multiply(context, row, col, atMost(kBlockRows, rows - row), atMost(kPanel, cols - col));
      finish(context, row, col, atMost(kBlockRows, rows - row), atMost(kPanel, cols - col));
    });
  }

 private:
  // Features that are unpacked together, and rows that meet them.
  static constexpr size_t kPanel = 3 * kTile, kBlockRows = kMaxTilesDown * kTileRows;

  bool keeps() const { return pre.present(); }
  float* sums(const Context& context, uint64_t row, uint64_t col) const {
    return keeps() ? context.f32(pre) + row * cols + col : context.f32(y) + row * yStride + col;
  }

  // Inputs from `k` on of some features, as a panel of floats.
  template <class Format>
  void unpackPanel(const Context& context, uint64_t col, size_t width, size_t k, size_t inputs, float* panel) const {
    const uint8_t* tiles = reinterpret_cast<const uint8_t*>(context.f32(w)) + col / kTile * tileBytes<Format>(depth);
    for (size_t t = 0; t * kTile < width; ++t)
      for (size_t g = 0; g * kGroup < inputs; ++g)
        Format::unpack(groupAt<Format>(tiles + t * tileBytes<Format>(depth), k / kGroup + g), kPanel,
                       panel + g * kGroup * kPanel + t * kTile);
  }

  // Blocks of inputs are unpacked as a panel, whose product is added to those before.
  void multiply(const Context& context, uint64_t row, uint64_t col, size_t height, size_t width) const {
    float *panel = context.scratch(), *memory = panel + kMaxBlockDepth * kPanel;
    static_assert(kMaxBlockDepth * kPanel + kGemmMemory <= kScratchFloats && kMaxBlockDepth % kGroup == 0);
    for (size_t k = 0; k < depth; k += kMaxBlockDepth) {
      const size_t inputs = atMost(kMaxBlockDepth, depth - k);
      withFormat(format, [&](auto f) { unpackPanel<decltype(f)>(context, col, width, k, inputs, panel); });
      Gemm product;
      product.a = context.f32(x) + row * xStride + k;
      product.aRow = xStride;
      product.aCol = 1;
      product.b = panel;
      product.bRow = kPanel;
      product.bTransposed = false;
      product.c = sums(context, row, col);
      product.cRow = keeps() ? cols : yStride;
      product.rows = height;
      product.cols = width;
      product.depth = inputs;
      product.accumulate = k > 0;
      product.bias = bias.present() && k + inputs == depth ? context.f32(bias) + col : nullptr;
      product.relu = false;
      product.columnSums = nullptr;
      product.accumulateSums = false;
      product.few = false;
      gemmBlock(product, memory, [](size_t, size_t, size_t, size_t) {});
    }
  }

  void finish(const Context& context, uint64_t row, uint64_t col, size_t height, size_t width) const {
    if (activation == kNone && !keeps()) return;
    withActivation(activation, [&](auto f) {
      for (size_t r = 0; r < height; ++r) {
        const float* from = sums(context, row + r, col);
        float* to = context.f32(y) + (row + r) * yStride + col;
        eachVector(width, [&](size_t c, size_t lanes) {
          storeLanes(to + c, activate<f()>(loadLanes(from + c, lanes)), lanes);
        });
      }
    });
  }
};
KERNEL(QuantizedLinear)
