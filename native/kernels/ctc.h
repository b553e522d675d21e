// Connectionist temporal classification (Graves et al. 2006): -ln of the probability that a sequence of rows spells a
// target, summed over all alignments. A row emits a label of the target or a blank; a label that is repeated in
// adjacent rows counts once.
//
// A target of n labels has 2n + 1 states: blank, label 1, blank, label 2, …, blank. The forward variables are
//
//   a_t(s) = ln(e^a_{t-1}(s) + e^a_{t-1}(s - 1) + e^a_{t-1}(s - 2)) + logProbs[t, label(s)].
//
// The term with s - 2 counts only if label(s) is neither a blank nor equal to label(s - 2). Stored rows are relative to
// their maximum, so that float32 is precise enough for long sequences.
#include <cmath>

// The number of valid rows and labels of an item.
struct CtcItem {
  uint32_t rows, labels;

  uint64_t states() const { return 2 * uint64_t{labels} + 1; }
};

// The labels of an item's states.
struct CtcStates {
  const int32_t* labels;
  uint64_t count;
  uint32_t blank;

  uint32_t label(uint64_t s) const { return s % 2 == 0 ? blank : static_cast<uint32_t>(labels[s / 2]); }
  // True if state s can follow state s - 2.
  bool skips(uint64_t s) const { return s >= 2 && label(s) != blank && label(s) != label(s - 2); }
};

inline double ctcAdd(double a, double b) {
  const double high = a > b ? a : b, low = a > b ? b : a;
  return low == -INFINITY ? high : high + std::log1p(std::exp(low - high));
}

// Subtracts the maximum of a row and returns it. Returns 0 if no state can be reached.
inline double ctcNormalize(float* row, uint64_t states) {
  float max = -INFINITY;
  for (uint64_t s = 0; s < states; ++s) max = row[s] > max ? row[s] : max;
  if (max == -INFINITY) return 0;
  for (uint64_t s = 0; s < states; ++s) row[s] -= max;
  return static_cast<double>(max);
}

// Operands that both passes share. An item has `time` rows and `labels` labels, of which the first ones are valid.
//
//   logProbs  [count · time, classes]
//   targets   [count, labels]
//   lengths   [count, 2]  the numbers of valid rows and labels
struct CtcOperands {
  Span logProbs, targets, lengths;
  uint32_t count, time, classes, labels, blank;

  uint64_t rows() const { return uint64_t{count} * time; }
  uint64_t states() const { return 2 * uint64_t{labels} + 1; }

  const char* check() const {
    REQUIRE(logProbs.covers(rows(), classes, classes), "logProbs is too small for count, time and classes");
    REQUIRE(targets.covers(uint64_t{count} * labels), "targets is too small for count and labels");
    REQUIRE(lengths.covers(2 * uint64_t{count}), "lengths is smaller than count");
    REQUIRE(blank < classes, "blank is not a class");
    return nullptr;
  }

  // Returns item b. If its lengths or labels are invalid, it has no rows and no labels, and the run fails.
  CtcItem item(Context& context, uint64_t b) const {
    const int32_t* at = context.i32(lengths) + 2 * b;
    const CtcItem it{static_cast<uint32_t>(at[0]), static_cast<uint32_t>(at[1])};
    if (it.rows <= time && it.labels <= labels) return labelsFit(context, b, it) ? it : CtcItem{0, 0};
    context.fail("a length exceeds the rows or labels of an item");
    return {0, 0};
  }

  CtcStates statesOf(const Context& context, uint64_t b, const CtcItem& it) const {
    return {context.i32(targets) + b * labels, it.states(), blank};
  }

 private:
  bool labelsFit(Context& context, uint64_t b, const CtcItem& it) const {
    for (uint64_t i = b * labels; i < b * labels + it.labels; ++i) {
      const int32_t label = context.i32(targets)[i];
      if (static_cast<uint32_t>(label) < classes) continue;
      context.failAt("targets", i, label, classes);
      return false;
    }
    return true;
  }
};

// losses [count]; forward [count · time, states] receives a_t(s).
struct CtcLoss {
  static constexpr const char* name = "ctcLoss";
  static constexpr const char* signature =
      "in:logProbs in:targets in:lengths u32:count u32:time u32:classes u32:labels u32:blank out:losses "
      "out:forward u32:zeroInfinity";
  CtcOperands ctc;
  Span losses, forward;
  uint32_t zeroInfinity;

  const char* check() const {
    if (const char* why = ctc.check()) return why;
    REQUIRE(losses.covers(ctc.count), "losses is smaller than count");
    REQUIRE(forward.covers(ctc.rows(), ctc.states(), ctc.states()), "forward is smaller than the rows and states");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(ctc.count, 1, [&](uint64_t b, uint64_t last) {
      for (; b < last; ++b) {
        const double loss = lossOf(context, b, ctc.item(context, b));
        context.f32(losses)[b] = zeroInfinity != 0 && loss == INFINITY ? 0 : static_cast<float>(loss);
      }
    });
  }

 private:
  double lossOf(Context& context, uint64_t b, const CtcItem& it) const {
    if (it.rows == 0) return it.labels == 0 ? 0 : INFINITY;
    const CtcStates states = ctc.statesOf(context, b, it);
    double shift = 0;
    for (uint32_t t = 0; t < it.rows; ++t) {
      const uint64_t at = b * ctc.time + t;
      float* row = context.f32(forward) + at * ctc.states();
      fill(context.f32(ctc.logProbs) + at * ctc.classes, states, t == 0 ? nullptr : row - ctc.states(), row);
      shift += ctcNormalize(row, states.count);
    }
    const float* end = context.f32(forward) + (b * ctc.time + it.rows - 1) * ctc.states() + states.count;
    const double log = states.count == 1 ? static_cast<double>(end[-1])
                                         : ctcAdd(static_cast<double>(end[-1]), static_cast<double>(end[-2]));
    return -(log + shift);
  }

  static void fill(const float* logProbs, const CtcStates& states, const float* before, float* row) {
    for (uint64_t s = 0; s < states.count; ++s) {
      double log = before == nullptr ? (s < 2 ? 0 : -INFINITY) : static_cast<double>(before[s]);
      if (before != nullptr && s > 0) log = ctcAdd(log, static_cast<double>(before[s - 1]));
      if (before != nullptr && states.skips(s)) log = ctcAdd(log, static_cast<double>(before[s - 2]));
      row[s] = static_cast<float>(log + static_cast<double>(logProbs[states.label(s)]));
    }
  }
};
TRAINING_KERNEL(CtcLoss)

// d[t, c] (+)= -dlosses[b] · Σ_s [label(s) = c] p_t(s). p_t(s) is the probability of state s in row t, given the
// target: e^(a_t(s) + b_t(s)), normalized. The backward variables b_t(s) follow the same recurrence from the last row
// on. `backward` [2 · count, states] holds two rows of them per item. Rows that are not valid get 0. If a target cannot
// be spelled its gradient is NaN, or 0 if zeroInfinity.
struct CtcLossBackward {
  static constexpr const char* name = "ctcLossBackward";
  static constexpr const char* signature =
      "in:logProbs in:targets in:lengths u32:count u32:time u32:classes u32:labels u32:blank in:dlosses "
      "in:forward out:backward inout:d u32:zeroInfinity u32:accumulate";
  CtcOperands ctc;
  Span dlosses, forward, backward, d;
  uint32_t zeroInfinity, accumulate;

  const char* check() const {
    if (const char* why = ctc.check()) return why;
    REQUIRE(dlosses.covers(ctc.count), "dlosses is smaller than count");
    REQUIRE(forward.covers(ctc.rows(), ctc.states(), ctc.states()), "forward is smaller than the rows and states");
    REQUIRE(backward.covers(2 * uint64_t{ctc.count}, ctc.states(), ctc.states()),
            "backward is smaller than two rows each");
    REQUIRE(d.covers(ctc.rows(), ctc.classes, ctc.classes), "d is smaller than the rows and classes");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(ctc.count, 1, [&](uint64_t b, uint64_t last) {
      for (; b < last; ++b) {
        if (accumulate == 0) {
          float* const own = context.f32(d) + b * ctc.time * ctc.classes;
          memset(own, 0, size_t{ctc.time} * ctc.classes * sizeof(float));
        }
        differentiate(context, b, ctc.item(context, b));
      }
    });
  }

 private:
  void differentiate(Context& context, uint64_t b, const CtcItem& it) const {
    const CtcStates states = ctc.statesOf(context, b, it);
    const float factor = context.f32(dlosses)[b];
    float *row = context.f32(backward) + 2 * b * ctc.states(), *after = row + ctc.states();
    for (uint32_t t = it.rows; t-- > 0;) {
      const uint64_t at = b * ctc.time + t;
      fill(context.f32(ctc.logProbs) + (at + 1) * ctc.classes, states, t + 1 == it.rows ? nullptr : after, row);
      ctcNormalize(row, states.count);
      spread(context.f32(forward) + at * ctc.states(), row, states, factor, context.f32(d) + at * ctc.classes);
      float* const swapped = row;
      row = after;
      after = swapped;
    }
  }

  // Computes the backward variables of a row. `logProbs` belongs to the next row, `after` are its backward variables,
  // or null for the last row.
  static void fill(const float* logProbs, const CtcStates& states, const float* after, float* row) {
    const auto through = [&](uint64_t s) {
      return static_cast<double>(after[s]) + static_cast<double>(logProbs[states.label(s)]);
    };
    for (uint64_t s = 0; s < states.count; ++s) {
      double log = -INFINITY;
      if (after == nullptr) {
        if (s + 2 >= states.count) log = 0;
      } else {
        log = through(s);
        if (s + 1 < states.count) log = ctcAdd(log, through(s + 1));
        if (s + 2 < states.count && states.skips(s + 2)) log = ctcAdd(log, through(s + 2));
      }
      row[s] = static_cast<float>(log);
    }
  }

  void spread(const float* a, const float* b, const CtcStates& states, float factor, float* to) const {
    double max = -INFINITY, total = 0;
    for (uint64_t s = 0; s < states.count; ++s) {
      const double log = static_cast<double>(a[s]) + static_cast<double>(b[s]);
      max = log > max ? log : max;
    }
    if (max == -INFINITY) {
      if (zeroInfinity == 0) to[states.label(0)] = NAN;
      return;
    }
    const auto weight = [&](uint64_t s) {
      return std::exp(static_cast<double>(a[s]) + static_cast<double>(b[s]) - max);
    };
    for (uint64_t s = 0; s < states.count; ++s) total += weight(s);
    for (uint64_t s = 0; s < states.count; ++s)
      to[states.label(s)] -= static_cast<float>(static_cast<double>(factor) * weight(s) / total);
  }
};
TRAINING_KERNEL(CtcLossBackward)
