// TQ2_0: (q - 1)·d in blocks of 256 inputs, with a float16 scale d. q has 2 bits, of which the values 0, 1 and 2 are
// used.
#pragma once

struct TQ2_0 {
  static constexpr const char* kName = "tq2_0";
  static constexpr GgufType kGguf{"TQ2_0", 35};
  static constexpr size_t kBlockBytes = 66;
  static constexpr size_t kTileHead = 0, kHead = kScaleBytes, kGroups = 8, kGroupBytes = kPairBytes;
  static constexpr int kOffset = 1, kBits = 4, kStoredBits = 2;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block + 64);
    for (size_t g = 0; g < kGroups; ++g)
      for (size_t k = 0; k < kQuads; ++k)
        putBitPairs(record + kHead + g * kGroupBytes, lane, k, TwoBits(g).take(block, k));
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memset(to, 0, kBlockBytes);
    copyHalf(to + 64, record + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g)
      for (size_t k = 0; k < kQuads; ++k)
        TwoBits(g).put(to, k, takeBitPairs(record + kHead + g * kGroupBytes, lane, k));
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) { return bitPairsAt(group, k, lane); }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) { return halves(at.head + 2 * lane); }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<TQ2_0>(at, stride, to); }
};
