// Rotary positions (Su et al. 2021, arXiv 2104.09864): in each head, pairs of features turn by angles that grow with
// the position, so that the product of a query and a key depends on their distance.
//
//   y(j) = x(j)·cosine(j) + x(partner of j)·sine(j)     the first `width` features of each head of `head`, in the heads
//                                                       of the first `turned` columns
//   y(j) = x(j)                                         everywhere else
//
//   x, y       [rows, cols], rows xStride and yStride words apart
//   positions  [rows], each below tableRows; absent: row i is at position i
//   table      [tableRows, 2·width]: a cosine for each feature that turns, then a sine, negative for the first of a
//   pair
//
// Pairs are neighbours or, with halves, feature i of the first half of what turns and feature i of its second. back:
// the other way, as gradients turn. accumulate: y += the result.
#include "kernels/shared/rows.h"

struct Rotary {
  static constexpr const char* name = "rotary";
  static constexpr const char* signature =
      "in:x in?:positions in:table inout:y u32:rows u32:cols u32:xStride u32:yStride u32:turned u32:head u32:width "
      "u32:tableRows u32:halves u32:back u32:accumulate";
  Span x, positions, table, y;
  uint32_t rows, cols, xStride, yStride, turned, head, width, tableRows, halves, back, accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, cols, xStride), "x is smaller than rows, cols and xStride say");
    REQUIRE(y.covers(rows, cols, yStride), "y is smaller than rows, cols and yStride say");
    REQUIRE(positions.present() ? positions.covers(rows) : rows <= tableRows, "there are too few positions");
    REQUIRE(width > 0 && width % 2 == 0, "width is odd, or 0");
    REQUIRE(head >= width, "more features turn than a head has");
    REQUIRE(turned <= cols && turned % head == 0, "turned is no number of heads in cols");
    REQUIRE(table.covers(tableRows, 2 * uint64_t{width}, 2 * uint64_t{width}), "the table is smaller than it says");
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
        for (uint64_t start = 0; start < turned; start += head) {
          turn(in + start, cosines, out + start);
          pass(in, out, start + width, start + head);
        }
        pass(in, out, turned, cols);
      }
    });
  }

 private:
  void turn(const float* in, const float* cosines, float* out) const {
    const float* sines = cosines + width;
    const Vf sign = splat(back ? -1 : 1);
    const auto turned = [&](size_t j, size_t lanes, Vf partner) {
      return fma(loadLanes(in + j, lanes), loadLanes(cosines + j, lanes),
                 partner * (loadLanes(sines + j, lanes) * sign));
    };
    if (!halves) return put(out, width, [&](size_t j, size_t n) { return turned(j, n, neighbours(in, j, n)); });
    const size_t half = width / 2;
    put(out, half, [&](size_t j, size_t n) { return turned(j, n, loadLanes(in + half + j, n)); });
    put(out + half, half, [&](size_t j, size_t n) { return turned(half + j, n, loadLanes(in + j, n)); });
  }

  // Columns from `first` to below `last`, as they are.
  void pass(const float* in, float* out, uint64_t first, uint64_t last) const {
    put(out + first, last - first, [&](size_t c, size_t lanes) { return loadLanes(in + first + c, lanes); });
  }

  // The other feature of each pair.
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
