// Element-wise binary operations with NumPy broadcasting, `where`, and scale-and-shift. Gradients are sums over the
// broadcast dimensions (reduce.h).
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"
#include "kernels/shared/elementary.h"
#include "kernels/shared/results.h"

namespace binary {

// The operations on vectors l and r, with their names in the manifest. Operands are float32 or, for names that end in
// Int, int32 in vectors of floats, which preserve bits. Comparisons give int32: 1 or 0.
#define EACH_BINARY(X)                                                                    \
  X(Add, "binary.add", l + r)                                                             \
  X(Sub, "binary.sub", l - r)                                                             \
  X(Mul, "binary.mul", l* r)                                                              \
  X(Div, "binary.div", l / r)                                                             \
  X(Minimum, "binary.minimum", l == l ? min(l, r) : l)                                    \
  X(Maximum, "binary.maximum", l == l ? max(l, r) : l)                                    \
  X(Pow, "binary.pow", pow(l, r))                                                         \
  X(PowBase, "binary.powBase", r == splat(0.f) ? splat(0.f) : r * pow(l, r - splat(1.f))) \
  X(PowExponent, "binary.powExponent", powExponent(l, r))                                 \
  X(Share, "binary.share", l < r ? splat(0.f) : (l == r ? splat(.5f) : splat(1.f)))       \
  X(Equal, "binary.equal", truth(l == r))                                                 \
  X(NotEqual, "binary.notEqual", truth(l != r))                                           \
  X(Less, "binary.less", truth(l < r))                                                    \
  X(LessEqual, "binary.lessEqual", truth(l <= r))                                         \
  X(AddInt, "binary.addInt", wrapped(bits(l) + bits(r)))                                  \
  X(SubInt, "binary.subInt", wrapped(bits(l) - bits(r)))                                  \
  X(MulInt, "binary.mulInt", wrapped(bits(l) * bits(r)))                                  \
  X(MinimumInt, "binary.minimumInt", asInt(l) < asInt(r) ? l : r)                         \
  X(MaximumInt, "binary.maximumInt", asInt(l) > asInt(r) ? l : r)                         \
  X(EqualInt, "binary.equalInt", truth(asInt(l) == asInt(r)))                             \
  X(NotEqualInt, "binary.notEqualInt", truth(asInt(l) != asInt(r)))                       \
  X(LessInt, "binary.lessInt", truth(asInt(l) < asInt(r)))                                \
  X(LessEqualInt, "binary.lessEqualInt", truth(asInt(l) <= asInt(r)))

// Converts a mask to the integers 1 and 0.
template <class Mask>
SIMD_INLINE Vf truth(Mask mask) {
  return asFloat(mask ? splatInt(1) : splatInt(0));
}

// Reinterpret integers as unsigned words, whose arithmetic wraps around, and back.
SIMD_INLINE Vu bits(Vf v) { return (Vu)asInt(v); }
SIMD_INLINE Vf wrapped(Vu v) { return asFloat((Vi)v); }

// ∂(l^r)/∂r = l^r·ln l, or 0 where l = 0 and r ≥ 0.
SIMD_INLINE Vf powExponent(Vf l, Vf r) {
  const Vf slope = pow(l, r) * log(l);
  return l == splat(0.f) ? (r >= splat(0.f) ? splat(0.f) : slope) : slope;
}

enum Kind : uint32_t {
#define X(Operation, name, value) k##Operation,
  EACH_BINARY(X)
#undef X
      kKinds
};

// Calls body(operation), so that loops over a row are compiled for each operation. The operation has no state.
template <class Body>
SIMD_INLINE void withOperation(uint32_t kind, const Body& body) {
  switch (kind) {
#define X(Operation, name, value) \
  case k##Operation:              \
    return body([](Vf l, Vf r) { return value; });
    EACH_BINARY(X)
#undef X
    default:
      return;
  }
}

}  // namespace binary

#define X(Operation, name, value) CONSTANT(name, binary::k##Operation)
EACH_BINARY(X)
#undef X
#undef EACH_BINARY

// Loads `lanes` words of an operand along the last dimension, in which it may be broadcast. The words may be integers.
SIMD_INLINE Vf wordsAt(const float* row, size_t c, size_t lanes, uint32_t step) {
  if (step != 0) return loadLanes(row + c, lanes);
  int32_t word;
  memcpy(&word, row, sizeof word);
  return asFloat(splatInt(word));
}

// y[i] = a[i] ∘ b[i], where `kind` selects ∘. y is contiguous, n0 × … × n5. a and b have a step per dimension: 0 where
// they are broadcast, and 0 or 1 in the last one.
struct Binary {
  static constexpr const char* name = "binary";
  static constexpr const char* signature =
      "in:a in:b out:y u32:kind u32:n0 u32:n1 u32:n2 u32:n3 u32:n4 u32:n5 "
      "u32:a0 u32:a1 u32:a2 u32:a3 u32:a4 u32:a5 u32:b0 u32:b1 u32:b2 u32:b3 u32:b4 u32:b5";
  Span a, b, y;
  uint32_t kind;
  uint32_t n[kRank], aStep[kRank], bStep[kRank];

  const char* check() const {
    REQUIRE(kind < binary::kKinds, "unknown kind");
    REQUIRE(aStep[5] <= 1 && bStep[5] <= 1, "the last step of a and b must be 0 or 1");
    REQUIRE(y.covers(product(n, 0, kRank)), "y is too small for its dimensions");
    REQUIRE(reaches(a, n, aStep), "a is too small for its dimensions and steps");
    REQUIRE(reaches(b, n, bStep), "b is too small for its dimensions and steps");
    return nullptr;
  }

  // Computes `cols` results of one row; steps are 0 or 1.
  using Row = void (*)(const float* left, uint32_t leftStep, const float* right, uint32_t rightStep, float* to,
                       size_t cols);

  template <bool kNonTemporal, class Operation>
  static void row(const float* left, uint32_t leftStep, const float* right, uint32_t rightStep, float* to,
                  size_t cols) {
    eachVector(cols, [&](size_t c, size_t lanes) {
      const Vf l = wordsAt(left, c, lanes, leftStep), r = wordsAt(right, c, lanes, rightStep);
      storeResult<kNonTemporal>(to + c, Operation()(l, r), lanes);
    });
  }

  void run(Context& context) const {
    const uint64_t rows = product(n, 0, 5), cols = n[5];
    withResults(rows * cols, [&](auto nonTemporal, uint64_t more) {
      Row compute = nullptr;
      binary::withOperation(kind, [&](auto operation) { compute = row<nonTemporal(), decltype(operation)>; });
      parallelBlocks(context.team, rows, cols, more * 16384, [&](uint64_t r, uint64_t end, uint64_t c0, uint64_t c1) {
        BroadcastWalk<2> walk(n, {aStep, bStep}, 0, 5, r);
        for (; r < end; ++r, walk.next())
          compute(context.f32(a) + walk.at[0] + c0 * aStep[5], aStep[5], context.f32(b) + walk.at[1] + c0 * bStep[5],
                  bStep[5], context.f32(y) + r * cols + c0, c1 - c0);
        if (nonTemporal()) fenceNonTemporal();
      });
    });
  }
};
KERNEL(Binary)

// y[i] = c[i] ≠ 0 ? a[i] : b[i], for int32 c; a, b and y have the same type. y is contiguous, n0 × … × n5. The others
// have a step per dimension: 0 where they are broadcast, and 0 or 1 in the last one.
struct Where {
  static constexpr const char* name = "where";
  static constexpr const char* signature =
      "in:c in:a in:b out:y u32:n0 u32:n1 u32:n2 u32:n3 u32:n4 u32:n5 u32:c0 u32:c1 u32:c2 u32:c3 u32:c4 u32:c5 "
      "u32:a0 u32:a1 u32:a2 u32:a3 u32:a4 u32:a5 u32:b0 u32:b1 u32:b2 u32:b3 u32:b4 u32:b5";
  Span c, a, b, y;
  uint32_t n[kRank], cStep[kRank], aStep[kRank], bStep[kRank];

  const char* check() const {
    REQUIRE(cStep[5] <= 1 && aStep[5] <= 1 && bStep[5] <= 1, "the last step of c, a and b must be 0 or 1");
    REQUIRE(y.covers(product(n, 0, kRank)), "y is too small for its dimensions");
    REQUIRE(reaches(c, n, cStep), "c is too small for its dimensions and steps");
    REQUIRE(reaches(a, n, aStep), "a is too small for its dimensions and steps");
    REQUIRE(reaches(b, n, bStep), "b is too small for its dimensions and steps");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t rows = product(n, 0, 5), cols = n[5];
    const auto block = [&](uint64_t row, uint64_t lastRow, uint64_t c0, uint64_t c1) {
      BroadcastWalk<3> walk(n, {cStep, aStep, bStep}, 0, 5, row);
      for (; row < lastRow; ++row, walk.next()) {
        const float* condition = context.f32(c) + walk.at[0] + c0 * cStep[5];
        const float* left = context.f32(a) + walk.at[1] + c0 * aStep[5];
        const float* right = context.f32(b) + walk.at[2] + c0 * bStep[5];
        float* target = context.f32(y) + row * cols + c0;
        eachVector(c1 - c0, [&](size_t i, size_t lanes) {
          const Vf l = wordsAt(left, i, lanes, aStep[5]), r = wordsAt(right, i, lanes, bStep[5]);
          const Vi chosen = asInt(wordsAt(condition, i, lanes, cStep[5]));
          storeLanes(target + i, chosen != splatInt(0) ? l : r, lanes);
        });
      }
    };
    parallelBlocks(context.team, rows, cols, 16384, block);
  }
};
KERNEL(Where)

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
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for rows, cols and xStride");
    REQUIRE(y.covers(rows, cols, yStride), "y is too small for rows, cols and yStride");
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
