// Cross entropy of rows of logits and target classes, with label smoothing (Szegedy et al. 2015, arXiv 1512.00567).
//
//   z_r = ln Σ_c e^x[r, c]        p = e^(x - z)        x        [rows, classes], `stride` words between rows
//   loss_r = z_r - (1 - smoothing)·x[r, t_r] - smoothing·mean_c x[r, c]          targets  [rows]
//
// A row whose target is `ignored` (if hasIgnored) has loss 0 and counts for nothing. No probabilities are kept, only z
// as the pair (max, ln Σ e^(x - max)) in logSums [rows, 2].
#include "kernels/shared/rows.h"

enum Reduction : uint32_t { kEach, kMean, kSum, kReductions };
CONSTANT("reduction.none", kEach)
CONSTANT("reduction.mean", kMean)
CONSTANT("reduction.sum", kSum)

// The target that counts for nothing, if there is one: the operands hasIgnored and ignored.
struct Ignored {
  uint32_t exists;
  int32_t target;
  bool is(int32_t other) const { return exists != 0 && other == target; }
};

// losses [rows]. Unless kEach also loss [1]: their sum or mean over rows that are not ignored, and weight [1]: 1, or 1
// over the number of those. The mean of no rows is NaN, as in PyTorch.
struct CrossEntropy {
  static constexpr const char* name = "crossEntropy";
  static constexpr const char* signature =
      "in:x in:targets out:losses out:logSums out?:loss out?:weight u32:rows u32:classes u32:stride f32:smoothing "
      "u32:hasIgnored i32:ignored u32:reduction";
  Span x, targets, losses, logSums, loss, weight;
  uint32_t rows, classes, stride;
  float smoothing;
  Ignored ignored;
  uint32_t reduction;

  const char* check() const {
    REQUIRE(reduction < kReductions, "unknown reduction");
    REQUIRE(x.covers(rows, classes, stride), "x is smaller than rows, classes and stride say");
    REQUIRE(targets.covers(rows) && losses.covers(rows), "targets or losses is smaller than rows");
    REQUIRE(logSums.covers(2 * uint64_t{rows}), "logSums is smaller than rows");
    REQUIRE(reduction == kEach || (loss.present() && weight.present()), "loss and weight are needed");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(rows, rowGrain(classes), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) context.f32(losses)[row] = lossOf(context, row);
    });
    if (reduction == kEach) return;
    context.team.parallel(1, [&](uint32_t) {
      double total = 0, count = 0;
      for (uint64_t row = 0; row < rows; ++row) {
        if (ignored.is(context.i32(targets)[row])) continue;
        total += static_cast<double>(context.f32(losses)[row]);
        ++count;
      }
      const double share = reduction == kMean ? 1 / count : 1;
      *context.f32(weight) = static_cast<float>(share);
      *context.f32(loss) = static_cast<float>(total * share);
    });
  }

 private:
  float lossOf(Context& context, uint64_t row) const {
    const int32_t target = context.i32(targets)[row];
    if (ignored.is(target)) return 0;
    if (static_cast<uint32_t>(target) >= classes) {
      context.failAt("targets", row, target, classes);
      return 0;
    }
    const float* logits = context.f32(x) + row * stride;
    const LogSum z = smoothing != 0 ? logSum<true>(logits, classes) : logSum(logits, classes);
    context.f32(logSums)[2 * row] = z.max;
    context.f32(logSums)[2 * row + 1] = z.log;
    // Everything relative to the maximum, where nothing large cancels.
    const double confidence = 1 - static_cast<double>(smoothing);
    double result = z.log - confidence * (static_cast<double>(logits[target]) - z.max);
    if (smoothing != 0) result -= static_cast<double>(smoothing) * z.rest / classes;
    return static_cast<float>(result);
  }
};
KERNEL(CrossEntropy)

// dx = d_r·(p - (1 - smoothing)·[c = t_r] - smoothing/classes) (+ dx if accumulate), 0 where ignored, with
// d_r = dloss[r] if kEach, else dloss[0]·weight[0].
struct CrossEntropyBackward {
  static constexpr const char* name = "crossEntropyBackward";
  static constexpr const char* signature =
      "in:dloss in:x in:targets in:logSums in?:weight inout:dx u32:rows u32:classes u32:stride f32:smoothing "
      "u32:hasIgnored i32:ignored u32:reduction u32:dxStride u32:accumulate";
  Span dloss, x, targets, logSums, weight, dx;
  uint32_t rows, classes, stride;
  float smoothing;
  Ignored ignored;
  uint32_t reduction, dxStride, accumulate;

  const char* check() const {
    REQUIRE(reduction < kReductions, "unknown reduction");
    REQUIRE(x.covers(rows, classes, stride), "x is smaller than rows, classes and stride say");
    REQUIRE(dx.covers(rows, classes, dxStride), "dx is smaller than rows, classes and dxStride say");
    REQUIRE(targets.covers(rows) && logSums.covers(2 * uint64_t{rows}), "targets or logSums is smaller than rows");
    REQUIRE(reduction == kEach ? dloss.covers(rows) : weight.present(),
            "dloss is smaller than rows, or weight is absent");
    return nullptr;
  }

  void run(Context& context) const {
    withResults(uint64_t{rows} * classes, [&](auto past, uint64_t more) {
      context.team.parallelRange(rows, rowGrain(classes, more), [&](uint64_t row, uint64_t last) {
        for (; row < last; ++row) differentiate<past()>(context, row);
        if (past()) endPast();
      });
    });
  }

 private:
  template <bool kPast>
  void differentiate(Context& context, uint64_t row) const {
    const float* logits = context.f32(x) + row * stride;
    float* gradient = context.f32(dx) + row * dxStride;
    const int32_t target = context.i32(targets)[row];
    const bool counts = !ignored.is(target) && static_cast<uint32_t>(target) < classes;
    if (!counts) {
      if (accumulate == 0) memset(gradient, 0, classes * sizeof(float));
      return;
    }
    const float d = reduction == kEach ? context.f32(dloss)[row] : *context.f32(dloss) * *context.f32(weight);
    const float max = context.f32(logSums)[2 * row], log = context.f32(logSums)[2 * row + 1];
    const Vf spread = splat(smoothing / static_cast<float>(classes));
    const auto probability = [&](Vf logit) { return expNonPositive(logit - splat(max) - splat(log)) - spread; };
    eachVector(classes, [&](size_t c, size_t lanes) {
      const Vf before = accumulate != 0 ? loadLanes(gradient + c, lanes) : splat(0);
      storeResult<kPast>(gradient + c, fma(probability(loadLanes(logits + c, lanes)), splat(d), before), lanes);
    });
    gradient[target] -= d * (1 - smoothing);
  }
};
KERNEL(CrossEntropyBackward)
