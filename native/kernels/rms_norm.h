// Root mean square normalization (Zhang, Sennrich 2019, arXiv 1910.07467).
//
//   x̂ = x·rstd(x), rstd = 1/√(mean(x²) + eps)       x, y   [rows, cols];  rstd [rows], saved for the backward pass
//   y = (gamma + offset)·x̂                          gamma  [cols]; if absent, the factor is 1
#include "kernels/shared/rows.h"

// The vector that is added to gamma. For an offset of 0 it is -0, whose addition changes no bit.
SIMD_INLINE Vf addedToGamma(float offset) { return splat(offset == 0 ? -0.f : offset); }

struct RmsNorm {
  static constexpr const char* name = "rmsNorm";
  static constexpr const char* signature = "in:x in?:gamma out:y out:rstd u32:rows u32:cols f32:eps f32:offset";
  Span x, gamma, y, rstd;
  uint32_t rows, cols;
  float eps, offset;

  const char* check() const {
    const uint64_t size = uint64_t{rows} * cols;
    REQUIRE(x.covers(size) && y.covers(size), "x or y is too small for rows and cols");
    REQUIRE(!gamma.present() || gamma.covers(cols), "gamma is smaller than cols");
    REQUIRE(rstd.covers(rows), "rstd is smaller than rows");
    return nullptr;
  }

  void run(Context& context) const {
    withResults(uint64_t{rows} * cols, [&](auto nonTemporal, uint64_t more) {
      context.team.parallelRange(rows, rowGrain(cols, more), [&](uint64_t row, uint64_t last) {
        eachRow<nonTemporal()>(row, last, cols, [&](uint64_t r, const auto& meanwhile) {
          return measure<nonTemporal()>(context, r, meanwhile);
        });
      });
    });
  }

 private:
  template <bool kNonTemporal>
  struct Row {
    const float *x, *gamma;  // gamma is null if absent
    float* y;
    float scale, offset;

    SIMD_INLINE void write(size_t c, size_t lanes) const {
      const Vf v = loadLanes(x + c, lanes) * splat(scale);
      storeResult<kNonTemporal>(y + c, gamma != nullptr ? v * (loadLanes(gamma + c, lanes) + addedToGamma(offset)) : v,
                                lanes);
    }
  };

  template <bool kNonTemporal, class Meanwhile>
  Row<kNonTemporal> measure(Context& context, uint64_t row, const Meanwhile& meanwhile) const {
    const float* input = context.f32(x) + row * cols;
    const Totals<1> squares = totals<1>(cols, [&](size_t c, size_t lanes, Vf* sums) {
      const Vf v = loadLanes(input + c, lanes);
      meanwhile(c, lanes);
      sums[0] = fused(v, v, sums[0]);
    });
    const float scale = static_cast<float>(1 / std::sqrt(squares.of[0] / cols + static_cast<double>(eps)));
    context.f32(rstd)[row] = scale;
    return {input, gamma.present() ? context.f32(gamma) : nullptr, context.f32(y) + row * cols, scale, offset};
  }
};
KERNEL(RmsNorm)

// With g = (gamma + offset)·dy:  dx = rstd·(g - x̂·mean(g·x̂)),  dgamma = Σ_rows dy·x̂. Bits of accumulate: dx, dgamma.
// partials [partialsOf(rows), cols] is needed for dgamma.
struct RmsNormBackward {
  static constexpr const char* name = "rmsNormBackward";
  static constexpr const char* signature =
      "in:dy in:x in?:gamma in:rstd inout?:dx inout?:dgamma out?:partials u32:rows u32:cols f32:offset "
      "u32:accumulate";
  Span dy, x, gamma, rstd, dx, dgamma, partials;
  uint32_t rows, cols;
  float offset;
  uint32_t accumulate;

  const char* check() const {
    const uint64_t size = uint64_t{rows} * cols;
    REQUIRE(dy.covers(size) && x.covers(size), "dy or x is too small for rows and cols");
    REQUIRE(!gamma.present() || gamma.covers(cols), "gamma is smaller than cols");
    REQUIRE(rstd.covers(rows), "rstd is smaller than rows");
    REQUIRE(!dx.present() || dx.covers(size), "dx is too small for rows and cols");
    REQUIRE(!dgamma.present() || dgamma.covers(cols), "dgamma is smaller than cols");
    REQUIRE(!dgamma.present() || partials.covers(partialsOf(rows), cols, cols), "partials is too small");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t count = partialsOf(rows);
    float* parts = context.f32(partials);
    eachRowInParts(
        context.team, rows, cols, parts, dgamma.present() ? cols : 0,
        [&](auto nonTemporal, uint64_t row, float* part) { differentiate<nonTemporal()>(context, row, part); });
    if (dgamma.present())
      addPartials(context.team, parts, count, cols, cols, context.f32(dgamma), (accumulate & 2) != 0);
  }

 private:
  template <bool kNonTemporal>
  void differentiate(Context& context, uint64_t row, float* part) const {
    const float* upstream = context.f32(dy) + row * cols;
    const float* input = context.f32(x) + row * cols;
    const float* weight = context.f32(gamma);
    const bool weighs = gamma.present(), columns = dgamma.present();
    const Vf scale = splat(context.f32(rstd)[row]);
    const auto weighted = [&](Vf d, size_t c, size_t lanes) {
      return weighs ? d * (loadLanes(weight + c, lanes) + addedToGamma(offset)) : d;
    };

    const Totals<1> product = totals<1>(cols, [&](size_t c, size_t lanes, Vf* sums) {
      if (kNonTemporal) fetchBehind(upstream + c, cols), fetchBehind(input + c, cols);
      const Vf d = loadLanes(upstream + c, lanes), normed = loadLanes(input + c, lanes) * scale;
      sums[0] = fma(weighted(d, c, lanes), normed, sums[0]);
      if (columns) storeLanes(part + c, loadLanes(part + c, lanes) + d * normed, lanes);
    });
    if (!dx.present()) return;
    const Vf meanGX = splat(static_cast<float>(product.of[0] / cols));
    float* target = context.f32(dx) + row * cols;
    eachVector(cols, [&](size_t c, size_t lanes) {
      const Vf d =
          (weighted(loadLanes(upstream + c, lanes), c, lanes) - loadLanes(input + c, lanes) * scale * meanGX) * scale;
      storeResult<kNonTemporal>(target + c, (accumulate & 1) != 0 ? loadLanes(target + c, lanes) + d : d, lanes);
    });
  }
};
TRAINING_KERNEL(RmsNormBackward)
