// Table lookup, and its gradient: sums of rows.
#include "kernels/shared/results.h"
#include "kernels/shared/rows_by_id.h"

// RowsById (kernels/shared/rows_by_id.h) for a table of floats with `tableStride` floats between rows.
struct Embedding {
  static constexpr const char* name = "embedding";
  static constexpr const char* signature =
      "in:table u32:tableStride in:ids in?:positions in?:positionIds out:y u32:count u32:cols u32:tableRows "
      "u32:positionRows u32:positionStride f32:scale";
  Span table;
  uint32_t tableStride;
  RowsById wanted;

  const char* check() const {
    REQUIRE(table.covers(wanted.tableRows, wanted.cols, tableStride),
            "the table is too small for its rows, cols and stride");
    return wanted.check();
  }

  void run(Context& context) const {
    wanted.run(context, wanted.cols,
               [&](uint32_t id, float*) { return context.f32(table) + uint64_t{id} * tableStride; });
  }
};
KERNEL(Embedding)

// dtable[v] = scale · Σ dy[i] over all i with ids[i] = v (+ dtable[v] if accumulate). Each chunk owns a block of the
// table, rows × columns, and searches all ids for its rows. Comparisons are cheap compared with additions, nothing is
// sorted, and sums follow the order of the ids.
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
    REQUIRE(dy.covers(count, cols, dyStride), "dy is too small for count, cols and dyStride");
    REQUIRE(ids.covers(count), "ids is smaller than count");
    REQUIRE(dtable.covers(tableRows, cols, tableStride), "dtable is too small for its rows, cols and stride");
    return nullptr;
  }

  void run(Context& context) const {
    // Blocks are tall, so that few chunks read the ids, and wide, because memory is slow in short runs.
    constexpr uint64_t kRows = 512, kCols = 512;
    const uint64_t across = divideUp(cols, kCols);
    const uint64_t down = divideUp(tableRows, kRows);
    context.team.parallel(static_cast<uint32_t>(across * down), [&](uint32_t chunk) {
      const uint64_t row = chunk / across * kRows, col = chunk % across * kCols;
      const uint64_t height = row + kRows < tableRows ? kRows : tableRows - row;
      const uint64_t width = col + kCols < cols ? kCols : cols - col;
      float* block = context.f32(dtable) + row * tableStride + col;
      if (accumulate == 0)
        withResults(uint64_t{tableRows} * cols, [&](auto nonTemporal, uint64_t) {
          for (uint64_t r = 0; r < height; ++r)
            eachVector(width, [&](size_t c, size_t lanes) {
              storeResult<nonTemporal()>(block + r * tableStride + c, Vf{}, lanes);
            });
          if (nonTemporal()) fenceNonTemporal();
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
TRAINING_KERNEL(EmbeddingBackward)
