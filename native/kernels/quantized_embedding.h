// Rows of a packed table by number.
#include "formats/formats.h"
#include "kernels/shared/blocks.h"

// y[i] = scale·table[ids[i]] + positions[positionIds[i]] (positions optional), i < count, each a row of `cols` floats.
// An id outside its table gives a row of zeros and fails the run.
struct QuantizedEmbedding {
  static constexpr const char* name = "quantizedEmbedding";
  static constexpr const char* signature =
      "in:table in:ids in?:positions in?:positionIds out:y u32:count u32:cols u32:tableRows u32:format "
      "u32:positionRows u32:positionStride f32:scale";
  Span table, ids, positions, positionIds, y;
  uint32_t count, cols, tableRows, format, positionRows, positionStride;
  float scale;

  const char* check() const {
    if (const char* reason = checkPacked(table, format, tableRows, cols)) return reason;
    REQUIRE(ids.covers(count), "ids is smaller than count");
    REQUIRE(y.covers(count, cols, cols), "y is smaller than count and cols say");
    if (!positions.present()) return nullptr;
    REQUIRE(positions.covers(positionRows, cols, positionStride), "positions is smaller than its rows say");
    REQUIRE(positionIds.covers(count), "positionIds is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    const int32_t* words = context.i32(ids);
    context.team.parallelRange(count, copyGrain(uint64_t{cols} * 4), [&](uint64_t i, uint64_t last) {
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
        withFormat(format, [&](auto f) { unpackRow<decltype(f)>(context, word, target); });
        const float* place = context.f32(positions) + uint64_t{position} * positionStride;
        eachVector(cols, [&](size_t c, size_t lanes) {
          const Vf value = loadLanes(target + c, lanes) * splat(scale);
          storeLanes(target + c, positions.present() ? value + loadLanes(place + c, lanes) : value, lanes);
        });
      }
    });
  }

 private:
  template <class Format>
  void unpackRow(const Context& context, uint32_t row, float* to) const {
    const uint8_t* tile = reinterpret_cast<const uint8_t*>(context.f32(table)) + row / kTile * tileBytes<Format>(cols);
    const size_t lane = row % kTile;
    float values[kGroup * kTile];
    for (size_t g = 0; g * kGroup < cols; ++g) {
      Format::unpack(groupAt<Format>(tile, g), kTile, values);
      const size_t inputs = atMost(kGroup, cols - g * kGroup);
      for (size_t i = 0; i < inputs; ++i) to[g * kGroup + i] = values[i * kTile + lane];
    }
  }
};
KERNEL(QuantizedEmbedding)
