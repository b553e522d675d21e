// Q4_0: (q - 8)·d in blocks of 32 inputs, with 4 bits q and a float16 scale d.
#pragma once

struct Q4_0 {
  static constexpr const char* kName = "q4_0";
  static constexpr GgufType kGguf{"Q4_0", 2};
  static constexpr size_t kBlockBytes = 18;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kNibbleBytes + kScaleBytes;
  static constexpr int kOffset = 8, kBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    putPairs(record, lane, block + 2);
    copyHalf(record + kNibbleBytes + 2 * lane, block);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takePairs(record, lane, to + 2);
    copyHalf(to, record + kNibbleBytes + 2 * lane);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) { return nibblesAt(group, k, lane); }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kNibbleBytes + 2 * lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q4_0>(at, stride, to); }
};
