// Rows sorted by group, and the cut of each group into blocks.
#pragma once
#include "kernels/shared/blocks.h"

// Start of each group among `rows` rows. Offsets come from the heap, so each use checks them.
struct GroupOffsets {
  const int32_t* starts;
  uint32_t rows;

  uint64_t start(uint64_t group) const { return static_cast<uint32_t>(starts[group]); }
  bool isValid(uint64_t group) const { return start(group) <= start(group + 1) && start(group + 1) <= rows; }
  uint64_t size(uint64_t group) const { return start(group + 1) - start(group); }
};

// A block of rows of one group: `start` and `size` are those of the group, `first` is the block's first row in it.
struct GroupBlock {
  uint64_t group = 0, start = 0, size = 0, first = 0;
  size_t rows = 0;
};

// Number of blocks of `step` rows at most: each group that has rows has at most one block that is not full.
inline uint64_t maxGroupBlocks(uint64_t rows, uint64_t groups, uint64_t step) {
  return rows / step + atMost(groups, rows);
}

// Block number `index`, counted through all groups. It has no rows if there are fewer blocks.
inline GroupBlock groupBlockAt(const Context& context, Span offsets, uint32_t rows, uint32_t groups, uint64_t step,
                               uint64_t index) {
  const GroupOffsets groupOffsets{context.i32(offsets), rows};
  for (uint64_t group = 0; group < groups; ++group) {
    if (!groupOffsets.isValid(group)) {
      context.fail("offsets do not match the rows of x");
      break;
    }
    const uint64_t size = groupOffsets.size(group), blocks = divideUp(size, step);
    if (index < blocks) {
      const uint64_t first = index * step;
      return {group, groupOffsets.start(group), size, first, static_cast<size_t>(atMost(step, size - first))};
    }
    index -= blocks;
  }
  return {};
}
