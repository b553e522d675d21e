// A group of a tile as products take it, whatever its format: a byte for each weight, which is (byte - offset)·scale
// (+ minimum), and its scales as floats.
#pragma once
#include "formats/layout.h"

// How products of a format go.
struct IntegerKind {
  int offset = 0, bits = 0;  // bits 0: the format has no integers
  size_t parts = 0;          // of a group, each with a scale; 0: all inputs of a feature share theirs
  bool minima = false;
};

template <class Format>
constexpr IntegerKind kindOf() {
  if constexpr (requires { Format::kBits; })
    return {Format::kOffset, Format::kBits, Format::kTileHead > 0 ? 0 : Format::kParts, Format::kMinima};
  else
    return {};
}

// bytes[k][lane]: of the inputs 4k … 4k + 3 of a feature; scales[part][lane].
struct GroupRoom {
  uint8_t* bytes;
  float *scales, *minima;
};

template <class Format>
__attribute__((noinline)) void unpackIntegers(const GroupAt at, const GroupRoom room) {
  for (size_t lane = 0; lane < kTile; lane += kWidth) {
    for (size_t k = 0; k < kQuads; ++k) storeInts(room.bytes + k * 64 + lane * 4, Format::bytes(at.group, k, lane));
    for (size_t part = 0; part < Format::kParts; ++part) {
      store(room.scales + part * kTile + lane, Format::scale(at, part, lane));
      if constexpr (Format::kMinima) store(room.minima + part * kTile + lane, Format::minimum(at, part, lane));
    }
  }
}

// The same as floats, to[i·stride + lane]. The product with a scale is exact in all formats of files, so that it does
// not matter whether the minimum's addition is fused.
__attribute__((noinline)) inline void integersToFloats(const GroupRoom& from, IntegerKind kind, size_t stride,
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
  const GroupRoom room{bytes, scales, minima};
  unpackIntegers<Format>(at, room);
  IntegerKind kind = kindOf<Format>();
  if (kind.parts == 0) kind.parts = 1;
  integersToFloats(room, kind, stride, to);
}
