// The product of rows as integers with some tiles of a packed weight, on one thread. Tiles are unpacked to bytes some
// groups at a time, which stay in a cache while all rows meet them; so products are compiled once for all formats.
#pragma once
#include "kernels/shared/int8_tile.h"

// Groups that are unpacked together, and rows that meet them.
inline constexpr size_t kUnpackedGroups = 32, kInt8BlockRows = 20 * kInt8Rows;
// Of few rows the time is that of reading weights: few groups at a time, so that the next ones are read meanwhile, and
// so many bytes ahead are fetched.
inline constexpr size_t kFewGroups = 8, kAhead = 4096;

struct Int8Memory {
  alignas(64) uint8_t bytes[kUnpackedGroups * kTile * kGroup];
  float scales[2 * kUnpackedGroups * kTile], minima[kUnpackedGroups * kTile];
  float sums[kInt8BlockRows * kTile];
};

template <class Format>
void unpackGroups(const uint8_t* tile, size_t first, size_t count, Int8Memory& memory) {
  for (size_t g = 0; g < count; ++g) {
    const GroupRoom room{memory.bytes + g * kTile * kGroup, memory.scales + g * Format::kParts * kTile,
                         memory.minima + g * kTile};
    const GroupAt at = groupAt<Format>(tile, first + g);
    for (size_t line = 0; line < Format::kGroupBytes; line += 64) __builtin_prefetch(at.group + kAhead + line);
    unpackIntegers<Format>(at, room);
  }
}

// Groups from `first` on of a tile: what of operands is the weight's.
inline Int8Operands unpackTile(uint32_t format, const uint8_t* tile, size_t first, size_t count, Int8Memory& memory) {
  return withFormat(format, [&](auto f) -> Int8Operands {
    using Format = decltype(f);
    constexpr IntegerKind kKind = kindOf<Format>();
    if constexpr (kKind.bits == 0) {
      return {};
    } else if constexpr (kKind.parts == 0) {  // as it lies
      return {groupAt<Format>(tile, first).group,
              reinterpret_cast<const float*>(tile),
              nullptr,
              nullptr,
              nullptr,
              1,
              2 * count};
    } else {
      unpackGroups<Format>(tile, first, count, memory);
      return {memory.bytes,        memory.scales,  kKind.minima ? memory.minima : nullptr, nullptr, nullptr,
              count * kKind.parts, 2 / kKind.parts};
    }
  });
}

// Leaves in memory.sums the product of a tile with `rows` rows, at most kInt8BlockRows, whose blocks begin at `x`.
inline void multiplyInt8(uint32_t format, IntegerKind kind, const uint8_t* tile, const int32_t* x, size_t rows,
                         size_t inputs, Int8Memory& memory) {
  const Int8Layout layout(kind, inputs);
  const size_t step = kind.parts == 0 ? layout.groups : rows <= kInt8Rows ? kFewGroups : kUnpackedGroups;
  for (size_t g = 0; g < layout.groups; g += step) {
    Int8Operands in = unpackTile(format, tile, g, atMost(step, layout.groups - g), memory);
    for (size_t row = 0; row < rows; row += kInt8Rows) {
      const size_t height = atMost(kInt8Rows, rows - row);
      const int32_t* block = x + row * layout.rowWords();
      in.words = block + g * 2 * kHalfWords * height;
      in.heads = block + (layout.quadWords() + g * kind.parts * kHeadWords) * height;
      int8TileOf(kind, height)(in, g > 0, memory.sums + row * kTile);
    }
  }
}
