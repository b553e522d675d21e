// Linear recurrences with a matrix as state, per head, over packed sequences. They cover Mamba-2's selective state
// space (Dao, Gu 2024, arXiv 2405.21060) and the gated delta rule (Yang et al. 2024, arXiv 2412.06464).
//
//   u = v                      or, if beta is given (delta rule),   u = beta·(v - decay·Sᵀk)
//   S = decay·S + k uᵀ         S  [keys, values], one per head
//   y = Sᵀq
//
// Columns of S are independent, so vector lanes are columns. A task computes a block of columns of one head through all
// rows. The state of a block stays in the level-1 cache. The bits depend neither on the number of threads nor on how a
// sequence is cut into pieces.
#include "kernels/shared/blocks.h"
#include "kernels/shared/pieces.h"

// Rows per chunk of the backward pass, which recomputes and keeps all states of a chunk. It starts from the state
// before the chunk, which the forward pass saved.
inline constexpr uint64_t kScanChunk = 16;
CONSTANT("linearScan.chunk", kScanChunk)
inline constexpr uint64_t kScanKeys = 512;  // maximum, because the states of a chunk are in scratch memory
CONSTANT("linearScan.maxKeys", kScanKeys)
inline constexpr uint64_t kScanVectors = kWidth == 1 ? 16 : 4, kScanBlock = kScanVectors * kWidth;
CONSTANT("linearScan.block", kScanBlock)

// Sizes and strides that both passes use.
struct ScanShape {
  uint32_t rows, heads, groups, keys, values, qStride, kStride, vStride, decayStride, betaStride, pieces;

  static constexpr uint64_t kVectors = kScanVectors, kBlock = kScanBlock;
  static_assert((kScanChunk + 2) * kScanKeys * kBlock + 4 * kScanChunk * kBlock <= kScratchFloats);

  uint64_t words() const { return uint64_t{heads} * keys * values; }
  uint64_t blocks() const { return divideUp(uint64_t{values}, kBlock); }
  uint64_t groupOf(uint64_t head) const { return head / (heads / groups); }
  // Chunks are counted through all pieces; each piece begins a new chunk.
  uint64_t chunks() const { return rows / kScanChunk + pieces; }
  static uint64_t chunkOf(uint64_t first, uint64_t piece, uint64_t row) {
    return first / kScanChunk + piece + (row - first) / kScanChunk;
  }

  const char* check(Span q, Span k, Span v, Span decay, Span beta) const {
    REQUIRE(groups > 0 && heads % groups == 0, "heads is not a multiple of groups");
    REQUIRE(keys <= kScanKeys, "there are too many keys");
    REQUIRE(words() <= 0xffffffffu, "a state is too large");
    REQUIRE(q.covers(rows, uint64_t{groups} * keys, qStride), "q is too small for its shape and stride");
    REQUIRE(k.covers(rows, uint64_t{groups} * keys, kStride), "k is too small for its shape and stride");
    REQUIRE(v.covers(rows, uint64_t{heads} * values, vStride), "v is too small for its shape and stride");
    REQUIRE(decay.covers(rows, heads, decayStride), "decay is too small for its shape and stride");
    REQUIRE(!beta.present() || beta.covers(rows, heads, betaStride), "beta is too small for its shape and stride");
    REQUIRE(uint64_t{heads} * blocks() <= 0xffffffffu, "there are too many heads");
    return nullptr;
  }
};

// The inputs of a row for one head and one block of columns.
struct ScanRow {
  const float *q, *k, *v;
  float decay, beta;
};

// A block of columns of one head.
struct ScanBlock {
  static constexpr uint64_t kVectors = ScanShape::kVectors, kBlock = ScanShape::kBlock;
  uint64_t head, col, cols, keys;
  bool isDelta;

  size_t lanesOf(uint64_t i) const { return i * kWidth >= cols ? 0 : atMost(kWidth, cols - i * kWidth); }
  SIMD_INLINE Vf loadCols(const float* p, uint64_t i) const {
    const size_t lanes = lanesOf(i);
    return lanes == 0 ? splat(0.f) : loadLanes(p + i * kWidth, lanes);
  }
  SIMD_INLINE void storeCols(float* p, uint64_t i, Vf value) const {
    if (const size_t lanes = lanesOf(i)) storeLanes(p + i * kWidth, value, lanes);
  }

  // Copy between a state in the heap and the block's own copy [keys, kBlock].
  void loadState(float* own, const float* state, uint64_t values) const {
    for (uint64_t n = 0; n < keys; ++n)
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i)
        store(own + n * kBlock + i * kWidth,
              state == nullptr ? splat(0.f) : loadCols(state + (head * keys + n) * values + col, i));
  }
  void storeState(float* state, const float* own, uint64_t values) const {
    for (uint64_t n = 0; n < keys; ++n)
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i)
        storeCols(state + (head * keys + n) * values + col, i, load(own + n * kBlock + i * kWidth));
  }

  // One row of the block: kVectors vectors, such as u.
  struct Columns {
    Vf of[kVectors];
  };

  // Returns decay·Sᵀk.
  SIMD_INLINE Columns predict(const float* state, const ScanRow& row) const {
    Columns sums;
#pragma GCC unroll 4
    for (uint64_t i = 0; i < kVectors; ++i) sums.of[i] = splat(0.f);
    for (uint64_t n = 0; n < keys; ++n)
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i)
        sums.of[i] = fused(splat(row.k[n]), load(state + n * kBlock + i * kWidth), sums.of[i]);
#pragma GCC unroll 4
    for (uint64_t i = 0; i < kVectors; ++i) sums.of[i] = rounded(sums.of[i] * splat(row.decay));
    return sums;
  }

  SIMD_INLINE Columns update(const float* state, const ScanRow& row) const {
    Columns u;
#pragma GCC unroll 4
    for (uint64_t i = 0; i < kVectors; ++i) u.of[i] = loadCols(row.v, i);
    if (!isDelta) return u;
    const Columns known = predict(state, row);
#pragma GCC unroll 4
    for (uint64_t i = 0; i < kVectors; ++i) u.of[i] = rounded((u.of[i] - known.of[i]) * splat(row.beta));
    return u;
  }

  // Computes next = decay·state + k uᵀ and returns nextᵀq. `next` may be `state`.
  SIMD_INLINE Columns advance(const float* state, float* next, const ScanRow& row, const Columns& u) const {
    Columns y;
#pragma GCC unroll 4
    for (uint64_t i = 0; i < kVectors; ++i) y.of[i] = splat(0.f);
    const Vf decay = splat(row.decay);
    for (uint64_t n = 0; n < keys; ++n) {
      const Vf k = splat(row.k[n]), q = splat(row.q[n]);
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i) {
        const Vf s = fused(k, u.of[i], rounded(decay * load(state + n * kBlock + i * kWidth)));
        store(next + n * kBlock + i * kWidth, s);
        y.of[i] = fused(q, s, y.of[i]);
      }
    }
    return y;
  }
};

// The inputs of a task, by row. A task computes one block of columns of one head.
struct ScanInputs {
  const float *q, *k, *v, *decay, *beta;  // beta is null if absent
  ScanShape shape;
  ScanBlock block;

  ScanInputs(const Context& context, const ScanShape& shape, Span q, Span k, Span v, Span decay, Span beta,
             uint64_t task)
      : q(context.f32(q)),
        k(context.f32(k)),
        v(context.f32(v)),
        decay(context.f32(decay)),
        beta(beta.present() ? context.f32(beta) : nullptr),
        shape(shape),
        block(blockOf(shape, task, beta.present())) {}

  ScanRow at(uint64_t row) const {
    const uint64_t key = shape.groupOf(block.head) * shape.keys;
    return {q + row * shape.qStride + key, k + row * shape.kStride + key,
            v + row * shape.vStride + block.head * shape.values + block.col,
            decay[row * shape.decayStride + block.head],
            beta == nullptr ? 1.f : beta[row * shape.betaStride + block.head]};
  }

 private:
  static ScanBlock blockOf(const ScanShape& shape, uint64_t task, bool isDelta) {
    const uint64_t col = task % shape.blocks() * ScanShape::kBlock;
    return {task / shape.blocks(), col, atMost(ScanShape::kBlock, shape.values - col), shape.keys, isDelta};
  }
};

// The forward pass: the recurrence above.
//
//   q, k     [rows, groups · keys]   heads / groups heads share a group
//   v        [rows, heads · values]
//   decay    [rows, heads];  beta [rows, heads], for the delta rule
//   lengths  [pieces]; absent if each row is a piece
//   states   [slots, heads, keys, values];  from, to [pieces]: slots of the states before and after a piece, or -1
//   kept     [rows / kScanChunk + pieces, heads, keys, values]  receives the state before each chunk, for backward
//   y        [rows, heads · values]
struct LinearScan {
  static constexpr const char* name = "linearScan";
  static constexpr const char* signature =
      "in:q in:k in:v in:decay in?:beta in?:lengths inout?:states in?:from in?:to out?:kept out:y u32:rows u32:heads "
      "u32:groups u32:keys u32:values u32:qStride u32:kStride u32:vStride u32:decayStride u32:betaStride u32:pieces "
      "u32:slots";
  Span q, k, v, decay, beta, lengths, states, from, to, kept, y;
  ScanShape shape;
  uint32_t slots;

  const char* check() const {
    if (const char* problem = shape.check(q, k, v, decay, beta)) return problem;
    const uint64_t words = shape.words();
    REQUIRE(lengths.present() ? lengths.covers(shape.pieces) : shape.pieces == shape.rows,
            "lengths is smaller than pieces");
    REQUIRE(!states.present() || states.covers(slots, words, words), "states is too small for its shape");
    REQUIRE(!from.present() || (from.covers(shape.pieces) && states.present()), "from is smaller than pieces");
    REQUIRE(!to.present() || (to.covers(shape.pieces) && states.present()), "to is smaller than pieces");
    REQUIRE(!kept.present() || kept.covers(shape.chunks(), words, words), "kept is too small for its shape");
    REQUIRE(y.covers(shape.rows, uint64_t{shape.heads} * shape.values, uint64_t{shape.heads} * shape.values),
            "y is too small for its shape");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t blocks = shape.blocks(), words = shape.words(), width = uint64_t{shape.heads} * shape.values;
    if (shape.rows == 0) return;
    context.team.parallel(static_cast<uint32_t>(shape.heads * blocks), [&](uint32_t task) {
      const ScanInputs inputs(context, shape, q, k, v, decay, beta, task);
      const ScanBlock& block = inputs.block;
      const Pieces each{lengths.present() ? context.i32(lengths) : nullptr,
                        from.present() ? context.i32(from) : nullptr,
                        to.present() ? context.i32(to) : nullptr,
                        shape.pieces,
                        shape.rows,
                        slots};
      const auto state = [&](int64_t slot) {
        return slot < 0 ? nullptr : context.f32(states) + static_cast<uint64_t>(slot) * words;
      };
      float* own = context.scratch();
      uint64_t piece = 0;
      const bool isRight = each.each([&](uint64_t first, uint64_t end, int64_t before, int64_t after) {
        block.loadState(own, state(before), shape.values);
        for (uint64_t row = first; row < end; ++row) {
          if (kept.present() && (row - first) % kScanChunk == 0)
            block.storeState(context.f32(kept) + ScanShape::chunkOf(first, piece, row) * words, own, shape.values);
          const ScanRow inputsHere = inputs.at(row);
          const auto result = block.advance(own, own, inputsHere, block.update(own, inputsHere));
          float* target = context.f32(y) + row * width + block.head * shape.values + block.col;
          for (uint64_t i = 0; i < ScanBlock::kVectors; ++i) block.storeCols(target, i, result.of[i]);
        }
        if (after >= 0) block.storeState(state(after), own, shape.values);
        ++piece;
      });
      if (!isRight) context.fail(kBadPieces);
    });
  }
};
RARE_KERNEL(LinearScan)

// The backward pass. G is the gradient of S, and S' the state before a row. For each row, from the last of a piece to
// its first:
//
//   G += q dyᵀ    dq = S dy    du = Gᵀk    dk = G u
//   dv = du                                                without the delta rule
//   dv = beta·du    dbeta = du·(v - r)    dr = -beta·du    with the delta rule, where r = decay·S'ᵀk
//   G += k drᵀ    dk += decay·S' dr                        with the delta rule
//   ddecay = Σ G∘S'    G = decay·G
//
// Sums over columns are first those of a block, in `partials` [blocks, heads, rows, 2·keys + 2] for dq, dk, ddecay and
// dbeta. Bits of accumulate: dq, dk, dv, ddecay, dbeta. Pieces begin with a state of zero.
struct LinearScanBackward {
  static constexpr const char* name = "linearScanBackward";
  static constexpr const char* signature =
      "in:dy in:q in:k in:v in:decay in?:beta in:lengths in:kept out:partials inout?:dq inout?:dk inout?:dv "
      "inout?:ddecay inout?:dbeta u32:rows u32:heads u32:groups u32:keys u32:values u32:qStride u32:kStride "
      "u32:vStride "
      "u32:decayStride u32:betaStride u32:pieces u32:dqStride u32:dkStride u32:dvStride u32:ddecayStride "
      "u32:dbetaStride u32:accumulate";
  Span dy, q, k, v, decay, beta, lengths, kept, partials, dq, dk, dv, ddecay, dbeta;
  ScanShape shape;
  uint32_t dqStride, dkStride, dvStride, ddecayStride, dbetaStride, accumulate;

  const char* check() const {
    if (const char* problem = shape.check(q, k, v, decay, beta)) return problem;
    const uint64_t words = shape.words(), keyCols = uint64_t{shape.groups} * shape.keys;
    const uint64_t width = uint64_t{shape.heads} * shape.values, rows = shape.rows;
    REQUIRE(dy.covers(rows, width, width), "dy is too small for its shape");
    REQUIRE(lengths.covers(shape.pieces), "lengths is smaller than pieces");
    REQUIRE(kept.covers(shape.chunks(), words, words), "kept is too small for its shape");
    REQUIRE(shape.heads * shape.blocks() * rows <= 0xffffffffu, "there are too many rows");
    REQUIRE(partials.covers(shape.heads * shape.blocks() * rows, partWords(), partWords()), "partials is too small");
    REQUIRE(!dq.present() || dq.covers(rows, keyCols, dqStride), "dq is too small for its shape and stride");
    REQUIRE(!dk.present() || dk.covers(rows, keyCols, dkStride), "dk is too small for its shape and stride");
    REQUIRE(!dv.present() || dv.covers(rows, width, dvStride), "dv is too small for its shape and stride");
    REQUIRE(!ddecay.present() || ddecay.covers(rows, shape.heads, ddecayStride), "ddecay is too small for its shape");
    REQUIRE(!dbeta.present() || dbeta.covers(rows, shape.heads, dbetaStride), "dbeta is too small for its shape");
    return nullptr;
  }

  void run(Context& context) const {
    if (shape.rows == 0) return;
    const uint64_t blocks = shape.blocks();
    context.team.parallel(static_cast<uint32_t>(shape.heads * blocks), [&](uint32_t task) {
      const ScanInputs inputs(context, shape, q, k, v, decay, beta, task);
      float* part =
          context.f32(partials) + (task % blocks * shape.heads + inputs.block.head) * shape.rows * partWords();
      const Pieces each{context.i32(lengths), nullptr, nullptr, shape.pieces, shape.rows, 0};
      uint64_t piece = 0;
      const bool isRight = each.each([&](uint64_t first, uint64_t end, int64_t, int64_t) {
        differentiatePiece(context, inputs, part, first, end, piece++);
      });
      if (!isRight) context.fail(kBadPieces);
    });
    context.team.parallelRange(shape.rows, copyGrain(shape.heads * blocks * partWords()),
                               [&](uint64_t row, uint64_t last) {
                                 for (; row < last; ++row) addUp(context, row);
                               });
  }

 private:
  static constexpr uint64_t kBlock = ScanShape::kBlock, kVectors = ScanShape::kVectors;
  uint64_t partWords() const { return 2 * uint64_t{shape.keys} + 2; }

  void differentiatePiece(const Context& context, const ScanInputs& inputs, float* part, uint64_t first, uint64_t end,
                          uint64_t piece) const {
    const ScanBlock& block = inputs.block;
    const uint64_t size = shape.keys * kBlock;
    float* gradient = context.scratch();  // gradient of the state after the row
    float* before = gradient + size;      // states before each row of a chunk, and after the last one
    memset(gradient, 0, size * sizeof(float));
    if (first == end) return;
    for (uint64_t chunk = (end - 1 - first) / kScanChunk + 1; chunk > 0; --chunk) {
      const uint64_t begin = first + (chunk - 1) * kScanChunk, stop = atMost(end, begin + kScanChunk);
      block.loadState(before, context.f32(kept) + ScanShape::chunkOf(first, piece, begin) * shape.words(),
                      shape.values);
      for (uint64_t row = begin; row < stop; ++row) {
        const ScanRow inputsHere = inputs.at(row);
        const float* state = before + (row - begin) * size;
        block.advance(state, before + (row - begin + 1) * size, inputsHere, block.update(state, inputsHere));
      }
      for (uint64_t row = stop; row > begin; --row) {
        const float* state = before + (row - 1 - begin) * size;
        differentiateRow(context, inputs, row - 1, state, state + size, gradient, part + (row - 1) * partWords());
      }
    }
  }

  void differentiateRow(const Context& context, const ScanInputs& inputs, uint64_t row, const float* state,
                        const float* next, float* gradient, float* part) const {
    const ScanBlock& block = inputs.block;
    const ScanRow here = inputs.at(row);
    const float* upstream = context.f32(dy) + row * shape.heads * shape.values + block.head * shape.values + block.col;
    ScanBlock::Columns d, du, known, dr;
    const ScanBlock::Columns u = block.update(state, here);
#pragma GCC unroll 4
    for (uint64_t i = 0; i < kVectors; ++i) {
      d.of[i] = block.loadCols(upstream, i);
      du.of[i] = dr.of[i] = known.of[i] = splat(0.f);
    }
    float *partQ = part, *partK = part + shape.keys;
    for (uint64_t n = 0; n < shape.keys; ++n) {
      Vf sumQ = splat(0.f), sumK = splat(0.f);
      const Vf weightQ = splat(here.q[n]), weightK = splat(here.k[n]);
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i) {
        const uint64_t at = n * kBlock + i * kWidth;
        const Vf g = fma(weightQ, d.of[i], load(gradient + at));
        store(gradient + at, g);
        sumQ = fma(load(next + at), d.of[i], sumQ);
        sumK = fma(g, u.of[i], sumK);
        du.of[i] = fma(weightK, g, du.of[i]);
      }
      partQ[n] = sum(sumQ);
      partK[n] = sum(sumK);
    }
    if (block.isDelta) {
      known = block.predict(state, here);
      Vf sumBeta = splat(0.f);
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i) {
        sumBeta = fma(du.of[i], block.loadCols(here.v, i) - known.of[i], sumBeta);
        du.of[i] = du.of[i] * splat(here.beta);
        dr.of[i] = splat(0.f) - du.of[i];
      }
      part[2 * shape.keys + 1] = sum(sumBeta);
    } else {
      part[2 * shape.keys + 1] = 0;
    }
    if (dv.present()) {
      float* target = context.f32(dv) + row * dvStride + block.head * shape.values + block.col;
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i)
        block.storeCols(target, i, (accumulate & 4) != 0 ? block.loadCols(target, i) + du.of[i] : du.of[i]);
    }
    Vf sumDecay = splat(0.f);
    const Vf scale = splat(here.decay);
    for (uint64_t n = 0; n < shape.keys; ++n) {
      Vf sumK = splat(0.f);
      const Vf weightK = splat(here.k[n]);
#pragma GCC unroll 4
      for (uint64_t i = 0; i < kVectors; ++i) {
        const uint64_t at = n * kBlock + i * kWidth;
        const Vf s = load(state + at);
        Vf g = load(gradient + at);
        if (block.isDelta) {
          g = fma(weightK, dr.of[i], g);
          sumK = fma(s, dr.of[i], sumK);
        }
        sumDecay = fma(g, s, sumDecay);
        store(gradient + at, g * scale);
      }
      if (block.isDelta) partK[n] += sum(sumK) * here.decay;
    }
    part[2 * shape.keys] = sum(sumDecay);
  }

  // Adds up the partial sums of a row.
  void addUp(const Context& context, uint64_t row) const {
    const uint64_t blocks = shape.blocks(), each = shape.heads / shape.groups;
    const auto partOf = [&](uint64_t block, uint64_t head) {
      return context.f32(partials) + ((block * shape.heads + head) * shape.rows + row) * partWords();
    };
    const auto addKeys = [&](float* target, uint64_t offset, bool adds) {
      for (uint64_t group = 0; group < shape.groups; ++group, target += shape.keys)
        eachVector(shape.keys, [&](size_t c, size_t lanes) {
          Vf total = adds ? loadLanes(target + c, lanes) : splat(0.f);
          for (uint64_t head = group * each; head < (group + 1) * each; ++head)
            for (uint64_t block = 0; block < blocks; ++block)
              total += loadLanes(partOf(block, head) + offset + c, lanes);
          storeLanes(target + c, total, lanes);
        });
    };
    const auto addHeads = [&](float* target, uint64_t offset, bool adds) {
      for (uint64_t head = 0; head < shape.heads; ++head) {
        float total = adds ? target[head] : 0;
        for (uint64_t block = 0; block < blocks; ++block) total += partOf(block, head)[offset];
        target[head] = total;
      }
    };
    if (dq.present()) addKeys(context.f32(dq) + row * dqStride, 0, (accumulate & 1) != 0);
    if (dk.present()) addKeys(context.f32(dk) + row * dkStride, shape.keys, (accumulate & 2) != 0);
    if (ddecay.present()) addHeads(context.f32(ddecay) + row * ddecayStride, 2 * shape.keys, (accumulate & 8) != 0);
    if (dbeta.present()) addHeads(context.f32(dbeta) + row * dbetaStride, 2 * shape.keys + 1, (accumulate & 16) != 0);
  }
};
TRAINING_KERNEL(LinearScanBackward)
