// IQ4_XS: t[q]·(d·(s - 32)) in blocks of 256 inputs, with the integers t of IQ4_NL and a float16 d per block. s has 6
// bits per group of 32 and takes a byte in the heap.
#pragma once

struct IQ4_XS {
  static constexpr const char* kName = "iq4_xs";
  static constexpr GgufType kGguf{"IQ4_XS", 23};
  static constexpr size_t kBlockBytes = 136;
  static constexpr size_t kTileHead = 0, kHead = kScaleBytes, kGroups = 8, kGroupBytes = kNibbleBytes + kTile;
  static constexpr int kOffset = 128, kBits = 8, kStoredBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  // A block in a file: d (2 bytes), the high 2 bits of all s (2 bytes), their low 4 bits (4 bytes), and q (128 bytes).
  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block);
    for (size_t g = 0; g < kGroups; ++g) {
      uint8_t* group = record + kHead + g * kGroupBytes;
      putPairs(group, lane, block + 8 + 16 * g);
      const int low = block[4 + g / 2] >> (g % 2 * 4) & 15, high = block[2 + g / 4] >> (g % 4 * 2) & 3;
      group[kNibbleBytes + lane] = static_cast<uint8_t>(low | high << 4);
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memset(to, 0, 8);
    copyHalf(to, record + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g) {
      const uint8_t* group = record + kHead + g * kGroupBytes;
      takePairs(group, lane, to + 8 + 16 * g);
      const int s = group[kNibbleBytes + lane];
      to[4 + g / 2] = static_cast<uint8_t>(to[4 + g / 2] | (s & 15) << (g % 2 * 4));
      to[2 + g / 4] = static_cast<uint8_t>(to[2 + g / 4] | s >> 4 << (g % 4 * 2));
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return lookUp(nibblesAt(group, k, lane), kUnevenLevels);
  }
  SIMD_INLINE static Vf unit(const GroupAt& at, size_t lane) { return halves(at.head + 2 * lane); }
  SIMD_INLINE static Vi factor(const GroupAt& at, size_t, size_t lane) {
    return bytesToInts(at.group + kNibbleBytes + lane) - splatInt(32);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<IQ4_XS>(at, stride, to); }
};
