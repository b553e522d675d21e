// Conversion of activations to 8-bit integers, for several products with packed weights.
#include "kernels/shared/int8_rows.h"

// q = x [rows, depth] in the form of kernels/shared/int8_rows.h, for weights of this format.
struct QuantizeRows {
  static constexpr const char* name = "quantizeRows";
  static constexpr const char* signature = "in:x out:q u32:rows u32:depth u32:xStride u32:format";
  Span x, q;
  uint32_t rows, depth, xStride, format;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    REQUIRE(format < kFormatCount && kindOfFormat(format).bits > 0, "this format has no integers");
    REQUIRE(x.covers(rows, depth, xStride), "x is too small for rows, depth and xStride");
    REQUIRE(q.covers(rows * Int8Layout(kindOfFormat(format), depth).rowWords()), "q is too small");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t grain = divideUp(16384 / depth + 1, kInt8PanelRows) * kInt8PanelRows;
    context.team.parallelRange(rows, grain, [&](uint64_t row, uint64_t last) {
      quantizeRows(context.f32(x), xStride, row, last, rows, depth, kindOfFormat(format), context.i32(q));
    });
  }
};
PACKED_KERNEL(QuantizeRows)
