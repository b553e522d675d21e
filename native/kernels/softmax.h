// Softmax and its logarithm along one axis. x and y are contiguous, [outer, n, inner], and the axis is the middle one.
//
//   softmax     y = e^(x - max) / Σ e^(x - max)
//   logSoftmax  y = (x - max) - ln Σ e^(x - max)
//
// An element of -infinity gets probability 0, as in PyTorch. A slice becomes NaN if all its elements are -infinity, or
// if it has NaN or +infinity.
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"
#include "kernels/shared/rows.h"

// a·b·c, limited to 2³², which is larger than any span.
inline uint64_t volume(uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t n[] = {a, b, c};
  return product(n, 0, 3);
}

// Processes all slices along n. Slices with adjacent elements (inner is 1) are rows for eachRow(), and
// measure(nonTemporal, at, meanwhile) reads one. Otherwise column(at, lanes) processes as many neighbouring slices as a
// vector has lanes. `at` is the offset of the first element.
template <class Measure, class Column>
void eachSlice(Team& team, uint64_t outer, uint64_t n, uint64_t inner, const Measure& measure, const Column& column) {
  if (n == 0) return;
  if (inner == 1) {
    return withResults(outer * n, [&](auto nonTemporal, uint64_t more) {
      team.parallelRange(outer, rowGrain(n, more), [&](uint64_t row, uint64_t last) {
        eachRow<nonTemporal()>(
            row, last, n, [&](uint64_t i, const auto& meanwhile) { return measure(nonTemporal, i * n, meanwhile); });
      });
    });
  }
  parallelBlocks(team, outer, inner, rowGrain(n) + 4 * kWidth,
                 [&](uint64_t first, uint64_t last, uint64_t c0, uint64_t c1) {
                   for (uint64_t i = first; i < last; ++i)
                     eachVector(c1 - c0, [&](size_t c, size_t lanes) { column(i * n * inner + c0 + c, lanes); });
                 });
}

template <bool kLog>
struct SoftmaxForward {
  static constexpr const char* name = kLog ? "logSoftmax" : "softmax";
  static constexpr const char* signature = "in:x out:y u32:outer u32:n u32:inner";
  Span x, y;
  uint32_t outer, n, inner;

  const char* check() const {
    REQUIRE(x.covers(volume(outer, n, inner)), "x is too small for its dimensions");
    REQUIRE(y.covers(volume(outer, n, inner)), "y is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    const float* from = context.f32(x);
    float* to = context.f32(y);
    eachSlice(
        context.team, outer, n, inner,
        [&](auto nonTemporal, uint64_t at, const auto& meanwhile) {
          return measure<nonTemporal()>(from + at, to + at, heldRow(context, at / n), meanwhile);
        },
        [&](uint64_t at, size_t lanes) { column(from + at, to + at, lanes); });
  }

 private:
  template <bool kNonTemporal>
  struct Row {
    const float* from;  // logits, or their powers
    float* to;
    float a, b;  // for logits, the two parts of LogSum; for powers, their factor and 0

    SIMD_INLINE void write(size_t c, size_t lanes) const {
      const Vf v = loadLanes(from + c, lanes);
      storeResult<kNonTemporal>(to + c, kLog ? v - splat(a) - splat(b) : v * splat(a), lanes);
    }
  };

  template <bool kNonTemporal, class Meanwhile>
  Row<kNonTemporal> measure(const float* input, float* output, float* held, const Meanwhile& meanwhile) const {
    const size_t cols = n;  // a local copy, which the compiler keeps in a register
    if constexpr (kLog) {
      const LogSum total = logSum(input, cols, meanwhile);
      return {input, output, total.max, total.log};
    } else {
      const Vf max = splat(largest(input, cols));
      // powers are kept in scratch memory until eachRow() writes the results
      float* powers = kNonTemporal && cols <= kHeldFloats ? held : output;
      const Totals<1> total = totals<1>(cols, [&](size_t c, size_t lanes, Vf* sums) {
        fetchBehind<kNonTemporal>(input + c, cols);
        meanwhile(c, lanes);
        const Vf e = expNonPositive(loadLanes(input + c, lanes) - max);
        storeLanes(powers + c, e, lanes);
        sums[0] += firstLanesOr(e, lanes, 0);
      });
      return {powers, output, static_cast<float>(1 / total.of[0]), 0};
    }
  }

  // Computes as many neighbouring slices as there are lanes.
  void column(const float* input, float* output, size_t lanes) const {
    Vf most = splat(kLowest), total = splat(0);
    for (uint64_t i = 0; i < n; ++i) most = max(most, loadLanes(input + i * inner, lanes));
    for (uint64_t i = 0; i < n; ++i) {
      const Vf e = expNonPositive(loadLanes(input + i * inner, lanes) - most);
      if constexpr (!kLog) storeLanes(output + i * inner, e, lanes);
      total += e;
    }
    const Vf scale = kLog ? log(total) : splat(1) / total;
    for (uint64_t i = 0; i < n; ++i) {
      const Vf v =
          kLog ? loadLanes(input + i * inner, lanes) - most - scale : loadLanes(output + i * inner, lanes) * scale;
      storeLanes(output + i * inner, v, lanes);
    }
  }
};
using Softmax = SoftmaxForward<false>;
using LogSoftmax = SoftmaxForward<true>;
KERNEL(Softmax)
KERNEL(LogSoftmax)

// softmax:     dx = y·(dy - Σ dy·y)
// logSoftmax:  dx = dy - e^y·Σ dy           (+ dx if accumulate; y is the output of the forward op)
template <bool kLog>
struct SoftmaxGradient {
  static constexpr const char* name = kLog ? "logSoftmaxBackward" : "softmaxBackward";
  static constexpr const char* signature = "in:dy in:y inout:dx u32:outer u32:n u32:inner u32:accumulate";
  Span dy, y, dx;
  uint32_t outer, n, inner, accumulate;

  const char* check() const {
    REQUIRE(dy.covers(volume(outer, n, inner)), "dy is too small for its dimensions");
    REQUIRE(y.covers(volume(outer, n, inner)), "y is too small for its dimensions");
    REQUIRE(dx.covers(volume(outer, n, inner)), "dx is too small for its dimensions");
    return nullptr;
  }

  void run(Context& context) const {
    const float* upstream = context.f32(dy);
    const float* result = context.f32(y);
    float* to = context.f32(dx);
    eachSlice(
        context.team, outer, n, inner,
        [&](auto nonTemporal, uint64_t at, const auto& meanwhile) {
          return measure<nonTemporal()>(upstream + at, result + at, to + at, meanwhile);
        },
        [&](uint64_t at, size_t lanes) { column(upstream + at, result + at, to + at, lanes); });
  }

 private:
  static Vf add(Vf sum, Vf d, Vf v) { return kLog ? sum + d : fused(d, v, sum); }

  template <bool kNonTemporal = false>
  static SIMD_INLINE void write(float* target, Vf d, Vf v, Vf total, bool adds, size_t lanes) {
    Vf result = kLog ? d - exp(v) * total : v * (d - total);
    if (adds) result += loadLanes(target, lanes);
    storeResult<kNonTemporal>(target, result, lanes);
  }

  template <bool kNonTemporal>
  struct Row {
    const float *upstream, *result;
    float *target, total;
    bool adds;

    SIMD_INLINE void write(size_t c, size_t lanes) const {
      SoftmaxGradient::write<kNonTemporal>(target + c, loadLanes(upstream + c, lanes), loadLanes(result + c, lanes),
                                           splat(total), adds, lanes);
    }
  };

  template <bool kNonTemporal, class Meanwhile>
  Row<kNonTemporal> measure(const float* upstream, const float* result, float* target,
                            const Meanwhile& meanwhile) const {
    const Totals<1> total = totals<1>(n, [&](size_t c, size_t lanes, Vf* sums) {
      meanwhile(c, lanes);
      sums[0] = add(sums[0], loadLanes(upstream + c, lanes), loadLanes(result + c, lanes));
    });
    return {upstream, result, target, static_cast<float>(total.of[0]), accumulate != 0};
  }

  void column(const float* upstream, const float* result, float* target, size_t lanes) const {
    Vf total = splat(0);
    for (uint64_t i = 0; i < n * uint64_t{inner}; i += inner)
      total = add(total, loadLanes(upstream + i, lanes), loadLanes(result + i, lanes));
    for (uint64_t i = 0; i < n * uint64_t{inner}; i += inner)
      write(target + i, loadLanes(upstream + i, lanes), loadLanes(result + i, lanes), total, accumulate != 0, lanes);
  }
};
using SoftmaxBackward = SoftmaxGradient<false>;
using LogSoftmaxBackward = SoftmaxGradient<true>;
TRAINING_KERNEL(SoftmaxBackward)
TRAINING_KERNEL(LogSoftmaxBackward)
