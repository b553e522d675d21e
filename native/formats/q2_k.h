// Q2_K: q·(d·s) - dmin·m in blocks of 256 inputs. q has 2 bits. d and dmin are float16, one per block; s and m have 4
// bits each, in one byte per 16 inputs.
#pragma once

// Two-bit fields in a file's K-quant block. Those of group g are bits `shift` and shift + 1 of the 32 bytes from `from`
// on.
struct TwoBits {
  size_t from;
  int shift;
  explicit TwoBits(size_t g) : from(g / 4 * 32), shift(static_cast<int>(g % 4) * 2) {}
  uint32_t take(const uint8_t* bytes, size_t k) const { return loadWord(bytes + from + 4 * k) >> shift & 0x03030303u; }
  // The bytes must be zero at first.
  void put(uint8_t* bytes, size_t k, uint32_t pairs) const {
    uint8_t* to = bytes + from + 4 * k;
    storeWord(to, loadWord(to) | pairs << shift);
  }
};

struct Q2_K {
  static constexpr const char* kName = "q2_k";
  static constexpr GgufType kGguf{"Q2_K", 10};
  static constexpr size_t kBlockBytes = 84;
  static constexpr size_t kTileHead = 0, kHead = 2 * kScaleBytes, kGroups = 8, kGroupBytes = kPairBytes + 2 * kTile;
  static constexpr int kOffset = 0, kBits = 4, kStoredBits = 2;
  static constexpr bool kMinima = true;
  static constexpr size_t kParts = 2;

  // A block in a file: s and m (16 bytes), q (64 bytes), d, dmin.
  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block + 80);
    copyHalf(record + kScaleBytes + 2 * lane, block + 82);
    for (size_t g = 0; g < kGroups; ++g) {
      uint8_t* group = record + kHead + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k) putBitPairs(group, lane, k, TwoBits(g).take(block + 16, k));
      for (size_t i = 0; i < 2; ++i) group[kPairBytes + kTile * i + lane] = block[2 * g + i];
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memset(to, 0, kBlockBytes);
    copyHalf(to + 80, record + 2 * lane);
    copyHalf(to + 82, record + kScaleBytes + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g) {
      const uint8_t* group = record + kHead + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k) TwoBits(g).put(to + 16, k, takeBitPairs(group, lane, k));
      for (size_t i = 0; i < 2; ++i) to[2 * g + i] = group[kPairBytes + kTile * i + lane];
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) { return bitPairsAt(group, k, lane); }
  SIMD_INLINE static Vf unit(const GroupAt& at, size_t lane) { return halves(at.head + 2 * lane); }
  SIMD_INLINE static Vi factor(const GroupAt& at, size_t part, size_t lane) {
    return scalesAt(at, part, lane) & splatInt(15);
  }
  SIMD_INLINE static Vf minimumUnit(const GroupAt& at, size_t lane) {
    return -halves(at.head + kScaleBytes + 2 * lane);
  }
  SIMD_INLINE static Vi minimumFactor(const GroupAt& at, size_t part, size_t lane) {
    return scalesAt(at, part, lane) >> 4;
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q2_K>(at, stride, to); }

 private:
  SIMD_INLINE static Vi scalesAt(const GroupAt& at, size_t part, size_t lane) {
    return bytesToInts(at.group + kPairBytes + kTile * part + lane);
  }
};
