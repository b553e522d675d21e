// Division of rows × cols into chunks of work, and copies of rows.
#pragma once

// Calls body(firstRow, lastRow, firstCol, lastCol) for blocks of about `grain` ≥ 1 elements that together cover rows ×
// cols < 2³².
template <class Body>
void parallelBlocks(Team& team, uint64_t rows, uint64_t cols, uint64_t grain, const Body& body) {
  if (rows == 0 || cols == 0) return;
  const uint64_t width = cols < grain ? cols : grain;
  const uint64_t height = grain / width;
  const uint64_t across = divideUp(cols, width);
  const uint64_t down = divideUp(rows, height);
  team.parallel(static_cast<uint32_t>(across * down), [&](uint32_t chunk) {
    const uint64_t row = chunk / across * height, col = chunk % across * width;
    body(row, row + height < rows ? row + height : rows, col, col + width < cols ? col + width : cols);
  });
}

// Calls body(row, col, count) for runs of words that together cover rows × cols. If the rows are `dense`, they count as
// one row.
template <class Body>
void eachRun(Team& team, uint64_t rows, uint64_t cols, bool dense, const Body& body) {
  parallelBlocks(team, dense ? 1 : rows, dense ? rows * cols : cols, 16384,
                 [&](uint64_t row, uint64_t lastRow, uint64_t c0, uint64_t c1) {
                   for (; row < lastRow; ++row) body(row, c0, c1 - c0);
                 });
}

// Number of rows per chunk, for work that copies `words` words per row.
inline uint64_t copyGrain(uint64_t words) { return 1 + 16384 / (words + 1); }

// target = source (+ target if accumulate), for `cols` adjacent words. They may be integers, because vectors preserve
// bits.
SIMD_INLINE void moveRow(const float* source, float* target, uint64_t cols, bool accumulate) {
  constexpr uint64_t kShort = kWidth == 1 ? 0 : 4 * kWidth;  // a call of memmove would cost more
  if (!accumulate && cols > kShort) {
    memmove(target, source, cols * sizeof(float));
    return;
  }
  eachVector(cols, [&](size_t c, size_t lanes) {
    const Vf from = loadLanes(source + c, lanes);
    storeLanes(target + c, accumulate ? loadLanes(target + c, lanes) + from : from, lanes);
  });
}
