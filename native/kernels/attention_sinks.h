// Attention sinks (gpt-oss): each head has a score that takes part in the softmax but has no value.
//
// This kernel corrects the results of `attention`, whose probabilities are 2^(score - largest) · inverse. With r =
// e^sink / Σ e^score of a row, the sink's share is r / (1 + r), and all other probabilities are divided by 1 + r. The
// backward pass of attention then also sees the corrected statistics.
#include "kernels/shared/rows.h"

//   y       [rows, heads · width]  corrected in place
//   stats   [2, heads, rows]       attention's largest scores (in units of ln 2) and inverse sums; the latter are corrected
//   sinks   [heads]
//   shares  [rows, heads]          receives the sinks' shares, for the backward pass
struct AttentionSinks {
  static constexpr const char* name = "attentionSinks";
  static constexpr const char* signature = "inout:y inout:stats in:sinks out?:shares u32:rows u32:heads u32:width";
  Span y, stats, sinks, shares;
  uint32_t rows, heads, width;

  const char* check() const {
    REQUIRE(uint64_t{heads} * width <= 0xffffffffu, "heads are too wide");
    REQUIRE(y.covers(rows, uint64_t{heads} * width, uint64_t{heads} * width), "y is too small for its shape");
    REQUIRE(stats.covers(2 * uint64_t{heads}, rows, rows), "stats is too small for heads and rows");
    REQUIRE(sinks.covers(heads), "sinks is smaller than heads");
    REQUIRE(!shares.present() || shares.covers(rows, heads, heads), "shares is too small for rows and heads");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(rows, 1 + 4096 / (uint64_t{heads} * width + 1), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row)
        for (uint64_t head = 0; head < heads; ++head) divide(context, row, head);
    });
  }

 private:
  void divide(const Context& context, uint64_t row, uint64_t head) const {
    const float largest = context.f32(stats)[head * rows + row];
    float& inverse = context.f32(stats)[(heads + head) * rows + row];
    const double sink = static_cast<double>(context.f32(sinks)[head]) * 1.4426950408889634;
    const double ratio = std::exp2(sink - static_cast<double>(largest)) * static_cast<double>(inverse);
    const float kept = static_cast<float>(1 / (1 + ratio));
    if (shares.present())
      context.f32(shares)[row * heads + head] =
          static_cast<float>(ratio > 1 ? 1 / (1 + 1 / ratio) : ratio / (1 + ratio));
    inverse *= kept;
    float* to = context.f32(y) + (row * heads + head) * width;
    eachVector(width,
               [&](size_t c, size_t lanes) { storeLanes(to + c, loadLanes(to + c, lanes) * splat(kept), lanes); });
  }
};
RARE_KERNEL(AttentionSinks)

// dsinks[h] (+)= -Σ shares[row, h] · (dy · y of the head).
struct AttentionSinksBackward {
  static constexpr const char* name = "attentionSinksBackward";
  static constexpr const char* signature =
      "in:y in:dy in:shares inout:dsinks u32:rows u32:heads u32:width u32:accumulate";
  Span y, dy, shares, dsinks;
  uint32_t rows, heads, width, accumulate;

  const char* check() const {
    const uint64_t cols = uint64_t{heads} * width;
    REQUIRE(cols <= 0xffffffffu, "heads are too wide");
    REQUIRE(y.covers(rows, cols, cols) && dy.covers(rows, cols, cols), "y or dy is too small for its shape");
    REQUIRE(shares.covers(rows, heads, heads), "shares is too small for rows and heads");
    REQUIRE(dsinks.covers(heads), "dsinks is smaller than heads");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(heads, 1, [&](uint64_t head, uint64_t last) {
      for (; head < last; ++head) {
        double total = 0;
        for (uint64_t row = 0; row < rows; ++row) {
          const uint64_t at = (row * heads + head) * width;
          const Totals<1> product = totals<1>(width, [&](size_t c, size_t lanes, Vf* sums) {
            sums[0] =
                fma(loadLanes(context.f32(y) + at + c, lanes), loadLanes(context.f32(dy) + at + c, lanes), sums[0]);
          });
          total -= product.of[0] * static_cast<double>(context.f32(shares)[row * heads + head]);
        }
        float& target = context.f32(dsinks)[head];
        target = static_cast<float>(accumulate != 0 ? static_cast<double>(target) + total : total);
      }
    });
  }
};
TRAINING_KERNEL(AttentionSinksBackward)
