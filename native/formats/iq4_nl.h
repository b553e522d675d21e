// t[q]·d in groups of 32: 4 bits, which choose one of 16 integers, and a scale of float16.
#pragma once

// The integers, + 128.
inline constexpr uint8_t kUnevenLevels[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

struct IQ4_NL {
  static constexpr const char* kName = "iq4_nl";
  static constexpr GgufType kGguf{"IQ4_NL", 20};
  static constexpr size_t kBlockBytes = 18;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kNibbleBytes + kScaleBytes;
  static constexpr int kOffset = 128, kBits = 8, kStoredBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) { Q4_0::pack(block, lane, record); }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) { Q4_0::block(record, lane, to); }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return lookUp(nibblesAt(group, k, lane), kUnevenLevels);
  }
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kNibbleBytes + 2 * lane);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<IQ4_NL>(at, stride, to); }
};
