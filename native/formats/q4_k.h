// Q4_K: q·(d·s) - dmin·m in blocks of 256 inputs. q has 4 bits. d and dmin are float16, one per block; s and m have 6
// bits per group of 32 and take a byte each in the heap.
#pragma once

// The six-bit scale s and minimum m of group g, from the 12 bytes of a file's block that hold those of 8 groups.
struct SixBits {
  uint8_t scale, minimum;
};
inline SixBits sixBitsOf(const uint8_t* packed, size_t g) {
  if (g < 4) return {static_cast<uint8_t>(packed[g] & 63), static_cast<uint8_t>(packed[g + 4] & 63)};
  return {static_cast<uint8_t>((packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4),
          static_cast<uint8_t>((packed[g + 4] >> 4) | (packed[g] >> 6) << 4)};
}

// The inverse of sixBitsOf. The 12 bytes must be zero at first.
inline void putSixBits(uint8_t* packed, size_t g, SixBits bits) {
  const uint8_t scale = bits.scale, minimum = bits.minimum;
  if (g < 4) {
    packed[g] = static_cast<uint8_t>(packed[g] | scale);
    packed[g + 4] = static_cast<uint8_t>(packed[g + 4] | minimum);
    return;
  }
  packed[g + 4] = static_cast<uint8_t>((scale & 15) | (minimum & 15) << 4);
  packed[g - 4] = static_cast<uint8_t>(packed[g - 4] | (scale >> 4) << 6);
  packed[g] = static_cast<uint8_t>(packed[g] | (minimum >> 4) << 6);
}

// The part that Q4_K and Q5_K share: heads, scales and low bits. kBytesAt is the offset of s and m in a group.
template <size_t kBytesAt>
struct ScaledTwice {
  static constexpr size_t kTileHead = 0, kHead = 2 * kScaleBytes, kGroups = 8, kGroupBytes = kBytesAt + 2 * kTile;
  static constexpr int kOffset = 0;
  static constexpr bool kMinima = true;
  static constexpr size_t kParts = 1;

  // Packs a block of a file, which begins with d, dmin and 12 bytes of s and m. `low` has 128 bytes of nibbles, 32
  // bytes for each two groups.
  static void packBlock(const uint8_t* block, const uint8_t* low, size_t lane, uint8_t* record) {
    copyHalf(record + 2 * lane, block);
    copyHalf(record + kScaleBytes + 2 * lane, block + 2);
    for (size_t g = 0; g < kGroups; ++g) {
      uint8_t* group = record + kHead + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k)
        putNibbles(group, lane, k, loadWord(low + g / 2 * 32 + 4 * k) >> (g % 2 * 4) & 0x0f0f0f0fu);
      const SixBits bits = sixBitsOf(block + 4, g);
      group[kBytesAt + lane] = bits.scale;
      group[kBytesAt + kTile + lane] = bits.minimum;
    }
  }
  static void takeBlock(const uint8_t* record, size_t lane, uint8_t* to, uint8_t* low) {
    memset(to, 0, 16);
    copyHalf(to, record + 2 * lane);
    copyHalf(to + 2, record + kScaleBytes + 2 * lane);
    for (size_t g = 0; g < kGroups; ++g) {
      const uint8_t* group = record + kHead + g * kGroupBytes;
      for (size_t k = 0; k < kQuads; ++k) {
        uint8_t* word = low + g / 2 * 32 + 4 * k;
        const uint32_t nibbles = takeNibbles(group, lane, k);
        storeWord(word, g % 2 == 0 ? nibbles : loadWord(word) | nibbles << 4);
      }
      putSixBits(to + 4, g, {group[kBytesAt + lane], group[kBytesAt + kTile + lane]});
    }
  }
  SIMD_INLINE static Vf unit(const GroupAt& at, size_t lane) { return halves(at.head + 2 * lane); }
  SIMD_INLINE static Vi factor(const GroupAt& at, size_t, size_t lane) {
    return bytesToInts(at.group + kBytesAt + lane);
  }
  SIMD_INLINE static Vf minimumUnit(const GroupAt& at, size_t lane) {
    return -halves(at.head + kScaleBytes + 2 * lane);
  }
  SIMD_INLINE static Vi minimumFactor(const GroupAt& at, size_t, size_t lane) {
    return bytesToInts(at.group + kBytesAt + kTile + lane);
  }
};

struct Q4_K : ScaledTwice<kNibbleBytes> {
  static constexpr const char* kName = "q4_k";
  static constexpr GgufType kGguf{"Q4_K", 12};
  static constexpr size_t kBlockBytes = 144;
  static constexpr int kBits = 4;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) { packBlock(block, block + 16, lane, record); }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) { takeBlock(record, lane, to, to + 16); }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) { return nibblesAt(group, k, lane); }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<Q4_K>(at, stride, to); }
};
