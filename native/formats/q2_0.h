// Q2_0: (q - 1)·d in blocks of 64 inputs, with 2-bit integers q and a float16 scale d.
#pragma once

struct Q2_0 {
  static constexpr const char* kName = "q2_0";
  static constexpr GgufType kGguf{"Q2_0", 42};
  static constexpr size_t kBlockBytes = 18;
  static constexpr size_t kTileHead = 0, kHead = kScaleBytes, kGroups = 2, kGroupBytes = kPairBytes;
  static constexpr int kOffset = 1, kBits = 4, kStoredBits = 2;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  // A byte of a block has the four inputs of a quad.
  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block);
    for (size_t i = 0; i < kGroups * kQuads; ++i) {
      const uint32_t quad = block[2 + i];
      const uint32_t word = (quad | quad << 6 | quad << 12 | quad << 18) & 0x03030303u;
      putBitPairs(record + kHead + i / kQuads * kGroupBytes, lane, i % kQuads, word);
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    copyHalf(to, record + 2 * lane);
    for (size_t i = 0; i < kGroups * kQuads; ++i) {
      const uint32_t word = takeBitPairs(record + kHead + i / kQuads * kGroupBytes, lane, i % kQuads);
      to[2 + i] = static_cast<uint8_t>(word | word >> 6 | word >> 12 | word >> 18);
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) { return bitPairsAt(group, k, lane); }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) { return halves(at.head + 2 * lane); }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q2_0>(at, stride, to); }
};
