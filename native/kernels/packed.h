// Conversion of packed weights (formats/layout.h): from and to blocks of files, from and to floats.
#include "formats/formats.h"

// Bytes of one feature in a file.
inline uint64_t fileRowBytes(uint32_t format, uint64_t cols) {
  return withFormat(format, [&](auto f) { return blockRowBytes<decltype(f)>(cols); });
}

// Returns null if `w` is a weight [rows, cols] with features firstRow to firstRow + count - 1, otherwise the reason why
// not.
inline const char* checkFeatures(Span w, uint32_t format, uint32_t rows, uint32_t cols, uint32_t firstRow,
                                 uint32_t count) {
  if (const char* reason = checkPacked(w, format, rows, cols)) return reason;
  REQUIRE(uint64_t{firstRow} + count <= rows, "firstRow + count exceeds rows");
  return nullptr;
}

// True if floats [count, cols] with these strides lie in the span.
inline bool coversStrided(Span span, uint32_t count, uint32_t cols, uint32_t rowStride, uint32_t colStride) {
  if (count == 0 || cols == 0) return true;
  return uint64_t{count - 1} * rowStride + uint64_t{cols - 1} * colStride < span.length;
}

// Packs features firstRow to firstRow + count - 1 of the weight w [rows, cols] from a file's blocks, one feature after
// another. firstRow is a multiple of 16. Missing features of the last tile become zeros.
struct PackBlocks {
  static constexpr const char* name = "packBlocks";
  static constexpr const char* signature = "in:blocks out:w u32:format u32:rows u32:cols u32:firstRow u32:count";
  Span blocks, w;
  uint32_t format, rows, cols, firstRow, count;

  const char* check() const {
    if (const char* reason = checkFeatures(w, format, rows, cols, firstRow, count)) return reason;
    REQUIRE(firstRow % kTile == 0, "firstRow is not a multiple of a tile's features");
    REQUIRE(blocks.covers((count * fileRowBytes(format, cols) + 3) / 4), "blocks is too small for count and cols");
    return nullptr;
  }

  void run(Context& context) const {
    if (cols == 0) return;
    const uint8_t* from = reinterpret_cast<const uint8_t*>(context.f32(blocks));
    uint8_t* to = reinterpret_cast<uint8_t*>(context.f32(w));
    context.team.parallelRange(count, kTile, [&](uint64_t row, uint64_t last) {
      withFormat(format, [&](auto f) {
        using Format = decltype(f);
        const size_t bytes = tileBytes<Format>(cols), perRow = blockRowBytes<Format>(cols);
        uint8_t* tile = to + (firstRow + row) / kTile * bytes;
        if (last - row < kTile || Format::kTileHead > 0) memset(tile, 0, bytes);
        constexpr size_t kOwn = kRowHead<Format>;
        for (size_t lane = 0; lane < last - row; ++lane) memcpy(tile + lane * kOwn, from + (row + lane) * perRow, kOwn);
        for (size_t b = 0; b < divideUp(size_t{cols}, kRecordInputs<Format>); ++b) {
          uint8_t* record = tile + Format::kTileHead + b * kRecordBytes<Format>;
          for (size_t lane = 0; lane < last - row; ++lane)
            Format::pack(from + (row + lane) * perRow + kOwn + b * Format::kBlockBytes, lane, record);
        }
      });
    });
  }
};
PACKED_KERNEL(PackBlocks)

// The inverse of PackBlocks: writes the file's blocks of features firstRow to firstRow + count - 1.
struct UnpackBlocks {
  static constexpr const char* name = "unpackBlocks";
  static constexpr const char* signature = "in:w out:blocks u32:format u32:rows u32:cols u32:firstRow u32:count";
  Span w, blocks;
  uint32_t format, rows, cols, firstRow, count;

  const char* check() const {
    if (const char* reason = checkFeatures(w, format, rows, cols, firstRow, count)) return reason;
    REQUIRE(blocks.covers((count * fileRowBytes(format, cols) + 3) / 4), "blocks is too small for count and cols");
    return nullptr;
  }

  void run(Context& context) const {
    if (cols == 0) return;
    const uint8_t* from = reinterpret_cast<const uint8_t*>(context.f32(w));
    uint8_t* to = reinterpret_cast<uint8_t*>(context.f32(blocks));
    context.team.parallelRange(count, kTile, [&](uint64_t first, uint64_t last) {
      withFormat(format, [&](auto f) {
        using Format = decltype(f);
        constexpr size_t kOwn = kRowHead<Format>;
        for (uint64_t i = first; i < last; ++i) {
          const size_t row = firstRow + i, lane = row % kTile;
          const uint8_t* tile = from + row / kTile * tileBytes<Format>(cols);
          uint8_t* into = to + i * blockRowBytes<Format>(cols);
          memcpy(into, tile + lane * kOwn, kOwn);
          for (size_t b = 0; b < divideUp(size_t{cols}, kRecordInputs<Format>); ++b)
            Format::block(tile + Format::kTileHead + b * kRecordBytes<Format>, lane,
                          into + kOwn + b * Format::kBlockBytes);
        }
      });
    });
  }
};
PACKED_KERNEL(UnpackBlocks)

// Quantizes floats to features firstRow to firstRow + count - 1 of the weight w [rows, cols]. firstRow is a multiple of
// 16. Input i of feature firstRow + o is x[o·rowStride + i·colStride]. The format must have a quantizer. If `refine` is
// not 0 and the quantizer supports it, it searches for a smaller error.
struct PackFloats {
  static constexpr const char* name = "packFloats";
  static constexpr const char* signature =
      "in:x out:w u32:format u32:rows u32:cols u32:firstRow u32:count u32:rowStride u32:colStride u32:refine";
  Span x, w;
  uint32_t format, rows, cols, firstRow, count, rowStride, colStride, refine;

  const char* check() const {
    if (const char* reason = checkFeatures(w, format, rows, cols, firstRow, count)) return reason;
    const bool exists = withFormat(format, [](auto f) { return Quantizer<decltype(f)>::kExists; });
    REQUIRE(exists, "the engine cannot make this format from floats");
    REQUIRE(firstRow % kTile == 0, "firstRow is not a multiple of a tile's features");
    REQUIRE(coversStrided(x, count, cols, rowStride, colStride), "x is too small for its shape and strides");
    return nullptr;
  }

  void run(Context& context) const {
    if (cols == 0) return;
    uint8_t* to = reinterpret_cast<uint8_t*>(context.f32(w));
    context.team.parallelRange(count, kTile, [&](uint64_t row, uint64_t last) {
      withFormat(format, [&](auto f) {
        using Format = decltype(f);
        if constexpr (Quantizer<Format>::kExists) packTile<Format>(context, row, last, to);
      });
    });
  }

 private:
  template <class Format>
  void quantizeGroup(const float* values, float scale, uint8_t* block) const {
    if constexpr (requires { Quantizer<Format>::refine(values, block); })
      if (refine != 0) return Quantizer<Format>::refine(values, block);
    Quantizer<Format>::quantize(values, scale, block);
  }

  template <class Format>
  void packTile(const Context& context, uint64_t row, uint64_t last, uint8_t* to) const {
    const size_t bytes = tileBytes<Format>(cols), groups = divideUp(size_t{cols}, kGroup);
    uint8_t* tile = to + (firstRow + row) / kTile * bytes;
    memset(tile, 0, bytes);
    float* values = context.scratch();
    uint8_t block[Format::kBlockBytes];
    for (size_t lane = 0; lane < last - row; ++lane) {
      const float* from = context.f32(x) + (row + lane) * rowStride;
      for (size_t i = 0; i < groups * kGroup; ++i) values[i] = i < cols ? from[i * colStride] : 0;
      float scale = 0;
      if constexpr (Format::kTileHead > 0) {
        scale = largestMagnitude(values, cols) / 127;
        memcpy(tile + 4 * lane, &scale, 4);
      }
      for (size_t g = 0; g < groups; ++g) {
        quantizeGroup<Format>(values + g * kGroup, scale, block);
        Format::pack(block, lane, tile + Format::kTileHead + g * kRecordBytes<Format>);
      }
    }
  }
};
PACKED_KERNEL(PackFloats)

// Converts features to floats: y[o·rowStride + i·colStride] = input i of feature firstRow + o, for o < count.
struct Unpack {
  static constexpr const char* name = "unpack";
  static constexpr const char* signature =
      "in:w out:y u32:format u32:rows u32:cols u32:firstRow u32:count u32:rowStride u32:colStride";
  Span w, y;
  uint32_t format, rows, cols, firstRow, count, rowStride, colStride;

  const char* check() const {
    if (const char* reason = checkFeatures(w, format, rows, cols, firstRow, count)) return reason;
    REQUIRE(coversStrided(y, count, cols, rowStride, colStride), "y is too small for its shape and strides");
    REQUIRE(areApart(), "elements of y overlap");
    return nullptr;
  }

  void run(Context& context) const {
    if (cols == 0 || count == 0) return;
    const uint8_t* from = reinterpret_cast<const uint8_t*>(context.f32(w));
    const uint64_t firstTile = firstRow / kTile, tiles = divideUp(firstRow + uint64_t{count}, kTile) - firstTile;
    context.team.parallelRange(tiles, 1, [&](uint64_t tile, uint64_t) {
      withFormat(format, [&](auto f) {
        using Format = decltype(f);
        unpackTile<Format>(context, from + (firstTile + tile) * tileBytes<Format>(cols), (firstTile + tile) * kTile);
      });
    });
  }

 private:
  // False if two elements would have the same address, so that threads would write the same words.
  bool areApart() const {
    if (count == 0 || cols == 0) return true;
    const bool rowsAreApart = count == 1 || rowStride > uint64_t{cols - 1} * colStride;
    const bool colsAreApart = cols == 1 || colStride > uint64_t{count - 1} * rowStride;
    return (rowsAreApart && (cols == 1 || colStride > 0)) || (colsAreApart && (count == 1 || rowStride > 0));
  }

  template <class Format>
  void unpackTile(const Context& context, const uint8_t* tile, uint64_t row) const {
    const uint64_t first = row < firstRow ? firstRow - row : 0;
    const uint64_t last = row + kTile < firstRow + uint64_t{count} ? kTile : firstRow + uint64_t{count} - row;
    float* to = context.f32(y);
    float* values = context.scratch();
    for (size_t g = 0; g * kGroup < cols; ++g) {
      Format::unpack(groupAt<Format>(tile, g), kTile, values);
      const size_t inputs = atMost(kGroup, cols - g * kGroup);
      for (uint64_t lane = first; lane < last; ++lane)
        for (size_t i = 0; i < inputs; ++i)
          to[(row + lane - firstRow) * rowStride + (g * kGroup + i) * colStride] = values[i * kTile + lane];
    }
  }
};
PACKED_KERNEL(Unpack)
