// Creation and copies of tensors: upload, copy, widen, fill.
#include "kernels/shared/blocks.h"

// y[i] = data[i], the words at the end of the command. So small inputs are part of the command list, in order with
// other commands.
struct Upload {
  static constexpr const char* name = "upload";
  static constexpr const char* signature = "out:y tail:data";
  Span y;

  static const char* check(const uint32_t* operands) {
    REQUIRE(decode<Upload>(operands).y.covers(tailWords<Upload>(operands)), "y is too small for the data");
    return nullptr;
  }

  static void run(const uint32_t* operands, Context& context) {
    int32_t* to = context.i32(decode<Upload>(operands).y);
    context.team.parallel(1, [&](uint32_t) {
      memcpy(to, operands + sizeof(Upload) / 4, tailWords<Upload>(operands) * sizeof(uint32_t));
    });
  }
};
KERNEL_WITH_TAIL(Upload)

// y[r, c] = x[r, c] (+ y[r, c] if accumulate) for rows × cols words, with `xStride` and `yStride` words between rows.
struct Copy {
  static constexpr const char* name = "copy";
  static constexpr const char* signature = "in:x inout:y u32:rows u32:cols u32:xStride u32:yStride u32:accumulate";
  Span x, y;
  uint32_t rows, cols, xStride, yStride, accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for rows, cols and xStride");
    REQUIRE(y.covers(rows, cols, yStride), "y is too small for rows, cols and yStride");
    return nullptr;
  }

  void run(Context& context) const {
    const float* from = context.f32(x);
    float* to = context.f32(y);
    eachRun(context.team, rows, cols, xStride == cols && yStride == cols, [&](uint64_t r, uint64_t c, uint64_t count) {
      moveRow(from + r * xStride + c, to + r * yStride + c, count, accumulate != 0);
    });
  }
};
KERNEL(Copy)

// y[i] = the i-th of `count` 16-bit floats that are stored side by side in x: bfloat16 if `brain`, else IEEE float16.
struct Widen {
  static constexpr const char* name = "widen";
  static constexpr const char* signature = "in:x out:y u32:count u32:brain";
  Span x, y;
  uint32_t count, brain;

  const char* check() const {
    REQUIRE(x.covers((uint64_t{count} + 1) / 2), "x is shorter than count halves");
    REQUIRE(y.covers(count), "y is shorter than count");
    return nullptr;
  }

  void run(Context& context) const {
    const uint8_t* from = reinterpret_cast<const uint8_t*>(context.f32(x));
    float* to = context.f32(y);
    const auto values = [this](const uint8_t* at) { return brain ? asFloat(shortsToInts(at) << 16) : halves(at); };
    context.team.parallelRange(count, 32768, [&](uint64_t i, uint64_t last) {
      for (; i + kWidth <= last; i += kWidth) store(to + i, values(from + 2 * i));
      uint8_t rest[2 * kWidth] = {};
      memcpy(rest, from + 2 * i, 2 * (last - i));
      storeLanes(to + i, values(rest), last - i);
    });
  }
};
KERNEL(Widen)

// y[r, c] = value, the bits of a float or an integer.
struct Fill {
  static constexpr const char* name = "fill";
  static constexpr const char* signature = "out:y u32:rows u32:cols u32:stride u32:value";
  Span y;
  uint32_t rows, cols, stride, value;

  const char* check() const {
    REQUIRE(y.covers(rows, cols, stride), "y is too small for rows, cols and stride");
    return nullptr;
  }

  void run(Context& context) const {
    int32_t* to = context.i32(y);
    eachRun(context.team, rows, cols, stride == cols, [&](uint64_t r, uint64_t c, uint64_t count) {
      int32_t* run = to + r * stride + c;
      for (uint64_t i = 0; i < count; ++i) run[i] = static_cast<int32_t>(value);
    });
  }
};
KERNEL(Fill)
