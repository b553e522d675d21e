// Q4_1: q·d + m in blocks of 32 inputs, with 4 bits q and float16 d and m. quantize() uses it for int4.
#pragma once

struct Q4_1 {
  static constexpr const char* kName = "q4_1";
  static constexpr GgufType kGguf{"Q4_1", 3};
  static constexpr size_t kBlockBytes = 20;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kNibbleBytes + 2 * kScaleBytes;
  static constexpr int kOffset = 0, kBits = 4;
  static constexpr bool kMinima = true;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    putPairs(record, lane, block + 4);
    copyHalf(record + kNibbleBytes + 2 * lane, block);
    copyHalf(record + kNibbleBytes + kScaleBytes + 2 * lane, block + 2);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takePairs(record, lane, to + 4);
    copyHalf(to, record + kNibbleBytes + 2 * lane);
    copyHalf(to + 2, record + kNibbleBytes + kScaleBytes + 2 * lane);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) { return nibblesAt(group, k, lane); }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kNibbleBytes + 2 * lane);
  }
  SIMD_INLINE static Vf minimum(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kNibbleBytes + kScaleBytes + 2 * lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q4_1>(at, stride, to); }
};
