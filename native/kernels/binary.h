// Element-wise arithmetic with NumPy broadcasting. Gradients are sums over the broadcast dimensions: see reduce.h.
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"
#include "kernels/shared/results.h"

// y[i] = a[i] ∘ b[i], ∘ by `kind`: 0 +, 1 −, 2 ×, 3 ÷. y is contiguous, n0 × … × n5; a and b have a step per dimension,
// 0 where they are broadcast, and 0 or 1 in the last.
struct Binary {
  static constexpr const char* name = "binary";
  static constexpr const char* signature =
      "in:a in:b out:y u32:kind u32:n0 u32:n1 u32:n2 u32:n3 u32:n4 u32:n5 "
      "u32:a0 u32:a1 u32:a2 u32:a3 u32:a4 u32:a5 u32:b0 u32:b1 u32:b2 u32:b3 u32:b4 u32:b5";
  Span a, b, y;
  uint32_t kind;
  uint32_t n[kRank], aStep[kRank], bStep[kRank];

  const char* check() const {
    REQUIRE(kind < 4, "kind must be 0 to 3");
    REQUIRE(aStep[5] <= 1 && bStep[5] <= 1, "the last step of a and b must be 0 or 1");
    REQUIRE(y.covers(product(n, 0, kRank)), "y is smaller than its dimensions say");
    REQUIRE(reaches(a, n, aStep), "a is smaller than its dimensions and steps say");
    REQUIRE(reaches(b, n, bStep), "b is smaller than its dimensions and steps say");
    return nullptr;
  }

  template <class Operation>
  void each(Context& context, Operation operation) const {
    const uint64_t rows = product(n, 0, 5), cols = n[5];
    withResults(rows * cols, [&](auto past, uint64_t more) {
      const auto block = [&](uint64_t row, uint64_t lastRow, uint64_t c0, uint64_t c1) {
        BroadcastWalk<2> walk(n, {aStep, bStep}, 0, 5, row);
        for (; row < lastRow; ++row, walk.next()) {
          const float* left = context.f32(a) + walk.at[0] + c0 * aStep[5];
          const float* right = context.f32(b) + walk.at[1] + c0 * bStep[5];
          float* target = context.f32(y) + row * cols + c0;
          eachVector(c1 - c0, [&](size_t c, size_t lanes) {
            const Vf l = aStep[5] != 0 ? loadLanes(left + c, lanes) : splat(*left);
            const Vf r = bStep[5] != 0 ? loadLanes(right + c, lanes) : splat(*right);
            storeResult<past()>(target + c, operation(l, r), lanes);
          });
        }
        if (past()) endPast();
      };
      parallelBlocks(context.team, rows, cols, more * 16384, block);
    });
  }

  void run(Context& context) const {
    switch (kind) {
      case 0:
        return each(context, [](Vf l, Vf r) { return l + r; });
      case 1:
        return each(context, [](Vf l, Vf r) { return l - r; });
      case 2:
        return each(context, [](Vf l, Vf r) { return l * r; });
      default:
        return each(context, [](Vf l, Vf r) { return l / r; });
    }
  }
};
KERNEL(Binary)

// y[r, c] = scale·x[r, c] + shift (+ y[r, c] if accumulate).
struct Affine {
  static constexpr const char* name = "affine";
  static constexpr const char* signature =
      "in:x inout:y u32:rows u32:cols u32:xStride u32:yStride f32:scale f32:shift u32:accumulate";
  Span x, y;
  uint32_t rows, cols, xStride, yStride;
  float scale, shift;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, cols, xStride), "x is smaller than rows, cols and xStride say");
    REQUIRE(y.covers(rows, cols, yStride), "y is smaller than rows, cols and yStride say");
    return nullptr;
  }

  void run(Context& context) const {
    eachRun(context.team, rows, cols, xStride == cols && yStride == cols, [&](uint64_t r, uint64_t c0, uint64_t count) {
      const float* source = context.f32(x) + r * xStride + c0;
      float* target = context.f32(y) + r * yStride + c0;
      eachVector(count, [&](size_t c, size_t lanes) {
        const Vf value = fma(loadLanes(source + c, lanes), splat(scale), splat(shift));
        storeLanes(target + c, accumulate == 0 ? value : value + loadLanes(target + c, lanes), lanes);
      });
    });
  }
};
KERNEL(Affine)
