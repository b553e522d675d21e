// The scores of attention after one of its steps, as a tensor p [batch, heads, maxQ, maxK] for inspection. Attention
// itself never stores them.
//
//   kRaw       scale · (q kᵀ + relativeScores) for every query and key; 0 beyond the rows of an item
//   kCapped    the same after the soft cap
//   kBiased    with biases; -infinity for hidden keys and beyond the rows of an item
//   kSoftmax   probabilities; 0 for hidden keys and beyond the rows of an item
#pragma once
#include "kernels/shared/attention_shape.h"
#include "kernels/shared/bfloat16_product.h"

enum AttentionStage { kRaw, kCapped, kBiased, kSoftmax };

struct AttentionWeights {
  static constexpr const char* name = "attentionWeights";
  static constexpr const char* signature = ATTENTION_INPUTS "out:p u32:maxQ u32:maxK u32:stage";
  attention::Inputs in;
  Span p;
  uint32_t maxQ, maxK, stage;

  const char* check() const {
    if (const char* reason = in.check()) return reason;
    REQUIRE(in.sizes.cells == kFloatCells, "k must be floats");
    const uint64_t matrices = uint64_t{in.sizes.batch} * in.sizes.heads;
    REQUIRE(maxQ <= attention::kMaxRows && maxK <= attention::kMaxRows, "too many rows");
    REQUIRE(stage <= kSoftmax, "unknown stage");
    REQUIRE(matrices <= 0xffffffffu && matrices * maxQ <= 0xffffffffu, "too many rows");
    REQUIRE(p.covers(matrices * maxQ, maxK, maxK), "p is too small");
    return nullptr;
  }

  void run(Context& context) const { write(context, false); }

 protected:
  void write(Context& context, bool inBfloat16) const {
    in.computeOffsets(context);
    if (maxQ == 0 || maxK == 0) return;
    const uint32_t panels = 1 + (maxQ - 1) / kRows;
    context.team.parallel(in.sizes.batch * in.sizes.heads * panels, [&](uint32_t chunk) {
      const uint32_t first = chunk % panels * kRows;
      const uint32_t matrix = chunk / panels;
      const uint32_t rowCount = maxQ - first < kRows ? maxQ - first : kRows;
      float* rows = context.f32(p) + (uint64_t{matrix} * maxQ + first) * maxK;
      for (uint64_t j = 0; j < uint64_t{rowCount} * maxK; ++j) rows[j] = hides() ? -INFINITY : 0.f;
      const attention::Item it = in.item(context, matrix / in.sizes.heads);
      if (it.queries > maxQ || it.keys > maxK) return context.fail("an item is longer than the result");
      if (first < it.queries)
        writeScores(context, it, matrix, first, it.queries - first < rowCount ? it.queries - first : rowCount, rows,
                    inBfloat16);
      if (stage == kSoftmax)
        for (uint32_t i = 0; i < rowCount; ++i) softmax(rows + uint64_t{i} * maxK);
    });
  }

 private:
  static constexpr uint32_t kRows = attention::kPanel;

  bool hides() const { return stage >= kBiased; }

  void writeScores(const Context& context, const attention::Item& it, uint32_t matrix, uint32_t first, uint32_t count,
                   float* rows, bool inBfloat16) const {
    using namespace attention;
    static_assert((kKeys + kMaxWidth) * kPanel + RelativeTable::size(kMaxDistances) + kBfloat16Floats <=
                  kScratchFloats);
    const Session session(inBfloat16);
    const Products products(inBfloat16 ? context.scratch() + kScratchFloats - kBfloat16Floats : nullptr);
    float* scores = context.scratch();
    float* queries = scores + kKeys * kPanel;
    const uint32_t b = matrix / in.sizes.heads, h = matrix % in.sizes.heads;
    RelativeTable table(queries + in.sizes.width * kPanel, in.sizes.distances);
    if (in.relativeBias.present()) table.load(context.f32(in.relativeBias) + size_t{h} * in.sizes.distances);
    packTransposed(in.queryRow(context, it, first, h), in.strides.q, count, in.sizes.width, queries, kPanel);
    const Keys seen = hides() ? in.visible(it, first, first + count, kKeys) : Keys{0, it.keys};
    const Vf unit = splat(stage == kSoftmax ? 1.f : kLn2);
    for (uint32_t k = seen.begin; k < seen.end; k += kKeys) {
      const Block block{scores, kPanel, first, count, k, seen.end - k < kKeys ? seen.end - k : uint32_t{kKeys}};
      products.ofRows({in.keyRow(context, it, k, h), in.strides.k}, {queries, kPanel}, block.keys, wholeVectors(count),
                      in.sizes.width, {.c = scores, .stride = kPanel, .factor = in.scaleInBits()});
      in.addRelativeScores(context, block, it, h);
      if (stage >= kCapped) in.cap(block);
      if (stage >= kBiased) in.addBiases(context, block, it, b, h, table);
      transposed(scores, kPanel, block.keys, count, [&](size_t query, size_t key, Vf v, size_t n) {
        storeLanes(rows + query * maxK + k + key, v * unit, n);
      });
    }
  }

  // Replaces scores by probabilities. A row whose scores are all -infinity becomes zero.
  void softmax(float* row) const {
    float largest = -attention::kLargest;
    for (uint32_t j = 0; j < maxK; ++j) largest = row[j] > largest ? row[j] : largest;
    largest = largest < attention::kLargest ? largest : attention::kLargest;
    const auto change = [&](const auto& f) {
      eachVector(maxK, [&](size_t j, size_t lanes) { storeLanes(row + j, f(loadLanes(row + j, lanes)), lanes); });
    };
    Vf total = {};
    change([&](Vf score) { return exp2NonPositive(score - splat(largest)); });
    change([&](Vf power) { return total += power, power; });
    const float all = sum(total);
    change([&](Vf power) { return power * splat(all == 0 ? 0.f : 1.f / all); });
  }
};
RARE_KERNEL(AttentionWeights)

// Scores of q and k rounded to bfloat16: see shared/bfloat16.h.
struct AttentionWeightsBfloat16 : AttentionWeights {
  static constexpr const char* name = "attentionWeightsBfloat16";
  void run(Context& context) const { write(context, true); }
};
BFLOAT16_KERNEL(AttentionWeightsBfloat16)
