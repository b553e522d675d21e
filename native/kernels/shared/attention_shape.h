// Code that all attention kernels share: their operands, the rows of each item, and the scores of a block.
#pragma once
#include "kernels/shared/attention_scores.h"
#include "kernels/shared/dropping.h"
#include "kernels/shared/fetch.h"

namespace attention {

// An item of the batch: its first rows in q and k, and its number of queries and keys.
struct Item {
  uint64_t q, k;
  uint32_t queries, keys;
  int64_t shift;  // query i is at position i + shift among the keys
};

// A range of an item's keys, begin ≤ j < end. It is empty if begin ≥ end.
struct Keys {
  uint32_t begin, end;
};

#define ATTENTION_INPUTS                                                                                            \
  "in:q in:k in?:v in?:lengthsQ in?:lengthsK inout?:offsets in?:bias in?:mask in?:relativeBias in?:relativeScores " \
  "u32:sizes{batch,heads,kvHeads,width,valueWidth,rowsQ,rowsK,packed,cells,distances,scoreDistances} "              \
  "u32:strides{q,k,v} u32:sight{lowerRight,offset,left,right} u32:biasGrid{items,heads,rows,cols} "                 \
  "u32:maskGrid{items,heads,rows,cols} f32:factors{scale,softcap} "

// Sizes of the operands; Inputs explains them. `width` and `valueWidth` are the features of a head of k and v. `cells`
// is the storage type of k and v. `distances` and `scoreDistances` belong to relativeBias and relativeScores.
struct Sizes {
  uint32_t batch, heads, kvHeads, width, valueWidth, rowsQ, rowsK, packed, cells, distances, scoreDistances;
};

// Words from one row to the next.
struct Strides {
  uint32_t q, k, v;
};

// The window of visible keys; Inputs explains it.
struct Sight {
  uint32_t lowerRight, offset, left, right;
};

struct Factors {
  float scale, softcap;
};

// The operands of attention.
//
//   q [rows, heads·width]   k [rows, kvHeads·width]   v [rows, kvHeads·valueWidth]
//
// Rows of k and v have their heads in the storage type `cells` (cells.h). Strides are in words.
//
// Padded batch (packed = 0): the rows of item b begin at b·rowsQ in q, and at b·rowsK in k and v. The first lengthsQ[b]
// and lengthsK[b] of them are used, or all if the lengths are absent. Packed batch: q has rowsQ and k has rowsK rows in
// total, and items follow one another. computeOffsets() writes their first rows to offsets [2, batch + 1].
//
// Query i is at position i + offset among its item's keys. If lowerRight, the last query is at the last key instead. A
// query sees the keys from `left` before its position to `right` after it; kUnlimited means no limit.
//
//   scores = scale · (q kᵀ + relativeScores)
//   scores = softcap · tanh(scores / softcap)      if softcap > 0
//   scores = scores + bias + relativeBias          -infinity where the mask is 0
//
// bias and mask (of integers) have the shapes biasGrid and maskGrid. relativeBias [heads, distances] has 2M + 1 entries
// per head. Key j and a query at position i use entry clip(j - i, -M, M) + M. relativeScores [rows, heads,
// scoreDistances] has such entries for each query.
struct Inputs {
  Span q, k, v, lengthsQ, lengthsK, offsets, bias, mask, relativeBias, relativeScores;
  Sizes sizes;
  Strides strides;
  Sight sight;
  Grid biasGrid, maskGrid;
  Factors factors;

  uint64_t totalQ() const { return sizes.packed ? sizes.rowsQ : uint64_t{sizes.batch} * sizes.rowsQ; }
  uint64_t totalK() const { return sizes.packed ? sizes.rowsK : uint64_t{sizes.batch} * sizes.rowsK; }

  // Number of multiply-adds of `count` heads for an average item.
  double workOf(uint32_t count) const {
    const double items = sizes.packed ? sizes.batch : 1;
    return sizes.rowsQ / items * (sizes.rowsK / items) * (sizes.width + sizes.valueWidth) * count;
  }

  const char* check() const {
    REQUIRE(sizes.kvHeads > 0 && sizes.heads >= sizes.kvHeads && sizes.heads % sizes.kvHeads == 0,
            "kvHeads must divide heads");
    REQUIRE(sizes.width > 0 && sizes.width <= kMaxWidth && sizes.valueWidth > 0 && sizes.valueWidth <= kMaxWidth,
            "a head must be 1 to 1024 wide");
    REQUIRE(q.covers(totalQ(), uint64_t{sizes.heads} * sizes.width, strides.q), "q is too small");
    REQUIRE(sizes.cells < kCellTypes, "unknown type of cache cells");
    REQUIRE(k.covers(totalK(), uint64_t{sizes.kvHeads} * headWords(sizes.width), strides.k), "k is too small");
    REQUIRE(totalQ() <= kMaxRows && totalK() <= kMaxRows && sizes.rowsQ <= kMaxRows && sizes.rowsK <= kMaxRows,
            "too many rows");
    REQUIRE(!lengthsQ.present() || lengthsQ.covers(sizes.batch), "lengthsQ is too small");
    REQUIRE(!lengthsK.present() || lengthsK.covers(sizes.batch), "lengthsK is too small");
    REQUIRE(!sizes.packed || (lengthsQ.present() && lengthsK.present()), "packed rows need lengths");
    REQUIRE(!sizes.packed || sizes.batch > 0, "packed rows belong to items");
    REQUIRE(!sizes.packed || offsets.covers(2 * (uint64_t{sizes.batch} + 1)), "offsets is too small");
    REQUIRE(!bias.present() || biasGrid.fits(bias, sizes.batch, sizes.heads), "bias is too small");
    REQUIRE(!mask.present() || maskGrid.fits(mask, sizes.batch, sizes.heads), "mask is too small");
    REQUIRE(!relativeBias.present() || (sizes.distances % 2 == 1 && sizes.distances <= kMaxDistances),
            "distances must be odd");
    REQUIRE(!relativeBias.present() || relativeBias.covers(uint64_t{sizes.heads} * sizes.distances),
            "relativeBias is too small");
    REQUIRE(!relativeScores.present() || (sizes.scoreDistances % 2 == 1 && distanceRowsFit(relativeScores)),
            "relativeScores is too small");
    return nullptr;
  }

  // True if `span` holds a tensor [rows, heads, scoreDistances].
  bool distanceRowsFit(Span span) const {
    const uint64_t row = uint64_t{sizes.heads} * sizes.scoreDistances;
    return span.covers(totalQ(), row, row);
  }

  // The check for kernels that also use v.
  const char* checkValues() const {
    if (const char* reason = check()) return reason;
    REQUIRE(v.covers(totalK(), uint64_t{sizes.kvHeads} * headWords(sizes.valueWidth), strides.v), "v is too small");
    return nullptr;
  }

  // Words per head of k or v.
  uint32_t headWords(uint32_t features) const { return static_cast<uint32_t>(cellWords(sizes.cells, features)); }

  static uint32_t lengthAt(const Context& context, Span lengths, uint32_t b, uint64_t limit) {
    const int32_t length = context.i32(lengths)[b];
    if (length >= 0 && static_cast<uint64_t>(length) <= limit) return static_cast<uint32_t>(length);
    context.fail("a length is negative or larger than the number of rows");
    return 0;
  }

  // For a packed batch, writes offsets[b] = lengthsQ[0] + … + lengthsQ[b-1], and likewise for keys. Every kernel begins
  // with this phase.
  void computeOffsets(Context& context) const {
    if (!sizes.packed) return;
    context.team.parallel(1, [&](uint32_t) {
      int32_t* to = context.i32(offsets);
      const Span lengths[] = {lengthsQ, lengthsK};
      const uint32_t rows[] = {sizes.rowsQ, sizes.rowsK};
      for (int side = 0; side < 2; ++side, to += uint64_t{sizes.batch} + 1) {
        uint32_t at = 0;
        for (uint32_t b = 0; b < sizes.batch; ++b) {
          to[b] = static_cast<int32_t>(at);
          at += lengthAt(context, lengths[side], b, rows[side] - at);
        }
        to[sizes.batch] = static_cast<int32_t>(at);
        if (at != rows[side]) context.fail("the lengths of packed rows do not add up to their number");
      }
    });
  }

  // The offset of item b, limited to valid rows for any contents of the heap.
  uint32_t offsetAt(const Context& context, int side, uint32_t b) const {
    const uint32_t offset = static_cast<uint32_t>(context.i32(offsets)[side * (uint64_t{sizes.batch} + 1) + b]);
    const uint32_t rows = side == 0 ? sizes.rowsQ : sizes.rowsK;
    return offset < rows ? offset : rows;
  }

  Item item(const Context& context, uint32_t b) const {
    Item it;
    if (sizes.packed) {
      it.q = offsetAt(context, 0, b);
      it.k = offsetAt(context, 1, b);
      const uint32_t endQ = offsetAt(context, 0, b + 1), endK = offsetAt(context, 1, b + 1);
      it.queries = endQ > it.q ? endQ - static_cast<uint32_t>(it.q) : 0;
      it.keys = endK > it.k ? endK - static_cast<uint32_t>(it.k) : 0;
    } else {
      it.q = uint64_t{b} * sizes.rowsQ;
      it.k = uint64_t{b} * sizes.rowsK;
      it.queries = lengthsQ.present() ? lengthAt(context, lengthsQ, b, sizes.rowsQ) : sizes.rowsQ;
      it.keys = lengthsK.present() ? lengthAt(context, lengthsK, b, sizes.rowsK) : sizes.rowsK;
    }
    const bool biasReaches = !bias.present() || biasGrid.covers(it.queries, it.keys);
    const bool maskReaches = !mask.present() || maskGrid.covers(it.queries, it.keys);
    if (!biasReaches || !maskReaches) {
      context.fail(biasReaches ? "an item is longer than its mask" : "an item is longer than its bias");
      it.queries = it.keys = 0;
    }
    it.shift = sight.lowerRight ? int64_t{it.keys} - it.queries : int64_t{static_cast<int32_t>(sight.offset)};
    return it;
  }

  // True if the visible keys depend on the position of a query.
  bool limited() const { return sight.left != kUnlimited || sight.right != kUnlimited; }

  // The first key that query i or a later one sees.
  uint32_t firstKey(const Item& it, uint32_t i) const {
    if (sight.left == kUnlimited) return 0;
    return clippedTo(it.keys, int64_t{i} + it.shift - sight.left);
  }

  // The number of keys, counted from the first, that queries before `end` see.
  uint32_t visibleKeys(const Item& it, uint32_t end) const {
    if (sight.right == kUnlimited) return it.keys;
    return clippedTo(it.keys, int64_t{end} + it.shift + sight.right);
  }

  // The keys that queries first ≤ i < end see, rounded down to a multiple of `step`. Blocks therefore begin at the same
  // keys for all queries, and a query gives the same bits with any other queries in its block.
  Keys visible(const Item& it, uint32_t first, uint32_t end, uint32_t step) const {
    return {firstKey(it, first) / step * step, visibleKeys(it, end)};
  }

  static uint32_t clippedTo(uint32_t limit, int64_t n) {
    return n <= 0 ? 0 : n < limit ? static_cast<uint32_t>(n) : limit;
  }

  static float inBits(float x) {
    const float bits = x * kLog2E;
    return bits > kLargest ? kLargest : bits < -kLargest ? -kLargest : bits;
  }
  float scaleInBits() const { return inBits(factors.scale); }
  bool caps() const { return factors.softcap > 0; }
  float capInBits() const { return inBits(factors.softcap); }

  // The index of the k and v head that head h of q uses.
  uint64_t kvHeadOf(uint32_t h) const { return h / (sizes.heads / sizes.kvHeads); }

  // Point to head h in row i or j of an item.
  const float* queryRow(const Context& context, const Item& it, uint32_t i, uint32_t h) const {
    return context.f32(q) + (it.q + i) * strides.q + uint64_t{h} * sizes.width;
  }
  const float* keyRow(const Context& context, const Item& it, uint32_t j, uint32_t h) const {
    return context.f32(k) + (it.k + j) * strides.k + kvHeadOf(h) * headWords(sizes.width);
  }
  const float* valueRow(const Context& context, const Item& it, uint32_t j, uint32_t h) const {
    return context.f32(v) + (it.k + j) * strides.v + kvHeadOf(h) * headWords(sizes.valueWidth);
  }

  // Prefetches the rows of a short item that head h reads, while the previous item is computed.
  void fetch(const Context& context, const Item& it, uint32_t h) const {
    fetchRows(queryRow(context, it, 0, h), strides.q, it.queries, sizes.width);
    fetchRows(keyRow(context, it, 0, h), strides.k, it.keys, headWords(sizes.width));
    fetchRows(valueRow(context, it, 0, h), strides.v, it.keys, headWords(sizes.valueWidth));
  }

  // Entries of head h for the queries from i on of an item, in a tensor [rows, heads, scoreDistances].
  DistanceRows distanceRows(const Context& context, Span span, const Item& it, uint32_t i, uint32_t h) const {
    return {context.f32(span) + ((it.q + i) * sizes.heads + h) * sizes.scoreDistances,
            size_t{sizes.heads} * sizes.scoreDistances, sizes.scoreDistances};
  }

  // Three steps from products of queries and keys to scores, to be called in this order.
  void addRelativeScores(const Context& context, const Block& block, const Item& it, uint32_t h) const {
    if (relativeScores.present())
      addEntries(block, distanceRows(context, relativeScores, it, block.i, h), it.shift, scaleInBits());
  }
  void cap(const Block& block) const {
    if (!caps()) return;
    const Vf most = splat(capInBits());
    eachScore(block, [&](float* score) { store(score, capped(load(score), most)); });
  }
  void addBiases(const Context& context, const Block& block, const Item& it, uint32_t b, uint32_t h,
                 const RelativeTable& table) const {
    if (bias.present())
      biasGrid.eachEntry(block, context.f32(bias) + biasGrid.at(b, h, block.i, block.k),
                         [](float* score, Vf v) { store(score, biased(load(score), v)); });
    if (relativeBias.present()) addRelativeBias(block, table, it.shift);
    hide(context, block, it, b, h);
  }

  // All three steps.
  void score(const Context& context, const Block& block, const Item& it, uint32_t b, uint32_t h,
             const RelativeTable& table) const {
    addRelativeScores(context, block, it, h);
    cap(block);
    addBiases(context, block, it, b, h, table);
  }

 private:
  // Sets scores of hidden keys to -infinity.
  void hide(const Context& context, const Block& block, const Item& it, uint32_t b, uint32_t h) const {
    if (mask.present())
      maskGrid.eachEntry(block, context.f32(mask) + maskGrid.at(b, h, block.i, block.k),
                         [](float* score, Vf v) { store(score, masked(load(score), v)); });
    if (sight.right != kUnlimited) maskFuture(block, it.shift + sight.right);
    if (sight.left != kUnlimited) maskPast(block, it.shift - sight.left);
  }
};

// Applies dropout to a block of probabilities of head h, whose queries begin at row `row` of q. The key of the
// generator is (seed, stream and head). Counter (row, j / 2) gives the bits for keys j and j + 1. So no bit depends on
// how queries and keys are cut into blocks; blocks begin at even keys.
inline void drop(const Block& block, uint64_t row, uint32_t h, const Dropping& dropping) {
  for (uint32_t j = 0; j < block.keys; j += 2) {
    for (uint32_t i = 0; i < block.queries; i += kWidth) {
      Vu even = laneNumbers() + splatBits(static_cast<uint32_t>(row + i));
      Vu odd = splatBits((block.k + j) / 2);
      threefry(even, odd, dropping.seed, dropping.stream ^ (h * 0x9E3779B9u));
      float* at = block.scores + j * block.stride + i;
      store(at, dropping.kept(load(at), even));
      if (j + 1 < block.keys) store(at + block.stride, dropping.kept(load(at + block.stride), odd));
    }
  }
}

// The results of attention.
struct Output {
  float* y;
  uint32_t stride;
  float* stats;          // or null
  Span relativeWeights;  // or absent
  Dropping dropping;     // applied to the probabilities before they are multiplied with values

  float* row(const Item& it, uint32_t i, uint32_t h, uint32_t valueWidth) const {
    return y + (it.q + i) * stride + uint64_t{h} * valueWidth;
  }
};

}  // namespace attention
