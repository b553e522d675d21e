// AdamW (Loshchilov & Hutter 2019) with PyTorch's arithmetic, and the global gradient norm that clips its gradients.
#include "kernels/shared/clip.h"

// One tensor's step, in one pass, with g' = factor·g:
//   m = β1·m + rate1·g'    v = β2·v + rate2·g'²                        rateᵢ = 1 - βᵢ
//   p = p·(1 - lr·weightDecay) - lr/correction1 · m / (√v/√correction2 + eps)    correctionᵢ = 1 - βᵢ^step
// A factor that is not finite (see clipFactor) skips the step: p, m and v stay as they are.
struct Adamw {
  static constexpr const char* name = "adamw";
  static constexpr const char* signature =
      "inout:p in:g inout:m inout:v in?:factor u32:count f32:lr f32:rate1 f32:rate2 f32:correction1 f32:correction2 "
      "f32:eps f32:weightDecay";
  Span p, g, m, v, factor;
  uint32_t count;
  float lr, rate1, rate2, correction1, correction2, eps, weightDecay;

  const char* check() const {
    REQUIRE(p.covers(count) && g.covers(count) && m.covers(count) && v.covers(count),
            "p, g, m or v is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const Vf stepSize = splat(static_cast<float>(double{lr} / double{correction1}));
    const Vf rootRate = splat(static_cast<float>(1 / std::sqrt(double{correction2})));
    // Not m += rate·(g' - m): where β is 0, little would be left of a gradient much smaller than the one before.
    const auto beta = [](float rate) { return splat(static_cast<float>(1 - double{rate})); };
    const Vf beta1 = beta(rate1), beta2 = beta(rate2);
    const Vf keep = splat(static_cast<float>(1 - double{lr} * double{weightDecay}));
    context.team.parallelRange(count, 8192, [&](uint64_t first, uint64_t last) {
      const float clip = clipOf(context, factor);
      if (leavesOut(clip)) return;
      float* params = context.f32(p) + first;
      const float* grads = context.f32(g) + first;
      float* means = context.f32(m) + first;
      float* squares = context.f32(v) + first;
      eachVector(last - first, [&](size_t i, size_t lanes) {
        const Vf grad = loadLanes(grads + i, lanes) * splat(clip);
        const Vf mean = fma(loadLanes(means + i, lanes), beta1, grad * splat(rate1));
        const Vf square = fma(loadLanes(squares + i, lanes), beta2, grad * grad * splat(rate2));
        const Vf step = stepSize * mean / (fma(sqrt(square), rootRate, splat(eps)));
        storeLanes(means + i, mean, lanes);
        storeLanes(squares + i, square, lanes);
        storeLanes(params + i, fma(loadLanes(params + i, lanes), keep, -step), lanes);
      });
    });
  }
};
KERNEL(Adamw)

// The sums of squares are float64: a pair of heap words each, that no vector type needs to know.
struct WidePartials {
  static constexpr uint64_t kChunk = 8192;  // floats per partial sum; src/train/clip.ts sizes the workspace by it
  static void put(float* words, uint64_t index, double value) { memcpy(words + 2 * index, &value, sizeof value); }
  static double get(const float* words, uint64_t index) {
    double value;
    memcpy(&value, words + 2 * index, sizeof value);
    return value;
  }
};

// partials[first + j] = Σ x[i]² over the j-th chunk of 8192 elements. Squares of floats are exact in float64, and there
// are 16 running sums whatever the vector width, so every instruction set gets the same bits. They are vectors of four,
// which compilers cut to what there is; GCC leaves a plain loop over 16 doubles scalar.
struct SumOfSquares {
  static constexpr const char* name = "sumOfSquares";
  static constexpr const char* signature = "in:x inout:partials u32:count u32:first u32:chunks";
  Span x, partials;
  uint32_t count, first, chunks;

  const char* check() const {
    REQUIRE(chunks == divideUp(count, WidePartials::kChunk), "chunks are of another size");
    REQUIRE(x.covers(count), "x is smaller than count");
    REQUIRE(partials.covers(2 * (uint64_t{first} + chunks)), "partials is smaller than count and first say");
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
KERNEL(SumOfSquares)

// norm = √Σ partials, factor = min(1, maxNorm/(norm + 1e-6)) as in PyTorch's clip_grad_norm_. If the norm is not finite
// the factor is NaN, which adamw, sgd and rescale take as "leave it": one bad batch does not ruin the parameters, and
// the norm shows it.
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
KERNEL(ClipFactor)

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
KERNEL(Rescale)
