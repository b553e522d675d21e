// The product of rows as integers with some tiles of a packed weight, on one thread. Tiles are unpacked to bytes some
// groups at a time, which stay in a cache while all rows meet them; so products are compiled once for all formats.
#pragma once
#include "kernels/shared/int8_tile.h"

// Groups that are unpacked together, and rows that meet them.
inline constexpr size_t kUnpackedGroups = 32, kInt8BlockRows = 20 * kInt8Rows;
// Of few rows the time is that of reading weights: few groups at a time, so that the next ones are read meanwhile; and
// so many bytes ahead are fetched where processors do not do so by themselves.
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
    if constexpr (kTuning.fetchesKeys)
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
      const size_t together = atMost(kRowGroups, count);
      return {groupAt<Format>(tile, first).group,
              reinterpret_cast<const float*>(tile),
              nullptr,
              nullptr,
              nullptr,
              0,
              count / together,
              2 * together};
    } else {
      unpackGroups<Format>(tile, first, count, memory);
      return {memory.bytes,        memory.scales,  kKind.minima ? memory.minima : nullptr, nullptr, nullptr, kTile,
              count * kKind.parts, 2 / kKind.parts};
    }
  });
}

// The product of one row with a tile whose weights are unpacked in registers, which keeps up with memory. Of vectors of
// 16 alone, as it is compiled for each format.
template <class Products, class Format>
__attribute__((noinline)) void int8Row(const uint8_t* tile, const int32_t* x, size_t groups, float* sums) {
  constexpr size_t kSteps = kQuads / Format::kParts;
  const int32_t* heads = x + groups * 2 * kHalfWords;
  const auto head = [&](size_t word) {
    float value;
    memcpy(&value, heads + word, sizeof value);
    return splat(value);
  };
  Vf total = splat(0.f);
  for (size_t g = 0; g < groups; ++g) {
    const GroupAt at = groupAt<Format>(tile, g);
#pragma GCC unroll 2
    for (size_t part = 0; part < Format::kParts; ++part, heads += kHeadWords) {
      auto products = Products::begin(heads[2]);
#pragma GCC unroll 8
      for (size_t k = part * kSteps; k < (part + 1) * kSteps; ++k, x += Dots::kWords)
        Products::template add<Format::kBits == 8>(products, Format::bytes(at.group, k, 0), x);
      const Vf scale = Format::scale(at, part, 0) * head(0);
      total += rounded(toFloat(Products::total(products)) * scale);
      if constexpr (Format::kMinima) total += rounded(Format::minimum(at, 0) * head(1));
    }
  }
  store(sums, total);
}

inline void multiplyRow(uint32_t format, const uint8_t* tile, const int32_t* x, size_t groups, float* sums) {
  withFormat(format, [&](auto f) {
    using Format = decltype(f);
    if constexpr (kindOf<Format>().parts > 0)
      withDots([&](auto products) { int8Row<decltype(products), Format>(tile, x, groups, sums); });
  });
}

// Leaves in memory.sums the product of a tile with `rows` rows, at most kInt8BlockRows, whose blocks begin at `x`.
inline void multiplyInt8(uint32_t format, IntegerKind kind, const uint8_t* tile, const int32_t* x, size_t rows,
                         size_t inputs, Int8Memory& memory) {
  const Int8Layout layout(kind, inputs);
  if constexpr (kWidth == kTile)
    if (rows == 1 && kind.parts > 0) return multiplyRow(format, tile, x, layout.groups, memory.sums);
  const size_t most = kind.parts == 0 ? layout.groups : rows <= kInt8Rows ? kFewGroups : kUnpackedGroups;
  for (size_t g = 0, count; g < layout.groups; g += count) {
    count = atMost(most, layout.groups - g);
    if (kind.parts == 0 && count > kRowGroups) count -= count % kRowGroups;  // the last groups may be fewer
    Int8Operands in = unpackTile(format, tile, g, count, memory);
    const size_t part = kind.parts == 0 ? g / kRowGroups : g * kind.parts;
    for (size_t row = 0; row < rows; row += kInt8Rows) {
      const size_t height = atMost(kInt8Rows, rows - row);
      const int32_t* block = x + row * layout.rowWords();
      in.words = block + g * 2 * kHalfWords * height;
      in.heads = block + (layout.quadWords() + part * kHeadWords) * height;
      int8TileOf(kind, height)(in, g > 0, memory.sums + row * kTile);
    }
  }
}
