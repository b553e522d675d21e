// Selection of the next tokens of generated texts on the device, so that neither scores nor tokens are copied to the
// host.
#include "kernels/shared/rows.h"

// The k greatest elements of each row of x [rows, cols], with `stride` words between rows: best first, and the first of
// equals first. The first `forbiddenCount` ids in `forbidden` are skipped. If too few elements are above -infinity, the rest
// are (-infinity, 0).
//
//   values, ids  [slots, rows, k]; this command writes slot `slot`
//   logSums      [slots, rows, 2]: max and ln Σ e^(x - max) of the whole row
struct TopK {
  static constexpr const char* name = "topK";
  static constexpr const char* signature =
      "in:x in?:forbidden out:values out:ids out:logSums u32:rows u32:cols u32:stride u32:k u32:slot "
      "u32:forbiddenCount";
  static constexpr uint32_t kMax = 256;
  static constexpr uint32_t kSlots = 1 << 16;
  Span x, forbidden, values, ids, logSums;
  uint32_t rows, cols, stride, k, slot, forbiddenCount;

  const char* check() const {
    REQUIRE(k >= 1 && k <= kMax, "k is 0 or above topK.max");
    REQUIRE(slot < kSlots, "slot is out of range");
    REQUIRE(x.covers(rows, cols, stride), "x is too small for rows, cols and stride");
    REQUIRE(forbidden.covers(forbiddenCount), "forbidden is too small for its count");
    const uint64_t all = (uint64_t{slot} + 1) * rows;
    REQUIRE(values.covers(all * k) && ids.covers(all * k), "values or ids is too small for slot, rows and k");
    REQUIRE(logSums.covers(all * 2), "logSums is too small for slot and rows");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(rows, rowGrain(cols), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) {
        const float* from = context.f32(x) + row * stride;
        const uint64_t at = uint64_t{slot} * rows + row;
        const LogSum total = logSum(from, cols);
        context.f32(logSums)[2 * at] = total.max;
        context.f32(logSums)[2 * at + 1] = total.log;
        choose(from, context.i32(forbidden), context.f32(values) + at * k, context.i32(ids) + at * k);
      }
    });
  }

 private:
  void choose(const float* from, const int32_t* never, float* best, int32_t* id) const {
    for (uint32_t i = 0; i < k; ++i) best[i] = -INFINITY, id[i] = 0;
    constexpr size_t kBlock = 128;  // most blocks contain no element that is good enough
    for (size_t block = 0; block < cols; block += kBlock) {
      const size_t count = atMost(kBlock, cols - block);
      if (!(largest(from + block, count) > best[k - 1])) continue;
      for (size_t c = block; c < block + count; ++c)
        if (from[c] > best[k - 1] && !isAmong(never, static_cast<int32_t>(c))) insert(from[c], c, best, id);
    }
  }

  bool isAmong(const int32_t* never, int32_t c) const {
    for (uint32_t i = 0; i < forbiddenCount; ++i)
      if (never[i] == c) return true;
    return false;
  }

  void insert(float value, size_t c, float* best, int32_t* id) const {
    uint32_t at = k - 1;
    for (; at > 0 && best[at - 1] < value; --at) best[at] = best[at - 1], id[at] = id[at - 1];
    best[at] = value;
    id[at] = static_cast<int32_t>(c);
  }
};
KERNEL(TopK)
CONSTANT("topK.max", TopK::kMax)

// tokens[r] = ids[slot, r]; finished[r] = 1 if that is one of `stops`. When all rows are finished, the run ends here,
// because later commands would continue finished texts.
struct TakeTokens {
  static constexpr const char* name = "takeTokens";
  static constexpr const char* signature =
      "in:ids in?:stops inout:tokens inout:finished u32:rows u32:slot u32:stopCount";
  Span ids, stops, tokens, finished;
  uint32_t rows, slot, stopCount;

  const char* check() const {
    REQUIRE(slot < TopK::kSlots, "slot is out of range");
    REQUIRE(ids.covers((uint64_t{slot} + 1) * rows), "ids is too small for slot and rows");
    REQUIRE(stops.covers(stopCount), "stops is too small for its count");
    REQUIRE(tokens.covers(rows) && finished.covers(rows), "tokens or finished is smaller than rows");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallel(1, [&](uint32_t) {
      uint64_t open = 0;
      for (uint64_t row = 0; row < rows; ++row) {
        const int32_t token = context.i32(ids)[uint64_t{slot} * rows + row];
        context.i32(tokens)[row] = token;
        for (uint32_t i = 0; i < stopCount; ++i)
          if (context.i32(stops)[i] == token) context.i32(finished)[row] = 1;
        if (context.i32(finished)[row] == 0) ++open;
      }
      if (open == 0) context.leave();
    });
  }
};
KERNEL(TakeTokens)
