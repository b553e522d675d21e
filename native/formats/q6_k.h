// Q6_K: (q - 32)·(d·s) in blocks of 256 inputs. q has 6 bits. d is a float16 per block; s has 8 bits, signed, per 16
// inputs.
#pragma once

struct Q6_K {
  static constexpr const char* kName = "q6_k";
  static constexpr GgufType kGguf{"Q6_K", 14};
  static constexpr size_t kBlockBytes = 210;
  static constexpr size_t kTileHead = 0, kHead = kScaleBytes, kGroups = 8;
  static constexpr size_t kBitsAt = kNibbleBytes, kScalesAt = kBitsAt + kPairBytes, kGroupBytes = kScalesAt + 2 * kTile;
  static constexpr int kOffset = 32, kBits = 6;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 2;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block + 208);
    for (size_t g = 0; g < kGroups; ++g) {
      const size_t half = g / 4, quarter = g % 4;
      const uint8_t *low = block + 64 * half + quarter % 2 * 32, *high = block + 128 + 32 * half;
      uint8_t* group = record + kHead + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k) {
        putNibbles(group, lane, k, loadWord(low + 4 * k) >> (quarter / 2 * 4) & 0x0f0f0f0fu);
        putBitPairs(group + kBitsAt, lane, k, loadWord(high + 4 * k) >> (2 * quarter) & 0x03030303u);
      }
      for (size_t i = 0; i < 2; ++i) group[kScalesAt + kTile * i + lane] = block[192 + 2 * g + i];
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memset(to, 0, kBlockBytes);
    copyHalf(to + 208, record + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g) {
      const size_t half = g / 4, quarter = g % 4;
      uint8_t *low = to + 64 * half + quarter % 2 * 32, *high = to + 128 + 32 * half;
      const uint8_t* group = record + kHead + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k) {
        storeWord(low + 4 * k, loadWord(low + 4 * k) | takeNibbles(group, lane, k) << (quarter / 2 * 4));
        storeWord(high + 4 * k, loadWord(high + 4 * k) | takeBitPairs(group + kBitsAt, lane, k) << (2 * quarter));
      }
      for (size_t i = 0; i < 2; ++i) to[192 + 2 * g + i] = group[kScalesAt + kTile * i + lane];
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return nibblesAt(group, k, lane) | bitPairsAt<4>(group + kBitsAt, k, lane);
  }
  SIMD_INLINE static Vf unit(const GroupAt& at, size_t lane) { return halves(at.head + 2 * lane); }
  SIMD_INLINE static Vi factor(const GroupAt& at, size_t part, size_t lane) {
    return (bytesToInts(at.group + kScalesAt + kTile * part + lane) ^ splatInt(128)) - splatInt(128);  // signed
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q6_K>(at, stride, to); }
};
