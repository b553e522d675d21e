// Unpacks a group of any integer format to the form that products read: one byte per weight, and scales and minima as
// floats. A weight is (byte - offset)·scale, plus the minimum if there is one.
#pragma once
#include "formats/layout.h"

// Properties of a format that products depend on.
struct IntegerKind {
  int offset = 0, bits = 0;  // 0 if the format has no integers
  size_t parts = 0;          // scales of a group; 0 if all inputs of a feature share one
  bool minima = false;
  size_t factorGroups = 0;  // groups of a record, if its scales are a float times integers; else 0
};

// True if a scale is a float of the record times an integer of the part.
template <class Format>
inline constexpr bool kHasFactors = requires(const GroupAt& at) { Format::factor(at, size_t{0}, size_t{0}); };

template <class Format>
constexpr IntegerKind kindOf() {
  if constexpr (requires { Format::kBits; })
    return {Format::kOffset, Format::kBits, Format::kTileHead > 0 ? 0 : Format::kParts, Format::kMinima,
            kHasFactors<Format> ? Format::kGroups : 0};
  else
    return {};
}

// Memory for an unpacked group. bytes [8, 16, 4]: inputs 4k to 4k + 3 of feature `lane`. scales and minima [parts, 16].
struct GroupBuffer {
  uint8_t* bytes;
  float *scales, *minima;
};

template <class Format>
SIMD_INLINE Vf scaleOf(const GroupAt& at, size_t part, size_t lane) {
  if constexpr (kHasFactors<Format>)
    return Format::unit(at, lane) * toFloat(Format::factor(at, part, lane));
  else
    return Format::scale(at, part, lane);
}
template <class Format>
SIMD_INLINE Vf minimumOf(const GroupAt& at, size_t part, size_t lane) {
  if constexpr (kHasFactors<Format>)
    return Format::minimumUnit(at, lane) * toFloat(Format::minimumFactor(at, part, lane));
  else
    return Format::minimum(at, part, lane);
}

template <class Format>
__attribute__((noinline)) void unpackIntegers(const GroupAt at, const GroupBuffer buffer) {
  for (size_t lane = 0; lane < kTile; lane += kWidth) {
    for (size_t k = 0; k < kQuads; ++k) storeInts(buffer.bytes + k * 64 + lane * 4, Format::bytes(at.group, k, lane));
    for (size_t part = 0; part < Format::kParts; ++part) {
      store(buffer.scales + part * kTile + lane, scaleOf<Format>(at, part, lane));
      if constexpr (Format::kMinima) store(buffer.minima + part * kTile + lane, minimumOf<Format>(at, part, lane));
    }
  }
}

// Converts an unpacked group to floats: to[i·stride + lane]. The product with a scale is exact for every file format,
// so adding the minimum gives the same bits with and without FMA.
__attribute__((noinline)) inline void integersToFloats(const GroupBuffer& from, IntegerKind kind, size_t stride,
                                                       float* to) {
  const size_t steps = kQuads / kind.parts;
  for (size_t lane = 0; lane < kTile; lane += kWidth) {
    for (size_t k = 0; k < kQuads; ++k) {
      const Vi word = loadInts(from.bytes + k * 64 + lane * 4);
      const Vf scale = load(from.scales + k / steps * kTile + lane);
      const Vf minimum = kind.minima ? load(from.minima + k / steps * kTile + lane) : splat(0.f);
      for (size_t i = 0; i < 4; ++i) {
        const Vi byte = ((word >> static_cast<int>(8 * i)) & splatInt(0xff)) - splatInt(kind.offset);
        const Vf value = toFloat(byte) * scale;
        store(to + (4 * k + i) * stride + lane, kind.minima ? value + minimum : value);
      }
    }
  }
}

template <class Format>
void unpackFloats(const GroupAt& at, size_t stride, float* to) {
  alignas(64) uint8_t bytes[kTile * kGroup];
  alignas(64) float scales[2 * kTile], minima[2 * kTile];
  const GroupBuffer buffer{bytes, scales, minima};
  unpackIntegers<Format>(at, buffer);
  IntegerKind kind = kindOf<Format>();
  if (kind.parts == 0) kind.parts = 1;
  integersToFloats(buffer, kind, stride, to);
}
