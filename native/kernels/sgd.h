// Stochastic gradient descent with momentum, in PyTorch's form, in one pass:
//   v = momentum·v + factor·g + weightDecay·p    p -= lr·v
// A factor that is not finite (see ClipFactor) skips the step: p and v stay as they are.
#include "kernels/shared/clip.h"

struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr const char* signature =
      "inout:p in:g inout:v in?:factor u32:count f32:lr f32:momentum f32:weightDecay";
  Span p, g, v, factor;
  uint32_t count;
  float lr, momentum, weightDecay;

  const char* check() const {
    REQUIRE(p.covers(count) && g.covers(count) && v.covers(count), "p, g or v is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(count, 8192, [&](uint64_t first, uint64_t last) {
      const float clip = clipOf(context, factor);
      if (leavesOut(clip)) return;
      float* params = context.f32(p) + first;
      const float* grads = context.f32(g) + first;
      float* velocities = context.f32(v) + first;
      eachVector(last - first, [&](size_t i, size_t lanes) {
        const Vf param = loadLanes(params + i, lanes);
        Vf velocity = loadLanes(grads + i, lanes) * splat(clip);
        if (weightDecay != 0) velocity = fma(param, splat(weightDecay), velocity);
        if (momentum != 0) velocity = fma(loadLanes(velocities + i, lanes), splat(momentum), velocity);
        storeLanes(velocities + i, velocity, lanes);
        storeLanes(params + i, fma(velocity, splat(-lr), param), lanes);
      });
    });
  }
};
KERNEL(Sgd)
