// Int8: q·d with one float32 scale d per output feature, in the head of the tile. Bytes are q + 128. No file format has
// it.
#pragma once

struct Int8 {
  static constexpr const char* kName = "int8";
  static constexpr GgufType kGguf{};
  static constexpr size_t kBlockBytes = kGroup;  // the bytes q without a scale
  static constexpr size_t kTileHead = kTile * 4, kHead = 0, kGroups = 1, kGroupBytes = kTile * kGroup;
  static constexpr int kOffset = 128, kBits = 8;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    for (size_t k = 0; k < kQuads; ++k) storeWord(record + k * 64 + lane * 4, loadWord(block + 4 * k) ^ 0x80808080u);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    for (size_t k = 0; k < kQuads; ++k) storeWord(to + 4 * k, loadWord(record + k * 64 + lane * 4) ^ 0x80808080u);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return loadInts(group + k * 64 + lane * 4);
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return load(reinterpret_cast<const float*>(at.tile) + lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Int8>(at, stride, to); }
};
