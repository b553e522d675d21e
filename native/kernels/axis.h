// Ops along one axis of x [outer, count, inner]: extrema, cumulative sums, the k best. A line is the elements along the
// axis with the same outer and inner index.
#include "kernels/shared/blocks.h"
#include "kernels/shared/elementary.h"
#include "kernels/shared/rows.h"

// The shape of a tensor around an axis, whose elements are `inner` words apart.
struct Axis {
  uint32_t outer, count, inner;

  uint64_t lines() const { return uint64_t{outer} * inner; }
  // True if a tensor with `along` ≥ 1 elements per line lies inside the span.
  bool fits(Span span, uint64_t along) const {
    const uint64_t product = lines();
    return along > 0 && product <= UINT32_MAX / along && span.covers(product * along);
  }
  // Offset of the first element of a line in such a tensor.
  uint64_t start(uint64_t line, uint64_t along) const { return line / inner * along * inner + line % inner; }
  // Number of lines per chunk.
  uint64_t grain() const { return 1 + 16384 / (uint64_t{count} + 16); }
  // Calls body(outer index, first column, last column) for runs of neighbouring lines that together cover all lines.
  template <class Body>
  void eachColumns(Team& team, const Body& body) const {
    parallelBlocks(team, outer, inner, grain() + kWidth, [&](uint64_t o, uint64_t last, uint64_t c0, uint64_t c1) {
      for (; o < last; ++o) body(o, c0, c1);
    });
  }
};

// The greatest element of each line, or the least if `least`: values and ids (positions in the line), both [outer,
// inner]. The first of equal elements counts, and NaN precedes all other values.
struct Extremum {
  static constexpr const char* name = "extremum";
  static constexpr const char* signature = "in:x out?:values out?:ids u32:outer u32:count u32:inner u32:least";
  Span x, values, ids;
  Axis axis;
  uint32_t least;

  const char* check() const {
    REQUIRE(axis.fits(x, axis.count), "x is too small for its dimensions");
    REQUIRE(!values.present() || axis.fits(values, 1), "values is too small for its dimensions");
    REQUIRE(!ids.present() || axis.fits(ids, 1), "ids is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    if (axis.inner == 1) {
      context.team.parallelRange(axis.outer, axis.grain(), [&](uint64_t row, uint64_t last) {
        for (; row < last; ++row) alongRow(context, row);
      });
    } else {
      axis.eachColumns(context.team, [&](uint64_t o, uint64_t c0, uint64_t c1) { acrossRows(context, o, c0, c1); });
    }
  }

 private:
  struct Best {
    Vf value;
    Vi at;
  };

  Vf signedBy(Vf v) const { return least != 0 ? -v : v; }

  SIMD_INLINE static void take(Best& best, Vf v, Vi at) {
    const auto better = (v > best.value) | ((v != v) & (best.value == best.value));
    best.value = better ? v : best.value;
    best.at = better ? at : best.at;
  }

  void write(Context& context, uint64_t at, const Best& best, size_t lanes) const {
    if (values.present()) storeLanes(context.f32(values) + at, signedBy(best.value), lanes);
    if (ids.present()) storeLanes(context.f32(ids) + at, asFloat(best.at), lanes);
  }

  void acrossRows(Context& context, uint64_t o, uint64_t c0, uint64_t c1) const {
    const float* from = context.f32(x) + o * axis.count * axis.inner + c0;
    eachVector(c1 - c0, [&](size_t c, size_t lanes) {
      Best best = {signedBy(loadLanes(from + c, lanes)), splatInt(0)};
      for (uint32_t i = 1; i < axis.count; ++i)
        take(best, signedBy(loadLanes(from + uint64_t{i} * axis.inner + c, lanes)), splatInt(static_cast<int32_t>(i)));
      write(context, o * axis.inner + c0 + c, best, lanes);
    });
  }

  void alongRow(Context& context, uint64_t row) const {
    const float* from = context.f32(x) + row * axis.count;
    Best best = {splat(-INFINITY), splatInt(INT32_MAX)};
    eachVector(axis.count, [&](size_t c, size_t lanes) {
      const Vi at = (Vi)laneNumbers() + splatInt(static_cast<int32_t>(c));
      const Vf v = firstLanesOr(signedBy(loadLanes(from + c, lanes)), lanes, -INFINITY);
      if (c == 0) best = {v, at};
      take(best, v, at);
    });
    float value[kWidth];
    int32_t at[kWidth];
    store(value, best.value);
    memcpy(at, &best.at, sizeof at);
    size_t first = 0;  // lanes beyond the row never win, because their positions are greater
    for (size_t lane = 1; lane < kWidth; ++lane) {
      const bool isNaN = value[lane] != value[lane], wasNaN = value[first] != value[first];
      const bool equal = isNaN ? wasNaN : value[lane] == value[first];
      const bool greater = isNaN ? !wasNaN : value[lane] > value[first];
      if (greater || (equal && at[lane] < at[first])) first = lane;
    }
    write(context, row, {splat(value[first]), splatInt(at[first])}, 1);
  }
};
RARE_KERNEL(Extremum)

// dx = dy / n where x is one of the n elements equal to y, else 0 (+ dx if accumulate). A line that contains NaN gets
// NaN everywhere.
struct ExtremumBackward {
  static constexpr const char* name = "extremumBackward";
  static constexpr const char* signature = "in:dy in:x in:y inout:dx u32:outer u32:count u32:inner u32:accumulate";
  Span dy, x, y, dx;
  Axis axis;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(axis.fits(x, axis.count) && axis.fits(dx, axis.count), "x or dx is too small for its dimensions");
    REQUIRE(axis.fits(y, 1) && axis.fits(dy, 1), "y or dy is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    const auto add = [&](uint64_t at, Vf value, Vf upstream, Vf extremum, Vf ties, size_t lanes) {
      float* to = context.f32(dx) + at;
      const Vf gradient = (value == extremum ? upstream : splat(0.f)) / ties;
      storeLanes(to, accumulate != 0 ? gradient + loadLanes(to, lanes) : gradient, lanes);
    };
    if (axis.inner == 1) {
      context.team.parallelRange(axis.outer, axis.grain(), [&](uint64_t row, uint64_t last) {
        for (; row < last; ++row) {
          const float* from = context.f32(x) + row * axis.count;
          const float extremum = context.f32(y)[row];
          size_t ties = 0;
          for (uint32_t i = 0; i < axis.count; ++i) ties += from[i] == extremum ? 1 : 0;
          const Vf upstream = splat(context.f32(dy)[row]), among = splat(static_cast<float>(ties));
          eachVector(axis.count, [&](size_t c, size_t lanes) {
            add(row * axis.count + c, loadLanes(from + c, lanes), upstream, splat(extremum), among, lanes);
          });
        }
      });
      return;
    }
    axis.eachColumns(context.team, [&](uint64_t o, uint64_t c0, uint64_t c1) {
      eachVector(c1 - c0, [&](size_t c, size_t lanes) {
        const uint64_t start = o * axis.count * axis.inner + c0 + c, line = o * axis.inner + c0 + c;
        const float* from = context.f32(x) + start;
        const Vf extremum = loadLanes(context.f32(y) + line, lanes),
                 upstream = loadLanes(context.f32(dy) + line, lanes);
        Vf ties = splat(0.f);
        for (uint64_t i = 0; i < axis.count; ++i)
          ties += loadLanes(from + i * axis.inner, lanes) == extremum ? splat(1.f) : splat(0.f);
        for (uint64_t i = 0; i < axis.count; ++i)
          add(start + i * axis.inner, loadLanes(from + i * axis.inner, lanes), upstream, extremum, ties, lanes);
      });
    });
  }
};
TRAINING_KERNEL(ExtremumBackward)

// y[i] = x[0] + … + x[i] along each line, or x[i] + … + x[count - 1] if `reverse` (+ y[i] if accumulate). Sums are
// doubles. In the backward pass, dx is the cumulative sum of dy in the other direction.
struct CumulativeSum {
  static constexpr const char* name = "cumsum";
  static constexpr const char* signature = "in:x inout:y u32:outer u32:count u32:inner u32:reverse u32:accumulate";
  Span x, y;
  Axis axis;
  uint32_t reverse, accumulate;

  const char* check() const {
    REQUIRE(axis.fits(x, axis.count) && axis.fits(y, axis.count), "x or y is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    axis.eachColumns(context.team, [&](uint64_t o, uint64_t c0, uint64_t c1) {
      const uint64_t start = o * axis.count * axis.inner;
      if (axis.inner == 1) return alongRow(context.f32(x) + start, context.f32(y) + start);
      eachVector(c1 - c0, [&](size_t c, size_t lanes) {
        Vd total = splatDouble(0);
        for (uint64_t i = 0; i < axis.count; ++i) {
          const uint64_t at = start + place(i) * axis.inner + c0 + c;
          total += toDouble(loadLanes(context.f32(x) + at, lanes));
          float* to = context.f32(y) + at;
          storeLanes(to, accumulate != 0 ? toSingle(total) + loadLanes(to, lanes) : toSingle(total), lanes);
        }
      });
    });
  }

 private:
  uint64_t place(uint64_t i) const { return reverse != 0 ? axis.count - 1 - i : i; }

  void alongRow(const float* from, float* to) const {
    double total = 0;
    for (uint64_t i = 0; i < axis.count; ++i) {
      const uint64_t at = place(i);
      total += static_cast<double>(from[at]);
      to[at] = static_cast<float>(total) + (accumulate != 0 ? to[at] : 0.f);
    }
  }
};
RARE_KERNEL(CumulativeSum)

// The k greatest elements of each line, or the least if `least`, in order: values and ids [outer, k, inner]. The first
// of equal elements comes first; NaN counts as the greatest value.
struct TopKAlong {
  static constexpr const char* name = "topKAlong";
  static constexpr const char* signature = "in:x out:values out:ids u32:outer u32:count u32:inner u32:k u32:least";
  static constexpr uint32_t kMax = kScratchFloats / 2;
  Span x, values, ids;
  Axis axis;
  uint32_t k, least;

  const char* check() const {
    REQUIRE(k >= 1 && k <= kMax && k <= axis.count, "k is out of range");
    REQUIRE(axis.fits(x, axis.count), "x is too small for its dimensions");
    REQUIRE(axis.fits(values, k) && axis.fits(ids, k), "values or ids is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(axis.lines(), axis.grain(), [&](uint64_t line, uint64_t last) {
      auto* heap = reinterpret_cast<Entry*>(context.scratch());
      for (; line < last; ++line) {
        choose(context.f32(x) + axis.start(line, axis.count), heap);
        const uint64_t start = axis.start(line, k);
        for (uint64_t i = 0; i < k; ++i) {
          context.f32(values)[start + i * axis.inner] = heap[i].value;
          context.i32(ids)[start + i * axis.inner] = static_cast<int32_t>(heap[i].at);
        }
      }
    });
  }

 private:
  struct Entry {
    float value;
    uint32_t at;
  };

  bool isBefore(const Entry& a, const Entry& b) const {
    const bool aNaN = a.value != a.value, bNaN = b.value != b.value;
    if (aNaN != bNaN) return least != 0 ? bNaN : aNaN;
    if (aNaN || a.value == b.value) return a.at < b.at;
    return least != 0 ? a.value < b.value : a.value > b.value;
  }

  // Restores the heap below index `at`. The root of the heap is the entry that comes last in the result's order.
  void sink(Entry* heap, uint64_t at, uint64_t size) const {
    for (uint64_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && isBefore(heap[child], heap[child + 1])) ++child;
      if (!isBefore(heap[at], heap[child])) return;
      std::swap(heap[at], heap[child]);
      at = child;
    }
  }

  void choose(const float* from, Entry* heap) const {
    for (uint32_t i = 0; i < k; ++i) heap[i] = {from[uint64_t{i} * axis.inner], i};
    for (uint64_t at = k / 2; at-- > 0;) sink(heap, at, k);
    for (uint32_t i = k; i < axis.count; ++i) {
      const Entry entry = {from[uint64_t{i} * axis.inner], i};
      if (!isBefore(entry, heap[0])) continue;
      heap[0] = entry;
      sink(heap, 0, k);
    }
    for (uint64_t size = k; size-- > 1;) {
      std::swap(heap[0], heap[size]);
      sink(heap, 0, size);
    }
  }
};
RARE_KERNEL(TopKAlong)
CONSTANT("topKAlong.max", TopKAlong::kMax)

// dx = dy at the positions `ids` [outer, k, inner], else 0 (+ dx if accumulate). Positions in a line must be distinct.
struct TopKAlongBackward {
  static constexpr const char* name = "topKAlongBackward";
  static constexpr const char* signature = "in:dy in:ids inout:dx u32:outer u32:count u32:inner u32:k u32:accumulate";
  Span dy, ids, dx;
  Axis axis;
  uint32_t k, accumulate;

  const char* check() const {
    REQUIRE(axis.fits(dx, axis.count), "dx is too small for its dimensions");
    REQUIRE(axis.fits(dy, k) && axis.fits(ids, k), "dy or ids is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(axis.lines(), axis.grain(), [&](uint64_t line, uint64_t last) {
      for (; line < last; ++line) {
        float* to = context.f32(dx) + axis.start(line, axis.count);
        for (uint64_t i = 0; accumulate == 0 && i < axis.count; ++i) to[i * axis.inner] = 0;
        for (uint64_t i = 0, at = axis.start(line, k); i < k; ++i, at += axis.inner) {
          const int32_t id = context.i32(ids)[at];
          if (id < 0 || static_cast<uint32_t>(id) >= axis.count) {
            context.failAt("ids", at, id, axis.count);
          } else {
            to[uint64_t{static_cast<uint32_t>(id)} * axis.inner] += context.f32(dy)[at];
          }
        }
      }
    });
  }
};
TRAINING_KERNEL(TopKAlongBackward)
