// Q8_0: q·d in blocks of 32 inputs, with 8 bits q and a float16 scale d. Bytes in the heap are q + 128, because
// vpdpbusd multiplies unsigned bytes.
#pragma once

struct Q8_0 {
  static constexpr const char* kName = "q8_0";
  static constexpr GgufType kGguf{"Q8_0", 8};
  static constexpr size_t kBlockBytes = 34;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kTile * kGroup + kScaleBytes;
  static constexpr int kOffset = 128, kBits = 8;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    for (size_t k = 0; k < kQuads; ++k)
      storeWord(record + k * 64 + lane * 4, loadWord(block + 2 + 4 * k) ^ 0x80808080u);
    copyHalf(record + kTile * kGroup + 2 * lane, block);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    for (size_t k = 0; k < kQuads; ++k) storeWord(to + 2 + 4 * k, loadWord(record + k * 64 + lane * 4) ^ 0x80808080u);
    copyHalf(to, record + kTile * kGroup + 2 * lane);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return loadInts(group + k * 64 + lane * 4);
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kTile * kGroup + 2 * lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q8_0>(at, stride, to); }
};
