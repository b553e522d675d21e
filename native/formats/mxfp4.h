// MXFP4: t[q]·2^(e - 128) in blocks of 32 inputs. q is a 4-bit float and t twice its value; e is an 8-bit exponent.
#pragma once

// The doubled values t, plus 12.
inline constexpr uint8_t kSmallFloats[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct MXFP4 : LookedUp<MXFP4, kSmallFloats, 1> {
  static constexpr const char* kName = "mxfp4";
  static constexpr GgufType kGguf{"MXFP4", 39};
  static constexpr int kOffset = 12, kBits = 5;

  // e = 0 and e = 1 give subnormal floats.
  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    const Vi e = bytesToInts(at.group + kNibbleBytes + lane), tiny = splatInt(1 << 21);
    return asFloat(e < splatInt(2) ? tiny + e * tiny : (e - splatInt(1)) << 23);
  }
};
