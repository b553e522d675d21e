// Table lookup by row number, for tables of floats and packed tables.
#pragma once
#include "kernels/shared/blocks.h"

// y[i] = scale·table[ids[i]] + positions[positionIds[i]] for i < count, each a row of `cols` floats. `positions` is
// optional. An id outside its table gives a row of zeros and fails the run.
struct RowsById {
  Span ids, positions, positionIds, y;
  uint32_t count, cols, tableRows, positionRows, positionStride;
  float scale;

  const char* check() const {
    REQUIRE(ids.covers(count), "ids is smaller than count");
    REQUIRE(y.covers(count, cols, cols), "y is too small for count and cols");
    if (!positions.present()) return nullptr;
    REQUIRE(positions.covers(positionRows, cols, positionStride), "positions is too small for its rows");
    REQUIRE(positionIds.covers(count), "positionIds is smaller than count");
    return nullptr;
  }

  // rowOf(id, buffer) returns a row of the table, in place or written to `buffer`, which holds `cols` floats. `words`
  // is the cost of a row, in words moved.
  template <class RowOf>
  void run(Context& context, uint64_t words, const RowOf& rowOf) const {
    context.team.parallelRange(count, copyGrain(words), [&](uint64_t i, uint64_t last) {
      for (; i < last; ++i) {
        float* target = context.f32(y) + i * cols;
        const uint32_t id = static_cast<uint32_t>(context.i32(ids)[i]);
        const uint32_t position = positions.present() ? static_cast<uint32_t>(context.i32(positionIds)[i]) : 0;
        if (!areRows(context, i, id, position)) {
          memset(target, 0, cols * sizeof(float));
          continue;
        }
        const float* row = rowOf(id, target);
        const float* place = context.f32(positions) + uint64_t{position} * positionStride;
        eachVector(cols, [&](size_t c, size_t lanes) {
          const Vf value = loadLanes(row + c, lanes) * splat(scale);
          storeLanes(target + c, positions.present() ? value + loadLanes(place + c, lanes) : value, lanes);
        });
      }
    });
  }

 private:
  // True if both rows of index i exist; otherwise the run fails.
  bool areRows(Context& context, uint64_t i, uint32_t id, uint32_t position) const {
    const bool placed = !positions.present() || position < positionRows;
    if (!placed) context.failAt("positionIds", i, static_cast<int32_t>(position), positionRows);
    if (placed && id >= tableRows) context.failAt("ids", i, static_cast<int32_t>(id), tableRows);
    return placed && id < tableRows;
  }
};
