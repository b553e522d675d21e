// Cross entropy of rows of logits and target classes, with label smoothing (Szegedy et al. 2015, arXiv 1512.00567).
//
//   x [rows, classes], `stride` words between rows    targets [rows]    weights [classes], optional
//
//   z_r    = ln Σ_c e^x[r, c]        p = e^(x - z)
//   loss_r = z_r - (1 - smoothing)·x[r, t_r] - smoothing·mean_c x[r, c]
//
//   loss_r = (1 - smoothing)·w[t_r]·(z_r - x[r, t_r])                  with class weights, which multiply each
//            + smoothing·mean_c w[c]·(z_r - x[r, c])                   -ln p[r, c] = z_r - x[r, c]
//
// If `logs`, x are already logarithms of probabilities: z is 0, and there is no smoothing. A row whose target is
// `ignored` (if hasIgnored) has loss 0 and does not count for the mean. Probabilities are not stored, only z, as the
// pair (max, ln Σ e^(x - max)) in logSums [rows, 2].
#include "kernels/shared/rows.h"

enum Reduction : uint32_t { kEach, kMean, kSum, kReductions };
CONSTANT("reduction.none", kEach)
CONSTANT("reduction.mean", kMean)
CONSTANT("reduction.sum", kSum)

// The target that is ignored, if there is one: the operands hasIgnored and ignored.
struct Ignored {
  uint32_t exists;
  int32_t target;
  bool is(int32_t other) const { return exists != 0 && other == target; }
};

// losses [rows]. Unless the reduction is kEach, also loss [1] and share [1]. loss is the sum or mean over rows that are
// not ignored, weighted by their targets. share is 1 for a sum, and 1 / (total weight) for a mean. The mean of no rows
// is NaN, as in PyTorch.
struct CrossEntropy {
  static constexpr const char* name = "crossEntropy";
  static constexpr const char* signature =
      "in:x in:targets in?:weights out:losses out:logSums out?:loss out?:share u32:rows u32:classes u32:stride "
      "f32:smoothing u32:logs u32:hasIgnored i32:ignored u32:reduction";
  Span x, targets, weights, losses, logSums, loss, share;
  uint32_t rows, classes, stride;
  float smoothing;
  uint32_t logs;
  Ignored ignored;
  uint32_t reduction;

  const char* check() const {
    REQUIRE(reduction < kReductions, "unknown reduction");
    REQUIRE(x.covers(rows, classes, stride), "x is too small for rows, classes and stride");
    REQUIRE(targets.covers(rows) && losses.covers(rows), "targets or losses is smaller than rows");
    REQUIRE(!weights.present() || weights.covers(classes), "weights is smaller than classes");
    REQUIRE(logSums.covers(2 * uint64_t{rows}), "logSums is smaller than rows");
    REQUIRE(logs == 0 || smoothing == 0, "logarithms of probabilities are not smoothed");
    REQUIRE(reduction == kEach || (loss.present() && share.present()), "loss and share are needed");
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
        const int32_t target = context.i32(targets)[row];
        if (ignored.is(target) || static_cast<uint32_t>(target) >= classes) continue;
        total += static_cast<double>(context.f32(losses)[row]);
        count += weights.present() ? static_cast<double>(context.f32(weights)[target]) : 1;
      }
      const double each = reduction == kMean ? 1 / count : 1;
      *context.f32(share) = static_cast<float>(each);
      *context.f32(loss) = static_cast<float>(total * each);
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
    if (logs != 0) return weights.present() ? -context.f32(weights)[target] * logits[target] : -logits[target];
    const bool smooths = smoothing != 0, spreads = smooths && !weights.present();
    const LogSum z = spreads ? logSum<true>(logits, classes) : logSum(logits, classes);
    context.f32(logSums)[2 * row] = z.max;
    context.f32(logSums)[2 * row + 1] = z.log;
    // Terms are relative to the maximum, so that no large values cancel.
    const double confidence = 1 - static_cast<double>(smoothing), above = static_cast<double>(logits[target]) - z.max;
    if (!weights.present()) {
      double result = z.log - confidence * above;
      if (smooths) result -= static_cast<double>(smoothing) * z.rest / classes;
      return static_cast<float>(result);
    }
    double result = confidence * static_cast<double>(context.f32(weights)[target]) * (z.log - above);
    if (smooths) result += static_cast<double>(smoothing) * weightedRest(context, logits, z) / classes;
    return static_cast<float>(result);
  }

  // Σ_c w[c]·(z - x[c])
  double weightedRest(Context& context, const float* logits, const LogSum& z) const {
    const float* of = context.f32(weights);
    const Vf max = splat(z.max), log = splat(z.log);
    const Totals<1> rest = totals<1>(classes, [&](size_t c, size_t lanes, Vf* sums) {
      sums[0] += firstLanesOr(loadLanes(of + c, lanes) * (log - (loadLanes(logits + c, lanes) - max)), lanes, 0);
    });
    return rest.of[0];
  }
};
TRAINING_KERNEL(CrossEntropy)

// The gradient dx (+ dx if accumulate), 0 in ignored rows. d_r is dloss[r] if kEach, else dloss[0]·share[0].
//
//   dx = d_r·(p - (1 - smoothing)·[c = t_r] - smoothing/classes)
//   dx = d_r·(((1 - smoothing)·w[t_r] + smoothing·mean(w))·p          with class weights
//             - (1 - smoothing)·w[t_r]·[c = t_r] - smoothing/classes·w[c])
//
// If x are logarithms of probabilities, only the term of the target remains.
struct CrossEntropyBackward {
  static constexpr const char* name = "crossEntropyBackward";
  static constexpr const char* signature =
      "in:dloss in:x in:targets in?:weights in:logSums in?:share inout:dx u32:rows u32:classes u32:stride "
      "f32:smoothing u32:logs u32:hasIgnored i32:ignored u32:reduction u32:dxStride u32:accumulate";
  Span dloss, x, targets, weights, logSums, share, dx;
  uint32_t rows, classes, stride;
  float smoothing;
  uint32_t logs;
  Ignored ignored;
  uint32_t reduction, dxStride, accumulate;

  const char* check() const {
    REQUIRE(reduction < kReductions, "unknown reduction");
    REQUIRE(x.covers(rows, classes, stride), "x is too small for rows, classes and stride");
    REQUIRE(dx.covers(rows, classes, dxStride), "dx is too small for rows, classes and dxStride");
    REQUIRE(targets.covers(rows) && logSums.covers(2 * uint64_t{rows}), "targets or logSums is smaller than rows");
    REQUIRE(!weights.present() || weights.covers(classes), "weights is smaller than classes");
    REQUIRE(reduction == kEach ? dloss.covers(rows) : share.present(),
            "dloss is smaller than rows, or share is absent");
    return nullptr;
  }

  void run(Context& context) const {
    withResults(uint64_t{rows} * classes, [&](auto nonTemporal, uint64_t more) {
      context.team.parallelRange(rows, rowGrain(classes, more), [&](uint64_t row, uint64_t last) {
        for (; row < last; ++row) differentiate<nonTemporal()>(context, row);
        if (nonTemporal()) fenceNonTemporal();
      });
    });
  }

 private:
  template <bool kNonTemporal>
  void differentiate(Context& context, uint64_t row) const {
    const float* logits = context.f32(x) + row * stride;
    float* gradient = context.f32(dx) + row * dxStride;
    const int32_t target = context.i32(targets)[row];
    const bool counts = !ignored.is(target) && static_cast<uint32_t>(target) < classes;
    if (!counts) {
      if (accumulate == 0) memset(gradient, 0, classes * sizeof(float));
      return;
    }
    float d = reduction == kEach ? context.f32(dloss)[row] : *context.f32(dloss) * *context.f32(share);
    if (logs != 0) {
      if (accumulate == 0) memset(gradient, 0, classes * sizeof(float));
    } else if (weights.present()) {
      spreadWeighted<kNonTemporal>(context, row, d, logits, gradient);
    } else {
      const Vf spread = splat(smoothing / static_cast<float>(classes));
      spreadOver<kNonTemporal>(context, row, d, logits, gradient, [&](Vf p, size_t, size_t) { return p - spread; });
    }
    if (weights.present()) d *= context.f32(weights)[target];
    gradient[target] -= d * (1 - smoothing);
  }

  template <bool kNonTemporal>
  void spreadWeighted(Context& context, uint64_t row, float d, const float* logits, float* gradient) const {
    const float* of = context.f32(weights);
    const Totals<1> all = totals<1>(classes, [&](size_t c, size_t lanes, Vf* sums) {
      sums[0] += firstLanesOr(loadLanes(of + c, lanes), lanes, 0);
    });
    const float own = of[context.i32(targets)[row]], even = smoothing / static_cast<float>(classes);
    const Vf times = splat((1 - smoothing) * own + even * static_cast<float>(all.of[0])), each = splat(even);
    spreadOver<kNonTemporal>(context, row, d, logits, gradient,
                             [&](Vf p, size_t c, size_t lanes) { return p * times - each * loadLanes(of + c, lanes); });
  }

  // gradient = d·value(p, c, lanes) (+ gradient if accumulate)
  template <bool kNonTemporal, class Value>
  void spreadOver(Context& context, uint64_t row, float d, const float* logits, float* gradient,
                  const Value& value) const {
    const Vf max = splat(context.f32(logSums)[2 * row]), log = splat(context.f32(logSums)[2 * row + 1]);
    eachVector(classes, [&](size_t c, size_t lanes) {
      const Vf before = accumulate != 0 ? loadLanes(gradient + c, lanes) : splat(0);
      const Vf p = expNonPositive(loadLanes(logits + c, lanes) - max - log);
      storeResult<kNonTemporal>(gradient + c, fma(value(p, c, lanes), splat(d), before), lanes);
    });
  }
};
TRAINING_KERNEL(CrossEntropyBackward)
