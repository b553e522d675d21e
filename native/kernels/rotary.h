// Rotary position embedding (Su et al. 2021, arXiv 2104.09864). In each head, pairs of features are rotated by angles
// that grow with the position. The product of a query and a key then depends on their distance.
//
//   y(j) = x(j)·cosine(j) + x(partner of j)·sine(j)     for the first `width` features of each head of `head` features, in
//                                                       the heads of the first `rotated` columns
//   y(j) = x(j)                                         for all other features
//
//   x, y       [rows, cols], with xStride and yStride words between rows
//   positions  [rows], each below tableRows; if absent, row i is at position i
//   table      [tableRows, 2·width]: a cosine per rotated feature, then a sine, negated for the first feature of a pair
//
// Pairs are features 2i and 2i + 1 or, if `halves`, feature i of the first and of the second half of the rotated
// features. `back` rotates in the opposite direction, for gradients. `accumulate`: y += the result.
#include "kernels/shared/rows.h"

struct Rotary {
  static constexpr const char* name = "rotary";
  static constexpr const char* signature =
      "in:x in?:positions in:table inout:y u32:rows u32:cols u32:xStride u32:yStride u32:rotated u32:head u32:width "
      "u32:tableRows u32:halves u32:back u32:accumulate";
  Span x, positions, table, y;
  uint32_t rows, cols, xStride, yStride, rotated, head, width, tableRows, halves, back, accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for rows, cols and xStride");
    REQUIRE(y.covers(rows, cols, yStride), "y is too small for rows, cols and yStride");
    REQUIRE(positions.present() ? positions.covers(rows) : rows <= tableRows, "there are too few positions");
    REQUIRE(width > 0 && width % 2 == 0, "width is odd, or 0");
    REQUIRE(head >= width, "more features rotate than a head has");
    REQUIRE(rotated <= cols && rotated % head == 0, "rotated is not a whole number of heads in cols");
    REQUIRE(table.covers(tableRows, 2 * uint64_t{width}, 2 * uint64_t{width}),
            "the table is too small for tableRows and width");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(rows, rowGrain(cols), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) {
        const float* in = context.f32(x) + row * xStride;
        float* out = context.f32(y) + row * yStride;
        const uint32_t place = static_cast<uint32_t>(positions.present() ? context.i32(positions)[row] : row);
        if (place >= tableRows) {
          context.failAt("positions", row, static_cast<int32_t>(place), tableRows);
          if (!accumulate) memset(out, 0, cols * sizeof(float));
          continue;
        }
        const float* cosines = context.f32(table) + place * uint64_t{2} * width;
        for (uint64_t start = 0; start < rotated; start += head) {
          rotate(in + start, cosines, out + start);
          pass(in, out, start + width, start + head);
        }
        pass(in, out, rotated, cols);
      }
    });
  }

 private:
  void rotate(const float* in, const float* cosines, float* out) const {
    const float* sines = cosines + width;
    const Vf sign = splat(back ? -1 : 1);
    const auto rotatedAt = [&](size_t j, size_t lanes, Vf partner) {
      return fma(loadLanes(in + j, lanes), loadLanes(cosines + j, lanes),
                 partner * (loadLanes(sines + j, lanes) * sign));
    };
    if (!halves) return put(out, width, [&](size_t j, size_t n) { return rotatedAt(j, n, neighbours(in, j, n)); });
    const size_t half = width / 2;
    put(out, half, [&](size_t j, size_t n) { return rotatedAt(j, n, loadLanes(in + half + j, n)); });
    put(out + half, half, [&](size_t j, size_t n) { return rotatedAt(half + j, n, loadLanes(in + j, n)); });
  }

  // Copies columns first ≤ c < last.
  void pass(const float* in, float* out, uint64_t first, uint64_t last) const {
    put(out + first, last - first, [&](size_t c, size_t lanes) { return loadLanes(in + first + c, lanes); });
  }

  // Loads the other feature of each pair.
  static Vf neighbours(const float* in, size_t j, size_t lanes) {
    if constexpr (kWidth == 1) return load(in + (j ^ 1));
    return swapNeighbours(loadLanes(in + j, lanes), std::make_index_sequence<kWidth>());
  }

  template <class Value>
  void put(float* out, size_t n, const Value& value) const {
    eachVector(n, [&](size_t c, size_t lanes) {
      const Vf v = value(c, lanes);
      storeLanes(out + c, accumulate ? loadLanes(out + c, lanes) + v : v, lanes);
    });
  }
};
KERNEL(Rotary)
