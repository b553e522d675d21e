// Stochastic gradient descent with momentum, with PyTorch's arithmetic: a step of one tensor in one pass.
//
//   d = factor·g + weightDecay·p    v = momentum·v + (1 - dampening)·d    p -= lr·(nesterov ? d + momentum·v : v)
//
// If the factor is not finite (see ClipFactor), the step is skipped: p and v keep their values.
#include "kernels/shared/clip.h"

struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr const char* signature =
      "inout:p in:g inout:v in?:factor u32:count f32:lr f32:momentum f32:dampening f32:weightDecay u32:nesterov";
  Span p, g, v, factor;
  uint32_t count;
  float lr, momentum, dampening, weightDecay;
  uint32_t nesterov;

  const char* check() const {
    REQUIRE(p.covers(count) && g.covers(count) && v.covers(count), "p, g or v is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(count, 8192, [&](uint64_t first, uint64_t last) {
      const float clip = clipOf(context, factor);
      if (skipsStep(clip)) return;
      float* params = context.f32(p) + first;
      const float* grads = context.f32(g) + first;
      float* velocities = context.f32(v) + first;
      eachVector(last - first, [&](size_t i, size_t lanes) {
        const Vf param = loadLanes(params + i, lanes);
        Vf direction = loadLanes(grads + i, lanes) * splat(clip);
        if (weightDecay != 0) direction = fma(param, splat(weightDecay), direction);
        Vf velocity = dampening != 0 ? direction * splat(1 - dampening) : direction;
        if (momentum != 0) velocity = fma(loadLanes(velocities + i, lanes), splat(momentum), velocity);
        storeLanes(velocities + i, velocity, lanes);
        const Vf step = nesterov ? fma(velocity, splat(momentum), direction) : velocity;
        storeLanes(params + i, fma(step, splat(-lr), param), lanes);
      });
    });
  }
};
TRAINING_KERNEL(Sgd)
