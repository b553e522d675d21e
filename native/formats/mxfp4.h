// t[q]·2^(e - 128) in groups of 32: floats of 4 bits, of which t has the doubled values, and an exponent of 8 bits.
#pragma once

// The doubled values, + 12.
inline constexpr uint8_t kSmallFloats[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct MXFP4 {
  static constexpr const char* kName = "mxfp4";
  static constexpr GgufType kGguf{"MXFP4", 39};
  static constexpr size_t kBlockBytes = 17;
  static constexpr size_t kTileHead = 0, kHead = 0, kGroups = 1, kGroupBytes = kNibbleBytes + kTile;
  static constexpr int kOffset = 12, kBits = 5, kStoredBits = 4;
  static constexpr bool kMinima = false;
  static constexpr size_t kParts = 1;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    putPairs(record, lane, block + 1);
    record[kNibbleBytes + lane] = block[0];
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    takePairs(record, lane, to + 1);
    to[0] = record[kNibbleBytes + lane];
  }
  SIMD_INLINE static Vi bytes(const uint8_t* group, size_t k, size_t lane) {
    return lookUp(nibblesAt(group, k, lane), kSmallFloats);
  }
  // The two smallest powers of two are no normal floats.
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    const Vi e = bytesToInts(at.group + kNibbleBytes + lane), tiny = splatInt(1 << 21);
    return asFloat(e < splatInt(2) ? tiny + e * tiny : (e - splatInt(1)) << 23);
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) { unpackFloats<MXFP4>(at, stride, to); }
};
