// Gradient clipping by the global norm, as by PyTorch's clip_grad_norm_. sumOfSquares runs for each tensor, then
// clipFactor runs once. Then rescale runs for each tensor, or adamw and sgd take the factor as an operand. Optimizers
// that consist of several commands compute their new state apart from the old one. adoptIfFinite then replaces the old
// state.
#include "kernels/shared/clip.h"

// Partial sums of squares, as float64: each takes two words of the heap.
struct WidePartials {
  static constexpr uint64_t kChunk = 8192;  // floats per partial sum
  static void put(float* words, uint64_t index, double value) { memcpy(words + 2 * index, &value, sizeof value); }
  static double get(const float* words, uint64_t index) {
    double value;
    memcpy(&value, words + 2 * index, sizeof value);
    return value;
  }
};

// partials[first + j] = Σ x[i]² over the j-th chunk of 8192 elements. Squares of floats are exact in float64. There are
// 16 running sums for any vector width, so every instruction set gives the same bits. They are vectors of four, which
// compilers split as needed; GCC does not vectorize a plain loop over 16 doubles.
struct SumOfSquares {
  static constexpr const char* name = "sumOfSquares";
  static constexpr const char* signature = "in:x inout:partials u32:count u32:first u32:chunks";
  Span x, partials;
  uint32_t count, first, chunks;

  const char* check() const {
    REQUIRE(chunks == divideUp(count, WidePartials::kChunk), "chunks have another size");
    REQUIRE(x.covers(count), "x is smaller than count");
    REQUIRE(partials.covers(2 * (uint64_t{first} + chunks)), "partials is too small for count and first");
    return nullptr;
  }

  typedef double Wide __attribute__((vector_size(32)));

  void run(Context& context) const {
    context.team.parallelRange(count, WidePartials::kChunk, [&](uint64_t begin, uint64_t end) {
      const float* values = context.f32(x);
      Wide sums[4] = {};
      uint64_t i = begin;
      for (; i + 16 <= end; i += 16)
        for (uint64_t k = 0; k < 4; ++k) {
          const float* from = values + i + 4 * k;
          const Wide four = {from[0], from[1], from[2], from[3]};
          sums[k] += four * four;
        }
      for (; i < end; ++i) sums[i % 16 / 4][i % 4] += double{values[i]} * double{values[i]};
      const Wide sum = (sums[0] + sums[2]) + (sums[1] + sums[3]);
      const double total = (sum[0] + sum[2]) + (sum[1] + sum[3]);
      WidePartials::put(context.f32(partials), first + begin / WidePartials::kChunk, total);
    });
  }
};
TRAINING_KERNEL(SumOfSquares)
CONSTANT("sumOfSquares.chunk", WidePartials::kChunk)

// norm = √Σ partials, factor = min(1, maxNorm/(norm + 1e-6)), as in PyTorch's clip_grad_norm_. If the norm is not
// finite, the factor is NaN, and adamw, sgd and rescale change nothing. One bad batch therefore cannot ruin the
// parameters, and the caller sees the norm.
struct ClipFactor {
  static constexpr const char* name = "clipFactor";
  static constexpr const char* signature = "in:partials out:norm out:factor u32:count f32:maxNorm";
  Span partials, norm, factor;
  uint32_t count;
  float maxNorm;

  const char* check() const {
    REQUIRE(partials.covers(uint64_t{2} * count), "partials is smaller than count");
    REQUIRE(norm.covers(1) && factor.covers(1), "norm or factor is missing");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallel(1, [&](uint32_t) {
      double total = 0;
      for (uint64_t i = 0; i < count; ++i) total += WidePartials::get(context.f32(partials), i);
      const float length = static_cast<float>(std::sqrt(total));
      const float ratio = maxNorm / (length + 1e-6f);
      *context.f32(norm) = length;
      *context.f32(factor) = !std::isfinite(length) ? NAN : ratio < 1 ? ratio : 1.f;
    });
  }
};
TRAINING_KERNEL(ClipFactor)

// x *= factor, unless the factor is NaN.
struct Rescale {
  static constexpr const char* name = "rescale";
  static constexpr const char* signature = "inout:x in:factor u32:count";
  Span x, factor;
  uint32_t count;

  const char* check() const {
    REQUIRE(x.covers(count), "x is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(count, 16384, [&](uint64_t first, uint64_t last) {
      const float ratio = *context.f32(factor);
      if (ratio == 1 || std::isnan(ratio)) return;
      float* values = context.f32(x) + first;
      eachVector(last - first, [&](size_t i, size_t lanes) {
        storeLanes(values + i, loadLanes(values + i, lanes) * splat(ratio), lanes);
      });
    });
  }
};
TRAINING_KERNEL(Rescale)

// y = x, unless the factor is not finite. In that case the step is skipped, and y keeps its values.
struct AdoptIfFinite {
  static constexpr const char* name = "adoptIfFinite";
  static constexpr const char* signature = "in:x inout:y in:factor u32:count";
  Span x, y, factor;
  uint32_t count;

  const char* check() const {
    REQUIRE(x.covers(count) && y.covers(count), "x or y is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(count, 16384, [&](uint64_t first, uint64_t last) {
      if (skipsStep(clipOf(context, factor))) return;
      memcpy(context.f32(y) + first, context.f32(x) + first, (last - first) * sizeof(float));
    });
  }
};
TRAINING_KERNEL(AdoptIfFinite)
