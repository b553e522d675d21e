// NVFP4: t[q]·s in blocks of 64 inputs, with the 4-bit floats t of MXFP4. s is an unsigned 8-bit float for each 16
// inputs, with 4 bits of exponent and 3 of mantissa.
#pragma once

struct NVFP4 {
  static constexpr const char* kName = "nvfp4";
  static constexpr GgufType kGguf{"NVFP4", 40};
  static constexpr size_t kBlockBytes = 36;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 2, kGroupBytes = kNibbleBytes + 2 * kTile;
  static constexpr int kOffset = 12, kBits = 5, kStoredBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 2;

  // A block in a file: 4 bytes of s, then 8 bytes for each 16 inputs, with the first 8 inputs in the low halves.
  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    for (size_t g = 0; g < kGroups; ++g) {
      uint8_t* group = record + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k)
        putNibbles(group, lane, k, loadWord(quadsOf(block, g, k)) >> (k / 2 % 2 * 4) & 0x0f0f0f0fu);
      for (size_t i = 0; i < 2; ++i) group[kNibbleBytes + kTile * i + lane] = block[2 * g + i];
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memset(to, 0, kBlockBytes);
    for (size_t g = 0; g < kGroups; ++g) {
      const uint8_t* group = record + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k) {
        uint8_t* word = to + (quadsOf(to, g, k) - to);
        storeWord(word, loadWord(word) | takeNibbles(group, lane, k) << (k / 2 % 2 * 4));
      }
      for (size_t i = 0; i < 2; ++i) to[2 * g + i] = group[kNibbleBytes + kTile * i + lane];
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return lookUp(nibblesAt(group, k, lane), kSmallFloats);
  }
  // Returns s / 2, because t is doubled. The bits of s, shifted into a float, give a value 2¹²⁰ times too small. If all
  // 7 bits are set, the scale is 0.
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t part, size_t lane) {
    const Vi s = bytesToInts(at.group + kNibbleBytes + kTile * part + lane);
    const Vi given = s == splatInt(0x7f) ? splatInt(0) : s & splatInt(0x7f);
    return asFloat(given << 20) * splat(0x1p119f);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<NVFP4>(at, stride, to); }

 private:
  static const uint8_t* quadsOf(const uint8_t* block, size_t g, size_t k) {
    return block + 4 + 16 * g + k / 4 * 8 + k % 2 * 4;
  }
};
