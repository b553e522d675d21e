// Uint4: (q - z)·d in blocks of 32 inputs, with 4 bits q, a float32 d and a zero point z from 0 to 16. It holds the
// weights of GPTQ, AWQ, compressed-tensors and ONNX's MatMulNBits without loss. Bytes are q - z + 16.
#pragma once

struct Uint4 {
  static constexpr const char* kName = "uint4";
  static constexpr GgufType kGguf{};
  static constexpr size_t kFloatBytes = kTile * 4, kMaxZero = 16;
  static constexpr size_t kBlockBytes = 4 + 1 + kGroup / 2;  // d, z, and the nibbles as in Q4_0
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kNibbleBytes + kFloatBytes + kTile;
  static constexpr int kOffset = kMaxZero, kBits = 5, kStoredBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    putPairs(record, lane, block + 5);
    storeWord(record + kNibbleBytes + 4 * lane, loadWord(block));
    // A larger zero point would borrow from the next byte.
    record[kNibbleBytes + kFloatBytes + lane] = block[4] < kMaxZero ? block[4] : kMaxZero;
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takePairs(record, lane, to + 5);
    storeWord(to, loadWord(record + kNibbleBytes + 4 * lane));
    to[4] = record[kNibbleBytes + kFloatBytes + lane];
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    const Vi zeros = bytesToInts(group + kNibbleBytes + kFloatBytes + lane);
    return nibblesAt(group, k, lane) + (splatInt(kOffset) - zeros) * splatInt(0x01010101);
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return asFloat(loadInts(at.group + kNibbleBytes + 4 * lane));
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Uint4>(at, stride, to); }
};
