// Attention of few queries per item, as in token-by-token generation. Its speed is that of reading keys and values,
// each of which is read once. The heads of a row are adjacent in memory, so all heads of a chunk use a block of keys in
// turn. Vector lanes run along the features of a head.
#pragma once
#include "kernels/shared/attention_shape.h"
#include "kernels/shared/rows.h"

namespace attention {

// True if Decode is faster than Forward, whose vector lanes are queries: few queries would leave lanes empty.
inline bool fewQueries(const Inputs& in) { return !in.sizes.packed && in.sizes.rowsQ <= kTuning.decodeQueries; }

// `Cells` is the storage type of keys and values (cells.h). They are converted to floats in registers.
template <class Cells>
class Decode {
 public:
  static constexpr uint32_t kBlockKeys = kTuning.decodeKeys;  // keys in a block
  static constexpr uint32_t kMaxQueries = kTuning.decodeQueries;

  // A unit shares loads of keys and values: two heads with one query each, or one head with several queries.
  static uint32_t unitHeads(const Inputs& in) { return in.sizes.rowsQ == 1 && kMaxQueries > 1 ? 2 : 1; }
  static uint32_t unitsOfGroup(const Inputs& in) { return divideUp(in.sizes.heads / in.sizes.kvHeads, unitHeads(in)); }
  static uint32_t units(const Inputs& in) { return in.sizes.kvHeads * unitsOfGroup(in); }
  static uint32_t firstHead(const Inputs& in, uint32_t unit) {
    return unit / unitsOfGroup(in) * (in.sizes.heads / in.sizes.kvHeads) + unit % unitsOfGroup(in) * unitHeads(in);
  }

  // Number of units per chunk. All, if the batch keeps the threads busy, but no more than fit into the scratch memory.
  static uint32_t unitsTogether(const Inputs& in) {
    constexpr size_t kRoom = kScratchFloats - kMaxQueries * kBlockKeys;
    static_assert(kMaxQueries * (2 * kWidth + 2 * kMaxWidth) <= kRoom, "a unit must fit");
    const uint64_t wanted = divideUp(uint64_t{units(in)} * in.sizes.batch, 16);
    const uint64_t room = kRoom / (stateSize(in) * in.sizes.rowsQ * unitHeads(in));
    const uint64_t most = wanted < room ? wanted : room;
    return static_cast<uint32_t>(most < units(in) ? most : units(in));
  }

  Decode(const Inputs& in, const Context& context, const Output& output, uint32_t firstHead, uint32_t endHead)
      : in_(in),
        context_(context),
        out_(output),
        firstHead_(firstHead),
        endHead_(endHead),
        plain_(!in.bias.present() && !in.mask.present() && !in.relativeBias.present() && !in.relativeScores.present() &&
               !in.caps() && in.sight.left == kUnlimited),
        scores_(context.scratch()) {}

  // Computes items first ≤ b < end. All heads use one block of keys after another. Meanwhile the next block, perhaps of
  // the next item, is prefetched if that helps (see RowsAhead).
  void attend(uint32_t first, uint32_t end) {
    for (uint32_t b = first; b < end; ++b) {
      const Item it = in_.item(context_, b);
      eachHead(it.queries, [&](uint32_t h, uint32_t i) { start(it, h, i); });
      const Keys keys = visible(it);
      for (uint32_t k = keys.begin; k < keys.end; k += kBlockKeys) {
        if (keys.end - k > kBlockKeys) {
          fetchBlock(it, k + kBlockKeys);
        } else if (b + 1 < end) {
          const Item next = in_.item(context_, b + 1);
          fetchBlock(next, visible(next).begin);
        }
        for (uint32_t h = firstHead_; h < endHead_;) h += attendBlock(b, it, h, k);
      }
      eachHead(in_.sizes.rowsQ, [&](uint32_t h, uint32_t i) { finish(it, h, i); });
    }
  }

 private:
  // State of a query and head. `largest` is its largest score so far, in every lane. `total` is the sum of its powers,
  // lane by lane. `query` is its row of q. `sums` is its weighted sum of values. Both rows are padded like cells.
  static size_t stateSize(const Inputs& in) {
    return 2 * kWidth + paddedCells(in.sizes.width) + paddedCells(in.sizes.valueWidth);
  }
  struct State {
    float *largest, *total, *query, *sums;
  };
  State state(uint32_t h, uint32_t i, size_t further = 0) const {
    const size_t place = size_t{h - firstHead_} * in_.sizes.rowsQ + i + further;
    float* at = scores_ + kMaxQueries * kBlockKeys + place * stateSize(in_);
    return {at, at + kWidth, at + 2 * kWidth, at + 2 * kWidth + paddedCells(in_.sizes.width)};
  }

  template <class Body>
  void eachHead(uint32_t queries, const Body& body) const {
    for (uint32_t h = firstHead_; h < endHead_; ++h)
      for (uint32_t i = 0; i < queries; ++i) body(h, i);
  }

  // The keys that are visible to any query of the item.
  Keys visible(const Item& it) const { return in_.visible(it, 0, it.queries, kBlockKeys); }

  void fetchBlock(const Item& it, uint32_t k) {
    if (!kTuning.fetchesKeys && (!kTuning.fetchesSharedKeys || in_.sizes.heads == in_.sizes.kvHeads)) return;
    const uint32_t rows = it.keys - k < kBlockKeys ? it.keys - k : kBlockKeys;
    const size_t kvHeads = divideUp(endHead_ - firstHead_, in_.sizes.heads / in_.sizes.kvHeads);
    keysAhead_ = {in_.keyRow(context_, it, k, firstHead_), in_.strides.k, rows,
                  kvHeads * in_.headWords(in_.sizes.width)};
    valuesAhead_ = {in_.valueRow(context_, it, k, firstHead_), in_.strides.v, rows,
                    kvHeads * in_.headWords(in_.sizes.valueWidth)};
  }

  void start(const Item& it, uint32_t h, uint32_t i) const {
    const State s = state(h, i);
    store(s.largest, splat(-kLargest));
    store(s.total, Vf{});
    packRows(in_.queryRow(context_, it, i, h), in_.strides.q, 1, in_.sizes.width, s.query, 0);
    for (size_t d = wholeVectors(in_.sizes.width); d < paddedCells(in_.sizes.width); d += kWidth)
      store(s.query + d, Vf{});
    for (size_t d = 0; d < in_.sizes.valueWidth; d += kWidth) store(s.sums + d, Vf{});
  }

  // Processes a block of keys for the unit that begins with head h. Returns the number of heads of the unit.
  uint32_t attendBlock(uint32_t b, const Item& it, uint32_t h, uint32_t k) {
    const uint32_t group = in_.sizes.heads / in_.sizes.kvHeads;
    if constexpr (kMaxQueries > 1) {
      if (unitHeads(in_) > 1 && h % group + 1 < group) {
        if (it.queries > 0) attendVisible<2, 1>(b, it, h, 0, k);
        return 2;
      }
    }
    attendQueries<kMaxQueries>(b, it, h, 0, k);
    return 1;
  }

  // Processes queries from i on of one head, kCount at a time while so many are left, then half as many. They share
  // loads of keys and values, unless each query sees other keys.
  template <size_t kCount>
  void attendQueries(uint32_t b, const Item& it, uint32_t h, uint32_t i, uint32_t k) {
    for (; i + kCount <= it.queries && (kCount == 1 || !in_.limited()); i += kCount)
      attendVisible<kCount>(b, it, h, i, k);
    if constexpr (kCount > 1) attendQueries<kCount / 2>(b, it, h, i, k);
  }

  // Processes the visible part of a block of keys for kCount queries from i on, kOfHead of them in each head.
  template <size_t kCount, size_t kOfHead = kCount>
  void attendVisible(uint32_t b, const Item& it, uint32_t h, uint32_t i, uint32_t k) {
    const Keys seen = in_.visible(it, i, i + 1, kBlockKeys);
    if (k >= seen.begin && k < seen.end)
      attendKeys<kCount, kOfHead>(b, it, h, i, k, seen.end - k < kBlockKeys ? seen.end - k : kBlockKeys);
  }

  // Updates the states of kCount queries with a block of keys and values: scores, their powers, and weighted sums. The
  // queries belong to one head, or to kCount heads with one query each. Their states are adjacent in memory.
  template <size_t kCount, size_t kOfHead>
  void attendKeys(uint32_t b, const Item& it, uint32_t h, uint32_t i, uint32_t k, uint32_t keys) {
    Vf shrink[kCount];
    Vf largest[kCount];
    const uint32_t nextHead = in_.sizes.rowsQ == 1, nextQuery = 1 - nextHead;
    for (size_t q = 0; q < kCount; ++q) largest[q] = load(state(h, i, q).largest);
    for (uint32_t j = 0; j < keys; j += kWidth) {
      const uint32_t count = keys - j < kWidth ? keys - j : kWidth;
      Vf dots[kCount][kWidth];
      multiply<kCount>(in_.keyRow(context_, it, k + j, h), state(h, i).query, count, dots);
      for (uint32_t q = 0; q < kCount; ++q) {
        const Vf sums = sumsOfRows(dots[q]) * splat(in_.scaleInBits());
        const Vf whole = plain_ ? sums : scored(sums, b, it, h + q * nextHead, i + q * nextQuery, k + j, count);
        const Vf score = firstLanesOr(whole, count, -INFINITY);
        store(scores_ + q * kBlockKeys + j, score);
        largest[q] = max(largest[q], score);
      }
    }
    for (uint32_t q = 0; q < kCount; ++q) {
      const State s = state(h, i, q);
      const Vf most = min(splat(maximum(largest[q])), splat(kLargest));
      shrink[q] = exp2NonPositive(load(s.largest) - most);
      Vf total = rounded(load(s.total) * shrink[q]);  // rounded() prevents contraction with the addition below
      for (uint32_t j = 0; j < keys; j += kWidth) {
        float* score = scores_ + q * kBlockKeys + j;
        const Vf power = exp2NonPositive(load(score) - most);
        store(score, power);
        total += power;
      }
      store(s.largest, most);
      store(s.total, total);
    }
    addValues<kCount, kOfHead, 4>(in_.valueRow(context_, it, k, h), keys, shrink, state(h, i).sums, 0);
  }

  // dots[q][r] = the products of query q with row r of the keys, lane by lane. It processes as many rows at once as
  // registers can hold sums.
  template <size_t kCount>
  SIMD_INLINE void multiply(const float* keys, const float* queries, uint32_t count, Vf (*dots)[kWidth]) {
    constexpr size_t kTogether = kWidth / kCount;
    uint32_t r = 0;
    for (; r + kTogether <= count; r += kTogether)
      multiplyRows<kCount, kTogether>(keys + r * size_t{in_.strides.k}, queries, r, dots);
    for (; r < count; ++r) multiplyRows<kCount, 1>(keys + r * size_t{in_.strides.k}, queries, r, dots);
    for (; r < kWidth; ++r)
      for (size_t q = 0; q < kCount; ++q) dots[q][r] = Vf{};
  }

  template <size_t kCount, size_t kTogether>
  SIMD_INLINE void multiplyRows(const float* keys, const float* queries, size_t first, Vf (*dots)[kWidth]) {
    Vf sum[kTogether][kCount] = {};
    size_t d = 0;
    for (; d + Cells::kStep <= in_.sizes.width; d += Cells::kStep) {
      if (d % 16 == 0) keysAhead_.fetch<kTogether>();
      addStep<Cells::kStep / kWidth>(keys, queries, d, sum,
                                     [&](const float* row, size_t at) { return Cells::values(row, at); });
    }
    if constexpr (Cells::kScaled) {
      for (; d < in_.sizes.width; d += kCellPad)
        addStep<kCellPad / kWidth>(keys, queries, d, sum,
                                   [&](const float* row, size_t at) { return Cells::values(row, at); });
    } else if (d < in_.sizes.width) {
      addStep<1>(keys, queries, d, sum,
                 [&](const float* row, size_t at) { return Cells::firstValues(row, at, in_.sizes.width - at); });
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < kTogether; ++r) {
#pragma GCC unroll 4
      for (size_t q = 0; q < kCount; ++q) dots[q][first + r] = sum[r][q];
    }
  }

  // sum[r][q] += query q · key r over kVecs vectors of features from d on. These features share the scale of row r, if
  // there are scales.
  template <size_t kVecs, size_t kTogether, size_t kCount, class Read>
  SIMD_INLINE void addStep(const float* keys, const float* queries, size_t d, Vf (&sum)[kTogether][kCount],
                           const Read& read) const {
    const size_t next = stateSize(in_);
    Vf query[kCount][kVecs];
#pragma GCC unroll 4
    for (size_t q = 0; q < kCount; ++q) {
#pragma GCC unroll 32
      for (size_t v = 0; v < kVecs; ++v) query[q][v] = load(queries + q * next + d + v * kWidth);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < kTogether; ++r) {
      const float* row = keys + r * in_.strides.k;
      Vf part[kCount] = {};
#pragma GCC unroll 32
      for (size_t v = 0; v < kVecs; ++v) {
        const Vf key = read(row, d + v * kWidth);
#pragma GCC unroll 4
        for (size_t q = 0; q < kCount; ++q) {
          Vf& to = Cells::kScaled ? part[q] : sum[r][q];
          to = Cells::kScaled && v == 0 ? query[q][v] * key : Cells::add(query[q][v], key, to);
        }
      }
      if constexpr (Cells::kScaled) {
        const Vf scale = Cells::scale(row, in_.sizes.width, d);
#pragma GCC unroll 4
        for (size_t q = 0; q < kCount; ++q) sum[r][q] = Cells::add(part[q], scale, sum[r][q]);
      }
    }
  }

  // Like Inputs::score, for one query and a vector of keys. No key is after the last visible one.
  Vf scored(Vf score, uint32_t b, const Item& it, uint32_t h, uint32_t i, uint32_t j, uint32_t count) const {
    const int64_t distance = int64_t{j} - i - it.shift;
    if (in_.relativeScores.present()) {
      const DistanceRows row = in_.distanceRows(context_, in_.relativeScores, it, i, h);
      score = fma(row.vector(0, distance + in_.sizes.scoreDistances / 2), splat(in_.scaleInBits()), score);
    }
    if (in_.caps()) score = capped(score, splat(in_.capInBits()));
    if (in_.bias.present())
      score = biased(score, in_.biasGrid.vector(context_.f32(in_.bias) + in_.biasGrid.at(b, h, i, j), count));
    if (in_.relativeBias.present()) {
      const DistanceRows row{context_.f32(in_.relativeBias) + size_t{h} * in_.sizes.distances, 0, in_.sizes.distances};
      score = fma(row.vector(0, distance + in_.sizes.distances / 2), splat(kLog2E), score);
    }
    if (in_.mask.present())
      score = masked(score, in_.maskGrid.vector(context_.f32(in_.mask) + in_.maskGrid.at(b, h, i, j), count));
    const uint32_t first = in_.firstKey(it, i);
    if (first <= j) return score;
    const int32_t hidden = first - j < kWidth ? static_cast<int32_t>(first - j) : static_cast<int32_t>(kWidth);
    return (Vi)laneNumbers() < splatInt(hidden) ? splat(-INFINITY) : score;
  }

  // For each of kCount queries: sums = sums·shrink + Σ_j scores[j]·(row j of the values), from column d on. It
  // processes kVecs vectors of columns at a time while so many are left, then half as many. Every kChains-th key has a
  // separate sum, because an addition waits for the previous one. The order of additions does not depend on whether
  // heads share loads.
  template <size_t kCount, size_t kOfHead, size_t kVecs>
  void addValues(const float* values, uint32_t keys, const Vf (&shrink)[kCount], float* sums, size_t d) {
    constexpr size_t kChains = kOfHead * kVecs < 8 ? 8 / (kOfHead * kVecs) : 1;
    for (; d + (kVecs - 1) * kWidth < in_.sizes.valueWidth; d += kVecs * kWidth) {
      const size_t n = in_.sizes.valueWidth - d - (kVecs - 1) * kWidth;  // number of columns of the last vector
      const auto add = [&](size_t j, Vf(&sum)[kCount][kVecs]) {
        const float* row = values + j * in_.strides.v;
        Vf weight[kCount];
#pragma GCC unroll 4
        for (size_t v = 0; v < kVecs; ++v) {
          const size_t at = d + v * kWidth;
          if (v == 0 || (Cells::kScaled && v * kWidth % kCellGroup == 0)) weigh<kCount>(row, j, at, weight);
          const Vf value = v + 1 < kVecs || n >= kWidth ? Cells::values(row, at) : Cells::firstValues(row, at, n);
#pragma GCC unroll 4
          for (size_t q = 0; q < kCount; ++q) sum[q][v] = Cells::add(weight[q], value, sum[q][v]);
        }
      };
      Vf sum[kChains][kCount][kVecs] = {};
      size_t j = 0;
      for (; j + kChains <= keys; j += kChains) {
        valuesAhead_.fetch<kChains * kVecs * kWidth / 16>();
#pragma GCC unroll 8
        for (size_t c = 0; c < kChains; ++c) add(j + c, sum[c]);
      }
      for (; j < keys; ++j) add(j, sum[0]);
#pragma GCC unroll 4
      for (size_t q = 0; q < kCount; ++q) {
#pragma GCC unroll 4
        for (size_t v = 0; v < kVecs; ++v) {
#pragma GCC unroll 8
          for (size_t c = 1; c < kChains; ++c) sum[0][q][v] += sum[c][q][v];
          float* to = sums + q * stateSize(in_) + d + v * kWidth;
          store(to, Cells::add(load(to), shrink[q], sum[0][q][v]));
        }
      }
    }
    if constexpr (kVecs > 1) addValues<kCount, kOfHead, kVecs / 2>(values, keys, shrink, sums, d);
  }

  // weight[q] = the power of query q and key j, times the scale of row j's features from `d` on if there are scales.
  template <size_t kCount>
  SIMD_INLINE void weigh(const float* row, size_t j, size_t d, Vf (&weight)[kCount]) const {
#pragma GCC unroll 4
    for (size_t q = 0; q < kCount; ++q) {
      weight[q] = splat(scores_[q * kBlockKeys + j]);
      if constexpr (Cells::kScaled) weight[q] = weight[q] * Cells::scale(row, in_.sizes.valueWidth, d);
    }
  }

  void finish(const Item& it, uint32_t h, uint32_t i) const {
    float* to = out_.row(it, i, h, in_.sizes.valueWidth);
    if (i >= it.queries) {
      memset(to, 0, in_.sizes.valueWidth * sizeof(float));
      return;
    }
    const State s = state(h, i);
    const float total = sum(load(s.total)), inverse = total == 0 ? 0.f : 1.f / total;
    for (size_t d = 0; d < in_.sizes.valueWidth; d += kWidth)
      storeLanes(to + d, load(s.sums + d) * splat(inverse),
                 in_.sizes.valueWidth - d < kWidth ? in_.sizes.valueWidth - d : kWidth);
    if (out_.stats == nullptr) return;
    const uint64_t rows = in_.totalQ();
    out_.stats[h * rows + it.q + i] = *s.largest;
    out_.stats[(in_.sizes.heads + h) * rows + it.q + i] = inverse;
  }

  const Inputs& in_;
  const Context& context_;
  const Output& out_;
  const uint32_t firstHead_, endHead_;
  const bool plain_;  // scores are products without biases, caps or masks
  RowsAhead keysAhead_, valuesAhead_;
  float* scores_;  // [kMaxQueries, kBlockKeys], followed by the states
};

}  // namespace attention
