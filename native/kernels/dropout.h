// Inverted dropout (Srivastava et al. 2014): elements that are kept are multiplied by 1 / (1 - p).
#include "kernels/shared/blocks.h"
#include "kernels/shared/dropping.h"

// y[r, c] = scale·x[r, c] if the element is kept, else 0 (+ y[r, c] if accumulate). The gradient is the same function
// of dy.
struct Dropout {
  static constexpr const char* name = "dropout";
  static constexpr const char* signature =
      "in:x inout:y u32:rows u32:cols u32:xStride u32:yStride u32:seed u32:stream u32:threshold f32:scale "
      "u32:accumulate";
  Span x, y;
  uint32_t rows, cols, xStride, yStride;
  Dropping dropping;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for rows, cols and xStride");
    REQUIRE(y.covers(rows, cols, yStride), "y is too small for rows, cols and yStride");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t blocks = divideUp(uint64_t{cols}, 32);
    const auto dropBlocks = [&](uint64_t row, uint64_t lastRow, uint64_t firstBlock, uint64_t lastBlock) {
      for (; row < lastRow; ++row) {
        const float* source = context.f32(x) + row * xStride;
        float* target = context.f32(y) + row * yStride;
        const uint64_t end = 32 * lastBlock < cols ? 32 * lastBlock : cols;
        dropping.eachVector(row, 32 * firstBlock, end, [&](uint64_t c, size_t lanes, const auto& kept) {
          const Vf v = kept(loadLanes(source + c, lanes));
          storeLanes(target + c, accumulate == 0 ? v : v + loadLanes(target + c, lanes), lanes);
        });
      }
    };
    parallelBlocks(context.team, rows, blocks, 256, dropBlocks);
  }
};
TRAINING_KERNEL(Dropout)
