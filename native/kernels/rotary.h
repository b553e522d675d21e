// Rotary positions (Su et al. 2021, arXiv 2104.09864): in each head, pairs of features turn by angles that grow with
// the position, so that the product of a query and a key depends on their distance.
//
//   y(j) = x(j)·cosine(j) + x(partner of j)·sine(j)     in heads of `width` features, the first `turned` columns
//   y(j) = x(j)                                         in the columns after them
//
//   x, y       [rows, cols]
//   positions  [rows], each below tableRows
//   table      [tableRows, 2·width]: a cosine for each feature of a head, then a sine, negative for the first of a pair
//
// Pairs are neighbours or, with halves, feature i of a head's first half and feature i of its second. back: the other
// way, as gradients turn. accumulate: y += the result.
#include "kernels/shared/rows.h"

struct Rotary {
  static constexpr const char* name = "rotary";
  static constexpr const char* signature =
      "in:x in:positions in:table inout:y u32:rows u32:cols u32:turned u32:width u32:tableRows u32:halves u32:back "
      "u32:accumulate";
  Span x, positions, table, y;
  uint32_t rows, cols, turned, width, tableRows, halves, back, accumulate;

  const char* check() const {
    const uint64_t size = uint64_t{rows} * cols;
    REQUIRE(x.covers(size) && y.covers(size), "x or y is smaller than rows and cols say");
    REQUIRE(positions.covers(rows), "positions is smaller than rows");
    REQUIRE(width > 0 && width % 2 == 0, "width is odd, or 0");
    REQUIRE(turned <= cols && turned % width == 0, "turned is no number of heads in cols");
    REQUIRE(table.covers(tableRows, 2 * uint64_t{width}, 2 * uint64_t{width}), "the table is smaller than it says");
    return nullptr;
  }

  void run(Context& context) const {
    const int32_t* places = context.i32(positions);
    context.team.parallelRange(rows, rowGrain(cols), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) {
        const float* in = context.f32(x) + row * cols;
        float* out = context.f32(y) + row * cols;
        const uint32_t place = static_cast<uint32_t>(places[row]);
        if (place >= tableRows) {
          context.fail("position outside the table of angles", places[row], tableRows);
          if (!accumulate) memset(out, 0, cols * sizeof(float));
          continue;
        }
        const float* cosines = context.f32(table) + place * uint64_t{2} * width;
        for (uint32_t head = 0; head < turned; head += width) turn(in + head, cosines, out + head);
        put(out + turned, cols - turned, [&](size_t c, size_t lanes) { return loadLanes(in + turned + c, lanes); });
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
