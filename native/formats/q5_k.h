// Q5_K: as Q4_K, with 5 bits q.
#pragma once

struct Q5_K : ScaledTwice<kNibbleBytes + 64> {
  static constexpr const char* kName = "q5_k";
  static constexpr GgufType kGguf{"Q5_K", 13};
  static constexpr size_t kBlockBytes = 176;
  static constexpr int kBits = 5;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    packBlock(block, block + 48, lane, record);
    for (size_t g = 0; g < kGroups; ++g) {  // bit g of byte i of a file's fifth bits belongs to input i of group g
      uint32_t word = 0;
      for (size_t k = 0; k < kQuads; ++k) word |= (loadWord(block + 16 + 4 * k) >> g & 0x01010101u) << k;
      storeWord(record + kHead + g * kGroupBytes + kNibbleBytes + 4 * lane, word);
    }
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takeBlock(record, lane, to, to + 48);
    memset(to + 16, 0, 32);
    for (size_t g = 0; g < kGroups; ++g) {
      const uint32_t word = loadWord(record + kHead + g * kGroupBytes + kNibbleBytes + 4 * lane);
      for (size_t k = 0; k < kQuads; ++k) {
        uint8_t* bits = to + 16 + 4 * k;
        storeWord(bits, loadWord(bits) | (word >> k & 0x01010101u) << g);
      }
    }
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return nibblesAt(group, k, lane) | fifthBitsAt(group + kNibbleBytes, static_cast<int>(k), lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q5_K>(at, stride, to); }
};
