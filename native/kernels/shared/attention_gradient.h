// The gradients of attention, one head at a time (FlashAttention-2, Dao 2023, algorithm 2). P are the probabilities,
// recomputed from the saved stats, and D = rowsum(dy ∘ y):
//
//   dv = Pᵀ dy,  dS = P ∘ (dy vᵀ - D),  dbias = dS,  dq = scale · dS k,  dk = scale · dSᵀ q
//
// Variations:
//   - If attention also returned probabilities summed by distance (relativeWeights), dy vᵀ and D include their gradients.
//   - With a dropout mask M, dv = (M ∘ P)ᵀ dy, and dy vᵀ becomes M ∘ dy vᵀ.
//   - With a soft cap, cap · tanh, dq and dk use dS ∘ (1 - tanh²).
#pragma once
#include "kernels/shared/attention_shape.h"
#include "kernels/shared/bfloat16_product.h"

namespace attention {

enum Gradient { kDq, kDk, kDv, kDbias, kDrelativeBias, kDrelativeScores };  // bit numbers in `accumulate`

// Words from one row to the next.
struct GradientStrides {
  uint32_t y, dy, dq, dk, dv;
};

// Number of items per task, and of keys per chunk.
struct Tasks {
  uint32_t items, keys;
};

// Operands of the backward pass. Gradients have the shapes of their tensors; y, stats and relativeWeights are results
// of attention.
//
// A task covers a group of items, a group of heads that share keys, and one chunk of tasks.keys keys. It alone writes
// dk and dv of these keys. With several chunks, each writes its part of dq to `partials` [chunks, rows, heads·width],
// and the parts are added in order. The gradient of relativeBias is added likewise, by group and chunk, from
// `relativePartials` [groups · chunks, heads, distances]. One task writes the whole gradient of a bias that items or
// heads share.
struct GradientOperands {
  Inputs in;
  Span y, stats, dy, relativeWeights, drelativeWeights, dq, dk, dv, dbias, drelativeBias, drelativeScores, partials,
      relativePartials;
  GradientStrides strides;
  Tasks tasks;
  uint32_t accumulate;
  Dropping dropping;

  bool adds(Gradient gradient) const { return (accumulate >> gradient & 1) != 0; }
  uint32_t chunks() const { return in.sizes.rowsK == 0 ? 1 : 1 + (in.sizes.rowsK - 1) / tasks.keys; }
  uint32_t items() const { return dbias.present() && in.biasGrid.items == 1 ? in.sizes.batch : tasks.items; }
  uint32_t groups() const { return in.sizes.batch == 0 ? 0 : 1 + (in.sizes.batch - 1) / items(); }
  // True if one task processes all heads. If heads share a bias, its gradient needs one writer. If items are short,
  // their heads read the same rows.
  bool headsTogether() const { return tasks.items > 1 || (dbias.present() && in.biasGrid.heads == 1); }

  const char* check() const {
    if (const char* reason = in.checkValues()) return reason;
    REQUIRE(in.sizes.cells == kFloatCells, "k and v must be floats");
    const uint64_t rows = in.totalQ(), width = uint64_t{in.sizes.heads} * in.sizes.width;
    REQUIRE(tasks.items > 0 && tasks.keys > 0, "a task needs items and keys");
    REQUIRE(y.covers(rows, uint64_t{in.sizes.heads} * in.sizes.valueWidth, strides.y), "y is too small");
    REQUIRE(dy.covers(rows, uint64_t{in.sizes.heads} * in.sizes.valueWidth, strides.dy), "dy is too small");
    REQUIRE(stats.covers(2 * uint64_t{in.sizes.heads}, rows, rows), "stats is too small");
    REQUIRE(!dq.present() || dq.covers(rows, width, strides.dq), "dq is too small");
    REQUIRE(!dk.present() || dk.covers(in.totalK(), uint64_t{in.sizes.kvHeads} * in.sizes.width, strides.dk),
            "dk is too small");
    REQUIRE(!dv.present() || dv.covers(in.totalK(), uint64_t{in.sizes.kvHeads} * in.sizes.valueWidth, strides.dv),
            "dv is too small");
    REQUIRE(!dbias.present() || (in.bias.present() && in.biasGrid.fits(dbias, in.sizes.batch, in.sizes.heads)),
            "dbias is too small");
    REQUIRE(!dbias.present() || in.biasGrid.cols != 1 || in.sizes.rowsK <= 1,
            "a bias with a gradient needs all columns");
    const uint64_t tasks = uint64_t{groups()} * chunks();
    REQUIRE(tasks * in.sizes.kvHeads <= 0xffffffffu, "too many tasks");
    REQUIRE(!dq.present() || chunks() == 1 ||
                (rows <= 0xffffffffu / chunks() && partials.covers(chunks() * rows, width, width)),
            "partials is too small");
    const uint64_t table = uint64_t{in.sizes.heads} * in.sizes.distances;
    REQUIRE(!drelativeBias.present() || (in.relativeBias.present() && drelativeBias.covers(table) &&
                                         relativePartials.covers(tasks, table, table)),
            "drelativeBias or relativePartials is too small");
    REQUIRE(!drelativeScores.present() ||
                (in.relativeScores.present() && in.distanceRowsFit(drelativeScores) && chunks() == 1),
            "drelativeScores is too small, or the keys are in chunks");
    REQUIRE(!drelativeWeights.present() || (in.sizes.scoreDistances % 2 == 1 && in.distanceRowsFit(relativeWeights) &&
                                            in.distanceRowsFit(drelativeWeights)),
            "relativeWeights or drelativeWeights is too small");
    return nullptr;
  }
};

// The work of one task on one head, in the calling thread's scratch memory.
class HeadGradient {
 public:
  static constexpr uint32_t kBlockQueries = 64;  // in a block
  static constexpr uint32_t kBlockKeys = 96;     // in a block; its probabilities and slopes fit into a level-1 cache
  static_assert((3 + 3 * kBlockKeys + 4 * kMaxWidth) * kBlockQueries + kMaxWidth * kBlockKeys +
                    2 * RelativeTable::size(kMaxDistances) + kBfloat16Floats <=
                kScratchFloats);

  HeadGradient(const GradientOperands& op, const Context& context, uint32_t h, uint32_t chunk, bool inBfloat16)
      : op_(op),
        in_(op.in),
        context_(context),
        h_(h),
        chunk_(chunk),
        products_(inBfloat16 ? context.scratch() + kScratchFloats - kBfloat16Floats : nullptr) {
    float* memory = context.scratch();
    const auto take = [&](size_t count) {
      memory += count;
      return memory - count;
    };
    largest_ = take(kBlockQueries);
    inverse_ = take(kBlockQueries);
    delta_ = take(kBlockQueries);
    probabilities_ = take(kBlockKeys * kBlockQueries);
    slopes_ = take(kBlockKeys * kBlockQueries);
    qColumns_ = take(in_.sizes.width * kBlockQueries);
    dyColumns_ = take(in_.sizes.valueWidth * kBlockQueries);
    qRows_ = take(wholeVectors(in_.sizes.width) * kBlockQueries);
    dyRows_ = take(wholeVectors(in_.sizes.valueWidth) * kBlockQueries);
    keyRows_ = take(wholeVectors(in_.sizes.width) * kBlockKeys);
    table_ = RelativeTable(take(RelativeTable::size(in_.sizes.distances)), in_.sizes.distances);
    dtable_ = RelativeTable(take(RelativeTable::size(in_.sizes.distances)), in_.sizes.distances);
    capSlopes_ = take(kBlockKeys * kBlockQueries);
    if (in_.relativeBias.present()) table_.load(context.f32(in_.relativeBias) + size_t{h} * in_.sizes.distances);
    if (op.drelativeBias.present()) dtable_.clear();
  }

  // Computes the gradients of item b and this chunk of its keys.
  void differentiate(uint32_t b) {
    const Item it = in_.item(context_, b);
    const uint64_t begin = uint64_t{chunk_} * op_.tasks.keys, limit = begin + op_.tasks.keys;
    const Keys chunk{begin < it.keys ? static_cast<uint32_t>(begin) : it.keys,
                     limit < it.keys ? static_cast<uint32_t>(limit) : it.keys};
    const Queries seeing = queriesOf(it, chunk);
    const uint32_t most = blockQueries(it), blocks = divideUp(seeing.end - seeing.begin, most);

    const bool firstHead = h_ % (in_.sizes.heads / in_.sizes.kvHeads) == 0;
    const uint64_t rows = in_.sizes.packed ? chunk.end : limit < in_.sizes.rowsK ? limit : in_.sizes.rowsK;
    if (firstHead) clearKeys(it, begin, rows);
    clearQueries(it, 0, seeing.begin);
    if (op_.drelativeScores.present() && !op_.adds(kDrelativeScores))
      scoreRows(it, 0).clear(in_.sizes.packed ? it.queries : in_.sizes.rowsQ);

    for (uint32_t left = blocks; left > 0; --left) {
      const uint32_t from = seeing.begin + (left - 1) * most;
      const uint32_t count = seeing.end - from < most ? seeing.end - from : most;
      block(b, it, from, count, keysOf(it, chunk, from, from + count));
    }
    clearQueries(it, seeing.end, in_.sizes.packed ? it.queries : in_.sizes.rowsQ);
  }

  // Plans prefetches for a short item that follows: the rows that head h reads and writes. They are spread over the
  // work on the current item.
  void planFetches(const Item& it, uint32_t h) {
    if (!kTuning.prefetches || it.queries > kMaxAhead || it.keys > kMaxAhead) return;
    const auto add = [&](const float* from, size_t stride, size_t rows, size_t cols) {
      ahead_[aheads_++] = {from, stride, rows, cols};
    };
    // The last operand is prefetched first.
    if (op_.dq.present()) add(queryGradient(it, 0, h), queryStride(), it.queries, in_.sizes.width);
    if (op_.dk.present()) add(keyGradient(it, 0, h), op_.strides.dk, it.keys, in_.sizes.width);
    if (op_.dv.present()) add(valueGradient(it, 0, h), op_.strides.dv, it.keys, in_.sizes.valueWidth);
    add(in_.valueRow(context_, it, 0, h), in_.strides.v, it.keys, in_.sizes.valueWidth);
    add(in_.keyRow(context_, it, 0, h), in_.strides.k, it.keys, in_.sizes.width);
    add(outputRow(op_.y, op_.strides.y, it, 0, h), op_.strides.y, it.queries, in_.sizes.valueWidth);
    add(outputRow(op_.dy, op_.strides.dy, it, 0, h), op_.strides.dy, it.queries, in_.sizes.valueWidth);
    add(in_.queryRow(context_, it, 0, h), in_.strides.q, it.queries, in_.sizes.width);
  }

  // Writes this head's part of the gradient of relativeBias, [distances].
  void unloadTable(float* to) {
    for (uint32_t t = 0; t < in_.sizes.distances; ++t) to[t] = 0.f;
    dtable_.unload(to);
  }

 private:
  static constexpr uint32_t kMaxAhead = 128;  // rows

  // Prefetches one operand of the next item. It is called between products, because prefetching all at once would
  // stall.
  void fetchNextOperand() {
    if (aheads_ == 0) return;
    const auto& [from, stride, rows, cols] = ahead_[--aheads_];
    fetchRows(from, stride, rows, cols);
  }

  struct Queries {
    uint32_t begin, end;
  };
  // The queries that see any of these keys: begin ≤ i < end.
  Queries queriesOf(const Item& it, const Keys& keys) const {
    if (keys.begin == keys.end) return {it.queries, it.queries};
    const uint32_t begin = in_.sight.right == kUnlimited
                               ? 0
                               : Inputs::clippedTo(it.queries, int64_t{keys.begin} - it.shift - in_.sight.right);
    const uint32_t end = in_.sight.left == kUnlimited
                             ? it.queries
                             : Inputs::clippedTo(it.queries, int64_t{keys.end} - it.shift + in_.sight.left);
    return {begin, begin < end ? end : begin};
  }
  // The keys of a chunk that queries first ≤ i < end see, rounded down to the beginning of a block.
  Keys keysOf(const Item& it, const Keys& chunk, uint32_t first, uint32_t end) const {
    const uint32_t key = in_.firstKey(it, first), visible = in_.visibleKeys(it, end);
    const uint32_t before = key > chunk.begin ? (key - chunk.begin) / kBlockKeys * kBlockKeys : 0;
    return {chunk.begin + before, chunk.end < visible ? chunk.end : visible};
  }

  // Number of queries in a block. Short causal items use half as many, so that fewer keys of a block are hidden from
  // its queries.
  uint32_t blockQueries(const Item& it) const {
    return in_.sight.right == 0 && it.queries <= 4 * kBlockQueries ? kBlockQueries / 2 : kBlockQueries;
  }
  float* keyGradient(const Item& it, uint64_t j, uint32_t h) const {
    return context_.f32(op_.dk) + (it.k + j) * op_.strides.dk + in_.kvHeadOf(h) * in_.sizes.width;
  }
  float* valueGradient(const Item& it, uint64_t j, uint32_t h) const {
    return context_.f32(op_.dv) + (it.k + j) * op_.strides.dv + in_.kvHeadOf(h) * in_.sizes.valueWidth;
  }
  // A row of y or dy.
  const float* outputRow(Span rows, size_t stride, const Item& it, uint32_t i, uint32_t h) const {
    return context_.f32(rows) + (it.q + i) * stride + size_t{h} * in_.sizes.valueWidth;
  }
  // True if there are several chunks of keys, each with its own part of dq.
  bool hasPartials() const { return op_.chunks() > 1; }
  size_t queryStride() const { return hasPartials() ? size_t{in_.sizes.heads} * in_.sizes.width : op_.strides.dq; }
  float* queryGradient(const Item& it, uint32_t i, uint32_t h) const {
    const uint64_t row = it.q + i + (hasPartials() ? chunk_ * in_.totalQ() : 0);
    return context_.f32(hasPartials() ? op_.partials : op_.dq) + row * queryStride() + size_t{h} * in_.sizes.width;
  }
  bool addsQueries() const { return !hasPartials() && op_.adds(kDq); }

  DistanceRows scoreRows(const Item& it, uint32_t i) const {
    return in_.distanceRows(context_, op_.drelativeScores, it, i, h_);
  }

  void clearKeys(const Item& it, uint64_t first, uint64_t end) const {
    for (uint64_t j = first; j < end; ++j) {
      if (op_.dk.present() && !op_.adds(kDk)) memset(keyGradient(it, j, h_), 0, in_.sizes.width * sizeof(float));
      if (op_.dv.present() && !op_.adds(kDv)) memset(valueGradient(it, j, h_), 0, in_.sizes.valueWidth * sizeof(float));
    }
  }
  void clearQueries(const Item& it, uint32_t first, uint32_t end) const {
    if (!op_.dq.present() || addsQueries()) return;
    for (uint32_t i = first; i < end; ++i) memset(queryGradient(it, i, h_), 0, in_.sizes.width * sizeof(float));
  }

  // Computes the gradients for `count` queries from i on and the keys that they see.
  void block(uint32_t b, const Item& it, uint32_t i, uint32_t count, const Keys& seen) {
    if (seen.begin >= seen.end) return clearQueries(it, i, i + count);
    prepare(it, i, count);
    fetchNextOperand();
    q_ = wholeRows(in_.queryRow(context_, it, i, h_), in_.strides.q, count, in_.sizes.width, qRows_);
    for (uint32_t k = seen.begin; k < seen.end; k += kBlockKeys) {
      const uint32_t size = seen.end - k < kBlockKeys ? seen.end - k : uint32_t{kBlockKeys};
      const Block scores{probabilities_, kBlockQueries, i, count, k, size};
      const Block slopes{slopes_, kBlockQueries, i, count, k, size};
      computeScores(scores, it, b);
      fetchNextOperand();
      multiplyValues(slopes, it);
      fetchNextOperand();
      if (op_.dropping.drops()) drop(slopes, it.q + i, h_, op_.dropping);
      computeSlopes(scores);
      if (op_.dropping.drops()) drop(scores, it.q + i, h_, op_.dropping);
      fetchNextOperand();
      addAllBiasGradients(slopes, it, b);
      addToDv(slopes, it);
      fetchNextOperand();
      addToDk(slopes, it);
      fetchNextOperand();
      addToDq(slopes, it, k > seen.begin);
      fetchNextOperand();
    }
  }

  // Prepares a block of queries: q and dy as rows and as columns, saved statistics, and D.
  void prepare(const Item& it, uint32_t i, uint32_t count) {
    const float* q = in_.queryRow(context_, it, i, h_);
    packTransposed(q, in_.strides.q, count, in_.sizes.width, qColumns_, kBlockQueries);
    const float* dy = outputRow(op_.dy, op_.strides.dy, it, i, h_);
    packTransposed(dy, op_.strides.dy, count, in_.sizes.valueWidth, dyColumns_, kBlockQueries);
    dy_ = wholeRows(dy, op_.strides.dy, count, in_.sizes.valueWidth, dyRows_);

    const uint64_t rows = in_.totalQ();
    const float* stats = context_.f32(op_.stats) + h_ * rows + it.q + i;
    for (uint32_t r = 0; r < wholeVectors(count); r += kWidth) {
      const size_t n = count - r < kWidth ? count - r : kWidth;
      store(largest_ + r, loadLanes(stats + r, n));
      store(inverse_ + r, loadLanes(stats + in_.sizes.heads * rows + r, n));
      store(delta_ + r, Vf{});
    }
    // These sums have the order of the products with values. If a query attends to one key alone, y is its value, and
    // dy vᵀ - D is exactly 0.
    transposed(outputRow(op_.y, op_.strides.y, it, i, h_), op_.strides.y, count, in_.sizes.valueWidth,
               [&](size_t d, size_t r, Vf y, size_t) {
                 store(delta_ + r, fused(y, load(dyColumns_ + d * kBlockQueries + r), load(delta_ + r)));
               });
    if (!op_.drelativeWeights.present()) return;
    const DistanceRows weights = in_.distanceRows(context_, op_.relativeWeights, it, i, h_);
    const DistanceRows slopes = in_.distanceRows(context_, op_.drelativeWeights, it, i, h_);
    for (uint32_t r = 0; r < count; ++r)
      for (uint32_t t = 0; t < in_.sizes.scoreDistances; ++t)
        delta_[r] += weights.data[r * weights.stride + t] * slopes.data[r * slopes.stride + t];
  }

  // Computes scale · q kᵀ with all biases and masks.
  void computeScores(const Block& scores, const Item& it, uint32_t b) {
    const Factor keys{in_.keyRow(context_, it, scores.k, h_), in_.strides.k};
    products_.ofRows(keys, {qColumns_, kBlockQueries}, scores.keys, wholeVectors(scores.queries), in_.sizes.width,
                     {.c = probabilities_, .stride = kBlockQueries, .factor = in_.scaleInBits()});
    fetchNextOperand();
    in_.addRelativeScores(context_, scores, it, h_);
    if (in_.caps()) cap(scores);
    in_.addBiases(context_, scores, it, b, h_, table_);
  }

  // Applies the soft cap and saves its slopes 1 - tanh².
  void cap(const Block& scores) {
    in_.cap(scores);
    const Vf most = splat(in_.capInBits());
    eachScore(scores, [&](const float* score) {
      const Vf tangent = load(score) / most;
      store(capSlopes_ + (score - probabilities_), fma(-tangent, tangent, splat(1.f)));
    });
  }

  // Computes dy vᵀ, the gradient of the probabilities.
  void multiplyValues(const Block& slopes, const Item& it) {
    const Factor values{in_.valueRow(context_, it, slopes.k, h_), in_.strides.v};
    products_.ofRows(values, {dyColumns_, kBlockQueries}, slopes.keys, wholeVectors(slopes.queries),
                     in_.sizes.valueWidth, {.c = slopes_, .stride = kBlockQueries});
    if (op_.drelativeWeights.present())
      addEntries(slopes, in_.distanceRows(context_, op_.drelativeWeights, it, slopes.i, h_), it.shift, 1.f);
  }

  // Replaces scores by probabilities, and dy vᵀ by the gradient of the scores.
  void computeSlopes(const Block& block) {
    for (uint32_t i = 0; i < block.queries; i += kWidth) {
      const Vf largest = load(largest_ + i), inverse = load(inverse_ + i), delta = load(delta_ + i);
      for (uint32_t j = 0; j < block.keys; ++j) {
        float* score = probabilities_ + j * kBlockQueries + i;
        float* slope = slopes_ + j * kBlockQueries + i;
        const Vf p = exp2NonPositive(load(score) - largest) * inverse;
        store(score, p);
        store(slope, p * (load(slope) - delta));
      }
    }
  }

  // Adds the gradients of all biases. Afterwards `slopes` are the gradients of the products q kᵀ.
  void addAllBiasGradients(const Block& slopes, const Item& it, uint32_t b) {
    if (op_.dbias.present()) addBiasGradient(slopes, b);
    if (op_.drelativeBias.present()) addRelativeGradient(slopes, it.shift);
    if (in_.caps())
      eachScore(slopes, [&](float* slope) { store(slope, load(slope) * load(capSlopes_ + (slope - slopes_))); });
    if (op_.drelativeScores.present()) sumEntries(slopes, scoreRows(it, slopes.i), it.shift, in_.factors.scale);
  }

  void addToDv(const Block& block, const Item& it) {
    if (!op_.dv.present()) return;
    products_.ofRows({probabilities_, kBlockQueries}, dy_, block.keys, in_.sizes.valueWidth, block.queries,
                     {.c = valueGradient(it, block.k, h_), .stride = op_.strides.dv, .add = true});
  }

  void addToDk(const Block& block, const Item& it) {
    if (!op_.dk.present()) return;
    products_.ofRows(
        {slopes_, kBlockQueries}, q_, block.keys, in_.sizes.width, block.queries,
        {.c = keyGradient(it, block.k, h_), .stride = op_.strides.dk, .add = true, .factor = in_.factors.scale});
  }

  void addToDq(const Block& block, const Item& it, bool add) {
    if (!op_.dq.present()) return;
    const Factor keys =
        wholeRows(in_.keyRow(context_, it, block.k, h_), in_.strides.k, block.keys, in_.sizes.width, keyRows_);
    products_.ofColumns({slopes_, kBlockQueries}, keys, block.queries, in_.sizes.width, block.keys,
                        {.c = queryGradient(it, block.i, h_),
                         .stride = queryStride(),
                         .add = add || addsQueries(),
                         .factor = in_.factors.scale});
  }

  void addBiasGradient(const Block& slopes, uint32_t b) const {
    float* to = context_.f32(op_.dbias) + in_.biasGrid.at(b, h_, slopes.i, slopes.k);
    const size_t stride = in_.biasGrid.rowStride();
    transposed(slopes_, kBlockQueries, slopes.keys, slopes.queries, [&](size_t query, size_t key, Vf v, size_t n) {
      float* at = to + query * stride + key;
      storeLanes(at, loadLanes(at, n) + v, n);
    });
  }

  void addRelativeGradient(const Block& slopes, int64_t shift) const {
    for (uint32_t j = 0; j < slopes.keys; ++j) {
      for (uint32_t i = 0; i < slopes.queries; i += kWidth) {
        float* to = dtable_.at(int64_t{slopes.i} + i + shift, int64_t{slopes.k} + j);
        store(to, load(to) + load(slopes_ + j * kBlockQueries + i));
      }
    }
  }

  const GradientOperands& op_;
  const Inputs& in_;
  const Context& context_;
  const uint32_t h_, chunk_;
  const Products products_;
  float *largest_, *inverse_, *delta_;  // [kBlockQueries]
  float *probabilities_, *slopes_;      // [kBlockKeys, kBlockQueries]
  float *qColumns_, *dyColumns_;        // [width or valueWidth, kBlockQueries]
  // [kBlockQueries or kBlockKeys, width or valueWidth]; unused if the operands are read in place
  float *qRows_, *dyRows_, *keyRows_;
  float* capSlopes_;                       // like probabilities_, if scores are capped
  Factor q_{nullptr, 0}, dy_{nullptr, 0};  // rows of the current block
  struct {
    const float* from;
    size_t stride, rows, cols;
  } ahead_[8];         // operands to prefetch, last one first
  size_t aheads_ = 0;  // number of operands left in ahead_
  RelativeTable table_{nullptr, 0}, dtable_{nullptr, 0};
};

}  // namespace attention
