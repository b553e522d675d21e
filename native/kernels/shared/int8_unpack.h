// Groups of the tiles of a packed weight, prefetched and unpacked to bytes for a product with 8-bit rows.
#pragma once
#include "kernels/shared/fetch.h"
#include "kernels/shared/int8_amx.h"
#include "kernels/shared/int8_tile.h"

// Maximum number of rows that are multiplied with one unpacking of the weights.
inline constexpr size_t kInt8MaxRows = divideUp(240, kInt8PanelRows) * kInt8PanelRows;
struct Int8Memory {
  alignas(64) uint8_t bytes[kInt8Tiles][kUnpackedGroups * kTile * kGroup];
  float scales[kInt8Tiles][2 * kUnpackedGroups * kTile], minima[kInt8Tiles][2 * kUnpackedGroups * kTile];
  RecordFactors factors[kInt8Tiles];
  float sums[kInt8MaxRows * kInt8Cols];
#ifdef SIMD_HAS_BYTE_TILES
  alignas(64) int32_t products[kUnpackedGroups / kRowGroups * kInt8Tiles * kStoredSums];
  ScaledBytes scaledBytes[kInt8Tiles];
#endif
};

// Consecutive tiles of a packed weight, at most kInt8Tiles.
struct PackedTiles {
  const uint8_t* first;
  size_t bytes, count;  // bytes of one tile
  const uint8_t* at(size_t tile) const { return first + tile * bytes; }
};

// Prefetches a part of a weight.
SIMD_INLINE void fetchWeights(const uint8_t* from, size_t bytes) {
  if constexpr (kTuning.prefetches)
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(from + line, 0, kFetchTo);
}
// Prefetches the part of a weight that follows a group at a distance. With enough distance, reading and multiplying
// overlap. On a Zen 5, 8192 bytes instead of 1024 make one thread up to 1.3 times as fast with Q4_K; a second prefetch
// into level 2 is slower. On a Sapphire Rapids, a Llama 1B in Q4_K_M takes 1.1 times as long without the second one.
template <class Format>
SIMD_INLINE void fetchAhead(const GroupAt& at) {
  if constexpr (kTuning.prefetches)
    for (size_t line = 0; line < Format::kGroupBytes; line += 64) {
      if (kFarAhead != 0) __builtin_prefetch(at.group + kFarAhead + line, 0, kFetchTo);
      __builtin_prefetch(at.group + kAhead + line);
    }
}

// Prefetches the next groups of some tiles, a few cache lines at a time, while many rows are multiplied with the
// current groups. A whole model with int8 products is 1.07 times as fast.
class WeightsAhead {
 public:
  WeightsAhead() = default;
  // `steps` is the number of calls of fetch() that the groups are spread over.
  WeightsAhead(uint32_t format, const PackedTiles& tiles, size_t group, size_t count, size_t steps) : tiles_(tiles) {
    withFormat(format, [&](auto f) {
      const auto begin = [&](size_t g) { return groupAt<decltype(f)>(tiles.first, g).group; };
      at_ = begin(group);
      left_ = static_cast<size_t>(begin(group + count) - at_);
    });
    each_ = divideUp(divideUp(left_, 64), steps) * 64;
  }

  void fetch() {
    const size_t bytes = atMost(each_, left_);
    for (size_t t = 0; t < tiles_.count; ++t) fetchWeights(at_ + t * tiles_.bytes, bytes);
    at_ += bytes, left_ -= bytes;
  }

 private:
  PackedTiles tiles_{};
  const uint8_t* at_ = nullptr;
  size_t left_ = 0, each_ = 0;  // bytes per tile: left to prefetch, and per call
};

template <class Format>
void unpackGroups(const uint8_t* tile, size_t first, size_t count, size_t number, Int8Memory& memory) {
  for (size_t g = 0; g < count; ++g) {
    const GroupBuffer buffer{memory.bytes[number] + g * kTile * kGroup,
                             memory.scales[number] + g * Format::kParts * kTile,
                             memory.minima[number] + g * Format::kParts * kTile};
    const GroupAt at = groupAt<Format>(tile, first + g);
    fetchAhead<Format>(at);
    unpackIntegers<Format>(at, buffer);
  }
}

// Stores the scales of group `g` of a pass, for kWidth features from `lane` on.
template <class Format>
SIMD_INLINE void unpackScales(const GroupAt& at, size_t g, size_t lane, RecordFactors& to) {
  for (size_t part = 0; part < Format::kParts; ++part) {
    const size_t place = (g * Format::kParts + part) * kTile + lane;
    storeInts(to.factors + place, Format::factor(at, part, lane));
    if constexpr (Format::kMinima) store(to.minimumFactors + place, toFloat(Format::minimumFactor(at, part, lane)));
  }
  if (at.number > 0) return;
  const size_t place = g / Format::kGroups * kTile + lane;
  store(to.units + place, Format::unit(at, lane));
  if constexpr (Format::kMinima) store(to.minimumUnits + place, Format::minimumUnit(at, lane));
}

// Unpacks groups of a format whose scales are a float of the record times integers. `first` begins a record.
template <class Format>
void unpackRecords(const uint8_t* tile, size_t first, size_t count, uint8_t* bytes, RecordFactors& to) {
  for (size_t g = 0; g < count; ++g) {
    const GroupAt at = groupAt<Format>(tile, first + g);
    fetchAhead<Format>(at);
    for (size_t lane = 0; lane < kTile; lane += kWidth) {
      for (size_t k = 0; k < kQuads; ++k)
        storeInts(bytes + (g * kQuads + k) * 64 + lane * 4, Format::bytes(at.group, k, lane));
      unpackScales<Format>(at, g, lane, to);
    }
  }
}

#ifdef SIMD_HAS_BYTE_TILES
// Unpacks `count` groups of a record from `first` on as bytes times scales.
template <class Format>
__attribute__((noinline)) void scaleBytes(const uint8_t* tile, size_t first, size_t count, ScaledBytes& to,
                                          RecordFactors& factors) {
  static_assert(Format::kGroups * kGroup * kTile <= ScaledBytes::kBytes);
  for (size_t g = 0; g < count; ++g) {
    const GroupAt at = groupAt<Format>(tile, first + g);
    fetchAhead<Format>(at);
    unpackScales<Format>(at, g, 0, factors);
    Vi factor = splatInt(0);
#pragma GCC unroll 8
    for (size_t k = 0; k < kQuads; ++k) {
      if (k % (kQuads / Format::kParts) == 0) factor = Format::factor(at, k * Format::kParts / kQuads, 0);
      const size_t place = (g * kQuads + k) * 64;
      scaleQuads(Format::bytes(at.group, k, 0), Format::kOffset, factor, to.low + place, to.high + place);
    }
  }
  if (count % kRunGroups != 0) {  // the rest of a run
    memset(to.low + count * kGroup * kTile, 0, kGroup * kTile);
    memset(to.high + count * kGroup * kTile, 0, kGroup * kTile);
  }
}
#endif

// Unpacks `count` groups from `first` on of some tiles. Returns the weight's part of the operands.
inline Int8Operands unpackTiles(uint32_t format, const PackedTiles& tiles, size_t first, size_t count,
                                Int8Memory& memory) {
  return withFormat(format, [&](auto f) -> Int8Operands {
    using Format = decltype(f);
    constexpr IntegerKind kKind = kindOf<Format>();
    Int8Operands in{};
    if constexpr (kKind.bits == 0) {
      return in;
    } else if constexpr (kKind.parts == 0) {  // bytes are read in place
      in.bytes = groupAt<Format>(tiles.first, first).group;
      in.bytesStep = tiles.bytes;
      in.parts = divideUp(count, kRowGroups);
      in.halves = 2 * kRowGroups;
      in.tail = 2 * (count - (in.parts - 1) * kRowGroups);
    } else {
      in.bytes = memory.bytes[0];
      in.bytesStep = sizeof memory.bytes[0];
      if constexpr (kHasFactors<Format>) {
        for (size_t t = 0; t < tiles.count; ++t)
          unpackRecords<Format>(tiles.at(t), first, count, memory.bytes[t], memory.factors[t]);
        in.factors = memory.factors;
        in.recordParts = Format::kGroups * Format::kParts;
        in.hasMinima = kKind.minima;
      } else {
        for (size_t t = 0; t < tiles.count; ++t) unpackGroups<Format>(tiles.at(t), first, count, t, memory);
        in.scales = memory.scales[0];
        if constexpr (kKind.minima) in.minima = memory.minima[0];
        in.scalesStep = 2 * kUnpackedGroups * kTile;
      }
      in.parts = count * kKind.parts;
      in.halves = in.tail = 2 / kKind.parts;
    }
    return in;
  });
}
