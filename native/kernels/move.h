// Rearrangement of data: permutation of dimensions, gathering of rows, conversion between packed and padded batches.
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"
#include "kernels/shared/pack.h"

// y[i] = x[i] (+ y[i] if accumulate) over n0 × … × n5, where each operand has its own steps. The caller puts y's
// contiguous dimension last. If x's contiguous dimension is another one, it comes before. The kernel copies these two
// in tiles, so that both sides use whole cache lines.
struct Permute {
  static constexpr const char* name = "permute";
  static constexpr const char* signature =
      "in:x inout:y u32:n0 u32:n1 u32:n2 u32:n3 u32:n4 u32:n5 u32:x0 u32:x1 u32:x2 u32:x3 u32:x4 u32:x5 "
      "u32:y0 u32:y1 u32:y2 u32:y3 u32:y4 u32:y5 u32:accumulate";
  Span x, y;
  uint32_t n[kRank], xStep[kRank], yStep[kRank];
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(x.covers(product(n, 0, kRank)) || y.covers(product(n, 0, kRank)),
            "x and y are too small for the dimensions");
    REQUIRE(reaches(x, n, xStep), "x is too small for its dimensions and steps");
    REQUIRE(reaches(y, n, yStep), "y is too small for its dimensions and steps");
    REQUIRE(distinct(n, yStep, kRank), "y's steps give two results the same address");
    return nullptr;
  }

  void run(Context& context) const {
    constexpr uint64_t kTile = 64, kMin = 512;  // rows and columns of a tile; columns in a chunk
    const bool transposes = xStep[4] == 1 && yStep[5] == 1 && xStep[5] != 1;
    const bool copies = xStep[5] == 1 && yStep[5] == 1;
    const uint64_t tiles = divideUp(n[4], kTile);
    const uint64_t outer = product(n, 0, 4);
    const uint64_t grain = copies && n[5] > kMin ? kTile * kMin / (atMost(kTile - 1, n[4]) + 1) : kMin;
    const auto block = [&](uint64_t row, uint64_t lastRow, uint64_t c0, uint64_t c1) {
      for (; row < lastRow; ++row) {
        const BroadcastWalk<2> walk(n, {xStep, yStep}, 0, 4, row / tiles);
        const uint64_t i0 = row % tiles * kTile, i1 = i0 + kTile < n[4] ? i0 + kTile : n[4];
        const uint64_t run = copies ? c1 - c0 : kTile;
        for (uint64_t j0 = c0; j0 < c1; j0 += run) {
          if (transposes) {
            transposeTile(context.f32(x) + walk.at[0] + i0 + j0 * xStep[5],
                          context.f32(y) + walk.at[1] + i0 * yStep[4] + j0, atMost(run, c1 - j0), i1 - i0);
            continue;
          }
          for (uint64_t i = i0; i < i1; ++i) {
            const float* source = context.f32(x) + walk.at[0] + i * xStep[4] + j0 * xStep[5];
            float* target = context.f32(y) + walk.at[1] + i * yStep[4] + j0 * yStep[5];
            if (copies)
              moveRow(source, target, c1 - j0, accumulate != 0);
            else
              moveApart(source, target, atMost(run, c1 - j0));
          }
        }
      }
    };
    parallelBlocks(context.team, outer * tiles, n[5], grain, block);
  }

 private:
  // Transposes a tile: y[c, r] = x[r, c] (+ y[c, r]). Rows of x are xStep[5] words apart, rows of y yStep[4].
  void transposeTile(const float* source, float* target, size_t rows, size_t cols) const {
    transposed(source, xStep[5], rows, cols, [&](size_t c, size_t r, Vf v, size_t lanes) {
      float* to = target + c * yStep[4] + r;
      storeLanes(to, accumulate != 0 ? loadLanes(to, lanes) + v : v, lanes);
    });
  }

  // Copies words that are not adjacent.
  void moveApart(const float* source, float* target, uint64_t count) const {
    for (uint64_t j = 0; j < count; ++j) {
      const float from = source[j * xStep[5]];
      float& to = target[j * yStep[5]];
      to = accumulate != 0 ? to + from : from;
    }
  }
};
KERNEL(Permute)

// y[i] = x[rows[i]] for i < count, each a row of `cols` words. Its gradient is embeddingBackward. A row number out of
// range gives zeros and fails the run.
struct Gather {
  static constexpr const char* name = "gather";
  static constexpr const char* signature = "in:x in:rows out:y u32:count u32:cols u32:xRows u32:xStride";
  Span x, rows, y;
  uint32_t count, cols, xRows, xStride;

  const char* check() const {
    REQUIRE(x.covers(xRows, cols, xStride), "x is too small for its rows, cols and stride");
    REQUIRE(rows.covers(count), "rows is smaller than count");
    REQUIRE(y.covers(count, cols, cols), "y is too small for count and cols");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(count, copyGrain(cols), [&](uint64_t i, uint64_t last) {
      for (; i < last; ++i) {
        const uint32_t row = static_cast<uint32_t>(context.i32(rows)[i]);
        float* target = context.f32(y) + i * cols;
        if (row < xRows) {
          memmove(target, context.f32(x) + uint64_t{row} * xStride, cols * sizeof(float));
        } else {
          context.failAt("rows", i, static_cast<int32_t>(row), xRows);
          memset(target, 0, cols * sizeof(float));
        }
      }
    });
  }
};
KERNEL(Gather)

// Copies between a padded batch [batch, time, cols] and a packed one [total, cols]; item b has lengths[b] tokens. If
// `packing` is 1, packed = the tokens of padded. If 0, padded = the tokens of packed, followed by zeros. Each is the
// other's gradient. If accumulate, values are added, and the padding is not changed.
struct Repack {
  static constexpr const char* name = "repack";
  static constexpr const char* signature =
      "inout:padded inout:packed in:lengths u32:batch u32:time u32:cols u32:total u32:paddedStride u32:packedStride "
      "u32:packing u32:accumulate";
  Span padded, packed, lengths;
  uint32_t batch, time, cols, total, paddedStride, packedStride, packing, accumulate;

  const char* check() const {
    REQUIRE(padded.covers(uint64_t{batch} * time, cols, paddedStride), "padded is too small for batch, time and cols");
    REQUIRE(packed.covers(total, cols, packedStride), "packed is too small for total and cols");
    REQUIRE(lengths.covers(batch), "lengths is smaller than batch");
    return nullptr;
  }

  void run(Context& context) const {
    if (cols == 0) return;
    context.team.parallel(batch, [&](uint32_t item) {
      const int32_t* counts = context.i32(lengths);
      uint64_t start = 0;
      for (uint32_t b = 0; b < item; ++b) start += static_cast<uint32_t>(counts[b]);
      const uint64_t count = static_cast<uint32_t>(counts[item]);
      const bool fits = count <= time && start + count <= total && (item + 1 < batch || start + count == total);
      if (!fits) context.fail("a length is out of range, or the lengths do not add up to the packed rows");
      const uint64_t tokens = fits ? count : 0;
      float* row = context.f32(padded) + uint64_t{item} * time * paddedStride;
      float* token = context.f32(packed) + (fits ? start : 0) * packedStride;
      for (uint64_t t = 0; t < tokens; ++t, row += paddedStride, token += packedStride)
        packing != 0 ? moveRow(row, token, cols, accumulate != 0) : moveRow(token, row, cols, accumulate != 0);
      if (packing != 0 || accumulate != 0) return;
      for (uint64_t t = tokens; t < time; ++t, row += paddedStride) memset(row, 0, cols * sizeof(float));
    });
  }
};
KERNEL(Repack)
