// Activations as separate kernels. Matrix products can fuse the same functions.
#include "kernels/shared/activations.h"
#include "kernels/shared/results.h"

// y[i] = f(x[i]) for i < count. y may be x.
struct Activate {
  static constexpr const char* name = "activate";
  static constexpr const char* signature = "in:x out:y u32:count u32:kind";
  Span x, y;
  uint32_t count, kind;

  const char* check() const {
    REQUIRE(kind < kActivations, "unknown kind");
    REQUIRE(x.covers(count) && y.covers(count), "x or y is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const float* from = context.f32(x);
    float* to = context.f32(y);
    withActivation(kind, [&](auto f) {
      withResults(count, [&](auto nonTemporal, uint64_t more) {
        context.team.parallelRange(count, more * 8192, [&](uint64_t first, uint64_t last) {
          eachVector(last - first, [&](size_t i, size_t lanes) {
            storeResult<nonTemporal()>(to + first + i, activate<f()>(loadLanes(from + first + i, lanes)), lanes);
          });
          if (nonTemporal()) fenceNonTemporal();
        });
      });
    });
  }
};
KERNEL(Activate)

// dx[i] = scale·dy[i]·f'(x[i]) (+ dx[i] if accumulate).
struct ActivateBackward {
  static constexpr const char* name = "activateBackward";
  static constexpr const char* signature = "in:dy in:x inout:dx u32:count u32:kind f32:scale u32:accumulate";
  Span dy, x, dx;
  uint32_t count, kind;
  float scale;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(kind < kActivations, "unknown kind");
    REQUIRE(dy.covers(count) && x.covers(count) && dx.covers(count), "dy, x or dx is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const float* upstream = context.f32(dy);
    const float* from = context.f32(x);
    float* to = context.f32(dx);
    withActivation(kind, [&](auto f) {
      context.team.parallelRange(count, 8192, [&](uint64_t first, uint64_t last) {
        eachVector(last - first, [&](size_t c, size_t lanes) {
          const uint64_t i = first + c;
          const Vf slope = activationSlope<f()>(loadLanes(from + i, lanes)) * splat(scale);
          const Vf before = accumulate != 0 ? loadLanes(to + i, lanes) : splat(0);
          storeLanes(to + i, fma(loadLanes(upstream + i, lanes), slope, before), lanes);
        });
      });
    });
  }
};
TRAINING_KERNEL(ActivateBackward)
