// Q5_1: q·d + m in blocks of 32 inputs, with 5 bits q and float16 d and m.
#pragma once

struct Q5_1 {
  static constexpr const char* kName = "q5_1";
  static constexpr GgufType kGguf{"Q5_1", 7};
  static constexpr size_t kBlockBytes = 24;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kBitsAt = kNibbleBytes, kScalesAt = kBitsAt + 64;
  static constexpr size_t kGroupBytes = kScalesAt + 2 * kScaleBytes;
  static constexpr int kOffset = 0, kBits = 5;
  static constexpr bool kMinima = true;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    putPairs(record, lane, block + 8);
    putFifthBits(record + kBitsAt, lane, loadWord(block + 4));
    copyHalf(record + kScalesAt + 2 * lane, block);
    copyHalf(record + kScalesAt + kScaleBytes + 2 * lane, block + 2);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takePairs(record, lane, to + 8);
    storeWord(to + 4, takeFifthBits(record + kBitsAt, lane));
    copyHalf(to, record + kScalesAt + 2 * lane);
    copyHalf(to + 2, record + kScalesAt + kScaleBytes + 2 * lane);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return nibblesAt(group, k, lane) | fifthBitsAt(group + kBitsAt, static_cast<int>(k), lane);
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kScalesAt + 2 * lane);
  }
  SIMD_INLINE static Vf minimum(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kScalesAt + kScaleBytes + 2 * lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q5_1>(at, stride, to); }
};
