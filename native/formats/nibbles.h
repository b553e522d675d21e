// Bit fields of formats with 2 to 6 bits. In the heap, a group has 16 features × 32 inputs, and quad k (0 to 7) is
// inputs 4k to 4k + 3 of a feature, one byte each in 32 bits.
//
// Nibbles take 256 bytes: word [k mod 4][feature] has quad k in its low halves for k < 4, in its high halves for k ≥ 4.
// Fifth bits and pairs of bits are stored behind them.
#pragma once

inline constexpr size_t kNibbleBytes = kTile * kGroup / 2, kScaleBytes = kTile * 2;

SIMD_INLINE Vi nibblesAt(const uint8_t* group, size_t k, size_t lane) {
  const Vi word = loadInts(group + k % 4 * 64 + lane * 4);
  return (k < 4 ? word : word >> 4) & splatInt(0x0f0f0f0f);
}
// Pairs of bits take two words per feature: bits 8i + 2·(k mod 4) and the next of word [k / 4][feature] belong to input
// 4k + i. Returns quad k of kWidth features, with the pair as bits `at` and at + 1 of each byte.
inline constexpr size_t kPairBytes = 2 * kTile * 4;
template <int at = 0>
SIMD_INLINE Vi bitPairsAt(const uint8_t* bits, size_t k, size_t lane) {
  const Vi word = loadInts(bits + k / 4 * 64 + lane * 4);
  const int shift = static_cast<int>(k % 4) * 2;
  return (shift <= at ? word << (at - shift) : word >> (shift - at)) & splatInt(0x03030303 << at);
}
// Store and load the pairs of quad k of one feature, as bits 0 and 1 of the bytes of `word`. Quads must be stored in
// order.
SIMD_INLINE void putBitPairs(uint8_t* bits, size_t lane, size_t k, uint32_t word) {
  uint8_t* to = bits + k / 4 * 64 + lane * 4;
  storeWord(to, (k % 4 == 0 ? 0 : loadWord(to)) | word << (k % 4 * 2));
}
SIMD_INLINE uint32_t takeBitPairs(const uint8_t* bits, size_t lane, size_t k) {
  return loadWord(bits + k / 4 * 64 + lane * 4) >> (k % 4 * 2) & 0x03030303u;
}
// Returns bit 4 of quad k of kWidth features. It is bit 8i + k of a feature's word for input 4k + i.
SIMD_INLINE Vi fifthBitsAt(const uint8_t* bits, int k, size_t lane) {
  const Vi word = loadInts(bits + lane * 4);
  return (k <= 4 ? word << (4 - k) : word >> (k - 4)) & splatInt(0x10101010);
}
// Stores the low four bits of quad k of one feature. Quads must be stored in order.
SIMD_INLINE void putNibbles(uint8_t* group, size_t lane, size_t k, uint32_t word) {
  uint8_t* to = group + k % 4 * 64 + lane * 4;
  storeWord(to, k < 4 ? word : loadWord(to) | word << 4);
}
// Stores 16 bytes as GGUF's blocks of 32 inputs have them: inputs 0 to 15 in the low halves, inputs 16 to 31 in the
// high ones.
SIMD_INLINE void putPairs(uint8_t* group, size_t lane, const uint8_t* pairs) {
  for (size_t k = 0; k < 4; ++k) storeWord(group + k * 64 + lane * 4, loadWord(pairs + 4 * k));
}
// Inverses of putNibbles and putPairs.
SIMD_INLINE uint32_t takeNibbles(const uint8_t* group, size_t lane, size_t k) {
  const uint32_t word = loadWord(group + k % 4 * 64 + lane * 4);
  return (k < 4 ? word : word >> 4) & 0x0f0f0f0fu;
}
SIMD_INLINE void takePairs(const uint8_t* group, size_t lane, uint8_t* pairs) {
  for (size_t k = 0; k < 4; ++k) storeWord(pairs + 4 * k, loadWord(group + k * 64 + lane * 4));
}
// A format whose blocks have a scale of kScale bytes and 32 nibbles that index a table of 16 integers. A group in the
// heap has the nibbles, then the scales of 16 features. `Format` is the derived class, which defines scale().
template <class Format, const uint8_t (&kTable)[16], size_t kScale>
struct LookedUp {
  static constexpr size_t kBlockBytes = kScale + kGroup / 2;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kNibbleBytes + kScale * kTile;
  static constexpr int kStoredBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    memcpy(record + kNibbleBytes + kScale * lane, block, kScale);
    putPairs(record, lane, block + kScale);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    memcpy(to, record + kNibbleBytes + kScale * lane, kScale);
    takePairs(record, lane, to + kScale);
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return lookUp(nibblesAt(group, k, lane), kTable);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Format>(at, stride, to); }
};
// Store and load the fifth bits of 32 inputs of one feature; bit i of the argument or result belongs to input i, as in
// GGUF.
SIMD_INLINE void putFifthBits(uint8_t* bits, size_t lane, uint32_t given) {
  uint32_t word = 0;
  for (uint32_t k = 0; k < kQuads; ++k) word |= ((given >> (4 * k) & 15) * 0x00204081u & 0x01010101u) << k;
  storeWord(bits + lane * 4, word);
}
SIMD_INLINE uint32_t takeFifthBits(const uint8_t* bits, size_t lane) {
  const uint32_t word = loadWord(bits + lane * 4);
  uint32_t given = 0;
  for (uint32_t i = 0; i < kGroup; ++i) given |= (word >> (8 * (i % 4) + i / 4) & 1) << i;
  return given;
}
