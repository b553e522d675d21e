// Q5_0: (q - 16)·d in blocks of 32 inputs, with 5 bits q and a float16 scale d.
#pragma once

struct Q5_0 {
  static constexpr const char* kName = "q5_0";
  static constexpr GgufType kGguf{"Q5_0", 6};
  static constexpr size_t kBlockBytes = 22;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kBitsAt = kNibbleBytes, kScalesAt = kBitsAt + 64;
  static constexpr size_t kGroupBytes = kScalesAt + kScaleBytes;
  static constexpr int kOffset = 16, kBits = 5;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    putPairs(record, lane, block + 6);
    putFifthBits(record + kBitsAt, lane, loadWord(block + 2));
    copyHalf(record + kScalesAt + 2 * lane, block);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takePairs(record, lane, to + 6);
    storeWord(to + 2, takeFifthBits(record + kBitsAt, lane));
    copyHalf(to, record + kScalesAt + 2 * lane);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return nibblesAt(group, k, lane) | fifthBitsAt(group + kBitsAt, static_cast<int>(k), lane);
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kScalesAt + 2 * lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q5_0>(at, stride, to); }
};
