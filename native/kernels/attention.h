// Attention: y = softmax(scores) v with scores = scale · q kᵀ + bias, for each item of a batch and each head.
// attention_shape.h describes the operands.
//
// The computation is blocked, with an online softmax (Milakov and Gimelshein 2018; FlashAttention-2, Dao 2023). Each
// block of keys rescales the sums so far to the new maximum. So only one block of scores exists at a time.
//
// Further results:
//   stats            [2, heads, rows], saved for the backward pass: each query's largest score in units of ln 2, and
//                    1 / Σ 2^(score - largest), or 0 if the query sees no key
//   relativeWeights  [rows, heads, scoreDistances]: the probabilities, summed by clipped distance
//
// Dropout drops probabilities before the product with values; it does not change the sum that normalizes them.
#pragma once
#include "kernels/shared/attention_decode.h"
#include "kernels/shared/bfloat16_product.h"

namespace attention {

inline constexpr uint32_t kQueries = 256;  // maximum number of queries in a block; they share the loads of keys

// Computes blocks of queries of one head, in the calling thread's scratch memory.
class Forward {
 public:
  static_assert(2 * kQueries + kPanel + kKeys * kPanel + 2 * (kKeys + kQueries) * kMaxWidth +
                    RelativeTable::size(kMaxDistances) + kBfloat16Floats <=
                kScratchFloats);

  Forward(const Inputs& in, const Context& context, uint32_t h, const Output& output, bool inBfloat16)
      : in_(in),
        context_(context),
        out_(output),
        h_(h),
        largest_(context.scratch()),
        total_(largest_ + kQueries),
        shrink_(total_ + kQueries),
        scores_(shrink_ + kPanel),
        keyMemory_(scores_ + kKeys * kPanel),
        valueMemory_(keyMemory_ + kKeys * wholeVectors(in.sizes.width)),
        queries_(valueMemory_ + kKeys * wholeVectors(in.sizes.valueWidth)),
        sums_(queries_ + size_t{kQueries} * in.sizes.width),
        table_(sums_ + size_t{kQueries} * wholeVectors(in.sizes.valueWidth), in.sizes.distances),
        products_(inBfloat16 ? context.scratch() + kScratchFloats - kBfloat16Floats : nullptr) {
    if (in.relativeBias.present()) table_.load(context.f32(in.relativeBias) + size_t{h} * in.sizes.distances);
  }

  // Computes rows first ≤ i < end of item b. Rows after its last query become zero.
  void attend(uint32_t b, const Item& it, uint32_t first, uint32_t end) {
    const uint32_t last = it.queries < end ? it.queries : end;
    for (uint32_t i = last > first ? last : first; i < end; ++i)
      memset(row(it, i), 0, in_.sizes.valueWidth * sizeof(float));
    if (sumsWeights() && first < end) weights(it, first).clear(end - first);
    for (; first < last; first += kQueries)
      attendBlock(b, it, first, last - first < kQueries ? last - first : kQueries);
  }

 private:
  float* row(const Item& it, uint32_t i) const { return out_.row(it, i, h_, in_.sizes.valueWidth); }

  bool sumsWeights() const { return out_.relativeWeights.present(); }
  DistanceRows weights(const Item& it, uint32_t i) const {
    return in_.distanceRows(context_, out_.relativeWeights, it, i, h_);
  }

  void attendBlock(uint32_t b, const Item& it, uint32_t first, uint32_t count) {
    for (size_t i = 0; i < count; i += kWidth) {
      store(largest_ + i, splat(-kLargest));
      store(total_ + i, Vf{});
    }
    for (uint32_t p = 0; p < count; p += kPanel)
      packTransposed(in_.queryRow(context_, it, first + p, h_), in_.strides.q, panelSize(p, count), in_.sizes.width,
                     queries_ + p * in_.sizes.width, kPanel);
    const Keys keys = in_.visible(it, first, first + count, kKeys);
    for (uint32_t k = keys.begin; k < keys.end; k += kKeys) {
      const uint32_t size = keys.end - k < kKeys ? keys.end - k : uint32_t{kKeys};
      readKeys(it, k, size, count);
      for (uint32_t p = 0; p < count; p += kPanel) {
        const uint32_t lanes = panelSize(p, count);
        const Keys seen = in_.visible(it, first + p, first + p + lanes, kKeys);
        if (k < seen.begin || k >= seen.end) continue;
        const Block block{scores_, kPanel, first + p, lanes, k, seen.end - k < size ? seen.end - k : size};
        products_.ofRows(keys_, {queries_ + p * in_.sizes.width, kPanel}, block.keys, wholeVectors(lanes),
                         in_.sizes.width, {.c = scores_, .stride = kPanel, .factor = in_.scaleInBits()});
        in_.score(context_, block, it, b, h_, table_);
        softmax(it, block, p);
        if (out_.dropping.drops()) drop(block, it.q + block.i, h_, out_.dropping);
        if (sumsWeights()) sumEntries(block, weights(it, block.i), it.shift, 1.f);
        if (inOneBlock(seen)) invert(it, block.i, p, lanes);
        products_.ofColumns({scores_, kPanel}, values_, lanes, in_.sizes.valueWidth, block.keys,
                            target(it, block, p, seen));
      }
    }
    for (uint32_t p = 0; p < count; p += kPanel) finish(it, first + p, p, panelSize(p, count));
  }

  // True if the visible keys are in one block, so that no sums are rescaled.
  static bool inOneBlock(const Keys& seen) { return seen.begin >= seen.end || seen.end - seen.begin <= kKeys; }

  // The target of a panel's products with values: y, divided by the total, if there is only one block; else sums_.
  Result target(const Item& it, const Block& block, uint32_t p, const Keys& seen) const {
    if (inOneBlock(seen)) return {.c = row(it, block.i), .stride = out_.stride, .factors = total_ + p};
    const bool add = block.k > seen.begin;
    return {.c = sums_ + p * sumsStride(), .stride = sumsStride(), .add = add, .factors = add ? shrink_ : nullptr};
  }

  // Sets keys_ and values_ to a block from key k on. If many queries use them they are copied, because rows far apart
  // compete for the same sets of the level-1 cache. Other storage types are converted to floats.
  void readKeys(const Item& it, uint32_t k, uint32_t size, uint32_t count) {
    const float *keys = in_.keyRow(context_, it, k, h_), *values = in_.valueRow(context_, it, k, h_);
    const bool floats = in_.sizes.cells == kFloatCells;
    if (count <= kPanel && floats) {
      keys_ = {keys, in_.strides.k};
      values_ = wholeRows(values, in_.strides.v, size, in_.sizes.valueWidth, valueMemory_);
      return;
    }
    keys_ = {keyMemory_, wholeVectors(in_.sizes.width)};
    values_ = {valueMemory_, wholeVectors(in_.sizes.valueWidth)};
    if (!floats) {
      unpackCells(in_.sizes.cells, keys, in_.strides.k, size, in_.sizes.width, keyMemory_, keys_.stride);
      unpackCells(in_.sizes.cells, values, in_.strides.v, size, in_.sizes.valueWidth, valueMemory_, values_.stride);
      return;
    }
    packRows(keys, in_.strides.k, size, in_.sizes.width, keyMemory_, keys_.stride);
    packRows(values, in_.strides.v, size, in_.sizes.valueWidth, valueMemory_, values_.stride);
  }

  size_t sumsStride() const { return wholeVectors(in_.sizes.valueWidth); }

  static uint32_t panelSize(uint32_t p, uint32_t count) {
    return count - p < kPanel ? count - p : static_cast<uint32_t>(kPanel);
  }

  // The largest of `most` and the scores of `keys` keys, lane by lane.
  static Vf largestOf(const float* scores, uint32_t keys, Vf most) {
    for (uint32_t j = 0; j < keys; ++j) most = max(most, load(scores + j * kPanel));
    return most;
  }

  // Replaces scores by 2^(score - largest so far). shrink_ receives the factors that rescale earlier sums to the new
  // maximum.
  void softmax(const Item& it, const Block& block, uint32_t p) {
    for (uint32_t i = 0; i < block.queries; i += kWidth) {
      const Vf before = load(largest_ + p + i);
      const Vf largest = min(largestOf(scores_ + i, block.keys, before), splat(kLargest));
      Vf sum = {};
      for (uint32_t j = 0; j < block.keys; ++j) {
        const Vf power = exp2NonPositive(load(scores_ + j * kPanel + i) - largest);
        store(scores_ + j * kPanel + i, power);
        sum += power;
      }
      const Vf shrink = exp2NonPositive(before - largest);
      store(largest_ + p + i, largest);
      store(total_ + p + i, fma(load(total_ + p + i), shrink, sum));
      store(shrink_ + i, shrink);
      if (block.k > 0 && sumsWeights()) scaleWeights(it, block.i + i, block.queries - i, shrink);
    }
  }

  void scaleWeights(const Item& it, uint32_t i, uint32_t count, Vf factors) const {
    float lanes[kWidth];
    store(lanes, factors);
    for (size_t r = 0; r < kWidth && r < count; ++r) weights(it, i).scale(r, lanes[r]);
  }

  // Replaces the totals of `size` queries from i on by their inverses.
  void invert(const Item& it, uint32_t i, uint32_t p, uint32_t size) {
    for (uint32_t lane = 0; lane < size; lane += kWidth) {
      const Vf total = load(total_ + p + lane);
      const Vf inverse = total == splat(0.f) ? splat(0.f) : splat(1.f) / total;
      store(total_ + p + lane, inverse);
      if (sumsWeights()) scaleWeights(it, i + lane, size - lane, inverse);
    }
  }

  // Writes the results of a panel, unless a product has written them, and the statistics for the backward pass.
  void finish(const Item& it, uint32_t i, uint32_t p, uint32_t size) {
    const Keys seen = in_.visible(it, i, i + size, kKeys);
    if (!inOneBlock(seen)) invert(it, i, p, size);
    for (uint32_t r = 0; r < size; ++r) {
      float* to = row(it, i + r);
      if (seen.begin >= seen.end) memset(to, 0, in_.sizes.valueWidth * sizeof(float));
      if (inOneBlock(seen)) continue;
      const float* from = sums_ + (p + r) * sumsStride();
      const Vf inverse = splat(total_[p + r]);
      eachVector(in_.sizes.valueWidth, [&](size_t c, size_t n) { storeLanes(to + c, load(from + c) * inverse, n); });
    }
    keepStats(it, i, p, size);
  }

  // Saves the statistics of `size` queries from i on, whose index in the block is p.
  void keepStats(const Item& it, uint32_t i, uint32_t p, uint32_t size) const {
    if (out_.stats == nullptr) return;
    const uint64_t rows = in_.totalQ();
    float* stats = out_.stats + h_ * rows + it.q + i;
    memcpy(stats, largest_ + p, size * sizeof(float));
    memcpy(stats + in_.sizes.heads * rows, total_ + p, size * sizeof(float));
  }

  const Inputs& in_;
  const Context& context_;
  const Output& out_;
  const uint32_t h_;
  float *largest_, *total_;                       // [kQueries]
  float* shrink_;                                 // [kPanel]
  float* scores_;                                 // [kKeys, kPanel]
  float *keyMemory_, *valueMemory_;               // [kKeys, width], [kKeys, valueWidth]
  float* queries_;                                // panels [width, kPanel], one after the other
  float* sums_;                                   // [kQueries, valueWidth]
  Factor keys_{nullptr, 0}, values_{nullptr, 0};  // keys and values of the current block
  RelativeTable table_;
  const Products products_;
};

}  // namespace attention

struct Attention {
  static constexpr const char* name = "attention";
  static constexpr const char* signature = ATTENTION_INPUTS
      "out:y out?:stats out?:relativeWeights u32:yStride u32:trains u32:dropping{seed,stream,threshold} f32:keptScale";
  attention::Inputs in;
  Span y, stats, relativeWeights;
  uint32_t yStride;
  uint32_t trains;  // 1 if a backward pass follows. Scores then have the bits that it computes.
  Dropping dropping;

  const char* check() const {
    if (const char* reason = in.checkValues()) return reason;
    REQUIRE(y.covers(in.totalQ(), uint64_t{in.sizes.heads} * in.sizes.valueWidth, yStride), "y is too small");
    REQUIRE(!stats.present() || stats.covers(2 * uint64_t{in.sizes.heads}, in.totalQ(), in.totalQ()),
            "stats is too small");
    REQUIRE(!relativeWeights.present() || (in.sizes.scoreDistances % 2 == 1 && in.distanceRowsFit(relativeWeights)),
            "relativeWeights is too small");
    return nullptr;
  }

  // A chunk is one head and at most kQueries rows: of one item or, in a packed batch, of the items in these rows.
  // Chunks of a head follow one another, while its keys and values are in the cache. The last queries come first,
  // because causal ones see the most keys. Short items share a chunk with all their heads, which read the same rows.
  void run(Context& context) const { attend(context, false); }

 protected:
  void attend(Context& context, bool inBfloat16) const {
    in.computeOffsets(context);
    if (in.totalQ() == 0) return;
    const attention::Output output{context.f32(y), yStride, stats.present() ? context.f32(stats) : nullptr,
                                   relativeWeights, dropping};
    if (!inBfloat16 && trains == 0 && attention::fewQueries(in) && !relativeWeights.present() && !dropping.drops())
      return withCells(in.sizes.cells, [&](auto cells) { decode<decltype(cells)>(context, output); });
    if (in.workOf(1) < kMinWork) return attendShort(context, output, inBfloat16);
    // Blocks are smaller if there are few, so that more threads share them.
    const bool many = in.totalQ() * in.sizes.heads >= 32 * attention::kQueries;
    const uint32_t size = many ? attention::kQueries : attention::kQueries / 2;
    const uint32_t blocks = divideUp(in.sizes.rowsQ, size);
    context.team.parallel(blocks * in.sizes.heads * (in.sizes.packed ? 1 : in.sizes.batch), [&](uint32_t chunk) {
      const attention::Session session(inBfloat16);
      attention::Forward forward(in, context, chunk / blocks % in.sizes.heads, output, inBfloat16);
      const uint32_t first = (blocks - 1 - chunk % blocks) * size;
      const uint32_t end = in.sizes.rowsQ - first < size ? in.sizes.rowsQ : first + size;
      if (in.sizes.packed) return attendPacked(context, forward, first, end);
      const uint32_t b = chunk / blocks / in.sizes.heads;
      forward.attend(b, in.item(context, b), first, end);
    });
  }

 private:
  template <class Cells>
  void decode(Context& context, const attention::Output& output) const {
    using Decode = attention::Decode<Cells>;
    const uint32_t units = Decode::units(in), together = Decode::unitsTogether(in);
    const uint32_t headChunks = divideUp(units, together);
    const uint32_t items = divideUp(in.sizes.batch, 4 * static_cast<uint32_t>(context.team.threads()));
    context.team.parallel(divideUp(in.sizes.batch, items) * headChunks, [&](uint32_t chunk) {
      const uint32_t unit = chunk % headChunks * together, b = chunk / headChunks * items;
      const uint32_t end = units - unit < together ? units : unit + together;
      Decode(in, context, output, Decode::firstHead(in, unit), Decode::firstHead(in, end))
          .attend(b, in.sizes.batch - b < items ? in.sizes.batch : b + items);
    });
  }

  static constexpr double kMinWork = 1 << 18;  // minimum number of multiply-adds per chunk

  void attendShort(Context& context, const attention::Output& output, bool inBfloat16) const {
    const uint64_t together = static_cast<uint64_t>(kMinWork / (in.workOf(in.sizes.heads) + 1)) + 1;
    context.team.parallelRange(in.sizes.batch, together, [&](uint64_t b, uint64_t end) {
      const attention::Session session(inBfloat16);
      for (; b < end; ++b) {
        const attention::Item it = in.item(context, static_cast<uint32_t>(b));
        const uint32_t rows = in.sizes.packed ? it.queries : in.sizes.rowsQ;
        const bool last = b + 1 == end;
        const attention::Item next = last ? it : in.item(context, static_cast<uint32_t>(b + 1));
        for (uint32_t h = 0; h < in.sizes.heads; ++h) {
          if (!last) in.fetch(context, next, h);
          attention::Forward(in, context, h, output, inBfloat16).attend(static_cast<uint32_t>(b), it, 0, rows);
        }
      }
    });
  }

  // Computes rows first ≤ r < end of a packed batch.
  void attendPacked(const Context& context, attention::Forward& forward, uint32_t first, uint32_t end) const {
    uint32_t low = 0;  // the first item that ends after row `first`
    for (uint32_t high = in.sizes.batch; low < high;) {
      const uint32_t middle = low + (high - low) / 2;
      if (in.offsetAt(context, 0, middle + 1) > first)
        high = middle;
      else
        low = middle + 1;
    }
    for (uint32_t b = low; b < in.sizes.batch && in.offsetAt(context, 0, b) < end; ++b) {
      const attention::Item it = in.item(context, b);
      const uint64_t begin = first > it.q ? first - it.q : 0;
      const uint64_t stop = end - it.q < it.queries ? end - it.q : it.queries;
      if (begin < stop) forward.attend(b, it, static_cast<uint32_t>(begin), static_cast<uint32_t>(stop));
    }
  }
};
KERNEL(Attention)

// Attention with the factors of all products rounded to bfloat16: see shared/bfloat16.h.
struct AttentionBfloat16 : Attention {
  static constexpr const char* name = "attentionBfloat16";
  void run(Context& context) const { attend(context, true); }
};
BFLOAT16_KERNEL(AttentionBfloat16)
CONSTANT("attention.maxWidth", attention::kMaxWidth)
CONSTANT("attention.maxDistances", attention::kMaxDistances)
