// Q1_0: d or -d in blocks of 128 inputs, with a float16 scale d. A bit that is set means d.
#pragma once

struct Q1_0 {
  static constexpr const char* kName = "q1_0";
  static constexpr GgufType kGguf{"Q1_0", 41};
  static constexpr size_t kBlockBytes = 18;
  static constexpr size_t kTileHead = 0, kHead = kScaleBytes, kGroups = 4, kGroupBytes = kTile * 4;
  static constexpr int kOffset = 1, kBits = 4, kStoredBits = 1;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block);
    for (size_t g = 0; g < kGroups; ++g)
      putFifthBits(record + kHead + g * kGroupBytes, lane, loadWord(block + 2 + 4 * g));
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    copyHalf(to, record + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g)
      storeWord(to + 2 + 4 * g, takeFifthBits(record + kHead + g * kGroupBytes, lane));
  }
  // Bit 4 becomes 2, so that a byte is 0 or 2, and a weight -1 or 1 times the scale.
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return fifthBitsAt(group, static_cast<int>(k), lane) >> 3;
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) { return halves(at.head + 2 * lane); }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q1_0>(at, stride, to); }
};
