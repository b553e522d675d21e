// Rows of a table by number, and the sums of rows that their gradients are.
#include "kernels/shared/blocks.h"
#include "kernels/shared/results.h"

// y[i] = scale·table[ids[i]] + positions[positionIds[i]] (positions optional), i < count, each a row of `cols` floats.
// An id outside its table gives a row of zeros and fails the run.
struct Embedding {
  static constexpr const char* name = "embedding";
  static constexpr const char* signature =
      "in:table in:ids in?:positions in?:positionIds out:y u32:count u32:cols u32:tableRows u32:tableStride "
      "u32:positionRows u32:positionStride f32:scale";
  Span table, ids, positions, positionIds, y;
  uint32_t count, cols, tableRows, tableStride, positionRows, positionStride;
  float scale;

  const char* check() const {
    REQUIRE(table.covers(tableRows, cols, tableStride), "the table is smaller than its rows, cols and stride say");
    REQUIRE(ids.covers(count), "ids is smaller than count");
    REQUIRE(y.covers(count, cols, cols), "y is smaller than count and cols say");
    if (!positions.present()) return nullptr;
    REQUIRE(positions.covers(positionRows, cols, positionStride), "positions is smaller than its rows say");
    REQUIRE(positionIds.covers(count), "positionIds is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const int32_t* words = context.i32(ids);
    context.team.parallelRange(count, copyGrain(cols), [&](uint64_t i, uint64_t last) {
      for (; i < last; ++i) {
        float* target = context.f32(y) + i * cols;
        const uint32_t word = static_cast<uint32_t>(words[i]);
        const uint32_t position = positions.present() ? static_cast<uint32_t>(context.i32(positionIds)[i]) : 0;
        const bool placed = !positions.present() || position < positionRows;
        if (word >= tableRows || !placed) {
          if (placed)
            context.failAt("ids", i, static_cast<int32_t>(word), tableRows);
          else
            context.failAt("positionIds", i, static_cast<int32_t>(position), positionRows);
          memset(target, 0, cols * sizeof(float));
          continue;
        }
        const float* row = context.f32(table) + uint64_t{word} * tableStride;
        const float* place = context.f32(positions) + uint64_t{position} * positionStride;
        eachVector(cols, [&](size_t c, size_t lanes) {
          const Vf value = loadLanes(row + c, lanes) * splat(scale);
          storeLanes(target + c, positions.present() ? value + loadLanes(place + c, lanes) : value, lanes);
        });
      }
    });
  }
};
KERNEL(Embedding)

// dtable[v] = scale · Σ dy[i] over the i with ids[i] = v (+ dtable[v] if accumulate).
// Each chunk owns a block of the table, rows × columns, and looks through all ids for its rows: comparing is cheap
// beside adding, nothing is sorted, and the order of the sums is the order of the ids.
struct EmbeddingBackward {
  static constexpr const char* name = "embeddingBackward";
  static constexpr const char* signature =
      "in:dy in:ids inout:dtable u32:count u32:cols u32:dyStride u32:tableRows u32:tableStride f32:scale "
      "u32:accumulate";
  Span dy, ids, dtable;
  uint32_t count, cols, dyStride, tableRows, tableStride;
  float scale;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(dy.covers(count, cols, dyStride), "dy is smaller than count, cols and dyStride say");
    REQUIRE(ids.covers(count), "ids is smaller than count");
    REQUIRE(dtable.covers(tableRows, cols, tableStride), "dtable is smaller than its rows, cols and stride say");
    return nullptr;
  }

  void run(Context& context) const {
    // Tall blocks, so that few chunks read the ids; wide ones, as memory is slow in short runs.
    constexpr uint64_t kRows = 512, kCols = 512;
    const uint64_t across = divideUp(cols, kCols);
    const uint64_t down = divideUp(tableRows, kRows);
    context.team.parallel(static_cast<uint32_t>(across * down), [&](uint32_t chunk) {
      const uint64_t row = chunk / across * kRows, col = chunk % across * kCols;
      const uint64_t height = row + kRows < tableRows ? kRows : tableRows - row;
      const uint64_t width = col + kCols < cols ? kCols : cols - col;
      float* block = context.f32(dtable) + row * tableStride + col;
      if (accumulate == 0)
        withResults(uint64_t{tableRows} * cols, [&](auto past, uint64_t) {
          for (uint64_t r = 0; r < height; ++r)
            eachVector(width,
                       [&](size_t c, size_t lanes) { storeResult<past()>(block + r * tableStride + c, Vf{}, lanes); });
          if (past()) endPast();
        });
      const int32_t* words = context.i32(ids);
      for (uint64_t i = 0; i < count; ++i) {
        const uint64_t at = static_cast<uint32_t>(words[i]) - row;
        if (at >= height) continue;
        float* target = block + at * tableStride;
        const float* source = context.f32(dy) + i * dyStride + col;
        eachVector(width, [&](size_t c, size_t lanes) {
          storeLanes(target + c, fma(loadLanes(source + c, lanes), splat(scale), loadLanes(target + c, lanes)), lanes);
        });
      }
    });
  }
};
KERNEL(EmbeddingBackward)
