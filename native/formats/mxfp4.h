// t[q]·2^(e - 128) in groups of 32: floats of 4 bits, of which t has the doubled values, and an exponent of 8 bits.
#pragma once

// The doubled values, + 12.
inline constexpr uint8_t kSmallFloats[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct MXFP4 : LookedUp<MXFP4, kSmallFloats, 1> {
  static constexpr const char* kName = "mxfp4";
  static constexpr GgufType kGguf{"MXFP4", 39};
  static constexpr int kOffset = 12, kBits = 5;

  // The two smallest powers of two are no normal floats.
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    const Vi e = bytesToInts(at.group + kNibbleBytes + lane), tiny = splatInt(1 << 21);
    return asFloat(e < splatInt(2) ? tiny + e * tiny : (e - splatInt(1)) << 23);
  }
};
