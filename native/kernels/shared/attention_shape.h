// What the attention kernels have in common: their inputs, which rows belong to whom, and the scores of a block.
#pragma once
#include "kernels/shared/attention_distance.h"
#include "kernels/shared/fetch.h"

namespace attention {

// One item of the batch: its first rows in q and in k, and how many of each take part.
struct Item {
  uint64_t q, k;
  uint32_t queries, keys;
  // Query i stands at position i + shift among the keys: causal attention aligns the last query with the last key.
  int64_t shift;
};

// A score, in units of ln 2, with its bias. The least float, which masks are made of, stays finite in these units: a
// query whose keys all have it sees them all alike, as in PyTorch.
SIMD_INLINE Vf biased(Vf score, Vf bias) {
  constexpr float kLeast = -2.3e38f;
  const Vf held = bias > splat(-INFINITY) ? max(splat(kLeast), bias) : bias;
  return fma(held, splat(kLog2E), min(splat(kLargest), score));
}

// bias[i, j] comes with its rows along the queries.
inline void addBias(const Block& block, const float* bias, size_t biasRow) {
  transposed(bias, biasRow, block.queries, block.keys, [&](size_t key, size_t query, Vf v, size_t) {
    float* to = block.scores + key * block.stride + query;
    store(to, biased(load(to), v));
  });
}

// Scores of keys after their query become -infinity.
inline void maskFuture(const Block& block, int64_t shift) {
  const Vi lane = (Vi)laneNumbers();
  for (uint32_t j = 0; j < block.keys; ++j) {
    const int64_t first = int64_t{block.k} + j - shift - block.i;  // the first query of the block that sees this key
    if (first <= 0) continue;
    float* row = block.scores + j * block.stride;
    for (uint32_t i = 0; i < block.queries && i < first; i += kWidth) {
      const int64_t hidden = first - i < static_cast<int64_t>(kWidth) ? first - i : static_cast<int64_t>(kWidth);
      store(row + i, lane < splatInt(static_cast<int32_t>(hidden)) ? splat(-INFINITY) : load(row + i));
    }
  }
}

#define ATTENTION_INPUTS                                                                                              \
  "in:q in:k in?:v in?:lengthsQ in?:lengthsK inout?:offsets in?:bias in?:relativeBias in?:relativeScores u32:batch "  \
  "u32:heads u32:kvHeads u32:width u32:valueWidth u32:rowsQ u32:rowsK u32:packed u32:causal u32:qStride u32:kStride " \
  "u32:vStride u32:biasRows u32:biasCols u32:biasBatch u32:biasHead u32:biasRow u32:distances u32:scoreDistances "    \
  "f32:scale "

// q [rows, heads·width], k [rows, kvHeads·width], v [rows, kvHeads·valueWidth]. Padded (packed = 0): item b has rowsQ
// rows of q and rowsK of k and v from b·rowsQ and b·rowsK on, of which lengthsQ[b] and lengthsK[b] take part, all if
// absent. Packed: rowsQ and rowsK rows altogether, the items end to end; findOffsets() puts their first rows into
// offsets [2, batch + 1].
//
// bias [.., biasRows, biasCols] is added to the scores of item b, head h, query i from b·biasBatch + h·biasHead +
// i·biasRow on; relativeBias [heads, distances]: entry clip(j - i, ±M) + M for key j and a query at position i, with
// distances = 2M + 1; relativeScores [rows, heads, scoreDistances]: each query's own entries, to be scaled as scores.
struct Inputs {
  Span q, k, v, lengthsQ, lengthsK, offsets, bias, relativeBias, relativeScores;
  uint32_t batch, heads, kvHeads, width, valueWidth, rowsQ, rowsK, packed, causal, qStride, kStride, vStride;
  uint32_t biasRows, biasCols, biasBatch, biasHead, biasRow, distances, scoreDistances;
  float scale;

  uint64_t totalQ() const { return packed ? rowsQ : uint64_t{batch} * rowsQ; }
  uint64_t totalK() const { return packed ? rowsK : uint64_t{batch} * rowsK; }

  // Multiply-adds that so many heads of an item take on average.
  double workOf(uint32_t count) const {
    const double items = packed ? batch : 1;
    return rowsQ / items * (rowsK / items) * (width + valueWidth) * count;
  }

  // True if the last entry of a bias, or of its gradient, lies inside `span`.
  bool biasFits(Span span) const {
    if (biasRows == 0 || biasCols == 0 || batch == 0) return true;
    const uint64_t steps[] = {uint64_t{batch - 1} * biasBatch, uint64_t{heads - 1} * biasHead,
                              uint64_t{biasRows - 1} * biasRow, biasCols};
    uint64_t reach = 0;
    for (const uint64_t step : steps) {
      if (step > span.length) return false;
      reach += step;
    }
    return span.covers(reach);
  }

  const char* check() const {
    REQUIRE(kvHeads > 0 && heads >= kvHeads && heads % kvHeads == 0, "kvHeads must divide heads");
    REQUIRE(width > 0 && width <= kMaxWidth && valueWidth > 0 && valueWidth <= kMaxWidth,
            "a head must be 1 to 1024 wide");
    REQUIRE(q.covers(totalQ(), uint64_t{heads} * width, qStride), "q is too small");
    REQUIRE(k.covers(totalK(), uint64_t{kvHeads} * width, kStride), "k is too small");
    REQUIRE(totalQ() <= kMaxRows && totalK() <= kMaxRows && rowsQ <= kMaxRows && rowsK <= kMaxRows, "too many rows");
    REQUIRE(!lengthsQ.present() || lengthsQ.covers(batch), "lengthsQ is too small");
    REQUIRE(!lengthsK.present() || lengthsK.covers(batch), "lengthsK is too small");
    REQUIRE(!packed || (lengthsQ.present() && lengthsK.present()), "packed rows need lengths");
    REQUIRE(!packed || batch > 0, "packed rows belong to items");
    REQUIRE(!packed || offsets.covers(2 * (uint64_t{batch} + 1)), "offsets is too small");
    REQUIRE(!bias.present() || biasFits(bias), "bias is too small");
    REQUIRE(!relativeBias.present() || (distances % 2 == 1 && distances <= kMaxDistances), "distances must be odd");
    REQUIRE(!relativeBias.present() || relativeBias.covers(uint64_t{heads} * distances), "relativeBias is too small");
    REQUIRE(!relativeScores.present() || (scoreDistances % 2 == 1 && distanceRowsFit(relativeScores)),
            "relativeScores is too small");
    return nullptr;
  }

  // True if `span` is [rows, heads, scoreDistances].
  bool distanceRowsFit(Span span) const {
    const uint64_t row = uint64_t{heads} * scoreDistances;
    return span.covers(totalQ(), row, row);
  }

  // Of the kernels that use v.
  const char* checkValues() const {
    if (const char* reason = check()) return reason;
    REQUIRE(v.covers(totalK(), uint64_t{kvHeads} * valueWidth, vStride), "v is too small");
    return nullptr;
  }

  static uint32_t lengthAt(const Context& context, Span lengths, uint32_t b, uint64_t limit) {
    const int32_t length = context.i32(lengths)[b];
    if (length >= 0 && static_cast<uint64_t>(length) <= limit) return static_cast<uint32_t>(length);
    context.fail("a length is negative or larger than the rows there are");
    return 0;
  }

  // Packed rows: offsets[b] = lengthsQ[0] + … + lengthsQ[b-1], and the same for keys. The first phase of every kernel.
  void findOffsets(Context& context) const {
    if (!packed) return;
    context.team.parallel(1, [&](uint32_t) {
      int32_t* to = context.i32(offsets);
      const Span lengths[] = {lengthsQ, lengthsK};
      const uint32_t rows[] = {rowsQ, rowsK};
      for (int side = 0; side < 2; ++side, to += uint64_t{batch} + 1) {
        uint32_t at = 0;
        for (uint32_t b = 0; b < batch; ++b) {
          to[b] = static_cast<int32_t>(at);
          at += lengthAt(context, lengths[side], b, rows[side] - at);
        }
        to[batch] = static_cast<int32_t>(at);
        if (at != rows[side]) context.fail("the lengths of packed rows do not add up to their number");
      }
    });
  }

  // The offset of item b, whatever the heap says.
  uint32_t offsetAt(const Context& context, int side, uint32_t b) const {
    const uint32_t offset = static_cast<uint32_t>(context.i32(offsets)[side * (uint64_t{batch} + 1) + b]);
    const uint32_t rows = side == 0 ? rowsQ : rowsK;
    return offset < rows ? offset : rows;
  }

  Item item(const Context& context, uint32_t b) const {
    Item it;
    if (packed) {
      it.q = offsetAt(context, 0, b);
      it.k = offsetAt(context, 1, b);
      const uint32_t endQ = offsetAt(context, 0, b + 1), endK = offsetAt(context, 1, b + 1);
      it.queries = endQ > it.q ? endQ - static_cast<uint32_t>(it.q) : 0;
      it.keys = endK > it.k ? endK - static_cast<uint32_t>(it.k) : 0;
    } else {
      it.q = uint64_t{b} * rowsQ;
      it.k = uint64_t{b} * rowsK;
      it.queries = lengthsQ.present() ? lengthAt(context, lengthsQ, b, rowsQ) : rowsQ;
      it.keys = lengthsK.present() ? lengthAt(context, lengthsK, b, rowsK) : rowsK;
    }
    if (bias.present() && (it.queries > biasRows || it.keys > biasCols)) {
      context.fail("an item is longer than its bias");
      it.queries = it.keys = 0;
    }
    it.shift = causal ? int64_t{it.keys} - it.queries : 0;
    return it;
  }

  // How many keys, from the first on, the queries before `end` see.
  uint32_t visibleKeys(const Item& it, uint32_t end) const {
    const int64_t visible = causal ? int64_t{end} + it.shift : it.keys;
    if (visible <= 0) return 0;
    return visible < it.keys ? static_cast<uint32_t>(visible) : it.keys;
  }

  // Scores are in units of ln 2, so that their powers are those of 2.
  float scaleInBits() const {
    const float bits = scale * kLog2E;
    return bits > kLargest ? kLargest : bits < -kLargest ? -kLargest : bits;
  }

  // The head of k and v that head h of q reads.
  uint64_t kvHeadOf(uint32_t h) const { return h / (heads / kvHeads); }

  // The first of head h's columns in row i or j of an item.
  const float* queryRow(const Context& context, const Item& it, uint32_t i, uint32_t h) const {
    return context.f32(q) + (it.q + i) * qStride + uint64_t{h} * width;
  }
  const float* keyRow(const Context& context, const Item& it, uint32_t j, uint32_t h) const {
    return context.f32(k) + (it.k + j) * kStride + kvHeadOf(h) * width;
  }
  const float* valueRow(const Context& context, const Item& it, uint32_t j, uint32_t h) const {
    return context.f32(v) + (it.k + j) * vStride + kvHeadOf(h) * valueWidth;
  }

  // The rows of an item that head h reads. Of short items there are few at a time, and those of the next wait for
  // memory unless they are on their way before.
  void fetch(const Context& context, const Item& it, uint32_t h) const {
    fetchRows(queryRow(context, it, 0, h), qStride, it.queries, width);
    fetchRows(keyRow(context, it, 0, h), kStride, it.keys, width);
    fetchRows(valueRow(context, it, 0, h), vStride, it.keys, valueWidth);
  }

  // The rows of head h, from query i of an item on, in a tensor [rows, heads, scoreDistances].
  DistanceRows distanceRows(const Context& context, Span span, const Item& it, uint32_t i, uint32_t h) const {
    return {context.f32(span) + ((it.q + i) * heads + h) * scoreDistances, size_t{heads} * scoreDistances,
            scoreDistances};
  }

  size_t biasAt(uint32_t b, uint32_t h, uint32_t i, uint32_t j) const {
    return uint64_t{b} * biasBatch + uint64_t{h} * biasHead + uint64_t{i} * biasRow + j;
  }

  // What is added to a block of products of queries and keys: biases, and -infinity where a key is in a query's future.
  void addBiases(const Context& context, const Block& block, const Item& it, uint32_t b, uint32_t h,
                 const RelativeTable& table) const {
    if (bias.present()) addBias(block, context.f32(bias) + biasAt(b, h, block.i, block.k), biasRow);
    if (relativeBias.present()) addRelativeBias(block, table, it.shift);
    if (relativeScores.present())
      addEntries(block, distanceRows(context, relativeScores, it, block.i, h), it.shift, scaleInBits());
    if (causal) maskFuture(block, it.shift);
  }
};

// Where attention's results go.
struct Output {
  float* y;
  uint32_t stride;
  float* stats;          // or null
  Span relativeWeights;  // or absent

  float* row(const Item& it, uint32_t i, uint32_t h, uint32_t valueWidth) const {
    return y + (it.q + i) * stride + uint64_t{h} * valueWidth;
  }
};

}  // namespace attention
