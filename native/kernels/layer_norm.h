// Layer normalization (Ba, Kiros, Hinton 2016, arXiv 1607.06450), with an optional residual addition before it.
//
//   s = x + residual                      x, residual, s, y  [rows, cols]
//   x̂ = (s - mean(s))·rstd(s)             mean, rstd         [rows], saved with s for the backward pass
//   y = gamma·x̂ + beta                    gamma, beta        [cols]
#include "kernels/shared/rows.h"

// Without residual, s is x. Without sum, s is not stored. Without gamma it is 1, and without beta 0.
struct LayerNorm {
  static constexpr const char* name = "layerNorm";
  static constexpr const char* signature =
      "in:x in?:residual in?:gamma in?:beta out?:sum out:y out:mean out:rstd u32:rows u32:cols f32:eps";
  Span x, residual, gamma, beta, sum, y, mean, rstd;
  uint32_t rows, cols;
  float eps;

  const char* check() const {
    const uint64_t size = uint64_t{rows} * cols;
    REQUIRE(x.covers(size) && y.covers(size), "x or y is too small for rows and cols");
    REQUIRE(!residual.present() || residual.covers(size), "residual is too small for rows and cols");
    REQUIRE(!sum.present() || sum.covers(size), "sum is too small for rows and cols");
    REQUIRE(!gamma.present() || gamma.covers(cols), "gamma is smaller than cols");
    REQUIRE(!beta.present() || beta.covers(cols), "beta is smaller than cols");
    REQUIRE(mean.covers(rows) && rstd.covers(rows), "mean or rstd is smaller than rows");
    return nullptr;
  }

  void run(Context& context) const {
    withResults(uint64_t{rows} * cols, [&](auto nonTemporal, uint64_t more) {
      if (gamma.present() && beta.present())
        eachRowOf<nonTemporal(), true>(context, more);
      else
        eachRowOf<nonTemporal(), false>(context, more);
    });
  }

 private:
  // kAffine is true if gamma and beta are both present, so that the loop need not check.
  template <bool kNonTemporal, bool kAffine>
  void eachRowOf(Context& context, uint64_t more) const {
    context.team.parallelRange(rows, rowGrain(cols, more), [&](uint64_t row, uint64_t last) {
      eachRow<kNonTemporal>(row, last, cols, [&](uint64_t r, const auto& meanwhile) {
        return measure<kNonTemporal, kAffine>(context, r, meanwhile);
      });
    });
  }

  template <bool kNonTemporal, bool kAffine>
  struct Row {
    const float *s, *gamma, *beta;  // null if absent
    float *sum, *y;                 // sum is null unless it must still be stored
    float center, scale;

    SIMD_INLINE void write(size_t c, size_t lanes) const {
      const Vf value = loadLanes(s + c, lanes);
      if (kNonTemporal && sum != nullptr) storeResult<kNonTemporal>(sum + c, value, lanes);
      const Vf normed = (value - splat(center)) * splat(scale);
      const Vf factor = kAffine || gamma != nullptr ? loadLanes(gamma + c, lanes) : splat(1);
      const Vf term = kAffine || beta != nullptr ? loadLanes(beta + c, lanes) : splat(-0.f);
      storeResult<kNonTemporal>(y + c, fused(normed, factor, term), lanes);
    }
  };

  template <bool kNonTemporal, bool kAffine, class Meanwhile>
  Row<kNonTemporal, kAffine> measure(Context& context, uint64_t row, const Meanwhile& meanwhile) const {
    const uint64_t at = row * cols;
    const float* input = context.f32(x) + at;
    float* output = context.f32(y) + at;
    // With non-temporal stores, s is kept in scratch memory and is stored with y while the next row is read (see
    // eachRow).
    const bool isLate = kNonTemporal && cols <= kHeldFloats && residual.present();
    const float* s = input;
    float pivot = input[0];
    Totals<2> pivoted;
    if (residual.present()) {
      const float* other = context.f32(residual) + at;
      float* kept = isLate ? heldRow(context, row) : sum.present() ? context.f32(sum) + at : output;
      s = kept;
      pivot += other[0];
      pivoted = addRows(input, other, kept, pivot, meanwhile);
    } else {
      pivoted = totals<2>(cols, [&](size_t c, size_t lanes, Vf* sums) {
        fetchBehind<kNonTemporal>(input + c, cols);
        meanwhile(c, lanes);
        addDeviations(loadLanes(input + c, lanes), pivot, lanes, sums);
      });
    }
    const Moments moments = momentsOf(s, pivot, pivoted);
    context.f32(mean)[row] = moments.mean;
    context.f32(rstd)[row] = moments.rstd;
    return {s,
            gamma.present() ? context.f32(gamma) : nullptr,
            beta.present() ? context.f32(beta) : nullptr,
            isLate && sum.present() ? context.f32(sum) + at : nullptr,
            output,
            moments.mean,
            moments.rstd};
  }

  // Adds deviations from a pivot, and their squares.
  static SIMD_INLINE void addDeviations(Vf v, float pivot, size_t lanes, Vf* sums) {
    const Vf d = firstLanesOr(v - splat(pivot), lanes, 0);
    sums[0] += d;
    sums[1] = fused(d, d, sums[1]);
  }

  // Computes sum = a + b, and the sums of its deviations from a pivot and of their squares.
  template <class Meanwhile>
  SIMD_INLINE Totals<2> addRows(const float* a, const float* b, float* sum, float pivot,
                                const Meanwhile& meanwhile) const {
    return totals<2>(cols, [&](size_t c, size_t lanes, Vf* sums) {
      const Vf v = loadLanes(a + c, lanes) + loadLanes(b + c, lanes);
      storeLanes(sum + c, v, lanes);
      meanwhile(c, lanes);
      addDeviations(v, pivot, lanes, sums);
    });
  }

  struct Moments {
    float mean, rstd;
  };

  // Returns mean and inverse standard deviation of the row s, from the sums of its deviations from a pivot. The pivot
  // need not be the mean: the difference is measured and subtracted from both. A constant row has variance 0 and its
  // value as the mean.
  SIMD_INLINE Moments momentsOf(const float* s, float pivot, Totals<2> pivoted) const {
    // A pivot is not used if it is so far from the mean that the variance would lose two bits.
    const double far = pivoted.of[0] / cols;
    if (!(far * far < 4 * (pivoted.of[1] / cols - far * far))) {
      pivot += static_cast<float>(far);
      pivoted = totals<2>(
          cols, [&](size_t c, size_t lanes, Vf* sums) { addDeviations(loadLanes(s + c, lanes), pivot, lanes, sums); });
    }
    const double miss = pivoted.of[0] / cols;
    const double spread = pivoted.of[1] / cols - miss * miss;
    // If the sum of squares overflows, y would be beta with gradients of 0. NaN shows the overflow.
    if (!(spread < INFINITY)) return {static_cast<float>(pivot + miss), NAN};
    const double variance = spread < 0 ? 0 : spread;
    return {static_cast<float>(pivot + miss), static_cast<float>(1 / std::sqrt(variance + static_cast<double>(eps)))};
  }
};
KERNEL(LayerNorm)

// With g = gamma·dy:
//
//   dx = dresidual = dsum + rstd·(g - mean(g) - x̂·mean(g·x̂))      dgamma = Σ_rows dy·x̂      dbeta = Σ_rows dy
//
// dsum is the gradient that reaches s directly, not through y; it is optional. Bits of accumulate: dx, dresidual,
// dgamma, dbeta. partials [partialsOf(rows), 2, cols] is needed for dgamma or dbeta.
struct LayerNormBackward {
  static constexpr const char* name = "layerNormBackward";
  static constexpr const char* signature =
      "in:dy in?:dsum in:sum in?:gamma in:mean in:rstd inout?:dx inout?:dresidual inout?:dgamma inout?:dbeta "
      "out?:partials u32:rows u32:cols u32:accumulate";
  Span dy, dsum, sum, gamma, mean, rstd, dx, dresidual, dgamma, dbeta, partials;
  uint32_t rows, cols, accumulate;

  const char* check() const {
    const uint64_t size = uint64_t{rows} * cols;
    REQUIRE(dy.covers(size) && sum.covers(size), "dy or sum is too small for rows and cols");
    REQUIRE(!dsum.present() || dsum.covers(size), "dsum is too small for rows and cols");
    REQUIRE(!gamma.present() || gamma.covers(cols), "gamma is smaller than cols");
    REQUIRE(mean.covers(rows) && rstd.covers(rows), "mean or rstd is smaller than rows");
    REQUIRE(!dx.present() || dx.covers(size), "dx is too small for rows and cols");
    REQUIRE(!dresidual.present() || dresidual.covers(size), "dresidual is too small for rows and cols");
    REQUIRE(!dgamma.present() || dgamma.covers(cols), "dgamma is smaller than cols");
    REQUIRE(!dbeta.present() || dbeta.covers(cols), "dbeta is smaller than cols");
    REQUIRE(!sumsColumns() || partials.covers(partialsOf(rows), 2 * uint64_t{cols}, 2 * uint64_t{cols}),
            "partials is too small");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t count = partialsOf(rows), stride = 2 * uint64_t{cols};
    float* parts = context.f32(partials);
    eachRowInParts(
        context.team, rows, cols, parts, sumsColumns() ? stride : 0,
        [&](auto nonTemporal, uint64_t row, float* part) { differentiate<nonTemporal()>(context, row, part); });
    if (dgamma.present())
      addPartials(context.team, parts, count, cols, stride, context.f32(dgamma), (accumulate & 4) != 0);
    if (dbeta.present())
      addPartials(context.team, parts + cols, count, cols, stride, context.f32(dbeta), (accumulate & 8) != 0);
  }

 private:
  bool sumsColumns() const { return dgamma.present() || dbeta.present(); }

  template <bool kNonTemporal>
  void differentiate(Context& context, uint64_t row, float* part) const {
    const uint64_t at = row * cols;
    const float* upstream = context.f32(dy) + at;
    const float* direct = context.f32(dsum) + at;
    const float* s = context.f32(sum) + at;
    const float* weight = context.f32(gamma);
    const bool weighs = gamma.present(), columns = sumsColumns();
    const Vf center = splat(context.f32(mean)[row]), scale = splat(context.f32(rstd)[row]);
    const auto weighted = [&](Vf d, size_t c, size_t lanes) { return weighs ? d * loadLanes(weight + c, lanes) : d; };
    const auto normalised = [&](size_t c, size_t lanes) { return (loadLanes(s + c, lanes) - center) * scale; };

    // g is 0 in absent lanes, and so are both terms.
    const Totals<2> means = totals<2>(cols, [&](size_t c, size_t lanes, Vf* sums) {
      if (kNonTemporal) fetchBehind(upstream + c, cols), fetchBehind(s + c, cols);
      const Vf d = loadLanes(upstream + c, lanes), g = weighted(d, c, lanes), x = normalised(c, lanes);
      sums[0] += g;
      sums[1] = fma(g, x, sums[1]);
      if (!columns) return;
      storeLanes(part + c, fma(d, x, loadLanes(part + c, lanes)), lanes);
      storeLanes(part + cols + c, loadLanes(part + cols + c, lanes) + d, lanes);
    });
    if (!dx.present() && !dresidual.present()) return;
    const Vf meanG = splat(static_cast<float>(means.of[0] / cols)),
             meanGX = splat(static_cast<float>(means.of[1] / cols));
    float* first = context.f32(dx) + at;
    float* second = context.f32(dresidual) + at;
    eachVector(cols, [&](size_t c, size_t lanes) {
      // Rounded as in the mean, so that a single column, where g is the mean, has gradient 0.
      Vf d =
          (rounded(weighted(loadLanes(upstream + c, lanes), c, lanes)) - meanG - normalised(c, lanes) * meanGX) * scale;
      if (dsum.present()) d += loadLanes(direct + c, lanes);
      // The two stores are separate, because both targets are the same tensor if x and residual are.
      if (dx.present())
        storeResult<kNonTemporal>(first + c, (accumulate & 1) != 0 ? loadLanes(first + c, lanes) + d : d, lanes);
      if (dresidual.present())
        storeResult<kNonTemporal>(second + c, (accumulate & 2) != 0 ? loadLanes(second + c, lanes) + d : d, lanes);
    });
  }
};
TRAINING_KERNEL(LayerNormBackward)
