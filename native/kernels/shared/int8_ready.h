// Products of 8-bit rows by AMX, for weights with one scale per feature. Its instructions multiply whole tiles and write
// integer sums of 64 inputs to memory. The register tile (int8_tile.h) reads these sums, scales them and adds them up as
// usual, so the bits are those of any other way. Weights whose groups of 32 inputs have scales are multiplied by VNNI,
// which was faster in measurements (docs/performance.md).
#pragma once
#include "kernels/shared/int8_tile.h"

#ifdef SIMD_HAS_BYTE_TILES

inline constexpr size_t kReadySums = kInt8Rows * kTile;  // sums of a part for a tile of the weight: [row][feature]
static_assert(kInt8Rows == kByteRows && kTile == kWidth && kInt8Tiles == kByteTiles && Dots::kWords == 1);

// Sums that are read from memory instead of computed.
struct ReadySums : PlainSums {
  SIMD_INLINE static Sums load(const Int8Operands& in, size_t part, size_t r, size_t v) {
    const int32_t* from = in.products + (part * kInt8Tiles + v) * kReadySums + r * kTile;
    return {loadInts(reinterpret_cast<const uint8_t*>(from))};
  }
  template <int>
  SIMD_INLINE static Vi total(const Sums& sums, int32_t start) {
    return sums.of + splatInt(start);
  }
};

// Makes registers of AMX ready on this thread, if it is to multiply with weights of this kind.
class ByteTiles {
 public:
  explicit ByteTiles(IntegerKind kind) : used_(kind.parts == 0 && cpu().vnni && allowsAmx()) {
    if (used_) configureByteTiles();
  }
  ~ByteTiles() {
    if (used_) releaseTiles();
  }
  ByteTiles(const ByteTiles&) = delete;
  ByteTiles& operator=(const ByteTiles&) = delete;
  bool used() const { return used_; }

 private:
  const bool used_;
};

// Computes the sums of all parts of `in` for a block of kInt8Rows rows and `tiles` tiles of the weight.
inline void multiplyReady(const Int8Operands& in, size_t tiles, int32_t* products) {
  const int32_t* words = in.words;
  const uint8_t* bytes = in.bytes;
  for (size_t part = 0; part < in.parts; ++part, products += kInt8Tiles * kReadySums) {
    const size_t groups = (part + 1 < in.parts ? in.halves : in.tail) / 2;
    multiplyByteTiles(words, bytes, in.bytesStep, groups, tiles, products);
    words += groups * kInt8Rows * kGroupWords;
    bytes += groups * kGroup * kTile;
  }
}

#endif
