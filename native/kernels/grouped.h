// Products of rows with the matrix of their group, for a mixture of experts: the rows of each expert are one product.
#include "kernels/shared/bfloat16_gemm.h"
#include "kernels/shared/gemm_blocks.h"
#include "kernels/shared/groups.h"

// Sorts `count` ids by group, with a stable order within a group. Each row has `perRow` ids, one after the other.
//
//   ids      [count]       groups, each below `groups`
//   rows     [count]       receives the rows of the ids, sorted by group
//   places   [count]       receives the index of each id in `rows`
//   offsets  [groups + 1]  receives the index in `rows` where each group starts, and finally `count`
//
// An id out of range counts as group 0 and fails the run.
struct GroupRows {
  static constexpr const char* name = "groupRows";
  static constexpr const char* signature = "in:ids out:rows out:places out:offsets u32:count u32:perRow u32:groups";
  Span ids, rows, places, offsets;
  uint32_t count, perRow, groups;

  const char* check() const {
    REQUIRE(groups >= 1, "there are no groups");
    REQUIRE(perRow >= 1, "perRow is 0");
    REQUIRE(ids.covers(count), "ids is smaller than count");
    REQUIRE(rows.covers(count) && places.covers(count), "rows or places is smaller than count");
    REQUIRE(offsets.covers(uint64_t{groups} + 1), "offsets is smaller than groups + 1");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallel(1, [&](uint32_t) {
      int32_t* starts = context.i32(offsets);
      for (uint64_t g = 0; g <= groups; ++g) starts[g] = 0;
      for (uint32_t i = 0; i < count; ++i) ++starts[groupOf(context, i) + 1];
      for (uint64_t g = 0; g < groups; ++g) starts[g + 1] += starts[g];
      // Each start moves to the end of its group, which is the start of the next group.
      for (uint32_t i = 0; i < count; ++i) {
        const int32_t place = starts[groupOf(context, i)]++;
        context.i32(rows)[place] = static_cast<int32_t>(i / perRow);
        context.i32(places)[i] = place;
      }
      for (uint64_t g = groups; g > 0; --g) starts[g] = starts[g - 1];
      starts[0] = 0;
      for (uint32_t i = 0; i < count; ++i) {
        const int32_t id = context.i32(ids)[i];
        if (static_cast<uint32_t>(id) >= groups) context.failAt("ids", i, id, groups);
      }
    });
  }

 private:
  uint32_t groupOf(const Context& context, uint32_t i) const {
    const uint32_t id = static_cast<uint32_t>(context.i32(ids)[i]);
    return id < groups ? id : 0;
  }
};
RARE_KERNEL(GroupRows)

// y[r] (+)= x[r]·op(w[g]) for each row r of group g.
//
//   x        [rows, depth]  sorted by group
//   w        [depth, cols] or, transposed, [cols, depth] for each group; `wStride` words between rows, `wStep` between
//            groups
//   offsets  [groups + 1]            see GroupRows
//   y        [rows, cols]
struct GroupedLinear {
  static constexpr const char* name = "groupedLinear";
  static constexpr const char* signature =
      "in:x in:w in:offsets inout:y u32:rows u32:depth u32:cols u32:groups u32:wStride u32:wStep u32:transposed "
      "u32:accumulate";
  Span x, w, offsets, y;
  uint32_t rows, depth, cols, groups, wStride, wStep, transposed, accumulate;

  const char* check() const {
    REQUIRE(depth > 0, "depth is 0");
    REQUIRE(x.covers(rows, depth, depth), "x is too small for rows and depth");
    REQUIRE(groups >= 1, "there are no groups");
    const uint64_t before = (groups - uint64_t{1}) * wStep;  // words before the last matrix
    REQUIRE(before <= w.length, "w is shorter than groups and wStep say");
    const Span last{w.offset, w.length - static_cast<uint32_t>(before)};
    REQUIRE(last.covers(transposed ? cols : depth, transposed ? depth : cols, wStride),
            "w is too small for its shape and strides");
    REQUIRE(offsets.covers(uint64_t{groups} + 1), "offsets is smaller than groups + 1");
    REQUIRE(y.covers(rows, cols, cols), "y is too small for rows and cols");
    return nullptr;
  }

  void run(Context& context) const {
    multiplyAll(context,
                [&](const Gemm& g) { gemmBlock(g, context.scratch(), [](size_t, size_t, size_t, size_t) {}); });
  }

 protected:
  template <class Multiply>
  void multiplyAll(Context& context, const Multiply& multiplyBlock) const {
    if (rows == 0 || cols == 0) return;
    const uint64_t down = maxGroupBlocks(rows, groups, kRowStep), across = divideUp(cols, kColStep);
    context.team.parallelRange(down * across, 1, [&](uint64_t chunk, uint64_t end) {
      for (; chunk < end; ++chunk) {
        const GroupBlock block = groupBlockAt(context, offsets, rows, groups, kRowStep, chunk / across);
        if (block.rows > 0) multiply(context, block, chunk % across * kColStep, multiplyBlock);
      }
    });
  }

 private:
  static constexpr uint64_t kRowStep = kMaxTilesDown * kTileRows, kColStep = kMaxTilesAcross * kTileCols;

  template <class Multiply>
  void multiply(const Context& context, const GroupBlock& block, uint64_t col, const Multiply& multiplyBlock) const {
    const float* weight = context.f32(w) + block.group * wStep;
    const uint64_t row = block.start + block.first;
    const Gemm g{.a = context.f32(x) + row * depth,
                 .aRow = depth,
                 .b = weight + (transposed ? col * wStride : col),
                 .bRow = wStride,
                 .bTransposed = transposed != 0,
                 .c = context.f32(y) + row * cols + col,
                 .cRow = cols,
                 .rows = block.rows,
                 .cols = atMost(kColStep, cols - col),
                 .depth = depth,
                 .accumulate = accumulate != 0,
                 .few = transposed == 0 && isFew(block.rows, uint64_t{cols} * depth)};
    multiplyBlock(g);
  }
};
RARE_KERNEL(GroupedLinear)

// GroupedLinear with the elements of x and w rounded to bfloat16: see shared/bfloat16.h.
struct GroupedLinearBfloat16 : GroupedLinear {
  static constexpr const char* name = "groupedLinearBfloat16";
  void run(Context& context) const {
    multiplyAll(context, [&](const Gemm& g) { bfloat16::multiplyBlock(g, context.scratch()); });
  }
};
BFLOAT16_KERNEL(GroupedLinearBfloat16)

// dw[g] (+)= xᵀ·dy over the rows of group g: the gradient of GroupedLinear's w. Groups without rows get zeros.
//   x        [rows, depth]
//   dy       [rows, cols]
//   offsets  [groups + 1]
//   dw       [depth, groups · cols], `wStride` words between rows
struct GroupedGradient {
  static constexpr const char* name = "groupedGradient";
  static constexpr const char* signature =
      "in:x in:dy in:offsets inout:dw u32:rows u32:depth u32:cols u32:groups u32:wStride u32:accumulate";
  Span x, dy, offsets, dw;
  uint32_t rows, depth, cols, groups, wStride, accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, depth, depth), "x is too small for rows and depth");
    REQUIRE(dy.covers(rows, cols, cols), "dy is too small for rows and cols");
    REQUIRE(offsets.covers(uint64_t{groups} + 1), "offsets is smaller than groups + 1");
    REQUIRE(dw.covers(depth, uint64_t{groups} * cols, wStride), "dw is too small for its shape and stride");
    REQUIRE(depth <= 1 || wStride >= uint64_t{groups} * cols, "the rows of dw overlap");
    return nullptr;
  }

  void run(Context& context) const {
    multiplyAll(context,
                [&](const Gemm& g) { gemmBlock(g, context.scratch(), [](size_t, size_t, size_t, size_t) {}); });
  }

 protected:
  template <class Multiply>
  void multiplyAll(Context& context, const Multiply& multiplyBlock) const {
    if (depth == 0 || cols == 0) return;
    const uint64_t down = divideUp(depth, kRowStep), across = divideUp(cols, kColStep);
    context.team.parallelRange(groups * down * across, 1, [&](uint64_t chunk, uint64_t end) {
      for (; chunk < end; ++chunk) {
        const uint64_t group = chunk / (down * across);
        sum(context, group, chunk / across % down * kRowStep, chunk % across * kColStep, multiplyBlock);
      }
    });
  }

 private:
  static constexpr uint64_t kRowStep = kMaxTilesDown * kTileRows, kColStep = kMaxTilesAcross * kTileCols;

  template <class Multiply>
  void sum(const Context& context, uint64_t group, uint64_t row, uint64_t col, const Multiply& multiplyBlock) const {
    const GroupOffsets groupOffsets{context.i32(offsets), rows};
    const bool isValid = groupOffsets.isValid(group);
    if (!isValid) context.fail("offsets do not match the rows of x");
    const uint64_t first = isValid ? groupOffsets.start(group) : 0;
    const size_t count = isValid ? static_cast<size_t>(groupOffsets.size(group)) : 0;
    const size_t height = atMost(kRowStep, depth - row), width = atMost(kColStep, cols - col);
    float* to = context.f32(dw) + row * wStride + group * cols + col;
    if (count == 0) {
      if (accumulate == 0)
        for (uint64_t i = 0; i < height; ++i) memset(to + i * wStride, 0, width * sizeof(float));
      return;
    }
    const Gemm g{.a = context.f32(x) + first * depth + row,
                 .aRow = 1,
                 .aCol = depth,
                 .b = context.f32(dy) + first * cols + col,
                 .bRow = cols,
                 .c = to,
                 .cRow = wStride,
                 .rows = height,
                 .cols = width,
                 .depth = count,
                 .accumulate = accumulate != 0};
    multiplyBlock(g);
  }
};
TRAINING_KERNEL(GroupedGradient)

// GroupedGradient with the elements of x and dy rounded to bfloat16: see shared/bfloat16.h.
struct GroupedGradientBfloat16 : GroupedGradient {
  static constexpr const char* name = "groupedGradientBfloat16";
  void run(Context& context) const {
    multiplyAll(context, [&](const Gemm& g) { bfloat16::multiplyBlock(g, context.scratch()); });
  }
};
BFLOAT16_KERNEL(GroupedGradientBfloat16)
