// Matrix multiplication, with the operations that a linear layer fuses into it: bias, activation, dropout.
#include "kernels/shared/activations.h"
#include "kernels/shared/dropping.h"
#include "kernels/shared/bfloat16_gemm.h"
#include "kernels/shared/gemm_blocks.h"

// True if `batch` matrices of rows × cols, `batchStride` words apart, lie inside the span.
inline bool coversBatch(Span span, uint64_t batch, uint64_t batchStride, uint64_t rows, uint64_t cols,
                        uint64_t stride) {
  if (batch == 0 || rows == 0 || cols == 0) return true;
  return span.covers(rows, cols, stride) && (batch - 1) * batchStride <= span.length - ((rows - 1) * stride + cols);
}

// For each n < batch:  c[n] = f(op(a[n])·op(b[n]) + bias)  or, accumulating,  c[n] += op(a[n])·op(b[n]) + bias.
//
//   op(a)  [rows, depth]   stored as [depth, rows] if transposeA
//   op(b)  [depth, cols]   stored as [cols, depth] if transposeB
//   bias   [cols]
//   pre    [batch, rows, cols], contiguous: receives the argument of f, for the backward pass
//   drop   dropout after f, unless its scale is 0 (dropping.h)
//   sums   [cols], only if transposeA: receives the column sums of b
//
// Strides are words between stored rows and between matrices of a batch. A batch stride of 0 repeats a matrix. Bits of
// accumulate: c, sums.
//
// The backward pass of a layer y = f(z), z = x·w + bias, uses three of these products.
//
//   dz = dy·f'(z)    dx = dz·wᵀ    dw = xᵀ·dz    dbias = the column sums of dz
struct MatMul {
  static constexpr const char* name = "matmul";
  static constexpr const char* signature =
      "in:a in:b in?:bias inout:c out?:pre inout?:sums u32:rows u32:cols u32:depth u32:transposeA u32:transposeB "
      "u32:aStride u32:bStride u32:cStride u32:batch u32:aBatch u32:bBatch u32:cBatch u32:accumulate u32:activation "
      "u32:seed u32:stream u32:threshold f32:dropScale";
  Span a, b, bias, c, pre, sums;
  uint32_t rows, cols, depth, transposeA, transposeB, aStride, bStride, cStride, batch, aBatch, bBatch, cBatch,
      accumulate, activation;
  Dropping drop;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    REQUIRE(coversBatch(a, batch, aBatch, transposeA ? depth : rows, transposeA ? rows : depth, aStride),
            "a is too small for its shape and strides");
    REQUIRE(coversBatch(b, batch, bBatch, transposeB ? cols : depth, transposeB ? depth : cols, bStride),
            "b is too small for its shape and strides");
    REQUIRE(coversBatch(c, batch, cBatch, rows, cols, cStride), "c is too small for its shape and strides");
    REQUIRE(batch <= 1 || rows == 0 || cBatch >= uint64_t{rows - 1} * cStride + cols, "the matrices of c overlap");
    REQUIRE(!bias.present() || bias.covers(cols), "bias is shorter than a row of c");
    REQUIRE(activation < kActivations, "unknown activation");
    REQUIRE(!sums.present() || (transposeA && !transposeB && batch == 1), "sums are for a gradient of weights");
    REQUIRE(!sums.present() || sums.covers(cols), "sums is shorter than a row of b");
    REQUIRE(!accumulate || (activation == kNone && !pre.present() && drop.scale == 0),
            "only a plain product can be accumulated");
    REQUIRE(drop.scale == 0 || batch == 1, "only one matrix can have dropout");
    REQUIRE(!pre.present() || coversBatch(pre, batch, uint64_t{rows} * cols, rows, cols, cols),
            "pre is too small for its shape");
    return nullptr;
  }

  Weight weightOperand() const {
    if (transposeA != 0 || transposeB != 0 || batch != 1 || bStride != cols) return {};
    if (cols < kMinPanels * kPanelCols || cols * depth < kMinWeight) return {};
    return {offsetof(MatMul, b) / 4, depth, cols};
  }

  void run(Context& context) const {
    if (rows == 0 || cols == 0 || batch == 0) return;
    const bool inPanels = context.inPanels(b);
    const GemmCut ways({rows, cols, depth, batch, transposeA != 0, transposeB != 0},
                       static_cast<uint64_t>(context.team.threads()));
    const Blocks cut = inPanels ? ways.inPanels() : few() ? ways.few() : ways.many();
    eachBlock(context, cut, ways.together(), inPanels,
              [&](const Gemm& g, const auto& finish) { gemmBlock(g, context.scratch(), finish); });
  }

 protected:
  // Calls multiply(g, finish) for the blocks of C. `together` matrices of one block make a task.
  template <class Multiply>
  void eachBlock(Context& context, const Blocks& cut, uint64_t together, bool inPanels,
                 const Multiply& multiply) const {
    const uint64_t perMatrix = cut.down * cut.across;
    context.team.parallelRange(perMatrix * batch, perMatrix > 1 ? 1 : together, [&](uint64_t block, uint64_t end) {
      for (; block < end; ++block) {
        // Blocks are ordered by rows, so that a thread finds the same rows of A in its cache as in the previous
        // layer.
        const uint64_t n = block / perMatrix;
        const uint64_t row = block / cut.across % cut.down * cut.rowStep, col = block % cut.across * cut.colStep;
        const Gemm g = part(context, n, row, col, cut.rowStep, cut.colStep, inPanels);
        multiply(g, [&](size_t i, size_t j, size_t height, size_t width) {
          finish(context, g.c + i * g.cRow + j, n, row + i, col + j, height, width);
        });
      }
    });
  }

 private:
  static constexpr uint64_t kMinPanels = 4,
                            kMinWeight = 1 << 14;  // minimum size of a weight that is laid out in panels

  // False for gradients of weights, which sum columns and read A across its rows.
  bool few() const { return !transposeA && !transposeB && isFew(rows, uint64_t{bStride} * depth); }

  // The part of matrix n at (row, col), at most height × width.
  Gemm part(const Context& context, uint64_t n, uint64_t row, uint64_t col, uint64_t height, uint64_t width,
            bool inPanels) const {
    return {.a = context.f32(a) + n * aBatch + row * (transposeA ? 1 : aStride),
            .aRow = transposeA ? 1 : aStride,
            .aCol = transposeA ? aStride : 1,
            .b = context.f32(b) + n * bBatch + (inPanels ? 0 : col * (transposeB ? bStride : 1)),
            .bRow = bStride,
            .bTransposed = transposeB != 0,
            .c = keeps() ? context.f32(pre) + (n * rows + row) * cols + col : result(context, n, row, col),
            .cRow = keeps() ? cols : cStride,
            .rows = atMost(height, rows - row),
            .cols = atMost(width, cols - col),
            .depth = depth,
            .accumulate = (accumulate & 1) != 0,
            .bias = bias.present() ? context.f32(bias) + col : nullptr,
            .columnSums = sums.present() && row == 0 ? context.f32(sums) + col : nullptr,
            .accumulateSums = (accumulate & 2) != 0,
            .few = few(),
            .inPanels = inPanels,
            .firstCol = static_cast<size_t>(col)};
  }

  bool keeps() const { return pre.present(); }
  float* result(const Context& context, uint64_t n, uint64_t row, uint64_t col) const {
    return context.f32(c) + n * cBatch + row * cStride + col;
  }

  // Applies the fused functions. `from` has the sums of matrix n's part at (row, col).
  void finish(const Context& context, const float* from, uint64_t n, uint64_t row, uint64_t col, size_t height,
              size_t width) const {
    if (activation == kNone && !keeps() && drop.scale == 0) return;
    float* to = result(context, n, row, col);
    const uint64_t fromStride = keeps() ? cols : cStride;
    withActivation(activation, [&](auto f) {
      for (size_t y = 0; y < height; ++y)
        eachVector(width, [&](size_t x, size_t lanes) {
          storeLanes(to + y * cStride + x, activate<f()>(loadLanes(from + y * fromStride + x, lanes)), lanes);
        });
    });
    if (drop.scale == 0) return;
    for (size_t y = 0; y < height; ++y)
      drop.eachVector(row + y, col, col + width, [&](uint64_t x, size_t lanes, const auto& kept) {
        float* at = to + y * cStride + (x - col);
        storeLanes(at, kept(loadLanes(at, lanes)), lanes);
      });
  }
};
KERNEL(MatMul)

// A product with the elements of a and b rounded to bfloat16: see shared/bfloat16.h. Everything else is in float32.
struct MatMulBfloat16 : MatMul {
  static constexpr const char* name = "matmulBfloat16";

  Weight weightOperand() const { return {}; }

  void run(Context& context) const {
    if (rows == 0 || cols == 0 || batch == 0) return;
    const ProductSize size{rows, cols, depth, batch, transposeA != 0, transposeB != 0};
    const Blocks cut = bfloat16::blocksOf(size, static_cast<uint64_t>(context.team.threads()));
    eachBlock(context, cut, bfloat16::together(size), false, [&](const Gemm& g, const auto& finish) {
      const bfloat16::Session session;
      bfloat16::multiplyBlock(g, context.scratch(), finish);
    });
  }
};
BFLOAT16_KERNEL(MatMulBfloat16)
