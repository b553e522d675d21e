// Storage types of keys and values in a cache. A row of a cache has its heads one after the other. Each head takes
// whole words and is padded with zeros to a multiple of kCellPad features, so that vectors end where heads do:
//
//   kFloatCells   float32, without padding
//   kHalfCells    IEEE float16
//   kByteCells    signed bytes q, followed by a scale for each kCellGroup of them; a feature is q · scale. A scale is the
//                 upper half of a float32, so that the product is exact. It is rounded up, so that no |q| exceeds 127
#pragma once

enum CellType : uint32_t { kFloatCells, kHalfCells, kByteCells, kCellTypes };
inline constexpr size_t kCellPad = 16, kCellGroup = 32;
inline constexpr size_t kWidestHead = 1024;
CONSTANT("cache.float32", kFloatCells)
CONSTANT("cache.float16", kHalfCells)
CONSTANT("cache.int8", kByteCells)
CONSTANT("cache.pad", kCellPad)
CONSTANT("cache.group", kCellGroup)

constexpr size_t paddedCells(size_t width) { return divideUp(width, kCellPad) * kCellPad; }

// Readers of a stored head of `width` features. values() returns the features from d on, to be multiplied by scale() if
// kScaled. kStep is the number of features that share a scale. add() is a·b + c: the compiler does not contract every
// sum of converted values in a loop, so these types use fused().
struct FloatCells {
  static constexpr bool kScaled = false;
  static constexpr size_t kStep = kWidth;
  SIMD_INLINE static Vf values(const float* head, size_t d) { return load(head + d); }
  SIMD_INLINE static Vf firstValues(const float* head, size_t d, size_t n) { return loadFirst(head + d, n); }
  SIMD_INLINE static Vf add(Vf a, Vf b, Vf c) { return fma(a, b, c); }
};
struct HalfCells {
  static constexpr bool kScaled = false;
  static constexpr size_t kStep = kWidth;
  SIMD_INLINE static Vf values(const float* head, size_t d) {
    return halves(reinterpret_cast<const uint16_t*>(head) + d);
  }
  SIMD_INLINE static Vf firstValues(const float* head, size_t d, size_t) { return values(head, d); }
  SIMD_INLINE static Vf add(Vf a, Vf b, Vf c) { return fused(a, b, c); }
};
struct ByteCells {
  static constexpr bool kScaled = true;
  static constexpr size_t kStep = kCellGroup;
  SIMD_INLINE static Vf values(const float* head, size_t d) {
    return toFloat(signedBytesToInts(reinterpret_cast<const int8_t*>(head) + d));
  }
  SIMD_INLINE static Vf firstValues(const float* head, size_t d, size_t) { return values(head, d); }
  SIMD_INLINE static Vf add(Vf a, Vf b, Vf c) { return fused(a, b, c); }
  SIMD_INLINE static Vf scale(const float* head, size_t width, size_t d) {
    uint16_t upper;
    memcpy(&upper, reinterpret_cast<const char*>(head) + paddedCells(width) + d / kCellGroup * 2, sizeof upper);
    return splat(__builtin_bit_cast(float, uint32_t{upper} << 16));
  }
};

// Words per head.
inline size_t cellWords(uint32_t type, size_t width) {
  if (type == kFloatCells) return width;
  const size_t cells = paddedCells(width);
  return type == kHalfCells ? cells / 2 : divideUp(cells + 2 * divideUp(cells, kCellGroup), size_t{4});
}

// Calls body(Cells()) with the reader of this type.
template <class Body>
SIMD_INLINE void withCells(uint32_t type, const Body& body) {
  if (type == kByteCells) return body(ByteCells());
  if (type == kHalfCells) return body(HalfCells());
  body(FloatCells());
}

// out[r, c] = feature c of row r of a head. Columns from `width` on get the rest of the last vector.
inline void unpackCells(uint32_t type, const float* head, size_t stride, size_t rows, size_t width, float* out,
                        size_t outStride) {
  for (; rows > 0; --rows, head += stride, out += outStride)
    for (size_t d = 0; d < width; d += kWidth)
      store(out + d, type == kHalfCells ? HalfCells::values(head, d)
                                        : ByteCells::values(head, d) * ByteCells::scale(head, width, d));
}

// Stores floats as float16, rounding to nearest, ties to even.
SIMD_INLINE void storeHalves(void* to, Vf v) {
  const Vi bits = asInt(v), rest = bits & splatInt(0x7fffffff);
  const Vi normal = (rest + ((rest >> 13) & splatInt(1)) - splatInt(0x38000000 - 0xfff)) >> 13;
  // Values below 2⁻¹⁴ are multiples of 2⁻²⁴, which is the last bit of ½ in float32.
  const Vi small = asInt(asFloat(rest) + splat(.5f)) - splatInt(0x3f000000);
  const Vi finite = rest < splatInt(0x38800000) ? small : normal;
  const Vi special = rest > splatInt(0x7f800000) ? splatInt(0x7e00) : splatInt(0x7c00);
  const Vi size = rest < splatInt(0x477ff000) ? finite : special;  // 65520 and more become infinity
  storeShorts(to, size | ((bits >> 16) & splatInt(0x8000)));
}

// Packs a group of n features as bytes. Returns their scale as the upper half of a float32. If the group contains
// infinity or NaN, the whole group becomes NaN.
inline uint16_t packBytes(const float* x, size_t n, int8_t* to) {
  constexpr int32_t kMin = 0x0d800000, kInfinity = 0x7f800000;  // 2⁻¹⁰⁰: groups with a smaller maximum become 0
  Vi most = {};
  eachVector(n, [&](size_t c, size_t lanes) {
    const Vi size = asInt(loadLanes(x + c, lanes)) & splatInt(0x7fffffff);
    most = size > most ? size : most;
  });
  const int32_t bits = maximum(most);
  if (bits < kMin) return 0;
  if (bits >= kInfinity) {
    memset(to, 1, n);
    return 0x7fc0;
  }
  const uint32_t upper = (__builtin_bit_cast(uint32_t, __builtin_bit_cast(float, bits) / 127) + 0xffff) >> 16;
  const Vf inverse = splat(1 / __builtin_bit_cast(float, upper << 16));
  eachVector(n, [&](size_t c, size_t lanes) {
    const Vf steps = rounded(loadLanes(x + c, lanes) * inverse);
    const Vf held =
        min(max(steps, splat(-127.f)), splat(127.f));  // in range even if the heap changes during the command
    storeBytes(to + c, toInt(held + (held < splat(0.f) ? splat(-.5f) : splat(.5f))));
  });
  return static_cast<uint16_t>(upper);
}

// Packs a head of `width` floats.
inline void packCells(uint32_t type, const float* x, size_t width, float* head) {
  memset(head, 0, cellWords(type, width) * sizeof(float));
  if (type == kHalfCells) {
    auto* to = reinterpret_cast<uint16_t*>(head);
    return eachVector(width, [&](size_t c, size_t lanes) { storeHalves(to + c, loadLanes(x + c, lanes)); });
  }
  auto* to = reinterpret_cast<int8_t*>(head);
  for (size_t d = 0; d < width; d += kCellGroup) {
    const uint16_t upper = packBytes(x + d, atMost(kCellGroup, width - d), to + d);
    memcpy(to + paddedCells(width) + d / kCellGroup * 2, &upper, sizeof upper);
  }
}
