// Q3_K: (q - 4)·(d·(s - 32)) in blocks of 256 inputs. q has 3 bits. d is a float16 per block; s has 6 bits per 16
// inputs and takes a byte in the heap.
#pragma once

struct Q3_K {
  static constexpr const char* kName = "q3_k";
  static constexpr GgufType kGguf{"Q3_K", 11};
  static constexpr size_t kBlockBytes = 110;
  static constexpr size_t kTileHead = 0, kHead = kScaleBytes, kGroups = 8;
  static constexpr size_t kBitsAt = kPairBytes, kScalesAt = kBitsAt + 64, kGroupBytes = kScalesAt + 2 * kTile;
  static constexpr int kOffset = 4, kBits = 4, kStoredBits = 3;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 2;

  // A block in a file: third bits of q (32 bytes), its low two bits (64 bytes), s (12 bytes), d. Bit g of byte i of the
  // third bits belongs to input i of group g.
  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block + 108);
    for (size_t g = 0; g < kGroups; ++g) {
      uint8_t* group = record + kHead + g * kGroupBytes;
      uint32_t third = 0;
      for (size_t k = 0; k < kQuads; ++k) {
        putBitPairs(group, lane, k, TwoBits(g).take(block + 32, k));
        third |= (loadWord(block + 4 * k) >> g & 0x01010101u) << k;
      }
      storeWord(group + kBitsAt + 4 * lane, third);
      for (size_t i = 0; i < 2; ++i) group[kScalesAt + kTile * i + lane] = scaleOf(block + 96, 2 * g + i);
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memset(to, 0, kBlockBytes);
    copyHalf(to + 108, record + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g) {
      const uint8_t* group = record + kHead + g * kGroupBytes;
      const uint32_t third = loadWord(group + kBitsAt + 4 * lane);
      for (size_t k = 0; k < kQuads; ++k) {
        TwoBits(g).put(to + 32, k, takeBitPairs(group, lane, k));
        storeWord(to + 4 * k, loadWord(to + 4 * k) | (third >> k & 0x01010101u) << g);
      }
      for (size_t i = 0; i < 2; ++i) putScale(to + 96, 2 * g + i, group[kScalesAt + kTile * i + lane]);
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    const Vi third = loadInts(group + kBitsAt + lane * 4);
    const int shift = static_cast<int>(k) - 2;
    return bitPairsAt(group, k, lane) | ((shift < 0 ? third << -shift : third >> shift) & splatInt(0x04040404));
  }
  SIMD_INLINE static Vf unit(const GroupAt& at, size_t lane) { return halves(at.head + 2 * lane); }
  SIMD_INLINE static Vi factor(const GroupAt& at, size_t part, size_t lane) {
    return bytesToInts(at.group + kScalesAt + kTile * part + lane) - splatInt(32);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q3_K>(at, stride, to); }

 private:
  // The first 8 bytes have the low four bits of s: byte i has those of scales i and i + 8. The other 4 bytes have the
  // high two bits: byte i has those of scales i, i + 4, i + 8 and i + 12.
  static uint8_t scaleOf(const uint8_t* packed, size_t i) {
    const int low = packed[i % 8] >> (i / 8 * 4) & 15, high = packed[8 + i % 4] >> (i / 4 * 2) & 3;
    return static_cast<uint8_t>(low | high << 4);
  }
  static void putScale(uint8_t* packed, size_t i, int s) {
    packed[i % 8] = static_cast<uint8_t>(packed[i % 8] | (s & 15) << (i / 8 * 4));
    packed[8 + i % 4] = static_cast<uint8_t>(packed[8 + i % 4] | s >> 4 << (i / 4 * 2));
  }
};
