// AdamW (Loshchilov, Hutter 2019) with PyTorch's arithmetic: a step of one tensor in one pass, with g' = factor·g.
//
//   m = β1·m + rate1·g'    v = β2·v + rate2·g'²                                  rateᵢ = 1 - βᵢ
//   p = p·(1 - lr·weightDecay) - lr/correction1 · m / (√v/√correction2 + eps)    correctionᵢ = 1 - βᵢ^step
//
// With `greatest` (AMSGrad, Reddi et al. 2018), greatest = max(greatest, v) replaces v in the formula of p. If the
// factor is not finite (see ClipFactor), the step is skipped: p, m, v and greatest keep their values.
#include "kernels/shared/clip.h"

struct Adamw {
  static constexpr const char* name = "adamw";
  static constexpr const char* signature =
      "inout:p in:g inout:m inout:v inout?:greatest in?:factor u32:count f32:lr f32:rate1 f32:rate2 f32:correction1 "
      "f32:correction2 "
      "f32:eps f32:weightDecay";
  Span p, g, m, v, greatest, factor;
  uint32_t count;
  float lr, rate1, rate2, correction1, correction2, eps, weightDecay;

  const char* check() const {
    REQUIRE(p.covers(count) && g.covers(count) && m.covers(count) && v.covers(count),
            "p, g, m or v is smaller than count");
    REQUIRE(!greatest.present() || greatest.covers(count), "greatest is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const Vf stepSize = splat(static_cast<float>(double{lr} / double{correction1}));
    const Vf rootRate = splat(static_cast<float>(1 / std::sqrt(double{correction2})));
    // m += rate·(g' - m) would lose most of a small gradient that follows a large one where β is 0.
    const auto beta = [](float rate) { return splat(static_cast<float>(1 - double{rate})); };
    const Vf beta1 = beta(rate1), beta2 = beta(rate2);
    const Vf keep = splat(static_cast<float>(1 - double{lr} * double{weightDecay}));
    context.team.parallelRange(count, 8192, [&](uint64_t first, uint64_t last) {
      const float clip = clipOf(context, factor);
      if (skipsStep(clip)) return;
      float* params = context.f32(p) + first;
      const float* grads = context.f32(g) + first;
      float* means = context.f32(m) + first;
      float* squares = context.f32(v) + first;
      float* tops = greatest.present() ? context.f32(greatest) + first : nullptr;
      eachVector(last - first, [&](size_t i, size_t lanes) {
        const Vf grad = loadLanes(grads + i, lanes) * splat(clip);
        const Vf mean = fma(loadLanes(means + i, lanes), beta1, grad * splat(rate1));
        Vf square = fma(loadLanes(squares + i, lanes), beta2, grad * grad * splat(rate2));
        storeLanes(squares + i, square, lanes);
        if (tops) {
          square = max(square, loadLanes(tops + i, lanes));
          storeLanes(tops + i, square, lanes);
        }
        const Vf step = stepSize * mean / (fma(sqrt(square), rootRate, splat(eps)));
        storeLanes(means + i, mean, lanes);
        storeLanes(params + i, fma(loadLanes(params + i, lanes), keep, -step), lanes);
      });
    });
  }
};
TRAINING_KERNEL(Adamw)
