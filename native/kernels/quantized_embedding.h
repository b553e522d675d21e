// Lookup in a packed table.
#include "formats/formats.h"
#include "kernels/shared/rows_by_id.h"

// RowsById (kernels/shared/rows_by_id.h) for a packed table.
struct QuantizedEmbedding {
  static constexpr const char* name = "quantizedEmbedding";
  static constexpr const char* signature =
      "in:table u32:format in:ids in?:positions in?:positionIds out:y u32:count u32:cols u32:tableRows "
      "u32:positionRows u32:positionStride f32:scale";
  Span table;
  uint32_t format;
  RowsById wanted;

  const char* check() const {
    if (const char* reason = checkPacked(table, format, wanted.tableRows, wanted.cols)) return reason;
    return wanted.check();
  }

  void run(Context& context) const {
    wanted.run(context, uint64_t{wanted.cols} * 4, [&](uint32_t id, float* room) {
      withFormat(format, [&](auto f) { unpackRow<decltype(f)>(context, id, wanted.cols, room); });
      return room;
    });
  }

 private:
  template <class Format>
  void unpackRow(const Context& context, uint32_t row, uint32_t cols, float* to) const {
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
PACKED_KERNEL(QuantizedEmbedding)
