// Sums over any dimensions: sum, mean, and the gradients of broadcast operands.
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"

// y[k] = scale · Σ_r x[k, r]·w[k, r] (+ y[k] if accumulate); without w all weights are 1. The first `kept` of the six
// dimensions index y (k), and the others are summed (r).
//
// If `rowwise` is 0, vectors run along the last kept dimension (columns). If it is 1, they run along the last summed
// one. In that dimension x, w, and y if it is kept, have step 0 or 1.
//
// A long sum is cut into `pieces`: of all summed indices, or of the vector's dimension if rowwise. Each piece is summed
// into `workspace` [pieces, outputs], and pieces are added in order. This is accurate, and gives the same bits for any
// number of threads.
struct Reduce {
  static constexpr const char* name = "reduce";
  static constexpr const char* signature =
      "in:x in?:w inout:y inout?:workspace u32:kept u32:rowwise u32:pieces f32:scale u32:accumulate "
      "u32:n0 u32:n1 u32:n2 u32:n3 u32:n4 u32:n5 u32:x0 u32:x1 u32:x2 u32:x3 u32:x4 u32:x5 "
      "u32:w0 u32:w1 u32:w2 u32:w3 u32:w4 u32:w5 u32:y0 u32:y1 u32:y2 u32:y3 u32:y4 u32:y5";
  Span x, w, y, workspace;
  uint32_t kept, rowwise, pieces;
  float scale;
  uint32_t accumulate;
  uint32_t n[kRank], xStep[kRank], wStep[kRank], yStep[kRank];

  const char* check() const {
    REQUIRE(kept <= kRank && rowwise <= 1 && pieces > 0, "kept, rowwise or pieces is out of range");
    REQUIRE(rowwise == 1 ? kept < kRank : kept > 0, "the vector's dimension is missing");
    const uint32_t vector = rowwise == 1 ? kRank - 1 : kept - 1;
    REQUIRE(rowwise == 1 ? xStep[vector] == 1 : xStep[vector] <= 1,
            "x must be contiguous along the vector's dimension");
    REQUIRE(wStep[vector] <= 1, "w must be contiguous along the vector's dimension");
    REQUIRE(rowwise == 1 || yStep[vector] == 1, "y must be contiguous along its columns");
    for (uint32_t d = kept; d < kRank; ++d) REQUIRE(yStep[d] == 0, "y must have step 0 where it is summed");
    const uint64_t count = product(n, 0, kRank);
    REQUIRE(x.covers(count) || y.covers(count), "x and y are both too small for the dimensions");
    REQUIRE(y.covers(product(n, 0, kept)), "y is too small for its dimensions");
    REQUIRE(reaches(x, n, xStep), "x is too small for its dimensions and steps");
    REQUIRE(!w.present() || reaches(w, n, wStep), "w is too small for its dimensions and steps");
    REQUIRE(reaches(y, n, yStep), "y is too small for its dimensions and steps");
    REQUIRE(distinct(n, yStep, kept), "y's steps give two results the same address");
    REQUIRE(pieces == 1 || uint64_t{pieces} * product(n, 0, kept) <= workspace.length, "the workspace is too small");
    return nullptr;
  }

  void run(Context& context) const {
    if (rowwise == 1) {
      sumRows(context);
    } else {
      sumColumns(context);
    }
  }

 private:
  static constexpr size_t kBlock = 8;  // vectors of accumulators, which hide the latency of an addition
  static constexpr uint64_t kGrain = 16384;
  static constexpr uint64_t kTogether = 128;  // pieces that are added before they join the total

  void finish(float* target, Vf sum, size_t lanes, bool last) const {
    if (last) sum = accumulate == 0 ? sum * splat(scale) : fma(sum, splat(scale), loadLanes(target, lanes));
    storeLanes(target, sum, lanes);
  }

  // target[0 …] = the sums over summed indices [first, last) of kVectors vectors of columns.
  template <size_t kVectors>
  SIMD_INLINE void sumBlock(const float* values, const float* weights, float* target, uint64_t first, uint64_t last,
                            size_t lanes) const {
    Vf sums[kVectors] = {};
    BroadcastWalk<2> walk(n, {xStep, wStep}, kept, kRank, first);
    for (uint64_t r = first; r < last; ++r, walk.next()) {
      const float* value = values + walk.at[0];
      const float* weight = weights + walk.at[1];
      for (size_t v = 0; v < kVectors; ++v) {
        const Vf term = xStep[kept - 1] != 0 ? loadLanes(value + v * kWidth, lanes) : splat(*value);
        if (!w.present()) {
          sums[v] += term;
        } else {
          sums[v] = fma(term, wStep[kept - 1] != 0 ? loadLanes(weight + v * kWidth, lanes) : splat(*weight), sums[v]);
        }
      }
    }
    for (size_t v = 0; v < kVectors; ++v) finish(target + v * kWidth, sums[v], lanes, pieces == 1);
  }

  // Sums columns [c0, c1) over summed indices [first, last), into target + c0.
  void sumSpan(Context& context, uint64_t xAt, uint64_t wAt, float* target, uint64_t first, uint64_t last, uint64_t c0,
               uint64_t c1) const {
    const float* values = context.f32(x) + xAt;
    const float* weights = context.f32(w) + wAt;
    const uint32_t xVector = xStep[kept - 1], wVector = wStep[kept - 1];
    uint64_t c = c0;
    for (; c + kBlock * kWidth <= c1; c += kBlock * kWidth)
      sumBlock<kBlock>(values + c * xVector, weights + c * wVector, target + c, first, last, kWidth);
    eachVector(c1 - c, [&](size_t i, size_t lanes) {
      sumBlock<1>(values + (c + i) * xVector, weights + (c + i) * wVector, target + c + i, first, last, lanes);
    });
  }

  void sumColumns(Context& context) const {
    const uint32_t inner = kept - 1;
    const uint64_t rows = product(n, 0, inner), cols = n[inner], depth = product(n, kept, kRank);
    const uint64_t piece = divideUp(depth, pieces);
    const uint64_t grain = kGrain / (piece + 1) + kBlock * kWidth;
    const auto sumPiece = [&](uint64_t row, uint64_t lastRow, uint64_t c0, uint64_t c1) {
      for (; row < lastRow; ++row) {
        const BroadcastWalk<3> walk(n, {xStep, wStep, yStep}, 0, inner, row % rows);
        const uint64_t part = row / rows;
        const uint64_t first = part * piece < depth ? part * piece : depth;
        const uint64_t last = first + piece < depth ? first + piece : depth;
        float* target = pieces == 1 ? context.f32(y) + walk.at[2] : context.f32(workspace) + row * cols;
        sumSpan(context, walk.at[0], walk.at[1], target, first, last, c0, c1);
      }
    };
    parallelBlocks(context.team, rows * pieces, cols, grain, sumPiece);
    if (pieces == 1) return;
    const auto addPieces = [&](uint64_t row, uint64_t lastRow, uint64_t c0, uint64_t c1) {
      for (; row < lastRow; ++row) {
        float* target = context.f32(y) + BroadcastWalk<1>(n, {yStep}, 0, inner, row).at[0] + c0;
        const float* parts = context.f32(workspace) + row * cols + c0;
        eachVector(c1 - c0, [&](size_t c, size_t lanes) {
          Vf total = {};
          for (uint64_t part = 0; part < pieces;) {
            Vf some = {};  // adding thousands of pieces one by one would lose accuracy
            for (const uint64_t end = part + kTogether; part < pieces && part < end; ++part)
              some += loadLanes(parts + part * rows * cols + c, lanes);
            total += some;
          }
          finish(target + c, total, lanes, true);
        });
      }
    };
    parallelBlocks(context.team, rows, cols, kGrain / pieces + 1, addPieces);
  }

  // Returns Σ values[c]·weights[c] over `count` columns: four vectors of sums at once, each of at most 64 terms, then
  // in double.
  double sumRow(const float* values, const float* weights, uint64_t count) const {
    constexpr uint64_t kTerms = 4 * 64 * kWidth;
    const bool moving = w.present() && wStep[5] != 0;
    double total = 0;
    for (uint64_t from = 0; from < count; from += kTerms) {
      const uint64_t end = count - from < kTerms ? count : from + kTerms;
      Vf sums[4] = {};
      const auto add = [&](Vf& partial, uint64_t c, size_t lanes) {
        partial = fma(loadLanes(values + c, lanes), moving ? loadLanes(weights + c, lanes) : splat(*weights), partial);
      };
      uint64_t c = from;
      for (; c + 4 * kWidth <= end; c += 4 * kWidth)
        for (size_t v = 0; v < 4; ++v) add(sums[v], c + v * kWidth, kWidth);
      eachVector(end - c, [&](size_t i, size_t lanes) { add(sums[0], c + i, lanes); });
      total += static_cast<double>(sum((sums[0] + sums[1]) + (sums[2] + sums[3])));
    }
    return total;
  }

  void sumRows(Context& context) const {
    static constexpr float kOne = 1;
    const uint64_t outputs = product(n, 0, kept), cols = n[5], depth = cols > 0 ? product(n, kept, 5) : 0;
    const uint64_t piece = divideUp(cols, pieces);
    const auto write = [&](uint64_t at, double total) {
      float& target = context.f32(y)[at];
      const float value = scale * static_cast<float>(total);
      target = accumulate == 0 ? value : target + value;
    };
    context.team.parallelRange(
        outputs * pieces, kGrain / (depth * piece + 64) + 1, [&](uint64_t row, uint64_t lastRow) {
          BroadcastWalk<3> walk(n, {xStep, wStep, yStep}, 0, kept, row % outputs);
          for (; row < lastRow; ++row, walk.next()) {
            const uint64_t part = row / outputs;
            const uint64_t first = part * piece < cols ? part * piece : cols;
            const uint64_t last = first + piece < cols ? first + piece : cols;
            BroadcastWalk<2> inner(n, {xStep, wStep}, kept, 5, 0);
            double total = 0;
            for (uint64_t r = 0; r < depth; ++r, inner.next()) {
              const float* values = context.f32(x) + walk.at[0] + inner.at[0] + first;
              const float* weights = w.present() ? context.f32(w) + walk.at[1] + inner.at[1] + first * wStep[5] : &kOne;
              total += sumRow(values, weights, last - first);
            }
            if (pieces == 1) {
              write(walk.at[2], total);
            } else {
              context.f32(workspace)[row] = static_cast<float>(total);
            }
          }
        });
    if (pieces == 1) return;
    context.team.parallelRange(outputs, kGrain / pieces + 1, [&](uint64_t row, uint64_t lastRow) {
      BroadcastWalk<1> walk(n, {yStep}, 0, kept, row);
      for (; row < lastRow; ++row, walk.next()) {
        double total = 0;
        for (uint64_t part = 0; part < pieces; ++part)
          total += static_cast<double>(context.f32(workspace)[part * outputs + row]);
        write(walk.at[0], total);
      }
    });
  }
};
KERNEL(Reduce)
